"""Places that cannot keep a journal: each is a sentence with the path and the reason, and heals by itself."""

from __future__ import annotations

import errno
import functools
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.journal.conftest import intent, reserved, sent
from vidgo_mcp.errors import JournalError, JournalReason
from vidgo_mcp.journal import Reserved, SqliteJournal, connection, tables
from vidgo_mcp.journal.network_folders import network_folder
from vidgo_mcp.journal.several_names import refuse_several_names
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

TASK = Task("task-1", "running")


async def refused(path: Path, reason: JournalReason, words: str) -> SqliteJournal:
    """Expect that no step can be taken, and that each says why; return the journal."""
    kept = SqliteJournal(path)
    for step in (kept.check, lambda: reserved(kept), lambda: kept.newest("me", 5)):
        with pytest.raises(JournalError) as caught:
            await step()
        assert str(path) in caught.value.message
        assert words in caught.value.message
        assert (caught.value.category, caught.value.money) == ("unavailable", "nothing_spent")
        assert (caught.value.remedy, caught.value.facts.reason) == ("fix_journal", reason)
    return kept


async def heals(kept: SqliteJournal) -> None:
    entry = await reserved(kept)
    assert await kept.newest("me", 5) == [entry]
    await kept.aclose()


Make = Callable[[Path], object]


def with_two_names(path: Path) -> None:
    path.touch()
    path.with_name("another name").hardlink_to(path)


DIARY = b"Dear diary, " * 1000
IN_THE_WAY: dict[str, tuple[str, Make, JournalReason, str]] = {
    "a folder": ("", Path.mkdir, "not_a_file", "it is a folder, not a file"),
    "a file for its folder": ("journal.db", Path.touch, "not_a_file", "is not a folder"),
    "a file above its folder": ("deeper/journal.db", Path.touch, "not_a_file", "is not a folder"),
    "a pipe": ("", getattr(os, "mkfifo", Path.touch), "not_a_file", "it is not a regular file"),
    "a file with two names": ("", with_two_names, "many_names", "it has more than one name (hard links)"),
    "a file of another kind": ("", lambda path: path.write_bytes(DIARY), "damaged", "file is not a database"),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
async def test_what_stands_in_the_way_is_refused_and_left_as_it_is(what: str, tmp_path: Path) -> None:
    below, make, reason, words = IN_THE_WAY[what]
    if what == "a pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with a name")
    path = tmp_path / "place"
    make(path)
    content = path.read_bytes() if path.is_file() else b""
    kept = await refused(path / below, reason, words)
    assert not path.is_file() or path.read_bytes() == content
    (path.rmdir if path.is_dir() else path.unlink)()
    await heals(kept)


