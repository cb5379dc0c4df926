"""What the durable journal adds up, and the marks beside its entries: leases, claims, used consents, and their end."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from vidgo_mcp.journal.entries import LEASE, SAVING, WINDOW, Entry
from vidgo_mcp.journal.journal import Spending
from vidgo_mcp.journal.rows import entries_where
from vidgo_mcp.models.sizes import Quality, Tier

# Two searches of the index: joined by OR, SQLite would read all entries of the owner.
_SINCE: Final = (
    "state != 'failed' AND number IN ("
    "SELECT number FROM entries WHERE owner = :owner AND sent_at IS NULL UNION ALL "
    "SELECT number FROM entries WHERE owner = :owner AND sent_at > :since)"
)
# The index is searched by the rough bound; the fine one adds up as ``dies_at`` does, to the last bit.
_COUNTED: Final = f"{_SINCE} AND (sent_at IS NULL OR sent_at + :window > :now)"


def paid(rows: sqlite3.Connection, owner: str, now: float) -> int:
    """Return the credits that count in the rolling 24 hours."""
    query = f"SELECT coalesce(sum(credits), 0) FROM entries WHERE {_COUNTED}"  # noqa: S608  # conditions are ours
    (found,) = rows.execute(query, _bounds(owner, now)).fetchone()
    return int(found)


def counted(rows: sqlite3.Connection, owner: str, now: float) -> list[Entry]:
    """Return the entries that count in the rolling 24 hours."""
    return entries_where(rows, _COUNTED, **_bounds(owner, now))


def sums(rows: sqlite3.Connection, owner: str, since: float) -> list[Spending]:
    """Return what went out after a moment, by quality and tier."""
    query = (
        f"SELECT quality, tier, count(*), sum(credits) FROM entries WHERE {_SINCE} "  # noqa: S608  # conditions are ours
        "GROUP BY quality, tier"
    )
    return [Spending(*row) for row in rows.execute(query, {"owner": owner, "since": since})]


def lasted(rows: sqlite3.Connection, quality: Quality, tier: Tier, limit: int) -> list[float]:
    """Return how long the newest finished tasks took; a clock that was set back between two times tells nothing."""
    found = rows.execute(
        "SELECT ended_at - sent_at FROM entries WHERE state = 'finished' AND quality = ? AND tier = ? "
        "AND ended_at >= sent_at ORDER BY number DESC LIMIT ?",
        (quality, tier, limit),
    )
    return [row[0] for row in found]


def prolong(rows: sqlite3.Connection, holder: str, now: float) -> None:
    """Record that a process is alive."""
    rows.execute("INSERT OR REPLACE INTO leases (holder, until) VALUES (?, ?)", (holder, now + LEASE))


def living(rows: sqlite3.Connection, now: float) -> frozenset[str]:
    """Drop the leases that ran out, and return who has one.

    A clock that was set back would keep leases for long: from now on they last what a renewal gives.
    """
    rows.execute("UPDATE leases SET until = :latest WHERE until > :latest", {"latest": now + LEASE})
    rows.execute("DELETE FROM leases WHERE until <= ?", (now,))
    return frozenset(row[0] for row in rows.execute("SELECT holder FROM leases"))


def saver_of(rows: sqlite3.Connection, entry_id: str, now: float) -> str | None:
    """Return the process that saves a picture."""
    end_savings(rows, now)
    row = rows.execute("SELECT holder FROM savings WHERE entry_id = ?", (entry_id,)).fetchone()
    return None if row is None else row[0]


def claim(rows: sqlite3.Connection, entry_id: str, holder: str, now: float) -> None:
    """Record that a process saves a picture."""
    rows.execute(
        "INSERT OR REPLACE INTO savings (entry_id, holder, until) VALUES (?, ?, ?)", (entry_id, holder, now + SAVING)
    )


def unclaim(rows: sqlite3.Connection, entry_id: str, holder: str) -> None:
    """Forget that this process saves a picture."""
    rows.execute("DELETE FROM savings WHERE entry_id = ? AND holder = ?", (entry_id, holder))


def end_savings(rows: sqlite3.Connection, now: float) -> None:
    """Drop the claims that ran out; what a clock that was set back would keep for long ends as a new one does."""
    rows.execute("UPDATE savings SET until = :latest WHERE until > :latest", {"latest": now + SAVING})
    rows.execute("DELETE FROM savings WHERE until <= ?", (now,))


def consent_used_at(rows: sqlite3.Connection, owner: str, consent: str) -> float | None:
    """Return when the person's answer was used."""
    query = "SELECT used_at FROM consents WHERE owner = ? AND consent = ?"
    row = rows.execute(query, (owner, consent)).fetchone()
    return None if row is None else row[0]


def use_consent(rows: sqlite3.Connection, owner: str, consent: str, now: float) -> None:
    """Record that the person's answer is used."""
    rows.execute("INSERT OR REPLACE INTO consents (owner, consent, used_at) VALUES (?, ?, ?)", (owner, consent, now))


def prune(rows: sqlite3.Connection, now: float, retention: float) -> None:
    """Forget what is too old to matter; never an intent that is under way, or that is in its window."""
    end_savings(rows, now)
    rows.execute("DELETE FROM consents WHERE used_at <= ?", (now - WINDOW,))
    rows.execute(
        "DELETE FROM entries WHERE created_at < :oldest AND coalesce(sent_at, created_at) < :oldest "
        "AND state NOT IN ('reserved', 'sent')",
        {"oldest": now - retention},
    )


def _bounds(owner: str, now: float) -> dict[str, Any]:
    return {"owner": owner, "since": now - WINDOW - 1, "window": WINDOW, "now": now}
