"""Takes whole steps on the file of the durable journal: one at a time, in a worker thread, each one transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from vidgo_mcp.errors import JournalError, Money
from vidgo_mcp.journal.connection import identity, opened, unusable
from vidgo_mcp.journal.rows import transaction
from vidgo_mcp.journal.schema import StrangeFileError, prove_writable, recognise

T = TypeVar("T")


class JournalFile:
    """The file of a journal, and the steps that are taken on it.

    It is opened at the first step, so that a server whose journal is broken still starts; after a failure the
    next step opens it anew, so that it heals when the disk does. A step runs in a worker thread, and is not torn when
    its caller is cancelled.

    Args:
        path: the file; its folder is made when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._one_at_a_time = anyio.CapacityLimiter(1)
        # The limiter ends with its waiter, also when asyncio cancels that by force; the thread goes on until its end.
        self._lock = threading.Lock()

    async def aclose(self) -> None:
        """Close the file; a later step opens it again."""

        def close() -> None:
            with self._lock:
                self._drop()

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(close, limiter=self._one_at_a_time)

    async def check(self) -> None:
        """Open the file, and prove that it can be written.

        Raises:
            JournalError: it cannot be used; the message names the path and the reason.
        """
        await self._step(prove_writable)

    async def _step(
        self, step: Callable[[sqlite3.Connection], T], *, money: Money = "nothing_spent", task_id: str | None = None
    ) -> T:
        def run() -> T:
            with self._lock:
                return self._transact(step)

        try:
            return await anyio.to_thread.run_sync(run, limiter=self._one_at_a_time)
        except (sqlite3.Error, OSError, ValueError, StrangeFileError) as error:
            raise unusable(self.path, error, money=money, task_id=task_id) from None

    def _transact(self, step: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is not None and self._identity != identity(self.path):
            # Somebody removed or replaced the file: what is written to the old one, nobody finds again.
            self._drop()
        try:
            if self._connection is None:
                self._connection = opened(self.path)
                self._identity = identity(self.path)
            with transaction(self._connection):
                recognise(self._connection)
                return step(self._connection)
        except JournalError:
            raise
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
