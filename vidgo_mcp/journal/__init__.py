"""The durable record of paid intent: the interface of its atomic steps, and the embedded store."""

from vidgo_mcp.journal.entries import (
    MADE,
    UPLOADED,
    WINDOW,
    Entry,
    Intent,
    ReuseDecision,
    State,
    in_window,
    reuse_decision,
)
from vidgo_mcp.journal.journal import ConsentUsed, Exhausted, Existing, Journal, Reservation, Reserved, Spending
from vidgo_mcp.journal.leases import LEASE, RENEWAL, SAVING, UPLOADS_PER_MINUTE
from vidgo_mcp.journal.sqlite import SqliteJournal

__all__ = [
    "LEASE",
    "MADE",
    "RENEWAL",
    "SAVING",
    "UPLOADED",
    "UPLOADS_PER_MINUTE",
    "WINDOW",
    "ConsentUsed",
    "Entry",
    "Exhausted",
    "Existing",
    "Intent",
    "Journal",
    "Reservation",
    "Reserved",
    "ReuseDecision",
    "Spending",
    "SqliteJournal",
    "State",
    "in_window",
    "reuse_decision",
]
