"""The journal's database: opened, or refused with a reason, and changed in whole steps, each one transaction."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from vidgo_mcp.errors import Facts, JournalError, JournalReason, Money
from vidgo_mcp.journal.network_folders import network_folder
from vidgo_mcp.journal.several_names import refuse_several_names
from vidgo_mcp.journal.tables import UnusableFileError, migrate, prove_writable, recognise

BUSY_SECONDS: Final = 10.0
"""How long a step waits for another process's step."""
REASONS: Final[dict[int, JournalReason]] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
}
"""By SQLite's result codes: https://sqlite.org/rescode.html."""
REPEATS: Final = 10
"""How often a step is taken when the file is replaced under it."""
COPYING: Final = 0.1
"""Seconds after which a file that reads as damaged is opened once more: it may just be copied over."""
Seen = tuple[tuple[int, int], list[tuple[int, int] | None], int]
"""Time and size of the file, which its side files are, and SQLite's number for what others committed."""

T = TypeVar("T")
P = ParamSpec("P")
D = TypeVar("D", bound="Database")


class TouchedFileError(Exception):
    """What SQLite remembers of the file would be mixed with what another program wrote; it is to be opened anew."""


class Database:
    """A SQLite database, and the steps that are taken on it.

    A file is opened at the first step, so that a server whose journal is broken still starts; after a failure the next
    step opens it anew, so that it heals when the disk does. Its steps run in a worker thread, and are not torn when
    their caller is cancelled. Steps in memory take no time, and run at once.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._seen: Seen | None = None
        self._replaced = False
        self._one_at_a_time = anyio.CapacityLimiter(1)
        # The limiter ends with its waiter, also when asyncio cancels that by force; the thread goes on until its end.
        self._lock = threading.RLock()

    async def aclose(self) -> None:
        """Close the file; a later step opens it again. What is in memory stays as long as this object."""
        if self.path is not None:
            with anyio.CancelScope(shield=True):
                await self._in_thread(self._drop)

    async def check(self) -> None:
        """Open the file, and prove that it can be written.

        Raises:
            JournalError: it cannot be used; the message names the path and the reason, ``facts.reason`` its code.
        """
        await self._step(prove_writable)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self.path is None:
            await anyio.lowlevel.checkpoint()
            return work()
        return await anyio.to_thread.run_sync(work, limiter=self._one_at_a_time)

    async def _step(
        self, step: Callable[[sqlite3.Connection], T], *, money: Money = "nothing_spent", task_id: str | None = None
    ) -> T:
        try:
            return await self._in_thread(lambda: self._transact(step))
        except (sqlite3.Error, OSError, ValueError, UnusableFileError) as error:
            raise _unusable(self.path, error, money=money, task_id=task_id) from None

    def _transact(self, step: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            known_damage = False
            for _ in range(REPEATS):
                if self.path is not None and self._identity != _identity(self.path):
                    # Somebody removed or replaced the file: what is written to the old one, nobody finds again.
                    self._replaced = self._replaced or self._identity is not None
                    self._drop()
                try:
                    connection = self._connection = self._connection or self._open()
                    # Ends the transaction with all that was done, or with nothing of it.
                    with connection:
                        connection.execute("BEGIN IMMEDIATE")
                        if self._is_touched(connection):
                            raise TouchedFileError
                        migrate(connection)
                        self._put_back_lost(connection, replaced=self._replaced)
                        result = step(connection)
                except BaseException as error:
                    if self.path is not None and not isinstance(error, JournalError):
                        self._drop()
                    if not isinstance(error, TouchedFileError):
                        if known_damage or not _is_damage(error):
                            raise
                        known_damage = True
                        time.sleep(COPYING)
                    self._replaced = True  # perhaps by an older copy
                    continue
                if self.path is None:
                    return result
                _fold(self.path, connection)
                # Looked at once more: what was written to a file that is gone by now is taken again on the new one.
                if self._identity == _identity(self.path):
                    self._seen = _seen(self.path, connection)
                    self._replaced = False
                    return result
            raise UnusableFileError("its files are replaced again and again", "unwritable")

    def _put_back_lost(self, connection: sqlite3.Connection, *, replaced: bool) -> None:
        """Put back, inside the transaction of a step, what a new or an older file in this place lacks."""

    def _is_touched(self, connection: sqlite3.Connection) -> bool:
        """Return whether anything but SQLite has touched the file or its side files since they were last looked at."""
        if self.path is None or self._seen is None:
            return False
        (file, sides, version), (old, old_sides, old_version) = _seen(self.path, connection), self._seen
        # A step of another process changes the file and the version.
        return sides != old_sides or (file != old and version == old_version)

    def _open(self) -> sqlite3.Connection:
        file = ":memory:" if self.path is None else _prepared(Path(os.path.realpath(self.path)))
        identity = None if self.path is None else _identity(self.path)
        connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        if self.path is None:
            # Python 3.13 warns of a connection that nobody closed.
            weakref.finalize(self, connection.close)
            return connection
        try:
            _write_ahead(connection)
            # Before anything is remembered of it: the step may have to wait, and the file be overwritten meanwhile.
            self._identity, self._seen = identity, _seen(self.path, connection)
            connection.execute("PRAGMA synchronous = FULL")
            # On macOS only this reaches the disk itself; elsewhere it changes nothing. https://sqlite.org/pragma.html
            connection.execute("PRAGMA fullfsync = ON")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise UnusableFileError(f"it is damaged: {verdict}", "damaged")
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()


def step(
    method: Callable[Concatenate[D, sqlite3.Connection, P], T],
) -> Callable[Concatenate[D, P], Coroutine[Any, Any, T]]:
    """Make an async method of one that works on the connection: a whole step."""

    @wraps(method)
    async def taken(self: D, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._step(lambda connection: method(self, connection, *args, **kwargs))

    return taken


def _prepared(path: Path) -> Path:
    """Check the place of a journal, and make a private file where there is none."""
    kind = network_folder(path)
    if kind is not None:
        raise UnusableFileError(f"it is on a network folder ({kind}), where locks cannot be trusted", "network_folder")
    if path.exists() and not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "not a regular file"
        raise UnusableFileError(f"it is {what}", "not_a_file")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UnusableFileError(f"{path.parent} is not a folder", "not_a_file") from None
    with contextlib.suppress(FileExistsError):
        # A file that exists must not be opened here: closing it would drop the locks that SQLite holds for another
        # connection of this process. https://sqlite.org/howtocorrupt.html
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    refuse_several_names(path)
    _refuse_strange(path)
    _keep_private(path)
    return path


def _refuse_strange(path: Path) -> None:
    """Refuse a file that is not ours before a byte of it is changed."""
    if path.stat().st_size == 0:
        return
    # What cannot be read in this mode is left to the real opening, which can repair it or says why not.
    with contextlib.suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN")
            recognise(connection)


def _keep_private(path: Path) -> None:
    """Take away what others may do with a file that came with wider modes, and give its side files the same modes.

    SQLite gives them those of the file when it makes them; ones made while it was not writable would stay so.
    """
    if os.name != "posix":
        return
    mode = path.stat().st_mode & 0o700
    for file in (path, _side_file(path, "-wal"), _side_file(path, "-shm")):
        with contextlib.suppress(OSError):
            file.chmod(mode)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which lets others read while one writes."""
    deadline = time.monotonic() + BUSY_SECONDS
    mode = None
    while mode is None:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            # Processes that start together can meet a lock here in spite of the time-out.
            if reason_of(error) != "locked" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":
        raise UnusableFileError("its folder does not let several processes share a file", "network_folder")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file a path leads to right now, None when there is none."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _seen(path: Path, connection: sqlite3.Connection) -> Seen:
    """Return what tells whether a file, its side files or its content were changed."""
    # First: it makes the side files, where there are none.
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    stat = path.stat()
    sides = [_identity(_side_file(path, suffix)) for suffix in ("-wal", "-shm")]
    return (stat.st_mtime_ns, stat.st_size), sides, version


