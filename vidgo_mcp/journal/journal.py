"""What is recorded of each paid intent, and the interface of every store that keeps it.

A store takes atomic steps, each of which leaves a true record if the process dies right after it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from vidgo_mcp.models.findings import BalanceFinding, ObservedPrice
from vidgo_mcp.models.requests import ModelName
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task

if TYPE_CHECKING:
    from vidgo_mcp.journal.balances import Look, Reading
    from vidgo_mcp.pricing import PriceTable

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


class Journal(Protocol):
    """The record of paid intent. Every method is one atomic step; times come from the store's own clocks.

    Raises:
        JournalError: the step does not fit the entry's state, or the entry is no longer there because its lease ran
            out, or the store cannot be used. ``money`` and ``task_id`` say what is at stake, ``facts.reason`` why
            the store cannot be used.
    """

    async def aclose(self) -> None:
        """Close what the store holds open; a later step opens it again."""

    def now(self) -> float:
        """Return the time by which entries age, in seconds since the epoch: all processes of one boot agree on it."""

    def hear_time(self, date: float | None) -> None:
        """Note the time that an answer of Vidgo's names, None when it names none; the next step takes it in.

        It confirms the journal's time, or corrects it where the two differ by more than 5 minutes. What was recorded
        in this boot moves along, so that it stays as old as it is.
        """

    async def needs_time(self) -> bool:
        """Return whether Vidgo's time is to be heard before anything is reserved.

        A clock that nobody has confirmed since the boot must not say that what was paid for is older than 24 hours.
        """

    async def find(self, owner: str, fingerprint: str) -> Entry | None:
        """Return the newest entry that answers this request, None when it may be submitted."""

    async def reserve(
        self, intent: Intent, *, process: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        """Record the intent, unless the same request is recorded or the day's budget (credits) has no room for it.

        ``consent`` names the person's answer that allows it. It allows one intent of this owner, and is refused for
        24 hours from then on, also when that intent was released or its task failed. Where the time is certain, what
        ended too long ago to matter is deleted along with it: never on a mere look.
        """

    async def mark_sent(self, entry_id: str) -> Entry:
        """Record, before the POST, that it is about to be made; one that is no longer reserved must not be sent."""

    async def unsend(self, entry_id: str) -> Entry:
        """Record that the POST provably accepted nothing; the intent is reserved again."""

    async def release(self, entry_id: str) -> None:
        """Delete a reserved intent, for which provably nothing was spent; no error when it is deleted already."""

    async def mark_unknown(
        self, entry_id: str, reason: str, *, named_task: str | None = None, vendor_id: str | None = None
    ) -> Entry:
        """Record that the answer to the POST was lost, unless its task is known by now.

        It may have named a task that Vidgo does not know: ``named_task`` and ``vendor_id`` are its names.
        """

    async def bind(self, entry_id: str, task: Task) -> Entry:
        """Record the task that the POST created, also when the submit had been given up as unknown."""

    async def restore(self, entry: Entry) -> Entry:
        """Record an accepted entry whole, whatever became of it here: deleted, lost with an older file, or settled.

        It may be done twice; when its place is taken by another task, it gets one of its own.
        """

    async def resolve(self, entry_id: str, *, task: Task | None) -> Entry | None:
        """Settle an unknown submit by hand: its task makes it accepted; None, for not charged, deletes it."""

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        """Record a reading of the task. An end is final: later readings do not change it.

        ``empty`` says that it finished without a file, and that this is believed by now.
        """

    async def lose_url(self, entry_id: str) -> Entry:
        """Record that the URL of a finished picture died before its time: the same request is submitted again."""

    async def renew(self, process: str) -> None:
        """Prolong the lease of a process, which covers all its entries."""

    async def expire(self) -> Sequence[Entry]:
        """Settle what dead processes left: release reserved intents, and return the sent ones, which become unknown.

        A process is dead when its lease ran out or it provably ended.
        """

    async def entry(self, entry_id: str) -> Entry | None:
        """Return one entry."""

    async def by_task(self, owner: str, task_id: str) -> Entry | None:
        """Return the entry of a task."""

    async def named(self) -> Sequence[Entry]:
        """Return the unknown entries of all owners whose answer named a task, newest first."""

    async def by_url(self, owner: str, url: str) -> Entry | None:
        """Return the entry whose result a URL is."""

    async def newest(self, owner: str, limit: int) -> Sequence[Entry]:
        """Return the newest entries of an owner, newest first."""

    async def undelivered(self, owner: str) -> Sequence[Entry]:
        """Return finished pictures with a living URL that nobody has received, oldest first."""

    async def mark_delivered(self, entry_ids: Collection[str]) -> None:
        """Record that somebody received these results."""

    async def claim_saving(self, entry_id: str, *, process: str) -> bool:
        """Let one process save this picture: True when its URL is alive, it has no copy yet, and nobody else saves it.

        A claim lasts three minutes, less when its process ends, and the same process may claim again.
        """

    async def mark_saved(self, entry_id: str, paths: Sequence[str], digest: str) -> Entry:
        """Record where the copy of a finished picture is, so that nobody claims it any more. The first copy stays.

        ``digest`` is the SHA-256 (hex) of the copy's bytes.
        """

    async def record_pixels(self, entry_id: str, pixels: str) -> Entry:
        """Record the size of a finished picture, WIDTHxHEIGHT: somebody has seen its bytes."""

    async def release_saving(self, entry_id: str, *, process: str) -> None:
        """Give up this process's claim, so that others can save the picture at once."""

    async def unsaved(self, owner: str) -> Sequence[Entry]:
        """Return finished pictures with a living URL and no known copy, oldest first."""

    async def variations(self, owner: str, request_key: str) -> frozenset[int]:
        """Return the variations of a request that would not be submitted again."""

    async def spent(self, owner: str) -> int:
        """Return the credits that count in the rolling 24 hours."""

    async def exhausted(self, owner: str, price: int, budget: int) -> Exhausted | None:
        """Return how the day's budget has no room for a price; None when it has. ``reserve`` is what holds it."""

    async def spending(self, owner: str, since: float) -> Sequence[Spending]:
        """Return the credits spent since a moment, by quality and tier in the order of the price table.

        Counted as in ``spent``, which is the sum of the last 24 hours: what is reserved counts, what failed does not.
        """

    async def durations(self, quality: Quality, tier: Tier, limit: int) -> Sequence[float]:
        """Return the seconds from *sent* to the end of the newest finished tasks of all owners, newest first."""

    async def unfinished(self) -> Sequence[Entry]:
        """Return the accepted entries of all owners that are in their window and are to be read again, oldest first."""

    async def balance_look(self, account: str) -> Look:
        """Return what the balance is about to be compared with. Call it right before the balance is read."""

    async def begin_reading(self, account: str, table: PriceTable, *, opening: bool) -> Look | float:
        """Return the same where the balance is to be read now, else the seconds until that may be.

        It takes the one reading that an account has in any minute, over all processes; what it says is held against
        the tables of all of them. ``opening``: the client was opened just now.
        """

    async def compare_balance(self, account: str, look: Look, credits_left: float, table: PriceTable) -> None:
        """Record a reading of the balance, and what it says about the pictures since the last one.

        It counts for nothing when another reading was recorded since the look, or when anything was under way, unless
        it is the very first.
        """

    async def balance_read(self, account: str) -> Reading | None:
        """Return the last reading that counts."""

    async def observed_prices(self, account: str, table: PriceTable) -> Sequence[ObservedPrice]:
        """Return what Vidgo charges in contradiction to this table, as far as it is believed."""

    async def upload_of(self, account: str, digest: str) -> str | None:
        """Return the URL under which the bytes of this SHA-256 (hex) were uploaded, None when none is remembered."""

    async def remember_upload(self, account: str, digest: str, url: str, *, until: float) -> None:
        """Record the URL of uploaded bytes, in place of an older one, until a moment (seconds since the epoch).

        ``record`` forgets the uploads of a request when its task fails: Vidgo may have lost them.
        """

    async def forget_upload(self, account: str, digest: str) -> None:
        """Forget an upload that Vidgo no longer accepts."""

    async def upload_turn(self, account: str) -> float:
        """Take one of the uploads that Vidgo allows a key within any minute, over all processes.

        Returns 0.0 when it was taken, else the seconds until one may be free; then nothing was taken.
        """

    async def hold_uploads(self, account: str, seconds: float) -> None:
        """Give no turn for this long (at most 300 s), because Vidgo said so; this never shortens a longer hold."""
