"""What the journal's tables are asked, and the one translation between their rows and its entries and leases."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import astuple
from typing import Any, Final

from vidgo_mcp.journal.journal import WINDOW, Entry, Intent, Spending
from vidgo_mcp.journal.processes import Lease
from vidgo_mcp.models.sizes import QUALITIES, TIERS

_INTENT: Final = (
    *("owner", "fingerprint", "request_key", "variation", "model", "prompt", "size", "tier", "quality", "credits"),
)
_FATE: Final = ("state", "sent_at", "task_id", "status", "progress", "ended_at", "error", "delivered", "saved_digest")
_LISTS: Final = ("image_urls", "saved_paths")

# Two searches of the index: joined by OR, SQLite would read all entries of the owner.
_SINCE: Final = (
    "state != 'failed' AND number IN ("
    "SELECT number FROM entries WHERE owner = :owner AND sent_at IS NULL UNION ALL "
    "SELECT number FROM entries WHERE owner = :owner AND sent_at > :since)"
)
# The index is searched by the rough bound; the fine one adds up as ``dies_at`` does, to the last bit.
_COUNTED: Final = f"{_SINCE} AND (sent_at IS NULL OR sent_at + {WINDOW} > :now)"


def insert(db: sqlite3.Connection, entry: Entry) -> None:
    """Insert an entry that is only reserved yet."""
    columns: dict[str, Any] = {name: getattr(entry.intent, name) for name in _INTENT}
    columns |= {"id": entry.id, "state": entry.state, "process": entry.process, "created_at": entry.created_at}
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


def delete(db: sqlite3.Connection, entry_id: str) -> None:
    """Delete an entry that was never sent."""
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


def by_task(db: sqlite3.Connection, owner: str, task_id: str) -> Entry | None:
    """Return the entry that the vendor knows under this id."""
    return first(db, "owner = :owner AND task_id = :task_id", owner=owner, task_id=task_id)


def counted(db: sqlite3.Connection, owner: str, now: float) -> list[Entry]:
    """Return the entries that count in a day's budget."""
    return entries(db, _COUNTED, owner=owner, since=now - WINDOW - 1, now=now)


def spent(db: sqlite3.Connection, owner: str, now: float) -> int:
    """Return the credits of those entries."""
    query = f"SELECT coalesce(sum(credits), 0) FROM entries WHERE {_COUNTED}"  # noqa: S608  # conditions are ours
    return int(db.execute(query, {"owner": owner, "since": now - WINDOW - 1, "now": now}).fetchone()[0])


def spending(db: sqlite3.Connection, owner: str, since: float) -> list[Spending]:
    """Return what was spent since a moment, by quality and tier, cheapest first."""
    what = "quality, tier, count(*), sum(credits)"
    query = f"SELECT {what} FROM entries WHERE {_SINCE} GROUP BY quality, tier"  # noqa: S608  # conditions are ours
    found = [Spending(*row) for row in db.execute(query, {"owner": owner, "since": since})]
    return sorted(found, key=lambda one: (QUALITIES.index(one.quality), TIERS.index(one.tier)))


def prune(db: sqlite3.Connection, alive: Collection[str], *, now: float, oldest: float) -> None:
    """Delete what no longer matters: leases that are not alive, and consents, uploads and entries that are too old."""
    ended = [(name,) for (name,) in db.execute("SELECT name FROM leases") if name not in alive]
    db.executemany("DELETE FROM leases WHERE name = ?", ended)
    db.execute("DELETE FROM consents WHERE used_at <= ?", (now - WINDOW,))
    db.execute("DELETE FROM uploads WHERE until <= ?", (now,))
    db.execute(
        "DELETE FROM entries WHERE created_at < :oldest AND coalesce(sent_at, created_at) < :oldest "
        "AND state NOT IN ('reserved', 'sent')",
        {"oldest": oldest},
    )


def forget_upload(db: sqlite3.Connection, account: str, digest: str) -> None:
    """Delete the copy of these bytes that the vendor no longer has."""
    db.execute("DELETE FROM uploads WHERE account = ? AND digest = ?", (account, digest))


def living(db: sqlite3.Connection, now: float, *names: str) -> list[Lease]:
    """Return the leases of these names, or all, that are alive at a moment of the monotonic clock."""
    where = f"name IN ({', '.join('?' * len(names))})" if names else "TRUE"
    query = f"SELECT name, process, until, length FROM leases WHERE {where}"  # noqa: S608  # conditions are ours
    return [lease for lease in (Lease(*row) for row in db.execute(query, names)) if lease.is_alive(now)]


def keep(db: sqlite3.Connection, lease: Lease) -> None:
    """Take or prolong a lease."""
    db.execute("INSERT OR REPLACE INTO leases (name, process, until, length) VALUES (?, ?, ?, ?)", astuple(lease))


def _entry(row: sqlite3.Row) -> Entry:
    intent = Intent(**{name: row[name] for name in _INTENT}, references=tuple(json.loads(row["reference_ids"])))
    columns: dict[str, Any] = {name: row[name] for name in ("id", "process", "created_at", *_FATE)}
    columns |= {name: tuple(json.loads(row[name])) for name in _LISTS}
    return Entry(intent=intent, **{**columns, "delivered": bool(row["delivered"])})
