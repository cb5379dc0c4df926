"""Keeps the journal in the memory of one process: for the sandbox, for tests, and for whoever asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from uuid import uuid4

from vidgo_mcp.journal import transitions, upload_quota
from vidgo_mcp.journal.entries import LEASE, SAVING, WINDOW, Entry, Intent, in_window, standing, unsaved
from vidgo_mcp.journal.journal import ConsentUsed, Existing, Reservation, Reserved, Spending
from vidgo_mcp.journal.upload_quota import Pace
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task


class MemoryJournal:
    """A journal that ends with its process.

    No method awaits anything, so each is atomic under a cooperative scheduler.

    Args:
        now: the time of day in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._entries: dict[str, Entry] = {}
        self._leases: dict[str, float] = {}
        self._consents: dict[tuple[str, str], float] = {}
        self._savings: dict[str, tuple[str, float]] = {}
        self._uploads: dict[tuple[str, str], tuple[str, float]] = {}
        self._paces: dict[str, Pace] = {}

    async def aclose(self) -> None:
        """Keep everything: it ends with the process."""

    async def find(self, owner: str, fingerprint: str) -> Entry | None:
        return self._standing(owner, fingerprint)

    async def reserve(
        self, intent: Intent, *, holder: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        found = self._standing(intent.owner, intent.fingerprint)
        if found is not None:
            return Existing(found)
        now = self._now()
        used_at = None if consent is None else self._consents.get((intent.owner, consent))
        if used_at is not None and now < used_at + WINDOW:
            return ConsentUsed(used_at)
        if budget is not None and transitions.spent(self._of(intent.owner), now) + intent.credits > budget:
            return transitions.exhausted(self._of(intent.owner), intent.credits, budget, now)
        entry = Entry(id=uuid4().hex, intent=intent, state="reserved", holder=holder, created_at=now)
        self._entries[entry.id] = entry
        self._leases[holder] = now + LEASE
        if consent is not None:
            self._consents[intent.owner, consent] = now
        return Reserved(entry)

    async def mark_sent(self, entry_id: str) -> Entry:
        return self._put(transitions.sending(self._entries.get(entry_id), self._now()))

    async def unmark_sent(self, entry_id: str) -> Entry:
        return self._put(transitions.unsend(self._entries.get(entry_id)))

    async def release(self, entry_id: str) -> None:
        if transitions.can_release(self._entries.get(entry_id)):
            del self._entries[entry_id]

    async def mark_unknown(self, entry_id: str, reason: str) -> Entry:
        return self._put(transitions.lost(self._entries.get(entry_id), reason, self._now()))

    async def bind(self, entry_id: str, task: Task) -> Entry:
        return self._put(transitions.binding(self._entries.get(entry_id), task))

    async def resolve(self, entry_id: str, *, task: Task | None) -> Entry | None:
        after = transitions.resolved(self._entries.get(entry_id), task)
        if after is None:
            del self._entries[entry_id]
            return None
        return self._put(after)

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        before = self._entries.get(entry_id)
        after = transitions.recorded(before, task, empty=empty, now=self._now())
        owner = after.intent.owner
        for digest in transitions.uploads_to_invalidate(before, after, lambda made: self._made(owner, made)):
            self._uploads.pop((after.intent.account, digest), None)
        return self._put(after)

    async def renew(self, holder: str) -> None:
        self._leases[holder] = self._now() + LEASE

    async def expire(self, gone: Callable[[str], bool]) -> Sequence[Entry]:
        now = self._now()
        # A clock that was set back would keep leases for long: from now on they last what a renewal gives.
        self._leases = {holder: min(until, now + LEASE) for holder, until in self._leases.items() if until > now}
        orphans = [
            entry
            for entry in self._entries.values()
            if entry.state in {"reserved", "sent"} and (entry.holder not in self._leases or gone(entry.holder))
        ]
        for entry in orphans:
            if entry.state == "reserved":
                del self._entries[entry.id]
        self._consents = {key: used_at for key, used_at in self._consents.items() if now < used_at + WINDOW}
        self._end_savings(now)
        self._uploads = {key: (url, until) for key, (url, until) in self._uploads.items() if now < until}
        self._paces = {account: upload_quota.settled(before, now) for account, before in self._paces.items()}
        return [
            self._put(transitions.lost(entry, transitions.ORPHANED, now)) for entry in orphans if entry.state == "sent"
        ]

    async def entry(self, entry_id: str) -> Entry | None:
        return self._entries.get(entry_id)

    async def by_task(self, owner: str, task_id: str) -> Entry | None:
        return self._made(owner, task_id)

    async def by_url(self, owner: str, url: str) -> Entry | None:
        return next((entry for entry in self._of(owner) if url in entry.image_urls), None)

    async def newest(self, owner: str, limit: int) -> Sequence[Entry]:
        return list(self._of(owner))[:limit]

    async def undelivered(self, owner: str) -> Sequence[Entry]:
        now = self._now()
        waiting = [e for e in self._of(owner) if e.state == "finished" and not e.delivered and in_window(e, now)]
        return waiting[::-1]

    async def mark_delivered(self, entry_ids: Collection[str]) -> None:
        for entry_id in entry_ids:
            if entry_id in self._entries:
                self._put(replace(self._entries[entry_id], delivered=True))

    async def claim_saving(self, entry_id: str, *, holder: str, gone: Callable[[str], bool]) -> bool:
        now = self._now()
        self._end_savings(now)
        entry = self._entries.get(entry_id)
        saver, _ = self._savings.get(entry_id, (None, 0.0))
        if entry is None or not unsaved(entry, now) or not transitions.may_save(saver, holder, gone):
            return False
        self._savings[entry_id] = (holder, now + SAVING)
        return True

    async def mark_saved(self, entry_id: str, paths: Sequence[str], digest: str) -> Entry:
        return self._put(transitions.saved(self._entries.get(entry_id), paths, digest))

    async def release_saving(self, entry_id: str, *, holder: str) -> None:
        if self._savings.get(entry_id, (None, 0.0))[0] == holder:
            del self._savings[entry_id]

    async def unsaved(self, owner: str) -> Sequence[Entry]:
        now = self._now()
        return [entry for entry in self._of(owner) if unsaved(entry, now)][::-1]

    async def variations(self, owner: str, family: str) -> frozenset[int]:
        now = self._now()
        return frozenset(
            entry.intent.variation
            for entry in self._of(owner)
            if entry.intent.family == family and standing(entry, now) != "again"
        )

    async def spent(self, owner: str) -> int:
        return transitions.spent(self._of(owner), self._now())

    async def spending(self, owner: str, since: float) -> Sequence[Spending]:
        sums: dict[tuple[Quality, Tier], Spending] = {}
        for entry in self._of(owner):
            if entry.state != "failed" and (entry.sent_at is None or entry.sent_at > since):
                key = (entry.intent.quality, entry.intent.tier)
                before = sums.get(key, Spending(*key, 0, 0))
                sums[key] = Spending(*key, before.pictures + 1, before.credits + entry.intent.credits)
        return transitions.in_table_order(sums.values())

    async def durations(self, quality: Quality, tier: Tier, limit: int) -> Sequence[float]:
        lasted = (
            entry.ended_at - entry.sent_at
            for entry in reversed(self._entries.values())
            if entry.state == "finished" and (entry.intent.quality, entry.intent.tier) == (quality, tier)
            # A clock that was set back between the two tells nothing.
            if entry.sent_at is not None and entry.ended_at is not None and entry.ended_at >= entry.sent_at
        )
        return list(islice(lasted, limit))

    async def unfinished(self) -> Sequence[Entry]:
        now = self._now()
        return [entry for entry in self._entries.values() if entry.state == "accepted" and in_window(entry, now)]

    async def upload_of(self, account: str, digest: str) -> str | None:
        url, until = self._uploads.get((account, digest), (None, 0.0))
        return url if self._now() < until else None

    async def remember_upload(self, account: str, digest: str, url: str, *, until: float) -> None:
        self._uploads[account, digest] = (url, until)

    async def forget_upload(self, account: str, digest: str) -> None:
        self._uploads.pop((account, digest), None)

    async def upload_turn(self, account: str) -> float:
        self._paces[account], wait = upload_quota.turn(self._paces.get(account, Pace()), self._now())
        return wait

    async def hold_uploads(self, account: str, seconds: float) -> None:
        self._paces[account] = upload_quota.hold(self._paces.get(account, Pace()), seconds, self._now())

    def _end_savings(self, now: float) -> None:
        # As with the leases, a clock that was set back keeps no claim for long.
        self._savings = {
            key: (holder, min(until, now + SAVING)) for key, (holder, until) in self._savings.items() if until > now
        }

    def _of(self, owner: str) -> Iterable[Entry]:
        return (entry for entry in reversed(self._entries.values()) if entry.intent.owner == owner)

    def _made(self, owner: str, task_id: str) -> Entry | None:
        return next((entry for entry in self._of(owner) if entry.task_id == task_id), None)

    def _standing(self, owner: str, fingerprint: str) -> Entry | None:
        now = self._now()
        return next(
            (e for e in self._of(owner) if e.intent.fingerprint == fingerprint and standing(e, now) != "again"), None
        )

    def _put(self, entry: Entry) -> Entry:
        self._entries[entry.id] = entry
        return entry
