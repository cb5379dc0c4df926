"""What is recorded of each paid intent, and what the same request meets when it comes again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from vidgo_mcp.models.findings import BalanceFinding
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One intent and what became of it. Times are seconds since the epoch.

    Attributes:
        process: names the process that pays for it.
        image_urls: what Vidgo last named, finished or not.
        saved_digest: the SHA-256 (hex) of the copy on the person's disk, None while there is none.
        pixels: the size of the file, WIDTHxHEIGHT, once its bytes were seen.
        answer: what Vidgo last said, shortened, where not all of that was understood.
        straddled: the balance was read while it was under way.
        charged: what the balance showed for it, where that is certain.
        finding: what the balance showed about a lost answer.
        vendor_id: Vidgo's id of the task, where it breaks the rule for task ids; ``task_id`` is our name for it then.
        named_task: the task that a lost answer named, by which nothing is settled until Vidgo knows it.
        boot: by whose clock its times are; they move along when that is corrected.
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
    answer: str | None = None
    pixels: str | None = None
    straddled: bool = False
    charged: int | None = None
    finding: BalanceFinding | None = None
    vendor_id: str | None = None
    named_task: str | None = None
    boot: str = ""

    @property
    def asked_as(self) -> str:
        """Return the id by which Vidgo knows the task of this entry, or the one that its answer named."""
        return self.vendor_id or self.task_id or self.named_task or ""

    @property
    def dies_at(self) -> float | None:
        """When the window of this entry ends, and with it the life of its URL."""
        return None if self.sent_at is None else self.sent_at + WINDOW


def in_window(entry: Entry, now: float) -> bool:
    """Return whether the entry is still young enough to be reused, to be unknown, and to count in a budget.

    A finished picture that lost its URL before the time is as good as old.
    """
    if entry.state == "finished" and not entry.image_urls:
        return False
    return entry.dies_at is None or now < entry.dies_at


def reuse_decision(entry: Entry, now: float) -> ReuseDecision:
    """Return what the same request meets."""
    if entry.state == "failed" or not in_window(entry, now):
        return "again"
    if entry.state == "finished":
        return "reuse"
    if entry.state in ("unknown", "empty"):
        return entry.state
    return "join"


@dataclass(frozen=True, slots=True)
class Reserved:
    """The intent is new and recorded: its caller may go on to pay."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Existing:
    """The same request is recorded already, and is not to be paid for again."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The budget of the rolling 24 hours has no room for this price.

    ``frees_at`` is when there will be room for this very price, None when it is above the whole budget.
    """

    spent: int
    frees_at: float | None


@dataclass(frozen=True, slots=True)
class ConsentUsed:
    """The person's answer has allowed one intent already, and allows no second one."""

    used_at: float


Reservation = Reserved | Existing | Exhausted | ConsentUsed


@dataclass(frozen=True, slots=True)
class Spending:
    """What all pictures of one quality and tier cost, failed ones left out."""

    quality: Quality
    tier: Tier
    pictures: int
    credits: int
