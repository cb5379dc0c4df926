"""The tables of the journal, version by version, because an older file must become a newer one without a loss."""

from __future__ import annotations

import sqlite3
from typing import Final

from vidgo_mcp.errors import JournalReason

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE entries (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            owner TEXT NOT NULL, fingerprint TEXT NOT NULL, family TEXT NOT NULL, variation INTEGER NOT NULL,
            model TEXT NOT NULL, prompt TEXT NOT NULL, size TEXT NOT NULL, tier TEXT NOT NULL, quality TEXT NOT NULL,
            credits INTEGER NOT NULL, reference_ids TEXT NOT NULL,
            state TEXT NOT NULL, holder TEXT NOT NULL, created_at REAL NOT NULL, sent_at REAL,
            task_id TEXT, status TEXT, progress INTEGER,
            image_urls TEXT NOT NULL DEFAULT '[]', saved_paths TEXT NOT NULL DEFAULT '[]',
            ended_at REAL, error TEXT, delivered INTEGER NOT NULL DEFAULT 0
        )
        """,
        "CREATE INDEX entries_by_fingerprint ON entries (owner, fingerprint)",
        "CREATE INDEX entries_by_family ON entries (owner, family)",
        "CREATE INDEX entries_by_task ON entries (owner, task_id)",
        "CREATE INDEX entries_by_owner ON entries (owner)",
        "CREATE INDEX entries_by_sending ON entries (owner, sent_at)",
        "CREATE INDEX entries_by_urls ON entries (owner, image_urls) WHERE image_urls != '[]'",
        "CREATE INDEX entries_by_state ON entries (state, quality, tier)",
        "CREATE INDEX entries_by_age ON entries (created_at)",
        "CREATE TABLE leases (holder TEXT PRIMARY KEY, until REAL NOT NULL)",
        """
        CREATE TABLE consents (
            owner TEXT NOT NULL, consent TEXT NOT NULL, used_at REAL NOT NULL, PRIMARY KEY (owner, consent)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX consents_by_age ON consents (used_at)",
    ),
    (
        "ALTER TABLE entries ADD COLUMN saved_digest TEXT",
        "CREATE TABLE savings (entry_id TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL)",
        """
        CREATE TABLE uploads (
            account TEXT NOT NULL, digest TEXT NOT NULL, url TEXT NOT NULL, until REAL NOT NULL,
            PRIMARY KEY (account, digest)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX uploads_by_age ON uploads (until)",
        """
        CREATE TABLE paces (
            account TEXT PRIMARY KEY, turns TEXT NOT NULL, held_from REAL NOT NULL, held_until REAL NOT NULL
        )
        """,
    ),
    (
        "ALTER TABLE entries RENAME COLUMN family TO request_key",
        "ALTER TABLE entries RENAME COLUMN holder TO process",
        "DROP INDEX entries_by_family",
        "CREATE INDEX entries_by_request_key ON entries (owner, request_key)",
        # What they hold lasts seconds or minutes, by a time of day; leases are measured on the monotonic clock.
        "DROP TABLE leases",
        "DROP TABLE savings",
        "DROP TABLE paces",
        """
        CREATE TABLE leases (
            name TEXT PRIMARY KEY, process TEXT NOT NULL, until REAL NOT NULL, length REAL NOT NULL
        )
        """,
    ),
)
"""One tuple of statements for each version, oldest first; a published one is never changed, only followed."""

APPLICATION: Final = 0x5644474F
"""Marks the file as a journal of vidgo-mcp: the letters VDGO."""


class UnusableFileError(Exception):
    """The file cannot be the journal; nothing in it is changed."""

    def __init__(self, message: str, reason: JournalReason) -> None:
        super().__init__(message)
        self.reason = reason


def recognise(connection: sqlite3.Connection) -> int:
    """Return the version of a journal, 0 for a new file; refuse one that a newer vidgo-mcp or another program wrote.

    Call it inside a transaction: another process may be making the file between two of its questions.
    """
    found = _number(connection, "PRAGMA user_version")
    ours = _number(connection, "PRAGMA application_id") == APPLICATION
    if not ours and (found or _number(connection, "SELECT count(*) FROM sqlite_master")):
        raise UnusableFileError("it is a database of another program", "other_program")
    if found > len(MIGRATIONS):
        message = f"a newer vidgo-mcp wrote it: it has version {found}, this one knows {len(MIGRATIONS)}"
        raise UnusableFileError(f"{message}; it is left as it is", "newer_version")
    return found


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a journal to this version, or refuse it as ``recognise`` does. Call it inside a transaction."""
    found = recognise(connection)
    if found == len(MIGRATIONS):
        return
    for statements in MIGRATIONS[found:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def prove_writable(connection: sqlite3.Connection) -> None:
    """Write what is there already: a transaction alone would not notice that the disk is full."""
    connection.execute(f"PRAGMA user_version = {_number(connection, 'PRAGMA user_version')}")


def _number(connection: sqlite3.Connection, query: str) -> int:
    (found,) = connection.execute(query).fetchone()
    return int(found)
