"""The one translation between the rows of the journal's tables and its entries and leases."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple
from typing import Any, Final

from vidgo_mcp.journal.entries import Entry, Intent
from vidgo_mcp.journal.leases import Lease

_INTENT: Final = (
    *("owner", "fingerprint", "request_key", "variation", "model", "prompt", "size", "tier", "quality", "credits"),
)
_FATE: Final = ("state", "sent_at", "task_id", "status", "progress", "ended_at", "error", "delivered", "saved_digest")
_LISTS: Final = ("image_urls", "saved_paths")


def insert(db: sqlite3.Connection, entry: Entry) -> None:
    """Add an entry."""
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


def entries(db: sqlite3.Connection, where: str, *, limit: int = -1, **values: Any) -> list[Entry]:
    """Return entries, newest first."""
    query = f"SELECT * FROM entries WHERE {where} ORDER BY number DESC LIMIT :limit"  # noqa: S608  # conditions are ours
    return [_entry(row) for row in db.execute(query, {**values, "limit": limit})]


def entry(db: sqlite3.Connection, entry_id: str) -> Entry | None:
    """Return one entry."""
    return next(iter(entries(db, "id = :id", id=entry_id)), None)


def by_task(db: sqlite3.Connection, owner: str, task_id: str) -> Entry | None:
    """Return the newest entry of a task."""
    where = "owner = :owner AND task_id = :task_id"
    return next(iter(entries(db, where, owner=owner, task_id=task_id, limit=1)), None)


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
