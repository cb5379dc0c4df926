"""What the journal knows of one paid intent, and what follows from it: the state table, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from vidgo_mcp.models.requests import ModelName
from vidgo_mcp.models.size import Quality, Tier

WINDOW: Final = 24 * 3600.0
"""Seconds from *sent*, for reuse, unknown and budget alike: as long as a result's URL lives."""
LEASE: Final = 30.0
"""Seconds after which a process that no longer renews its lease counts as dead."""
RENEWAL: Final = 5.0

State = Literal["reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"]
"""``empty`` finished without a file and was read again in vain: paid for, and nothing to show."""

Standing = Literal["join", "reuse", "unknown", "empty", "again"]
"""What the same request meets: a task to wait for, a picture, a lost answer, a paid nothing, or nothing."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One picture that is about to be paid for.

    ``family`` is the fingerprint without the variation: the pictures of one request share it.
    """

    owner: str
    fingerprint: str
    family: str
    variation: int
    model: ModelName
    prompt: str
    size: str
    tier: Tier
    quality: Quality
    credits: int
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One intent and what became of it. Times are seconds since the epoch."""

    id: str
    intent: Intent
    state: State
    holder: str
    created_at: float
    sent_at: float | None = None
    task_id: str | None = None
    status: str | None = None
    progress: int | None = None
    image_urls: tuple[str, ...] = field(default=())
    ended_at: float | None = None
    error: str | None = None
    delivered: bool = False

    @property
    def dies_at(self) -> float | None:
        """When the window of this entry ends, and with it the life of its URL."""
        return None if self.sent_at is None else self.sent_at + WINDOW


def in_window(entry: Entry, now: float) -> bool:
    """Return whether the entry is still young enough to be reused, to be unknown, and to count in a budget."""
    return entry.dies_at is None or now < entry.dies_at


def standing(entry: Entry, now: float) -> Standing:
    """Return what the same request meets."""
    if entry.state == "failed" or not in_window(entry, now):
        return "again"
    if entry.state == "finished":
        return "reuse"
    if entry.state == "unknown":
        return "unknown"
    return "empty" if entry.state == "empty" else "join"


def counts(entry: Entry, now: float) -> bool:
    """Return whether the entry counts in the rolling 24 hours of a budget."""
    return entry.state != "failed" and in_window(entry, now)
