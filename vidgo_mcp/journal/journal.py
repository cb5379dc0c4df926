"""The interface of every store that keeps paid intents.

A store takes atomic steps, each of which leaves a true record if the process dies right after it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from vidgo_mcp.journal.balances import Look, Reading
from vidgo_mcp.journal.entries import Entry, Exhausted, Intent, Reservation, Spending
from vidgo_mcp.models.findings import ObservedPrice
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PriceTable


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
