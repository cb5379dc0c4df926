"""What the durable journal remembers of uploads: their URLs, and how fast each account took its turns."""

from __future__ import annotations

import json
import sqlite3

from vidgo_mcp.journal.upload_quota import Pace, settled


def remembered(rows: sqlite3.Connection, account: str, digest: str, now: float) -> str | None:
    """Return the URL of uploaded bytes while it is to be believed."""
    query = "SELECT url FROM uploads WHERE account = ? AND digest = ? AND until > ?"
    row = rows.execute(query, (account, digest, now)).fetchone()
    return None if row is None else row[0]


def remember(rows: sqlite3.Connection, account: str, digest: str, url: str, until: float) -> None:
    """Record the URL of uploaded bytes."""
    rows.execute(
        "INSERT OR REPLACE INTO uploads (account, digest, url, until) VALUES (?, ?, ?, ?)",
        (account, digest, url, until),
    )


def unremember(rows: sqlite3.Connection, account: str, digest: str) -> None:
    """Forget the URL of uploaded bytes."""
    rows.execute("DELETE FROM uploads WHERE account = ? AND digest = ?", (account, digest))


def pace_of(rows: sqlite3.Connection, account: str) -> Pace:
    """Return how fast an account took its turns."""
    row = rows.execute("SELECT turns, held_from, held_until FROM paces WHERE account = ?", (account,)).fetchone()
    return Pace() if row is None else Pace(tuple(json.loads(row[0])), *row[1:])


def keep_pace(rows: sqlite3.Connection, account: str, pace: Pace) -> None:
    """Record how fast an account took its turns; one that tells nothing any more is forgotten."""
    if pace == Pace():
        rows.execute("DELETE FROM paces WHERE account = ?", (account,))
        return
    rows.execute(
        "INSERT OR REPLACE INTO paces (account, turns, held_from, held_until) VALUES (?, ?, ?, ?)",
        (account, json.dumps(pace.turns), pace.held_from, pace.held_until),
    )


def prune_uploads(rows: sqlite3.Connection, now: float) -> None:
    """Forget uploads whose time is over, turns that a minute has passed, and holds that ended."""
    rows.execute("DELETE FROM uploads WHERE until <= ?", (now,))
    for (account,) in rows.execute("SELECT account FROM paces").fetchall():
        keep_pace(rows, account, settled(pace_of(rows, account), now))
