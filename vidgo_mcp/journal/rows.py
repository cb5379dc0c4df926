"""Rows and entries: the one translation between the tables of the durable journal and its words, in whole steps."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator
from typing import Any, Final

from vidgo_mcp.journal.entries import Entry, Intent

_INTENT: Final = (
    "owner",
    "fingerprint",
    "family",
    "variation",
    "model",
    "prompt",
    "size",
    "tier",
    "quality",
    "credits",
)
_FATE: Final = ("state", "sent_at", "task_id", "status", "progress", "ended_at", "error", "delivered", "saved_digest")
_LISTS: Final = ("image_urls", "saved_paths")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Take the right to write, and end with all that was done, or with nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def insert(rows: sqlite3.Connection, entry: Entry) -> None:
    """Add an entry."""
    columns: dict[str, Any] = {name: getattr(entry.intent, name) for name in _INTENT}
    columns |= {"id": entry.id, "state": entry.state, "holder": entry.holder, "created_at": entry.created_at}
    columns["reference_ids"] = json.dumps(entry.intent.references)
    names = ", ".join(columns)
    marks = ", ".join(f":{name}" for name in columns)
    rows.execute(f"INSERT INTO entries ({names}) VALUES ({marks})", columns)  # noqa: S608  # names are ours


def forget(rows: sqlite3.Connection, entry_id: str) -> None:
    """Remove an entry."""
    rows.execute("DELETE FROM entries WHERE id = ?", (entry_id,))


def save(rows: sqlite3.Connection, entry: Entry) -> None:
    """Write what may change of an entry."""
    columns = {name: getattr(entry, name) for name in _FATE}
    columns |= {name: json.dumps(getattr(entry, name)) for name in _LISTS}
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    rows.execute(f"UPDATE entries SET {changes} WHERE id = :id", {**columns, "id": entry.id})  # noqa: S608  # ours


def entries_where(rows: sqlite3.Connection, where: str, limit: int = -1, **values: Any) -> list[Entry]:
    """Return entries, newest first."""
    query = f"SELECT * FROM entries WHERE {where} ORDER BY number DESC LIMIT :limit"  # noqa: S608  # conditions are ours
    return [_entry(row) for row in rows.execute(query, {**values, "limit": limit})]


def first_where(rows: sqlite3.Connection, where: str, **values: Any) -> Entry | None:
    """Return the newest entry that fits, None when there is none."""
    return next(iter(entries_where(rows, where, limit=1, **values)), None)


def made_by(rows: sqlite3.Connection, owner: str, task_id: str) -> Entry | None:
    """Return the entry of a task."""
    return first_where(rows, "owner = :owner AND task_id = :task_id", owner=owner, task_id=task_id)


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        id=row["id"],
        intent=Intent(**{name: row[name] for name in _INTENT}, references=tuple(json.loads(row["reference_ids"]))),
        state=row["state"],
        holder=row["holder"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        task_id=row["task_id"],
        status=row["status"],
        progress=row["progress"],
        image_urls=tuple(json.loads(row["image_urls"])),
        ended_at=row["ended_at"],
        error=row["error"],
        delivered=bool(row["delivered"]),
        saved_paths=tuple(json.loads(row["saved_paths"])),
        saved_digest=row["saved_digest"],
    )
