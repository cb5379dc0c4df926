"""The durable record of paid intent: the interface of its atomic steps, and the embedded store."""

from vidgo_mcp.journal.balances import Look
from vidgo_mcp.journal.clock import Clock
from vidgo_mcp.journal.disposable import DisposableJournal
from vidgo_mcp.journal.entries import (
    MADE,
    UPLOADED,
    WINDOW,
    ConsentUsed,
    Entry,
    Exhausted,
    Existing,
    Intent,
    Reservation,
    Reserved,
    Spending,
    State,
    in_window,
)
from vidgo_mcp.journal.journal import Journal
from vidgo_mcp.journal.processes import RENEWAL
from vidgo_mcp.journal.sqlite import SqliteJournal

__all__ = [
    "MADE",
    "RENEWAL",
    "UPLOADED",
    "WINDOW",
    "Clock",
    "ConsentUsed",
    "DisposableJournal",
    "Entry",
    "Exhausted",
    "Existing",
    "Intent",
    "Journal",
    "Look",
    "Reservation",
    "Reserved",
    "Spending",
    "SqliteJournal",
    "State",
    "in_window",
]
