"""What a sandbox has accepted, in a file: all processes that open the same one are one sandbox, at once or in turn.

Only tasks and files are kept, in the order in which they were accepted. Balances, states and refunds follow from them
and from the clock, in every process alike.
"""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter

from vidgo_mcp.sandbox.simulated_tasks import Task
from vidgo_mcp.sandbox.storage import StoredFile

VERSION = 1
BUSY_SECONDS = 10.0
_TABLES = (
    # Numbers are never given twice: each process remembers up to which one it has read.
    "CREATE TABLE kept (number INTEGER PRIMARY KEY AUTOINCREMENT, dies_at REAL NOT NULL, item BLOB NOT NULL)",
    "CREATE TABLE sandbox (secret BLOB NOT NULL, port INTEGER NOT NULL)",
)
_ITEM: TypeAdapter[Task | StoredFile] = TypeAdapter(
    Task | StoredFile, config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
)


class Record:
    """The file, open. Its folder is made when it is missing, and must be this user's alone.

    A file that is damaged, or that another version wrote, is begun anew. ``now`` is the time of day in seconds since
    the epoch: what has died is forgotten.

    Raises:
        OSError, sqlite3.Error: it cannot be used.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._seen = 0
        """The number of the newest item that was read or added."""
        self._unread: list[Task | StoredFile] = []
        with suppress(FileExistsError):
            path.touch(mode=0o600, exist_ok=False)
        try:
            self._open(now())
        except sqlite3.OperationalError:
            raise  # held by another process, for instance: no reason to take it away
        except (sqlite3.DatabaseError, ValueError):
            for file in (path, path.with_name(f"{path.name}-journal")):
                file.unlink(missing_ok=True)
            path.touch(mode=0o600)
            self._open(now())

    def _open(self, now: float) -> None:
        self._db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            with self.turn():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if not tables:
                    for statement in _TABLES:
                        self._db.execute(statement)
                    self._db.execute("INSERT INTO sandbox VALUES (?, 0)", (secrets.token_bytes(16),))
                    self._db.execute(f"PRAGMA user_version = {VERSION}")
                elif version != VERSION:
                    raise ValueError(f"it has version {version}, this one knows {VERSION}")
                self._db.execute("DELETE FROM kept WHERE dies_at <= ?", (now,))
                self._unread = self.news()
                (self.secret,) = self._db.execute("SELECT secret FROM sandbox").fetchone()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep all other processes out until the end; what was written is kept only if it ends well."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def news(self) -> list[Task | StoredFile]:
        """Return what was accepted since the last look, here or in another process, oldest first. Call it in a turn."""
        query = "SELECT number, item FROM kept WHERE number > ? ORDER BY number"
        found, self._unread = self._unread, []
        for number, item in self._db.execute(query, (self._seen,)).fetchall():
            found.append(_ITEM.validate_json(item))
            self._seen = number
        return found

    def add(self, item: Task | StoredFile) -> None:
        """Keep what was just accepted. Call it in a turn, after `news`."""
        dies_at = item.result.dies_at if isinstance(item, Task) else item.dies_at
        added = self._db.execute("INSERT INTO kept (dies_at, item) VALUES (?, ?)", (dies_at, _ITEM.dump_json(item)))
        self._seen = added.lastrowid or self._seen

    @property
    def port(self) -> int:
        """The port at which every process with this record gives out files; 0 while there is none."""
        (port,) = self._db.execute("SELECT port FROM sandbox").fetchone()
        return int(port)

    @port.setter
    def port(self, port: int) -> None:
        self._db.execute("UPDATE sandbox SET port = ?", (port,))
