"""The journal's tables, version by version, what they are asked, and the translation between rows and entries.

An older file must become a newer one without a loss.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import astuple, replace
from typing import Any, Final
from uuid import uuid4

from vidgo_mcp.errors import JournalReason
from vidgo_mcp.journal import transitions
from vidgo_mcp.journal.entries import WINDOW, Entry, Exhausted, Intent, Spending, reuse_decision
from vidgo_mcp.journal.processes import Lease
from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.models.sizes import QUALITIES, TIERS

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
    ("ALTER TABLE entries ADD COLUMN answer TEXT",),
    (
        "ALTER TABLE entries ADD COLUMN compared INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE entries ADD COLUMN straddled INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE entries ADD COLUMN charged INTEGER",
        "ALTER TABLE entries ADD COLUMN finding TEXT",
        "ALTER TABLE entries ADD COLUMN pixels TEXT",
        "CREATE INDEX entries_to_compare ON entries (owner) WHERE compared = 0",
        "CREATE INDEX entries_misquoted ON entries (owner) WHERE credits != charged",
        """
        CREATE TABLE balances (
            account TEXT PRIMARY KEY, credits REAL NOT NULL, read_at REAL NOT NULL, shared_at REAL
        )
        """,
        """
        CREATE TABLE observed_prices (
            account TEXT NOT NULL, price_table TEXT NOT NULL, quality TEXT NOT NULL, tier TEXT NOT NULL,
            charged INTEGER, seen INTEGER, PRIMARY KEY (account, price_table, quality, tier)
        ) WITHOUT ROWID
        """,
    ),
    (
        "CREATE TABLE boots (boot TEXT PRIMARY KEY, zero REAL NOT NULL, confirmed INTEGER NOT NULL) WITHOUT ROWID",
        "ALTER TABLE entries ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX entries_by_boot ON entries (boot)",
        "ALTER TABLE entries ADD COLUMN vendor_id TEXT",
        "ALTER TABLE entries ADD COLUMN named_task TEXT",
        "CREATE INDEX entries_named ON entries (state) WHERE named_task IS NOT NULL",
    ),
)
"""One tuple of statements for each version, oldest first; a published one is never changed, only followed."""

APPLICATION: Final = 0x5644474F
"""Marks the file as a journal of vidgo-mcp: the letters VDGO."""

_INTENT: Final = (
    *("owner", "fingerprint", "request_key", "variation", "model", "prompt", "size", "tier", "quality", "credits"),
)
_FATE: Final = (
    *("state", "sent_at", "task_id", "status", "progress", "ended_at", "error", "delivered", "saved_digest", "answer"),
    *("pixels", "vendor_id", "named_task"),
)
_LISTS: Final = ("image_urls", "saved_paths")

# Two searches of the index: joined by OR, SQLite would read all entries of the owner.
_SINCE: Final = (
    "state != 'failed' AND number IN ("
    "SELECT number FROM entries WHERE owner = :owner AND sent_at IS NULL UNION ALL "
    "SELECT number FROM entries WHERE owner = :owner AND sent_at > :since)"
)
# The index is searched by the rough bound; the fine one adds up as ``dies_at`` does, to the last bit.
_COUNTED: Final = f"{_SINCE} AND (sent_at IS NULL OR sent_at + {WINDOW} > :now)"


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


def insert(db: sqlite3.Connection, entry: Entry) -> None:
    """Insert an entry that is only reserved yet."""
    columns: dict[str, Any] = {name: getattr(entry.intent, name) for name in _INTENT}
    columns |= {name: getattr(entry, name) for name in ("id", "state", "process", "created_at", "boot")}
    columns["reference_ids"] = json.dumps(entry.intent.references)
    names = ", ".join(columns)
    marks = ", ".join(f":{name}" for name in columns)
    db.execute(f"INSERT INTO entries ({names}) VALUES ({marks})", columns)  # noqa: S608  # names are ours


def save(db: sqlite3.Connection, entry: Entry) -> None:
    """Write what may change of an entry."""
    columns = {name: getattr(entry, name) for name in _FATE}
    columns |= {name: json.dumps(getattr(entry, name)) for name in _LISTS}
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    db.execute(f"UPDATE entries SET {changes} WHERE id = :id", {**columns, "id": entry.id})  # noqa: S608  # ours


def put_back(db: sqlite3.Connection, known: Entry) -> Entry:
    """Write an entry as a process knows it, where what is there is older, gone, or another task's; return it."""
    there = entry(db, known.id)
    if known.task_id is not None and (there is None or there.task_id != known.task_id):
        bound = by_task(db, known.intent.owner, known.task_id)
        if bound is not None:
            return bound
        if there is not None and there.task_id is not None:
            there, known = None, replace(known, id=uuid4().hex)
    after = transitions.restored(there, known)
    if there is None:
        insert(db, after)
    if after is not there:
        save(db, after)
    return after


