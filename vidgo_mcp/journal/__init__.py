"""What was paid for: one interface of atomic steps, and its keepers."""

from vidgo_mcp.journal.entries import LEASE, RENEWAL, WINDOW, Entry, Intent, Standing, State, in_window, standing
from vidgo_mcp.journal.journal import Exhausted, Existing, Journal, Reserved
from vidgo_mcp.journal.memory import MemoryJournal

__all__ = [
    "LEASE",
    "RENEWAL",
    "WINDOW",
    "Entry",
    "Exhausted",
    "Existing",
    "Intent",
    "Journal",
    "MemoryJournal",
    "Reserved",
    "Standing",
    "State",
    "in_window",
    "standing",
]
