"""Keeps the journal in the memory of one process: for the sandbox, for tests, and for whoever asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from uuid import uuid4

from vidgo_mcp.journal.entries import LEASE, Entry, Intent, counts, in_window, standing
from vidgo_mcp.journal.journal import Exhausted, Existing, Reserved
from vidgo_mcp.journal.rules import exhausted, recorded
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

    async def find(self, owner: str, fingerprint: str) -> Entry | None:
        return self._standing(owner, fingerprint)

    async def reserve(
        self, intent: Intent, *, holder: str, budget: int | None = None
    ) -> Reserved | Existing | Exhausted:
        found = self._standing(intent.owner, intent.fingerprint)
        if found is not None:
            return Existing(found)
        if budget is not None and (full := exhausted(self._of(intent.owner), intent.credits, budget, self._now())):
            return full
        now = self._now()
        entry = Entry(id=uuid4().hex, intent=intent, state="reserved", holder=holder, created_at=now)
        self._entries[entry.id] = entry
        self._leases[holder] = now + LEASE
        return Reserved(entry)

    async def mark_sent(self, entry_id: str) -> Entry:
        return self._change(entry_id, state="sent", sent_at=self._now())

    async def unmark_sent(self, entry_id: str) -> Entry:
        return self._change(entry_id, state="reserved", sent_at=None)

    async def release(self, entry_id: str) -> None:
        self._entries.pop(entry_id, None)

    async def mark_unknown(self, entry_id: str, reason: str) -> Entry:
        return self._change(entry_id, state="unknown", error=reason)

    async def bind(self, entry_id: str, task: Task) -> Entry:
        return self._change(entry_id, state="accepted", task_id=task.task_id, status=task.status, error=None)

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        return self._put(recorded(self._entries[entry_id], task, empty=empty, now=self._now()))

    async def renew(self, holder: str) -> None:
        self._leases[holder] = self._now() + LEASE

    async def expire(self, gone: Callable[[str], bool]) -> Sequence[Entry]:
        now = self._now()
        orphans = [
            entry
            for entry in self._entries.values()
            if entry.state in {"reserved", "sent"}
            and (self._leases.get(entry.holder, 0.0) <= now or gone(entry.holder))
        ]
        for entry in orphans:
            if entry.state == "reserved":
                del self._entries[entry.id]
        return [
            self._change(entry.id, state="unknown", error="the process that sent it ended before the answer came")
            for entry in orphans
            if entry.state == "sent"
        ]

    async def entry(self, entry_id: str) -> Entry | None:
        return self._entries.get(entry_id)

    async def by_task(self, owner: str, task_id: str) -> Entry | None:
        return next((entry for entry in self._of(owner) if entry.task_id == task_id), None)

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
                self._change(entry_id, delivered=True)

    async def variations(self, owner: str, family: str) -> frozenset[int]:
        now = self._now()
        return frozenset(
            entry.intent.variation
            for entry in self._of(owner)
            if entry.intent.family == family and standing(entry, now) != "again"
        )

    async def spent(self, owner: str) -> int:
        now = self._now()
        return sum(entry.intent.credits for entry in self._of(owner) if counts(entry, now))

    def _of(self, owner: str) -> Iterable[Entry]:
        return (entry for entry in reversed(self._entries.values()) if entry.intent.owner == owner)

    def _standing(self, owner: str, fingerprint: str) -> Entry | None:
        now = self._now()
        return next(
            (e for e in self._of(owner) if e.intent.fingerprint == fingerprint and standing(e, now) != "again"), None
        )

    def _change(self, entry_id: str, **changes: object) -> Entry:
        return self._put(replace(self._entries[entry_id], **changes))  # type: ignore[arg-type]  # names are checked by replace

    def _put(self, entry: Entry) -> Entry:
        self._entries[entry.id] = entry
        return entry
