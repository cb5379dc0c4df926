"""How an older journal becomes a newer one, and how a newer or a foreign file is left alone."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tests.journal.conftest import START, URL, Clock, intent, opened, reserved
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import ConsentUsed, Entry, SqliteJournal, tables
from vidgo_mcp.journal.processes import UPLOAD_TURN

pytestmark = pytest.mark.anyio

KNOWN = len(tables.MIGRATIONS)


def written(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.executescript(statement)
    return path


def version(number: int, path: Path) -> Path:
    """Make a journal as a version wrote it. These are never changed: such files are on people's disks."""
    return written(path, Path(__file__).with_name(f"version_{number}.sql").read_text(encoding="utf-8"))


def number(path: Path, query: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchone()[0]


def layout(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in found}


def contents(paths: Iterable[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("older", range(1, KNOWN + 1))
async def test_what_an_older_version_wrote_is_read_in_full(older: int, tmp_path: Path, clock: Clock) -> None:
    kept = opened(version(older, tmp_path / "journal.db"), clock)
    newest = await kept.newest("me", 10)
    states = [(entry.id, entry.state) for entry in newest if entry.id != "e4"]
    assert states == [("e3", "reserved"), ("e2", "unknown"), ("e1", "finished")]
    assert newest[-1] == Entry(
        id="e1",
        intent=intent("f1", prompt="a boat, ünder\nsail", request_key="family", references=("sha256:1", "task:t0")),
        state="finished",
        process="host:1:2",
        created_at=START - 100,
        sent_at=START - 99,
        task_id="t1",
        status="finished",
        progress=100,
        image_urls=(URL,),
        ended_at=START - 60,
        delivered=True,
        saved_paths=() if older == 1 else ("/pictures/ä boat.png",),
        saved_digest=None if older == 1 else "5e" * 32,
        boot="" if older < 6 else "an earlier boot",
    )
    assert newest[-2].error == "the answer was lost"
    assert await kept.variations("me", "family") == frozenset({1, 2, 3} if older == 1 else {1, 2, 3, 4})
    assert await kept.reserve(intent("f9"), process="p", consent="yes-1") == ConsentUsed(START - 100)
    assert await kept.spent("me") == 2 * len(newest)
    uploaded = None if older == 1 else "https://storage.vidgo.ai/uploads/1.png"
    assert await kept.upload_of("me", "1") == uploaded
    await kept.aclose()
    assert layout(tmp_path / "journal.db") == layout(version(KNOWN, tmp_path / "newer.db"))


@pytest.mark.parametrize("older", range(1, KNOWN + 1))
async def test_what_an_older_version_wrote_takes_up_what_came_later(older: int, tmp_path: Path, clock: Clock) -> None:
    kept = opened(version(older, tmp_path / "journal.db"), clock)
    (unsaved,) = await kept.unsaved("me")
    assert (unsaved.saved_paths, unsaved.saved_digest) == ((), None)
    clock.move(100)
    assert await kept.claim_saving(unsaved.id, process="p")
    saved = await kept.mark_saved(unsaved.id, ["/a.png"], "ab" * 32)
    assert (saved.saved_paths, saved.saved_digest) == (("/a.png",), "ab" * 32)
    await kept.remember_upload("me", "2", URL, until=clock() + 9)
    assert await kept.upload_of("me", "2") == URL
    assert [await kept.upload_turn("me") for _ in range(6)] == [0.0] * 5 + [UPLOAD_TURN]
    assert list(await kept.expire()) == []
    assert await kept.entry("e3") is None
    await kept.aclose()


async def test_leases_of_this_version_still_bind(tmp_path: Path, clock: Clock) -> None:
    kept = opened(version(KNOWN, tmp_path / "journal.db"), clock)
    assert list(await kept.expire()) == []
    assert await kept.entry("e3") is not None
    assert not await kept.claim_saving("e4", process="p")
    assert [await kept.upload_turn("me") for _ in range(5)] == [0.0] * 4 + [20.0]
    await kept.aclose()


@pytest.mark.parametrize("number", range(1, KNOWN + 1))
def test_each_version_is_still_what_it_wrote(number: int, tmp_path: Path) -> None:
    statements = [one for version_of in tables.MIGRATIONS[:number] for one in version_of]
    made = written(tmp_path / "made.db", *statements)
    assert layout(made) == layout(version(number, tmp_path / "journal.db"))


async def test_an_older_journal_migrates_by_itself_and_keeps_all(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = version(1, tmp_path / "journal.db")
    before = opened(path, clock)
    entries = await before.newest("me", 10)
    later = (
        *tables.MIGRATIONS,
        ("ALTER TABLE entries ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'", "CREATE TABLE more (x)"),
        ("UPDATE entries SET colour = 'blue' WHERE id = 'e2'", "INSERT INTO more VALUES (1)"),
    )
    monkeypatch.setattr(tables, "MIGRATIONS", later)
    after = opened(path, clock)
    assert await after.newest("me", 10) == entries
    assert (number(path, "PRAGMA user_version"), number(path, "SELECT count(*) FROM more")) == (len(later), 1)
    assert number(path, "SELECT group_concat(colour) FROM (SELECT colour FROM entries ORDER BY id)") == "red,blue,red"
    await after.aclose()
    await after.check()
    assert number(path, "SELECT count(*) FROM more") == 1
    # A process that was there before, and knows only the older version, stops.
    monkeypatch.setattr(tables, "MIGRATIONS", later[:KNOWN])
    newer = f"a newer vidgo-mcp wrote it: it has version {KNOWN + 2}, this one knows {KNOWN}"
    with pytest.raises(JournalError, match=newer):
        await before.reserve(intent("new"), process="p1")
    assert number(path, "SELECT count(*) FROM entries") == 3
    await before.aclose()
    await after.aclose()


async def test_a_migration_that_fails_leaves_the_older_journal(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = version(1, tmp_path / "journal.db")
    kept = opened(path, clock)
    good = tables.MIGRATIONS
    monkeypatch.setattr(tables, "MIGRATIONS", (*good, ("CREATE TABLE more (x)", "INSERT INTO nowhere VALUES (1)")))
    with pytest.raises(JournalError, match="no such table: nowhere"):
        await kept.check()
    assert number(path, "PRAGMA user_version") == 1
    assert number(path, "SELECT count(*) FROM sqlite_master WHERE name = 'more'") == 0
    monkeypatch.setattr(tables, "MIGRATIONS", good)
    assert len(await kept.newest("me", 10)) == 3
    await kept.aclose()


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_a_newer_journal_is_refused_and_not_a_byte_is_changed(mode: str, tmp_path: Path) -> None:
    path = version(1, tmp_path / "journal.db")
    written(path, f"PRAGMA journal_mode = {mode}", "PRAGMA user_version = 7")
    path.chmod(0o640)
    before = path.read_bytes()
    kept = SqliteJournal(path)
    for _ in range(2):
        reason = f"it has version 7, this one knows {KNOWN}; it is left as it is"
        with pytest.raises(JournalError, match=reason) as caught:
            await kept.check()
        assert str(path) in caught.value.message
        assert caught.value.facts.reason == "newer_version"
    await kept.aclose()
    assert path.read_bytes() == before
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o640


async def test_a_newer_journal_whose_process_was_killed_keeps_its_log(tmp_path: Path) -> None:
    path = version(1, tmp_path / "journal.db")
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA journal_mode = WAL'); c.execute('PRAGMA user_version = 7'); os._exit(0)"
    )
    with anyio.fail_after(30):
        await anyio.run_process([sys.executable, "-c", script, str(path)])
    files = (path, tmp_path / "journal.db-wal")
    before = contents(files)
    assert before["journal.db-wal"]
    with pytest.raises(JournalError, match="it has version 7"):
        await SqliteJournal(path).check()
    assert contents(files) == before


@pytest.mark.parametrize("mark", ["", "PRAGMA user_version = 1", "PRAGMA application_id = 5"])
async def test_the_database_of_another_program_is_left_alone(mark: str, tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", "CREATE TABLE cookies (name)", mark)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="it is a database of another program") as caught:
        await SqliteJournal(path).check()
    assert caught.value.facts.reason == "other_program"
    assert path.read_bytes() == before


async def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch(mode=0o644)
    kept = SqliteJournal(tmp_path / "journal.db")
    await reserved(kept)
    await kept.aclose()
    assert number(tmp_path / "journal.db", "PRAGMA user_version") == KNOWN
    assert number(tmp_path / "journal.db", "SELECT reference_ids FROM entries") == "[]"
