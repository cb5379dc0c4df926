"""On a virtual clock: a task is waited for without haste, through trouble, and never beyond the deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from tests.client.conftest import BASE, Answer, Network
from tests.conftest import virtual_backend
from vidgo_mcp.client import ImageRequest, VidgoClient
from vidgo_mcp.client.polling import CLOSEST_READS, FIRST_READ
from vidgo_mcp.errors import AuthenticationError, NotFoundError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, create_app

URL = "https://a.example/c.png"
DONE = Task("task-1", "finished", None, (URL,))

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_backend()


def reading(status: str, **data: Any) -> httpx.Response:
    return httpx.Response(200, json={"code": 200, "data": {"task_id": "task-1", "status": status, **data}})


def finished(at: float) -> Callable[[float], Answer]:
    def answer(seconds: float) -> Answer:
        return reading("finished", files=[{"file_url": URL}]) if seconds >= at else reading("running")

    return answer


async def test_a_task_that_takes_ten_minutes_is_waited_for() -> None:
    network = Network(finished(595))
    async with network.client() as client:
        assert await client.wait("task-1") == DONE
    assert network.times[0] == FIRST_READ == 4
    assert min(network.gaps()) >= CLOSEST_READS - 1e-9
    assert len(network.times) < 100
    assert 595 <= network.elapsed <= 600


@pytest.mark.parametrize("seconds", [0, 4, 15, 31, 60])
async def test_a_task_of_the_usual_length_is_seen_within_five_seconds(seconds: float) -> None:
    network = Network(finished(seconds))
    async with network.client() as client:
        assert await client.wait("task-1") == DONE
    assert network.elapsed <= max(4, seconds + 5)


@pytest.mark.parametrize("timeout", [4, 5, 9, 10, 31.5, 40, 600])
async def test_running_out_returns_the_pending_task_at_the_deadline(timeout: float) -> None:
    network = Network(lambda _: reading("running", progress=40))
    async with network.client() as client:
        assert await client.wait("task-1", timeout=timeout) == Task("task-1", "running", 40)
    assert network.elapsed == pytest.approx(timeout)
    assert min([*network.gaps(), 99]) >= CLOSEST_READS - 1e-9


@pytest.mark.parametrize("timeout", [0, 0.5, 3])
async def test_a_short_wait_still_reads_once(timeout: float) -> None:
    network = Network(finished(0))
    async with network.client() as client:
        assert await client.wait("task-1", timeout=timeout) == DONE
    assert network.times == [timeout]


async def test_a_failed_task_is_returned_as_it_is() -> None:
    network = Network(lambda _: reading("failed", progress=0, error_message="content policy"))
    async with network.client() as client:
        assert await client.wait("task-1") == Task("task-1", "failed", 0, (), "content policy")
    assert network.times == [4]


async def test_every_reading_is_announced_in_order() -> None:
    seen: list[Task] = []

    async def keep(task: Task) -> None:
        seen.append(task)

    def answer(seconds: float) -> Answer:
        return finished(25)(seconds) if not 10 < seconds < 16 else httpx.Response(503)

    network = Network(answer)
    async with network.client() as client:
        await client.wait("task-1", on_task=keep)
    refused = [at for at in network.times if 10 < at < 16]
    assert refused
    assert len(seen) == len(network.times) - len(refused)
    assert [task.status for task in seen] == ["running"] * (len(seen) - 1) + ["finished"]


@pytest.mark.parametrize("trouble", [httpx.Response(429), httpx.Response(503), httpx.ReadTimeout("x")])
async def test_trouble_is_waited_out_with_growing_pauses(trouble: Answer) -> None:
    network = Network(lambda seconds: trouble if seconds < 40 else finished(0)(seconds))
    async with network.client() as client:
        assert await client.wait("task-1") == DONE
    assert network.gaps() == pytest.approx([2, 2, 4, 8, 8, 8, 8])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("delay", [0.0, 6.0])
async def test_a_retry_after_is_honoured_from_the_moment_of_its_answer(status: int, delay: float) -> None:
    wall = httpx.Response(status, headers={"Retry-After": "25"})
    network = Network(lambda seconds: wall if seconds < 5 else finished(0)(seconds), delay=delay)
    async with network.client() as client:
        assert await client.wait("task-1") == DONE
    assert network.times == pytest.approx([4, 4 + delay + 25])


async def test_a_retry_after_beyond_the_deadline_is_not_shortened_by_it() -> None:
    wall = httpx.Response(429, headers={"Retry-After": "100"})
    network = Network(lambda seconds: reading("running") if seconds < 5 else wall)
    async with network.client() as client:
        assert await client.wait("task-1", timeout=20) == Task("task-1", "running")
    assert len(network.times) == 2
    assert network.elapsed == pytest.approx(20)


async def test_a_task_that_could_never_be_read_raises_what_hindered_it() -> None:
    network = Network(lambda _: httpx.Response(429, headers={"Retry-After": "100"}))
    async with network.client() as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.wait("task-1", timeout=20)
    assert (caught.value.retry_after, caught.value.task_id, caught.value.money) == (100, "task-1", "accepted")
    assert len(network.times) == 1


async def test_trouble_that_outlasts_the_wait_raises_only_when_nothing_was_read() -> None:
    network = Network(lambda seconds: reading("running") if seconds < 5 else httpx.Response(502))
    async with network.client() as client:
        assert (await client.wait("task-1", timeout=60)).phase == "pending"
    assert network.elapsed == pytest.approx(60)
    network = Network(lambda _: httpx.Response(502))
    async with network.client() as client:
        with pytest.raises(UnavailableError):
            await client.wait("task-1", timeout=60)
    assert network.elapsed <= 60


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, NotFoundError)])
async def test_a_failure_that_waiting_cannot_cure_is_raised_at_once(status: int, kind: type[VidgoError]) -> None:
    network = Network(lambda seconds: reading("running") if seconds < 5 else httpx.Response(status))
    async with network.client() as client:
        with pytest.raises(kind) as caught:
            await client.wait("task-1")
    assert caught.value.task_id == "task-1"
    assert len(network.times) == 2


async def test_a_finished_task_without_files_is_believed_after_a_minute() -> None:
    network = Network(lambda _: reading("finished", files=[]))
    async with network.client() as client:
        assert await client.wait("task-1") == Task("task-1", "finished")
    assert 64 <= network.elapsed <= 70


async def test_a_whole_picture_is_made_with_the_sandbox_on_the_virtual_clock() -> None:
    clock = anyio.current_time
    sandbox = Sandbox(
        seconds=(300, 300), clock=clock, options=VendorOptions(inline_render=True), faults=["task:late_files=2"]
    )
    transport = httpx.ASGITransport(app=create_app(sandbox))
    async with VidgoClient(SANDBOX_KEY, base_url=BASE, transport=transport) as client:
        started = clock()
        task = await client.submit(ImageRequest(prompt="a boat", size="1:1"))
        ended = await client.wait(task.task_id)
        assert 300 <= clock() - started <= 340
        picture = await client.download(ended.file_urls[0])
    assert picture.startswith(b"\x89PNG")
