"""The journal of a sandbox: nothing in it was paid for, so one that cannot be read is begun anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from vidgo_mcp.journal.connection import reason_of
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.journal.tables import UnusableFileError

T = TypeVar("T")


class DisposableJournal(SqliteJournal):
    """A journal whose file is replaced when it is damaged, or when another version or program wrote it."""

    def _transact(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return super()._transact(step)
        except (sqlite3.Error, UnusableFileError) as error:
            if self.path is None or reason_of(error) not in {"damaged", "newer_version", "other_program"}:
                raise
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)
            return super()._transact(step)
