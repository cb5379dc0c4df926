"""Opens the file of the durable journal, or says why it cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Final

from vidgo_mcp.errors import JournalError, Money
from vidgo_mcp.journal.network_folders import network_folder
from vidgo_mcp.journal.schema import migrate, recognise

BUSY_SECONDS: Final = 10.0
"""How long a step waits for another process's step."""


def opened(path: Path) -> sqlite3.Connection:
    """Open a journal, making or migrating it where needed.

    Raises:
        OSError: the place does not suit.
        sqlite3.Error: SQLite cannot use the file.
        StrangeFileError: it is not a journal, or a newer one.
    """
    path = Path(os.path.realpath(path))
    kind = network_folder(path)
    if kind is not None:
        raise OSError(f"it is on a network folder ({kind}), where locks cannot be trusted")
    _make(path)
    _look_first(path)
    _keep_private(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        # On macOS only this reaches the disk itself; elsewhere it changes nothing. https://sqlite.org/pragma.html
        connection.execute("PRAGMA fullfsync = ON")
        migrate(connection)
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise OSError(f"it is damaged: {verdict}")
    except BaseException:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def identity(path: Path) -> tuple[int, int] | None:
    """Return which file a path leads to right now, None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def unusable(path: Path, error: Exception, *, money: Money, task_id: str | None) -> JournalError:
    """Return the error for a step that could not be taken, with what is at stake."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    locked = "locked" in reason
    if locked:
        reason = f"another process has held it for {BUSY_SECONDS:g} s"
    what = f"The journal {path} cannot be used ({reason})"
    if task_id is not None:
        what = f"{what}, so what became of the task {task_id} is not recorded."
        return JournalError(what, money="accepted", task_id=task_id, remedy="keep_task_id", retryable=locked)
    if money == "unknown":
        return JournalError(f"{what}, so it is not recorded that the answer to the submit was lost.", money=money)
    return JournalError(
        f"{what}, so nothing that costs credits is sent: it could not be found again after a crash.", retryable=locked
    )


def _make(path: Path) -> None:
    if path.is_dir():
        raise OSError("it is a folder, not a file")
    if path.exists() and not path.is_file():
        raise OSError("it is not a regular file")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OSError(f"{path.parent} is not a folder") from None
    with contextlib.suppress(FileExistsError):
        # A file that exists must not be opened here: closing it would drop the locks that SQLite holds for another
        # connection of this process. https://sqlite.org/howtocorrupt.html
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _look_first(path: Path) -> None:
    if path.stat().st_size == 0:
        return
    # What cannot be read in this mode is left to the real opening, which can repair it or says why not.
    with contextlib.suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN")
            recognise(connection)


def _keep_private(path: Path) -> None:
    """Close a file to others that came with wider modes, and give its side files the same modes, as SQLite does.

    Those of a file that could not be written for a while cannot be written either, and would stay so.
    """
    if os.name != "posix":
        return
    wanted = stat.S_IMODE(path.stat().st_mode) & 0o700
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(OSError):
            if stat.S_IMODE(file.stat().st_mode) != wanted:
                file.chmod(wanted)


def _write_ahead(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while not _switched(connection):
        # Processes that start together can get "database is locked" here in spite of the time-out.
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(0.02)


def _switched(connection: sqlite3.Connection) -> bool:
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return False
    if mode != "wal":
        raise OSError("its folder does not let several processes share a file")
    return True
