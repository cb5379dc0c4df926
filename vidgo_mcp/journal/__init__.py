"""What was paid for: one interface of atomic steps, and its keepers."""

from vidgo_mcp.journal.entries import (
    LEASE,
    MADE,
    RENEWAL,
    SAVING,
    UPLOADED,
    WINDOW,
    Entry,
    Intent,
    Standing,
    State,
    in_window,
    standing,
)
from vidgo_mcp.journal.journal import ConsentUsed, Exhausted, Existing, Journal, Reservation, Reserved, Spending
from vidgo_mcp.journal.memory import MemoryJournal
from vidgo_mcp.journal.upload_quota import UPLOADS_PER_MINUTE

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
    "MemoryJournal",
    "Reservation",
    "Reserved",
    "Spending",
    "Standing",
    "State",
    "in_window",
    "standing",
]
