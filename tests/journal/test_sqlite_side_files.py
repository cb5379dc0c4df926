"""Files of the journal that somebody removes, replaces or overwrites under running processes: nothing is lost."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.journal.conftest import intent, reserved, sent
from vidgo_mcp.journal import Existing, SqliteJournal
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

Trouble = Callable[[Path, Path], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def kept(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(path)
    yield journal
    await journal.aclose()


@pytest.fixture
async def other(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(path)
    yield journal
    await journal.aclose()


def side(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def no_log(path: Path, backup: Path) -> None:
    side(path, "-wal").unlink()


def no_shared_memory(path: Path, backup: Path) -> None:
    side(path, "-shm").unlink()


def no_side_files(path: Path, backup: Path) -> None:
    no_log(path, backup)
    no_shared_memory(path, backup)


def removed(path: Path, backup: Path) -> None:
    for file in path.parent.glob("journal.db*"):
        file.unlink()


def only_the_file_removed(path: Path, backup: Path) -> None:
    path.unlink()


def renamed(path: Path, backup: Path) -> None:
    path.rename(path.with_name("away.db"))


def copied_over(path: Path, backup: Path) -> None:
    shutil.copyfile(backup, path)


def copied_over_without_side_files(path: Path, backup: Path) -> None:
    shutil.copyfile(backup, path)
    no_side_files(path, backup)


def moved_over(path: Path, backup: Path) -> None:
    backup.rename(path)


TROUBLES = [
    *(no_log, no_shared_memory, no_side_files, removed, only_the_file_removed, renamed),
    *(copied_over, copied_over_without_side_files, moved_over),
]


async def backup_of(kept: SqliteJournal, path: Path, *, entries: int = 3) -> Path:
    """Return a copy that is older than what follows."""
    for number in range(entries):
        await sent(kept, intent(f"old {number}"))
    backup = path.with_name("backup")
    with sqlite3.connect(path) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
    return backup


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_what_this_process_paid_for_is_there_whatever_is_done_to_the_files(
    trouble: Trouble, kept: SqliteJournal, path: Path
) -> None:
    backup = await backup_of(kept, path)
    bound = await kept.bind((await sent(kept, intent("a"))).id, Task("t1", "running"))
    under_way = await sent(kept, intent("b"))
    trouble(path, backup)
    assert await kept.find("me", "a") == bound
    assert isinstance(await kept.reserve(intent("b"), process="p1"), Existing)
    assert (await kept.bind(under_way.id, Task("t2", "running"))).task_id == "t2"
    # Another process sees the same file.
    after = SqliteJournal(path)
    assert [entry.task_id for entry in await after.newest("me", 2)] == ["t2", "t1"]
    await after.aclose()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def test_a_picture_that_somebody_received_is_not_announced_when_it_is_put_back(
    kept: SqliteJournal, path: Path
) -> None:
    bound = await kept.bind((await sent(kept)).id, Task("t1", "running"))
    await kept.record(bound.id, Task("t1", "finished", 100, ("https://a.example/1.png",)))
    await kept.mark_delivered([bound.id, "of-another-process"])
    removed(path, path)
    [entry] = await kept.newest(bound.intent.owner, 5)
    assert (entry.id, entry.delivered) == (bound.id, True)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_two_processes_go_on_with_one_journal(
    trouble: Trouble, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    backup = await backup_of(kept, path)
    await kept.bind((await sent(kept, intent("a"))).id, Task("t1", "running"))
    await other.bind((await sent(other, intent("b"))).id, Task("t2", "running"))
    trouble(path, backup)
    assert isinstance(await other.reserve(intent("b"), process="p2"), Existing)
    assert isinstance(await kept.reserve(intent("a"), process="p1"), Existing)
    await reserved(kept, intent("c"))
    assert isinstance(await other.reserve(intent("c"), process="p2"), Existing)
    assert isinstance(await other.reserve(intent("a"), process="p2"), Existing)
    assert isinstance(await kept.reserve(intent("b"), process="p1"), Existing)
    await kept.check()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_lost_answer_is_known_whatever_is_done_to_the_files_and_who_comes_first(
    trouble: Trouble, others: int, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    backup = await backup_of(kept, path)
    lost = await sent(kept, intent("a"))
    unknown = await kept.mark_unknown(lost.id, "silence")
    trouble(path, backup)
    for number in range(others):
        await sent(other, intent(f"new {number}"))
    assert await kept.find("me", "a") == unknown
    assert await other.find("me", "a") == unknown


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("trouble", [copied_over, copied_over_without_side_files, moved_over])
async def test_a_copy_from_between_two_steps_takes_back_neither_that_it_was_sent_nor_its_end(
    trouble: Trouble, others: int, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    bound = await kept.bind((await sent(kept, intent("a"))).id, Task("t1", "running"))
    lost = await reserved(kept, intent("b"))
    backup = await backup_of(kept, path, entries=0)
    ended = await kept.record(bound.id, Task("t1", "finished", file_urls=("https://storage.vidgo.ai/a.png",)))
    await kept.mark_sent(lost.id)
    unknown = await kept.mark_unknown(lost.id, "silence")
    trouble(path, backup)
    for number in range(others):
        await sent(other, intent(f"new {number}"))
    await kept.renew("p1")
    assert await other.find("me", "a") == ended
    assert await other.find("me", "b") == unknown


@pytest.mark.parametrize("others", [0, 1])
async def test_the_end_of_the_last_task_outlives_an_older_copy(
    others: int, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    bound = await kept.bind((await sent(kept, intent("a"))).id, Task("t1", "running"))
    backup = await backup_of(kept, path, entries=0)
    ended = await kept.record(bound.id, Task("t1", "finished", file_urls=("https://storage.vidgo.ai/a.png",)))
    copied_over(path, backup)
    for number in range(others):
        await sent(other, intent(f"new {number}"))
    assert await kept.claim_saving(ended.id, process="p1")


@pytest.mark.parametrize("seconds", [0.001, 0.002, 0.004, 0.3])
@pytest.mark.parametrize("trouble", [copied_over, moved_over])
async def test_a_copy_that_comes_while_a_file_is_opened_or_has_just_been_and_is_locked_is_noticed(
    trouble: Trouble, seconds: float, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    """A file that is read while it is copied over looks damaged for that moment."""
    backup = await backup_of(kept, path)
    lost = await sent(kept, intent("a"))
    await kept.aclose()
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kept.bind, lost.id, Task("t1", "running"))
        await anyio.sleep(seconds)
        trouble(path, backup)
        holder.close()
    found = await other.find("me", "a")
    assert found is not None
    assert found.task_id == "t1"
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


async def test_each_step_is_in_the_file_itself_and_the_log_is_empty(kept: SqliteJournal, path: Path) -> None:
    entry = await sent(kept, intent("a"))
    assert side(path, "-wal").stat().st_size == 0
    copy = SqliteJournal(Path(shutil.copyfile(path, path.with_name("copy.db"))))
    assert await copy.entry(entry.id) == entry
    await copy.aclose()


async def test_a_reader_keeps_no_step_from_its_end(kept: SqliteJournal, path: Path) -> None:
    await reserved(kept, intent("a"))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchone()
    entry = await sent(kept, intent("b"))
    reader.close()
    assert await kept.entry(entry.id) == entry


@pytest.mark.parametrize("asleep", [False, True])
async def test_an_entry_that_was_settled_as_not_charged_stays_forgotten(
    asleep: bool, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    await kept.bind((await sent(kept, intent("a"))).id, Task("t1", "running"))
    lost = await sent(kept, intent("b"))
    await (other if asleep else kept).mark_unknown(lost.id, "silence")
    await other.resolve(lost.id, task=None)
    assert await kept.find("me", "b") is None
    # Also when a copy takes the place of the file later.
    shutil.copyfile(path, path.with_name("copy")).replace(path)
    assert await kept.find("me", "a") is not None
    assert await kept.find("me", "b") is None


async def test_an_older_copy_that_gives_a_number_again_has_settled_nothing(
    kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    backup = await backup_of(kept, path)
    unknown = await kept.mark_unknown((await sent(kept, intent("a"))).id, "silence")
    copied_over(path, backup)
    await other.release((await reserved(other, intent("b"))).id)
    assert await kept.find("me", "a") == unknown


@pytest.mark.parametrize("trouble", [copied_over, moved_over, removed])
async def test_what_another_process_paid_for_is_known_to_the_one_that_saw_its_end(
    trouble: Trouble, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    backup = await backup_of(kept, path)
    bound = await kept.bind((await sent(kept, intent("a"))).id, Task("t1", "running"))
    await kept.aclose()
    ended = await other.record(bound.id, Task("t1", "finished", file_urls=("https://storage.vidgo.ai/a.png",)))
    trouble(path, backup)
    assert await other.find("me", "a") == ended


@pytest.mark.parametrize("trouble", [copied_over, moved_over, removed])
async def test_what_another_process_sent_is_known_to_the_one_that_waits_for_it(
    trouble: Trouble, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    """The one that sent it may be frozen."""
    backup = await backup_of(kept, path)
    under_way, refused = await sent(kept, intent("a")), await sent(kept, intent("b"))
    assert [await other.entry(one.id) for one in (under_way, refused)] == [under_way, refused]
    await kept.unsend(refused.id)
    await kept.release(refused.id)
    assert await other.entry(refused.id) is None
    trouble(path, backup)
    assert await other.entry(under_way.id) == under_way
    assert await other.entry(refused.id) is None
    await kept.unsend(under_way.id)
    await kept.release(under_way.id)
    assert await other.entry(under_way.id) is None


@pytest.mark.parametrize("trouble", [copied_over, moved_over, removed])
async def test_a_task_whose_place_another_one_has_counts_once_in_a_file_that_lost_both(
    trouble: Trouble, kept: SqliteJournal, other: SqliteJournal, path: Path
) -> None:
    backup = await backup_of(kept, path, entries=1)
    entry = await sent(kept, intent("a"))
    await other.mark_unknown(entry.id, "silence")
    await other.resolve(entry.id, task=Task("t1", "running"))
    await kept.restore(replace(entry, state="accepted", task_id="t2"))
    trouble(path, backup)
    assert [one.task_id for one in await kept.newest("me", 9) if one.intent.fingerprint == "a"] == ["t2"]
    assert await other.find("me", "a") is not None
    assert await kept.spent("me") == 3 * entry.intent.credits


async def test_a_copy_from_between_two_bound_tasks_lacks_the_one_that_was_sent_first(
    kept: SqliteJournal, path: Path
) -> None:
    first, second = await sent(kept, intent("a")), await sent(kept, intent("b"))
    await kept.bind(second.id, Task("t2", "running"))
    backup = await backup_of(kept, path, entries=0)
    bound = await kept.bind(first.id, Task("t1", "running"))
    await kept.record(second.id, Task("t2", "finished", file_urls=("https://storage.vidgo.ai/a.png",)))
    copied_over(path, backup)
    assert await kept.find("me", "a") == bound
