"""A journal file that cannot be used: prices, lists of tools and tasks by id still work, and nothing is paid for."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.server.conftest import Caller
from tests.service.durable import Process, hasten, moved, quick_sandbox
from vidgo_mcp.journal import Entry
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.server.build import build_server
from vidgo_mcp.service import Budget, Limits

pytestmark = pytest.mark.anyio

LOW = 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


def folder(path: Path) -> None:
    path.mkdir()


def no_database(path: Path) -> None:
    path.write_bytes(b"this is a letter to a friend, and no database at all. " * 100)


def under_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


def replace_by_a_folder(path: Path) -> None:
    for file in path.parent.glob("journal.db*"):
        file.unlink()
    path.mkdir()


BROKEN: dict[Callable[[Path], None], str] = {
    folder: "it is a folder, not a file",
    no_database: "not a database",
    under_a_file: "is not a folder",
}


@asynccontextmanager
async def called(process: Process, era: Any = "auto") -> AsyncGenerator[Caller]:
    server = build_server(process.service, principal_of=lambda ctx: process.principal)
    async with process, Client(server, mode=era) as client:
        yield await Caller.of(client)


@pytest.mark.parametrize("limits", [None, Limits(Budget(per_day=10, mode="enforce"), confirm_above=1)], ids=str)
@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__)
async def test_the_server_reads_and_prices_and_refuses_to_pay(
    spoil: Callable[[Path], None], limits: Limits | None, era: str, tmp_path: Path
) -> None:
    sandbox = quick_sandbox()
    async with Process(sandbox, tmp_path, "other", journal=SqliteJournal(None)) as other:
        made = await other.finished()
    assert moved(sandbox) == [("charge", LOW)]
    path = tmp_path / "data" / "journal.db"
    path.parent.mkdir()
    spoil(path)
    process = Process(sandbox, path, limits=limits)
    async with called(process, era) as caller:
        assert "generate_image" in caller.schemas
        price = await caller.data("estimate_cost", quality="high")
        assert (price["credits"], "budget_left" in price) == (12, False)
        found = await caller.data("get_task", task_id=made.task_id)
        assert (found["outcome"], found["task_id"]) == ("finished", made.task_id)
        assert (await caller.data("get_balance"))["credits"] == 1000 - LOW
        calls: list[tuple[str, dict[str, Any]]] = [
            ("generate_image", {"prompt": "a hare"}),
            ("edit_image", {"prompt": "a hare", "image_urls": [f"task:{made.task_id}"]}),
            ("get_task", {}),
        ]
        for tool, arguments in calls:
            error = await caller.error(tool, **arguments)
            assert (error["category"], error["money"], error["retryable"]) == ("unavailable", "nothing_spent", False)
            assert str(path) in error["message"]
            assert BROKEN[spoil] in error["message"]
            assert error["remedy"] == "fix_journal"
    assert ("POST", "/api/generate/submit") not in process.wire.seen
    assert moved(sandbox) == [("charge", LOW)]


async def test_a_journal_that_heals_is_used_from_then_on(tmp_path: Path) -> None:
    sandbox, path = quick_sandbox(), tmp_path / "journal.db"
    folder(path)
    process = Process(sandbox, path)
    async with called(process) as caller:
        await caller.error("generate_image", prompt="a fox")
        path.rmdir()
        made = await caller.data("generate_image", prompt="a fox", wait_seconds=10)
        assert made["credits_charged"] == LOW
        assert (await caller.data("generate_image", prompt="a fox"))["reused"]
    assert moved(sandbox) == [("charge", LOW)]


def removed(path: Path, backup: Path) -> None:
    for file in path.parent.glob("journal.db*"):
        file.unlink()


def renamed(path: Path, backup: Path) -> None:
    path.rename(path.with_name("away.db"))


def older_copied_over(path: Path, backup: Path) -> None:
    shutil.copyfile(backup, path)


def older_moved_over(path: Path, backup: Path) -> None:
    backup.rename(path)


def no_side_files(path: Path, backup: Path) -> None:
    for file in path.parent.glob("journal.db-*"):
        file.unlink()


@pytest.mark.parametrize("when", ["under way", "accepted", "finished"])
@pytest.mark.parametrize("trouble", [removed, renamed, older_copied_over, older_moved_over, no_side_files])
async def test_a_file_that_is_lost_or_older_pays_for_nothing_again(
    trouble: Callable[[Path, Path], None], when: str, tmp_path: Path
) -> None:
    """The same call meets the task that its process knows, and the journal has it again."""
    sandbox, path = quick_sandbox(seconds=0.0 if when == "finished" else 1.0), tmp_path / "journal.db"
    backup = path.with_name("backup")

    class Troubled(SqliteJournal):
        async def mark_sent(self, entry_id: str) -> Entry:
            entry = await super().mark_sent(entry_id)
            if when == "under way":
                trouble(path, backup)
            return entry

    before = SqliteJournal(path)
    await before.check()
    await before.aclose()
    shutil.copyfile(path, backup)
    process = Process(sandbox, path, journal=Troubled(path))
    async with called(process) as caller:
        made = await caller.data("generate_image", prompt="a fox", wait_seconds=0)
        if when == "finished":
            await caller.data("get_task", task_id=made["task_id"], wait_seconds=20)
        if when != "under way":
            trouble(path, backup)
        again = await caller.data("generate_image", prompt="a fox", wait_seconds=20)
        assert (again["outcome"], again["credits_charged"]) == ("finished", 0)
        assert [again["task_id"]] == list(sandbox.tasks)
    assert moved(sandbox) == [("charge", LOW)]
    async with Process(sandbox, path, "b") as other:
        assert (await other.finished()).task_id == again["task_id"]
    assert moved(sandbox) == [("charge", LOW)]


async def test_a_journal_that_breaks_after_the_payment_does_not_hide_the_picture(tmp_path: Path) -> None:
    sandbox, path = quick_sandbox(seconds=0.5), tmp_path / "journal.db"
    process = Process(sandbox, path)
    async with called(process) as caller:
        made = await caller.data("generate_image", prompt="a fox", wait_seconds=0)
        assert made["outcome"] == "pending"
        replace_by_a_folder(path)
        found = await caller.data("get_task", task_id=made["task_id"], wait_seconds=20)
        assert (found["outcome"], len(found["image_urls"])) == ("finished", 1)
        error = await caller.error("generate_image", prompt="a fox")
        assert (error["category"], error["money"]) == ("unavailable", "nothing_spent")
    assert moved(sandbox) == [("charge", LOW)]
