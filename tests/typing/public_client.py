"""What a program that uses the client may rely on, as mypy and pyright see it. Never run; both read it, strictly.

A line with an ignore is a mistake that both must find: an ignore that hides nothing is an error too.
"""

from __future__ import annotations

from typing import assert_type

from vidgo_mcp import VidgoClient as FromThePackage
from vidgo_mcp import __version__
from vidgo_mcp.client import ImageRequest, Timeouts, VidgoClient
from vidgo_mcp.errors import Category, Facts, Money, OutcomeUnknownError, Remedy, VidgoError
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task, TaskPhase, Upload

version: str = __version__
assert_type(FromThePackage("key"), VidgoClient)


async def the_calls(client: VidgoClient) -> None:
    request = ImageRequest(prompt="a lighthouse at dawn", size="16:9", quality="high", resolution="2K")
    assert_type(request.quality, Quality)
    assert_type(request.resolution, Tier | None)
    assert_type(await client.submit(request), Task)
    assert_type(await client.submit(request, callback_url="https://example.org/done"), Task)
    assert_type(await client.status("task-1"), Task)
    assert_type(await client.wait("task-1", timeout=300), Task)
    assert_type(await client.upload(b"", file_name="boat.png", mime_type="image/png"), Upload)
    assert_type(await client.balance(), int | float)
    assert_type(await client.download("https://example.org/boat.png"), bytes)
    async with VidgoClient("key", base_url="http://127.0.0.1:8787", timeouts=Timeouts()) as opened:
        assert_type(opened, VidgoClient)
    assert_type(await client.aclose(), None)


def the_answers(task: Task, upload: Upload) -> None:
    assert_type(task.task_id, str)
    assert_type(task.phase, TaskPhase)
    assert_type(task.progress, int | None)
    assert_type(task.file_urls, tuple[str, ...])
    assert_type(task.error_message, str | None)
    assert_type(upload.file_url, str)


def the_failures(error: VidgoError, lost: OutcomeUnknownError) -> None:
    assert_type(error.message, str)
    assert_type(error.category, Category)
    assert_type(error.money, Money)
    assert_type(error.remedy, Remedy)
    assert_type(error.retryable, bool)
    assert_type(error.facts, Facts)
    assert_type(lost.task_id, str | None)


async def the_mistakes(client: VidgoClient, task: Task) -> None:
    await client.submit("a lighthouse at dawn")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.wait(task)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    range(task.progress)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task.status = "finished"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    VidgoClient("key", "https://example.org")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
