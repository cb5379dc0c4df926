"""What the journal knows of one paid intent, and what the same request meets: the state table as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from vidgo_mcp.models.requests import ModelName
from vidgo_mcp.models.sizes import Quality, Tier

WINDOW: Final = 24 * 3600.0
"""Seconds from *sent*, for reuse, unknown and budget alike: as long as a result's URL lives."""
UPLOADED: Final = "sha256:"
"""The prefix of a reference that is a local file, uploaded for this request; the digest of its bytes follows."""
MADE: Final = "task:"
"""The prefix of a reference that is the picture of an earlier task, whose id follows."""

State = Literal["reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"]
"""``empty`` finished without a file and was read again in vain: paid for, and nothing to show."""

ReuseDecision = Literal["join", "reuse", "unknown", "empty", "again"]
"""What the same request meets: a task to wait for, a picture, a lost answer, one that was paid for and has no picture,
or nothing that keeps it from being submitted again."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One picture that is about to be paid for.

    ``request_key`` is the fingerprint without the variation: all variations of one request share it.
    """

    owner: str
    fingerprint: str
    request_key: str
    variation: int
    model: ModelName
    prompt: str
    size: str
    tier: Tier
    quality: Quality
    credits: int
    references: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """The part of the owner that pays, whoever calls."""
        return self.owner.partition("/")[0]

    @property
    def uploads(self) -> tuple[str, ...]:
        """The digests of the files that were uploaded for it."""
        return tuple(one.removeprefix(UPLOADED) for one in self.references if one.startswith(UPLOADED))


@dataclass(frozen=True, slots=True)
class Entry:
    """One intent and what became of it. Times are seconds since the epoch.

    ``process`` is the name of the process that pays for it. ``saved_digest`` is the SHA-256 (hex) of the bytes of the
    copy on the person's disk, None while there is none.
    """

    id: str
    intent: Intent
    state: State
    process: str
    created_at: float
    sent_at: float | None = None
    task_id: str | None = None
    status: str | None = None
    progress: int | None = None
    image_urls: tuple[str, ...] = ()
    ended_at: float | None = None
    error: str | None = None
    delivered: bool = False
    saved_paths: tuple[str, ...] = ()
    saved_digest: str | None = None

    @property
    def dies_at(self) -> float | None:
        """When the window of this entry ends, and with it the life of its URL."""
        return None if self.sent_at is None else self.sent_at + WINDOW


def in_window(entry: Entry, now: float) -> bool:
    """Return whether the entry is still young enough to be reused, to be unknown, and to count in a budget."""
    return entry.dies_at is None or now < entry.dies_at


def reuse_decision(entry: Entry, now: float) -> ReuseDecision:
    """Return what the same request meets."""
    if entry.state == "failed" or not in_window(entry, now):
        return "again"
    if entry.state == "finished":
        return "reuse"
    if entry.state == "unknown":
        return "unknown"
    return "empty" if entry.state == "empty" else "join"


def unsaved(entry: Entry, now: float) -> bool:
    """Return whether the picture can still be downloaded, and no copy of it is known."""
    return entry.state == "finished" and bool(entry.image_urls) and not entry.saved_paths and in_window(entry, now)
