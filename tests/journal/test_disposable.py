"""A sandbox's journal that cannot be read is begun anew; any other stays as it is, and says why."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import DisposableJournal, SqliteJournal

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Return asyncio: a file is used in threads."""
    return "asyncio"


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE songs (name)")


@pytest.mark.parametrize("spoil", [garbage, newer, of_another_program])
async def test_only_a_disposable_one_is_begun_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "journal.db"
    async with aclosing(SqliteJournal(path)) as journal:
        await journal.check()
    spoil(path)
    with pytest.raises(JournalError):
        async with aclosing(SqliteJournal(path)) as journal:
            await journal.check()
    async with aclosing(DisposableJournal(path)) as disposable:
        await disposable.check()
        assert await disposable.newest("owner", 10) == []
    assert path.stat().st_mode & 0o777 == 0o600