@pytest.mark.parametrize("place", [0.25, 0.5, 0.9])
async def test_a_damaged_journal_is_refused_before_anything_is_paid(place: float, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    kept = SqliteJournal(path)
    for number in range(60):
        await reserved(kept, intent(f"f{number}", prompt="x" * 500))
    await kept.aclose()
    whole = path.read_bytes()
    page = int(len(whole) / 4096 * place) * 4096
    path.write_bytes(whole[:page] + os.urandom(4096) + whole[page + 4096 :])
    kept = await refused(path, "damaged", "(")
    path.write_bytes(whole)
    assert len(await kept.newest("me", 100)) == 60
    await kept.aclose()


async def test_a_damaged_row_is_a_sentence_too(tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    entry = await reserved(kept)
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("UPDATE entries SET image_urls = '[broken'")
    with pytest.raises(JournalError, match=r"journal\.db cannot be used") as caught:
        await kept.entry(entry.id)
    assert caught.value.facts.reason == "damaged"
    await kept.aclose()


async def test_a_network_folder_is_refused_also_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (tmp_path / "near").symlink_to(far, target_is_directory=True)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {far} nfs4 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr("vidgo_mcp.journal.connection.network_folder", lambda path: network_folder(path, mounts))
    for folder in ("far", "near"):
        await refused(
            tmp_path / folder / "journal.db",
            "network_folder",
            "it is on a network folder (nfs4), where locks cannot be trusted",
        )
    assert list(far.iterdir()) == []
    mounts.write_text("", encoding="utf-8")
    await heals(SqliteJournal(tmp_path / "near" / "journal.db"))


async def test_a_file_that_is_mounted_without_its_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As into a container: its side files lie elsewhere than those of the same file outside."""
    folder, mounts = tmp_path / "the data", tmp_path / "mounts"
    folder.mkdir()
    escaped = str(folder).replace(" ", r"\040")
    mounts.write_text(f"/dev/sda {escaped} ext4 rw 0 0\n/dev/sda {escaped}/journal.db ext4 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(
        "vidgo_mcp.journal.connection.refuse_several_names", lambda path: refuse_several_names(path, mounts)
    )
    kept = await refused(folder / "journal.db", "many_names", "it is mounted without its folder")
    mounts.write_text(f"/dev/sda {escaped} ext4 rw 0 0\n", encoding="utf-8")
    await heals(kept)


async def test_a_place_without_shared_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(sqlite3.Connection):
        def execute(self, query: str, values: Any = ()) -> sqlite3.Cursor:
            return super().execute("SELECT 'delete'" if query.startswith("PRAGMA journal_mode") else query)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Stubborn))
    kept = await refused(tmp_path / "journal.db", "network_folder", "does not let several processes share a file")
    monkeypatch.undo()
    await heals(kept)


async def test_a_start_that_meets_a_lock_tries_again_until_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    class Locked(sqlite3.Connection):
        def execute(self, query: str, values: Any = ()) -> sqlite3.Cursor:
            if query.startswith("PRAGMA journal_mode"):
                tries.append(query)
                if len(tries) != 4:
                    error = sqlite3.OperationalError("database is locked")
                    error.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
                    raise error
            return super().execute(query, values)

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Locked))
    kept = SqliteJournal(tmp_path / "journal.db")
    await kept.check()
    assert len(tries) == 4
    await kept.aclose()
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    with pytest.raises(JournalError, match=r"another process has held it for 0\.05 s") as caught:
        await kept.check()
    assert (caught.value.retryable, caught.value.facts.reason) == (True, "locked")
    assert len(tries) > 5


async def test_a_full_disk_keeps_the_intent_from_being_sent(tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    entry = await reserved(kept, intent("a"))
    assert kept._connection is not None
    (pages,) = kept._connection.execute("PRAGMA page_count").fetchone()
    kept._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match=r"journal\.db cannot be used \(database or disk is full\)") as caught:
        await kept.reserve(intent("b", prompt="x" * 100_000), process="p1", consent="yes")
    assert (caught.value.money, caught.value.facts.reason) == ("nothing_spent", "disk_full")
    assert await kept.newest("me", 5) == [entry]
    assert isinstance(await kept.reserve(intent("b"), process="p1", consent="yes"), Reserved)
    await kept.aclose()


@pytest.mark.parametrize(
    ("name", "money", "task_id", "remedy"),
    [
        ("mark_sent", "nothing_spent", None, "fix_journal"),
        ("mark_unknown", "unknown", None, "fix_journal"),
        ("bind", "accepted", "task-1", "keep_task_id"),
    ],
)
async def test_what_is_at_stake_is_said_when_a_step_cannot_be_written(
    name: str, money: str, task_id: str | None, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    entry = await (reserved if name == "mark_sent" else sent)(kept)

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    given: dict[str, list[Any]] = {"mark_sent": [], "mark_unknown": ["lost"], "bind": [TASK]}
    step = functools.partial(getattr(kept, name), entry.id, *given[name])
    monkeypatch.setattr(tables, "save", failing)
    with pytest.raises(JournalError, match="disk I/O error") as caught:
        await step()
    monkeypatch.undo()
    assert str(tmp_path / "journal.db") in caught.value.message
    assert (caught.value.money, caught.value.task_id, caught.value.remedy) == (money, task_id, remedy)
    assert caught.value.facts.reason == "unwritable"
    assert await kept.entry(entry.id) == entry
    assert (await step()).state != entry.state
    await kept.aclose()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EACCES, "unwritable"),
        (errno.EROFS, "unwritable"),
    ],
)
async def test_what_the_system_says_of_a_disk_becomes_a_reason(
    number: int, reason: JournalReason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing)
    kept = await refused(tmp_path / "journal.db", reason, os.strerror(number))
    monkeypatch.undo()
    await heals(kept)