def _side_file(path: Path, suffix: str) -> Path:
    return Path(f"{os.path.realpath(path)}{suffix}")


def _fold(path: Path, connection: sqlite3.Connection) -> None:
    """Move what was written ahead into the file itself, so that removing or mixing up side files loses nothing."""
    with contextlib.suppress(OSError):
        if not _side_file(path, "-wal").stat().st_size:
            return
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        for _ in range(20):
            busy, written, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # Somebody who reads, a backup for instance, keeps the log from being emptied, not from being moved.
            if not busy or 0 <= written == moved:
                break
            time.sleep(0.005)
    with contextlib.suppress(sqlite3.Error):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


def _unusable(path: Path | None, error: Exception, *, money: Money, task_id: str | None) -> JournalError:
    """Return the error for a step that could not be taken, with what is at stake."""
    reason = reason_of(error)
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    locked, facts = reason == "locked", Facts(reason=reason)
    if locked:
        why = f"another process has held it for {BUSY_SECONDS:g} s"
    what = f"The journal {path or 'in memory'} cannot be used ({why}), so"
    if task_id is not None:
        message = f"{what} what became of the task {task_id} is not recorded."
        return JournalError(
            message, money="accepted", task_id=task_id, remedy="keep_task_id", retryable=locked, facts=facts
        )
    if money == "unknown":
        message = f"{what} it is not recorded that the answer to the submit was lost."
        return JournalError(message, money=money, facts=facts)
    message = f"{what} nothing that costs credits is sent: it could not be found again after a crash."
    return JournalError(message, retryable=locked, facts=facts)


def _is_damage(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error | UnusableFileError) and reason_of(error) == "damaged"


def reason_of(error: Exception) -> JournalReason:
    """Return why a step could not be taken, as a code."""
    match error:
        case UnusableFileError():
            return error.reason
        case sqlite3.Error():
            # The low byte: the others add details, such as that it is locked for a recovery.
            return REASONS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, "unwritable")
        case OSError():
            return "disk_full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "unwritable"
        case _:
            # A row that does not read as what was written into it.
            return "damaged"
