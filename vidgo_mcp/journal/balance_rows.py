"""The rows in which the journal keeps readings of the balance and what they said, and the step that compares two."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from vidgo_mcp.journal import balances, tables
from vidgo_mcp.journal.balances import Look, Reading
from vidgo_mcp.journal.entries import Entry
from vidgo_mcp.models.findings import BalanceFinding, ObservedPrice
from vidgo_mcp.pricing import Cell, PriceTable

# All owners of an account: what follows it is a slash, and "0" is the character after that.
_OF_ACCOUNT: Final = "owner >= :account || '/' AND owner < :account || '0'"
_MISQUOTED: Final = (
    f"{_OF_ACCOUNT} AND quality = :quality AND tier = :tier AND charged = :charged AND credits != charged"
)


def reading(db: sqlite3.Connection, account: str) -> Reading | None:
    """Return the last reading that counts."""
    row = db.execute("SELECT credits, read_at, shared_at FROM balances WHERE account = ?", (account,)).fetchone()
    return None if row is None else Reading(*row)


def look(db: sqlite3.Connection, account: str) -> Look:
    """Return what a reading is to be compared with."""
    return Look(reading(db, account), tuple(to_compare(db, account)))


def to_compare(db: sqlite3.Connection, account: str) -> list[Entry]:
    """Return the entries of all callers of an account that no reading has closed yet."""
    return tables.entries(db, f"compared = 0 AND {_OF_ACCOUNT}", account=account)


def observed_prices(db: sqlite3.Connection, account: str, table: PriceTable) -> list[ObservedPrice]:
    """Return what was observed against a table."""
    query = "SELECT quality, tier, charged, seen FROM observed_prices WHERE account = ? AND price_table = ?"
    return [ObservedPrice(*row) for row in db.execute(query, (account, table.identity))]


def compare(db: sqlite3.Connection, account: str, looked: Look, read: Reading, table: PriceTable) -> None:
    """Record a reading and what follows from it; not when another one came between, or anything was under way."""
    before, entries = reading(db, account), to_compare(db, account)
    if before != looked.before:
        return
    known = {entry.id: entry for entry in looked.entries}
    straddling = {entry.id for entry in entries if balances.straddles(entry, known, read.read_at)}
    if before is not None and straddling:
        return
    closed = [entry for entry in entries if entry.id not in straddling and entry.sent_at is not None]
    if before is None:
        unread = BalanceFinding("unclear", after=read.credits, after_at=read.read_at)
        found = balances.Comparison({entry.id: unread for entry in closed if entry.state == "unknown"})
    else:
        found = balances.compare(before, read.credits, closed, read.read_at)
    contradictory = _observe(db, account, found.charged, {entry.id: entry for entry in closed}, table)
    shared_at = None if before is None else before.shared_at
    shared_at = read.read_at if found.shared or contradictory else shared_at
    query = "INSERT OR REPLACE INTO balances (account, credits, read_at, shared_at) VALUES (?, ?, ?, ?)"
    db.execute(query, (account, read.credits, read.read_at, shared_at))
    db.executemany("UPDATE entries SET straddled = 1 WHERE id = ?", [(entry_id,) for entry_id in straddling])
    db.executemany("UPDATE entries SET compared = 1 WHERE id = ?", [(entry.id,) for entry in closed])
    texts = [(json.dumps(asdict(finding)), entry_id) for entry_id, finding in found.findings.items()]
    db.executemany("UPDATE entries SET finding = ? WHERE id = ?", texts)


def use_table(db: sqlite3.Connection, account: str, table: PriceTable) -> None:
    """Note that a process of this account has a table, so that what another one reads is held against it too."""
    row = (account, table.identity, "low", "1K")
    db.execute("INSERT OR IGNORE INTO observed_prices VALUES (?, ?, ?, ?, NULL, NULL)", row)


def _observe(
    db: sqlite3.Connection, account: str, charged: Mapping[str, int], entries: Mapping[str, Entry], table: PriceTable
) -> bool:
    """Take in what was charged for pictures; return whether two observations contradict each other.

    It is held against every table that a process of this account has, whichever of them reads the balance. What a
    price is believed to be is also what the pictures cost that showed it: budgets add that up.
    """
    db.executemany("UPDATE entries SET charged = ? WHERE id = ?", [(price, key) for key, price in charged.items()])
    use_table(db, account, table)
    rows = db.execute("SELECT DISTINCT price_table FROM observed_prices WHERE account = ?", (account,)).fetchall()
    for other in (PriceTable.named(identity) for (identity,) in rows if identity != table.identity):
        _hold_against(db, account, charged, entries, other)
    known, contradictory = _hold_against(db, account, charged, entries, table)
    for (quality, tier), one in known.items():
        in_force = table.credits[quality][tier] if one.charged is None else one.charged
        values = {"account": account, "quality": quality, "tier": tier, "charged": in_force}
        db.execute(f"UPDATE entries SET credits = charged WHERE {_MISQUOTED}", values)  # noqa: S608  # conditions are ours
    return contradictory


def _hold_against(
    db: sqlite3.Connection, account: str, charged: Mapping[str, int], entries: Mapping[str, Entry], table: PriceTable
) -> tuple[dict[Cell, ObservedPrice], bool]:
    contradictory = False
    known: dict[Cell, ObservedPrice] = {(one.quality, one.tier): one for one in observed_prices(db, account, table)}
    for key, price in charged.items():
        quality, tier = cell = entries[key].intent.quality, entries[key].intent.tier
        before = known.get(cell, ObservedPrice(quality, tier))
        known[cell], contradicts = balances.observed(before, price, table.credits[quality][tier])
        contradictory |= contradicts
    for (quality, tier), one in known.items():
        row = (account, table.identity, quality, tier, one.charged, one.seen)
        db.execute("INSERT OR REPLACE INTO observed_prices VALUES (?, ?, ?, ?, ?, ?)", row)
    return known, contradictory
