"""The file under the journal: it survives, it is private, and each step is whole and apart from the loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from pathlib import Path

import anyio
import pytest

from tests.journal.conftest import FINISHED, START, Clock, ended, in_state, intent, opened, reserved, sent
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import ConsentUsed, Entry, Reserved, SqliteJournal, connection, tables
from vidgo_mcp.journal.processes import Fate

pytestmark = pytest.mark.anyio

POSIX = pytest.mark.skipif(os.name != "posix", reason="this system has no file modes")


PRIVATE = dict.fromkeys(("journal.db", "journal.db-wal", "journal.db-shm"), 0o600)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.glob("journal*")}


def held(path: Path) -> sqlite3.Connection:
    """Return a connection of somebody who takes the right to write, and keeps it."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


async def test_all_that_was_written_is_there_after_closing(tmp_path: Path, clock: Clock) -> None:
    kept = opened(tmp_path / "journal.db", clock)
    for state in ("reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"):
        await in_state(kept, state, intent(state, prompt=f"é 🚢 {state}", references=("a", "b")))
    await kept.reserve(intent("consented"), process="p1", consent="yes")
    before = await kept.newest("me", 10)
    await kept.aclose()
    await kept.aclose()
    assert list(modes(tmp_path)) == ["journal.db"]
    again = opened(tmp_path / "journal.db", clock)
    assert await again.newest("me", 10) == before
    assert await again.reserve(intent("more"), process="p1", consent="yes") == ConsentUsed(START)
    assert list(await again.expire()) == []
    assert await kept.newest("me", 10) == before  # a closed journal opens again
    await again.aclose()
    await kept.aclose()


async def test_every_commit_reaches_the_disk(tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    await kept.check()
    assert kept._connection is not None

    def setting(name: str) -> object:
        assert kept._connection is not None
        return kept._connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert (setting("journal_mode"), setting("synchronous"), setting("fullfsync")) == ("wal", 2, 1)
    await kept.aclose()


@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_nobody_else_can_read_it(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        kept = SqliteJournal(tmp_path / "folder" / "journal.db")
        await reserved(kept)
    finally:
        os.umask(before)
    assert modes(tmp_path / "folder") == PRIVATE
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700
    await kept.aclose()
    (tmp_path / "folder" / "journal.db").chmod(0o644)
    await kept.check()
    assert modes(tmp_path / "folder") == PRIVATE
    await kept.aclose()


async def test_a_step_waits_for_another_process_while_the_loop_goes_on(tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    await kept.check()
    other = held(tmp_path / "journal.db")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(reserved, kept, intent())
            await anyio.wait_all_tasks_blocked()
            # Would the step hold the loop, this line would be reached only after it had given up.
            other.execute("COMMIT")
    assert await kept.spent("me") == 2
    other.close()
    await kept.aclose()


async def test_a_step_gives_up_after_its_time_and_the_next_one_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    kept = SqliteJournal(tmp_path / "journal.db")
    await kept.check()
    other = held(tmp_path / "journal.db")
    with pytest.raises(JournalError, match=r"another process has held it for 0\.05 s") as caught:
        await reserved(kept)
    assert str(tmp_path / "journal.db") in caught.value.message
    assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)
    other.execute("COMMIT")
    other.close()
    await reserved(kept)
    await kept.aclose()


async def test_a_cancelled_step_is_whole_and_leaves_no_transaction(tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    await kept.check()
    other = held(tmp_path / "journal.db")
    async with anyio.create_task_group() as group:
        group.start_soon(reserved, kept, intent("under way"))
        group.start_soon(reserved, kept, intent("waits for its turn"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        other.execute("COMMIT")
    assert [entry.intent.fingerprint for entry in await kept.newest("me", 5)] == ["under way"]
    assert kept._connection is not None
    assert not kept._connection.in_transaction
    other.close()
    await kept.aclose()


async def test_a_step_that_asyncio_tears_by_force_does_not_mix_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    entry = await reserved(kept, intent("a"))
    inside, go_on, save = threading.Event(), threading.Event(), tables.save

    def slow(db: sqlite3.Connection, entry: Entry) -> None:
        inside.set()
        assert go_on.wait(timeout=60)
        save(db, entry)

    monkeypatch.setattr(tables, "save", slow)
    torn = asyncio.ensure_future(kept.mark_sent(entry.id))
    assert await asyncio.to_thread(inside.wait, 60)
    torn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await torn
    later = asyncio.ensure_future(kept.reserve(intent("b"), process="p1"))
    await anyio.wait_all_tasks_blocked()
    go_on.set()
    with anyio.fail_after(60):
        assert isinstance(await later, Reserved)
    assert [one.state for one in await kept.newest("me", 5)] == ["reserved", "sent"]
    await kept.aclose()


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_a_step_that_fails_leaves_nothing_behind(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = SqliteJournal(None if kind == "memory" else tmp_path / "journal.db")
    first = await sent(kept, intent("a"))

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tables, "keep", failing)
    with pytest.raises(ZeroDivisionError):
        await reserved(kept, intent("b"))
    monkeypatch.undo()
    assert await kept.newest("me", 5) == [first]
    await reserved(kept, intent("b"))
    assert [entry.state for entry in await kept.newest("me", 5)] == ["reserved", "sent"]
    await kept.aclose()


async def test_only_processes_with_something_under_way_are_asked_about_and_outside_a_step(
    tmp_path: Path, clock: Clock
) -> None:
    asked: list[tuple[str, bool]] = []

    def fate_of(name: str) -> Fate:
        other = held(tmp_path / "journal.db")
        other.execute("ROLLBACK")
        other.close()
        asked.append((name, threading.current_thread() is threading.main_thread()))
        return "dead"

    kept = SqliteJournal(tmp_path / "journal.db", clock=clock.of_machine(), fate_of=fate_of)
    await kept.expire()
    await ended(kept, FINISHED, intent("a"))
    await reserved(kept, intent("b"), process="p2")
    entry = await sent(kept, intent("c"), process="p2")
    assert [one.id for one in await kept.expire()] == [entry.id]
    assert asked == [("p2", False)]
    await kept.aclose()


async def test_a_file_that_was_removed_under_a_running_process_is_made_anew(tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    old = await reserved(kept)
    (tmp_path / "journal.db").unlink()
    with pytest.raises(JournalError, match="no longer in the journal"):
        await kept.mark_sent(old.id)
    fresh = await reserved(kept)
    other = SqliteJournal(tmp_path / "journal.db")
    assert await other.newest("me", 5) == [fresh]
    await other.aclose()
    await kept.aclose()