def delete(db: sqlite3.Connection, entry_id: str) -> None:
    """Delete an entry that was never sent, or for which a person says that nothing was charged.

    That answer is kept among the others as long as the entry would have counted: who sent it may know it yet.
    """
    settled = "SELECT owner, id, sent_at FROM entries WHERE id = ? AND state = 'unknown'"
    db.execute(f"INSERT OR REPLACE INTO consents (owner, consent, used_at) {settled}", (entry_id,))
    db.execute("DELETE FROM entries WHERE id = ?", (entry_id,))


def entries(db: sqlite3.Connection, where: str, *, limit: int = -1, **values: Any) -> list[Entry]:
    """Return entries, newest first."""
    query = f"SELECT * FROM entries WHERE {where} ORDER BY number DESC LIMIT :limit"  # noqa: S608  # conditions are ours
    return [_entry(row) for row in db.execute(query, {**values, "limit": limit})]


def first(db: sqlite3.Connection, where: str, **values: Any) -> Entry | None:
    """Return the newest entry."""
    return next(iter(entries(db, where, limit=1, **values)), None)


def entry(db: sqlite3.Connection, entry_id: str) -> Entry | None:
    """Return the entry of this id."""
    return first(db, "id = :id", id=entry_id)


def is_sent(db: sqlite3.Connection, entry_id: str) -> bool:
    """Return whether the file has an entry as one that may have been sent."""
    query = "SELECT 1 FROM entries WHERE id = ? AND state != 'reserved'"
    return db.execute(query, (entry_id,)).fetchone() is not None


def is_settled(db: sqlite3.Connection, known: Entry) -> bool:
    """Return whether a person has said in this very file that nothing was charged for an entry."""
    query = "SELECT 1 FROM consents WHERE owner = ? AND consent = ?"
    return db.execute(query, (known.intent.owner, known.id)).fetchone() is not None


def by_task(db: sqlite3.Connection, owner: str, task_id: str) -> Entry | None:
    """Return the entry that the vendor knows under this id."""
    return first(db, "owner = :owner AND task_id = :task_id", owner=owner, task_id=task_id)


def reusable(db: sqlite3.Connection, owner: str, fingerprint: str, now: float) -> Entry | None:
    """Return the newest entry that answers a request, None when it may be submitted."""
    found = entries(db, "owner = :owner AND fingerprint = :print", owner=owner, print=fingerprint)
    return next((entry for entry in found if reuse_decision(entry, now) != "again"), None)


def counted(db: sqlite3.Connection, owner: str, now: float) -> list[Entry]:
    """Return the entries that count in a day's budget."""
    return entries(db, _COUNTED, owner=owner, since=now - WINDOW - 1, now=now)


def spent(db: sqlite3.Connection, owner: str, now: float) -> int:
    """Return the credits of those entries."""
    query = f"SELECT coalesce(sum(credits), 0) FROM entries WHERE {_COUNTED}"  # noqa: S608  # conditions are ours
    return int(db.execute(query, {"owner": owner, "since": now - WINDOW - 1, "now": now}).fetchone()[0])


def exhausted(db: sqlite3.Connection, owner: str, price: int, budget: int, now: float) -> Exhausted | None:
    """Return why the budget of the rolling 24 hours has no room for a price, None where it has."""
    if spent(db, owner, now) + price <= budget:
        return None
    return transitions.exhausted(counted(db, owner, now), price, budget, now)


def spending(db: sqlite3.Connection, owner: str, since: float) -> list[Spending]:
    """Return what was spent since a moment, by quality and tier, cheapest first."""
    what = "quality, tier, count(*), sum(credits)"
    query = f"SELECT {what} FROM entries WHERE {_SINCE} GROUP BY quality, tier"  # noqa: S608  # conditions are ours
    found = [Spending(*row) for row in db.execute(query, {"owner": owner, "since": since})]
    return sorted(found, key=lambda one: (QUALITIES.index(one.quality), TIERS.index(one.tier)))


def prune_leases(db: sqlite3.Connection, alive: Collection[str]) -> None:
    """Delete the leases that are not alive."""
    ended = [(name,) for (name,) in db.execute("SELECT name FROM leases") if name not in alive]
    db.executemany("DELETE FROM leases WHERE name = ?", ended)


def prune(db: sqlite3.Connection, *, now: float, oldest: float) -> None:
    """Delete consents, uploads and ended entries that are too old to matter; what may yet be found out stays."""
    db.execute("DELETE FROM consents WHERE used_at <= ?", (now - WINDOW,))
    db.execute("DELETE FROM uploads WHERE until <= ?", (now,))
    db.execute(
        "DELETE FROM entries WHERE created_at < :oldest AND coalesce(sent_at, created_at) < :oldest "
        "AND state NOT IN ('reserved', 'sent', 'unknown', 'accepted')",
        {"oldest": oldest},
    )


def forget_upload(db: sqlite3.Connection, account: str, digest: str) -> None:
    """Delete the copy of these bytes that the vendor no longer has."""
    db.execute("DELETE FROM uploads WHERE account = ? AND digest = ?", (account, digest))


def living(db: sqlite3.Connection, now: float, *names: str) -> list[Lease]:
    """Return the leases of these names, or all, that are alive at a moment of the boot clock."""
    where = f"name IN ({', '.join('?' * len(names))})" if names else "TRUE"
    query = f"SELECT name, process, until, length FROM leases WHERE {where}"  # noqa: S608  # conditions are ours
    return [lease for lease in (Lease(*row) for row in db.execute(query, names)) if lease.is_alive(now)]


def lease(db: sqlite3.Connection, name: str) -> Lease | None:
    """Return the lease of a name, alive or not, as long as nobody has deleted it."""
    row = db.execute("SELECT name, process, until, length FROM leases WHERE name = ?", (name,)).fetchone()
    return None if row is None else Lease(*row)


def keep(db: sqlite3.Connection, lease: Lease) -> None:
    """Take or prolong a lease."""
    db.execute("INSERT OR REPLACE INTO leases (name, process, until, length) VALUES (?, ?, ?, ?)", astuple(lease))


def _entry(row: sqlite3.Row) -> Entry:
    intent = Intent(**{name: row[name] for name in _INTENT}, references=tuple(json.loads(row["reference_ids"])))
    columns: dict[str, Any] = {name: row[name] for name in ("id", "process", "created_at", "boot", *_FATE, "charged")}
    columns |= {name: tuple(json.loads(row[name])) for name in _LISTS}
    columns |= {name: bool(row[name]) for name in ("delivered", "straddled")}
    finding = None if row["finding"] is None else BalanceFinding(**json.loads(row["finding"]))
    return Entry(intent=intent, finding=finding, **columns)
