"""Keeps the journal in a SQLite file that several processes share and that survives each of them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from vidgo_mcp.errors import Money
from vidgo_mcp.journal import transitions, upload_quota
from vidgo_mcp.journal.database import JournalFile
from vidgo_mcp.journal.entries import WINDOW, Entry, Intent, in_window, standing, unsaved
from vidgo_mcp.journal.journal import ConsentUsed, Existing, Reservation, Reserved, Spending
from vidgo_mcp.journal.queries import (
    claim,
    consent_used_at,
    counted,
    lasted,
    living,
    paid,
    prolong,
    prune,
    saver_of,
    sums,
    unclaim,
    use_consent,
)
from vidgo_mcp.journal.rows import entries_where, first_where, forget, insert, made_by, save
from vidgo_mcp.journal.upload_rows import keep_pace, pace_of, prune_uploads, remember, remembered, unremember
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task

RETENTION: Final = 90 * 24 * 3600.0


class SqliteJournal(JournalFile):
    """A journal in a file. Every step is one transaction, on the disk before it returns.

    Args:
        path: the file; its folder is made when it is missing.
        now: the time of day in seconds since the epoch.
        retention: seconds after which an entry is forgotten, at least the window.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time, retention: float = RETENTION) -> None:
        super().__init__(path)
        self._now = now
        self._retention = max(retention, WINDOW)

    async def find(self, owner: str, fingerprint: str) -> Entry | None:
        return await self._step(lambda rows: self._standing(rows, owner, fingerprint))

    async def reserve(
        self, intent: Intent, *, holder: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        def step(rows: sqlite3.Connection) -> Reservation:
            found = self._standing(rows, intent.owner, intent.fingerprint)
            if found is not None:
                return Existing(found)
            now = self._now()
            used_at = None if consent is None else consent_used_at(rows, intent.owner, consent)
            if used_at is not None and now < used_at + WINDOW:
                return ConsentUsed(used_at)
            if budget is not None and paid(rows, intent.owner, now) + intent.credits > budget:
                return transitions.exhausted(counted(rows, intent.owner, now), intent.credits, budget, now)
            entry = Entry(id=uuid4().hex, intent=intent, state="reserved", holder=holder, created_at=now)
            insert(rows, entry)
            prolong(rows, holder, now)
            if consent is not None:
                use_consent(rows, intent.owner, consent, now)
            return Reserved(entry)

        return await self._step(step)

    async def mark_sent(self, entry_id: str) -> Entry:
        return await self._change(entry_id, lambda entry: transitions.sending(entry, self._now()))

    async def unmark_sent(self, entry_id: str) -> Entry:
        return await self._change(entry_id, transitions.unsend)

    async def release(self, entry_id: str) -> None:
        def step(rows: sqlite3.Connection) -> None:
            if transitions.can_release(first_where(rows, "id = :id", id=entry_id)):
                forget(rows, entry_id)

        await self._step(step)

    async def mark_unknown(self, entry_id: str, reason: str) -> Entry:
        return await self._change(entry_id, lambda entry: transitions.lost(entry, reason, self._now()), money="unknown")

    async def bind(self, entry_id: str, task: Task) -> Entry:
        return await self._change(entry_id, lambda entry: transitions.binding(entry, task), task_id=task.task_id)

    async def resolve(self, entry_id: str, *, task: Task | None) -> Entry | None:
        def step(rows: sqlite3.Connection) -> Entry | None:
            after = transitions.resolved(first_where(rows, "id = :id", id=entry_id), task)
            if after is None:
                forget(rows, entry_id)
            else:
                save(rows, after)
            return after

        return await self._step(step)

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        def rule(entry: Entry | None) -> Entry:
            return transitions.recorded(entry, task, empty=empty, now=self._now())

        return await self._change(entry_id, rule, task_id=task.task_id)

    async def renew(self, holder: str) -> None:
        await self._step(lambda rows: prolong(rows, holder, self._now()))

    async def expire(self, gone: Callable[[str], bool]) -> Sequence[Entry]:
        def step(rows: sqlite3.Connection) -> Sequence[Entry]:
            now = self._now()
            alive = living(rows, now)
            orphans = [
                entry
                for entry in reversed(entries_where(rows, "state IN ('reserved', 'sent')"))
                if entry.holder not in alive or gone(entry.holder)
            ]
            lost = [transitions.lost(entry, transitions.ORPHANED, now) for entry in orphans if entry.state == "sent"]
            for entry in orphans:
                if entry.state == "reserved":
                    forget(rows, entry.id)
            for entry in lost:
                save(rows, entry)
            prune(rows, now, self._retention)
            prune_uploads(rows, now)
            return lost

        return await self._step(step)

    async def entry(self, entry_id: str) -> Entry | None:
        return await self._step(lambda rows: first_where(rows, "id = :id", id=entry_id))

    async def by_task(self, owner: str, task_id: str) -> Entry | None:
        return await self._step(lambda rows: made_by(rows, owner, task_id))

    async def by_url(self, owner: str, url: str) -> Entry | None:
        def step(rows: sqlite3.Connection) -> Entry | None:
            named = "SELECT number FROM entries WHERE owner = :owner AND image_urls != '[]' AND instr(image_urls, :url)"
            found = entries_where(rows, f"number IN ({named})", owner=owner, url=json.dumps(url))
            return next((entry for entry in found if url in entry.image_urls), None)

        return await self._step(step)

    async def newest(self, owner: str, limit: int) -> Sequence[Entry]:
        return await self._step(lambda rows: entries_where(rows, "owner = :owner", owner=owner, limit=limit))

    async def undelivered(self, owner: str) -> Sequence[Entry]:
        return await self._step(lambda rows: self._finished(rows, owner, "delivered = 0", in_window))

    async def mark_delivered(self, entry_ids: Collection[str]) -> None:
        if not entry_ids:
            return

        def step(rows: sqlite3.Connection) -> None:
            rows.executemany("UPDATE entries SET delivered = 1 WHERE id = ?", [(entry_id,) for entry_id in entry_ids])

        await self._step(step)

    async def claim_saving(self, entry_id: str, *, holder: str, gone: Callable[[str], bool]) -> bool:
        def step(rows: sqlite3.Connection) -> bool:
            now = self._now()
            entry = first_where(rows, "id = :id", id=entry_id)
            if entry is None or not unsaved(entry, now):
                return False
            free = transitions.may_save(saver_of(rows, entry_id, now), holder, gone)
            if free:
                claim(rows, entry_id, holder, now)
            return free

        return await self._step(step)

    async def mark_saved(self, entry_id: str, paths: Sequence[str], digest: str) -> Entry:
        return await self._change(entry_id, lambda entry: transitions.saved(entry, paths, digest))

    async def release_saving(self, entry_id: str, *, holder: str) -> None:
        await self._step(lambda rows: unclaim(rows, entry_id, holder))

    async def unsaved(self, owner: str) -> Sequence[Entry]:
        return await self._step(lambda rows: self._finished(rows, owner, "saved_paths = '[]'", unsaved))

    async def variations(self, owner: str, family: str) -> frozenset[int]:
        def step(rows: sqlite3.Connection) -> frozenset[int]:
            now = self._now()
            found = entries_where(rows, "owner = :owner AND family = :family", owner=owner, family=family)
            return frozenset(entry.intent.variation for entry in found if standing(entry, now) != "again")

        return await self._step(step)

    async def spent(self, owner: str) -> int:
        return await self._step(lambda rows: paid(rows, owner, self._now()))

    async def spending(self, owner: str, since: float) -> Sequence[Spending]:
        return await self._step(lambda rows: transitions.in_table_order(sums(rows, owner, since)))

    async def durations(self, quality: Quality, tier: Tier, limit: int) -> Sequence[float]:
        return await self._step(lambda rows: lasted(rows, quality, tier, limit))

    async def unfinished(self) -> Sequence[Entry]:
        def step(rows: sqlite3.Connection) -> Sequence[Entry]:
            now = self._now()
            return [entry for entry in reversed(entries_where(rows, "state = 'accepted'")) if in_window(entry, now)]

        return await self._step(step)

    async def upload_of(self, account: str, digest: str) -> str | None:
        return await self._step(lambda rows: remembered(rows, account, digest, self._now()))

    async def remember_upload(self, account: str, digest: str, url: str, *, until: float) -> None:
        await self._step(lambda rows: remember(rows, account, digest, url, until))

    async def forget_upload(self, account: str, digest: str) -> None:
        await self._step(lambda rows: unremember(rows, account, digest))

    async def upload_turn(self, account: str) -> float:
        def step(rows: sqlite3.Connection) -> float:
            after, wait = upload_quota.turn(pace_of(rows, account), self._now())
            keep_pace(rows, account, after)
            return wait

        return await self._step(step)

    async def hold_uploads(self, account: str, seconds: float) -> None:
        def step(rows: sqlite3.Connection) -> None:
            keep_pace(rows, account, upload_quota.hold(pace_of(rows, account), seconds, self._now()))

        await self._step(step)

    def _finished(
        self, rows: sqlite3.Connection, owner: str, where: str, fits: Callable[[Entry, float], bool]
    ) -> Sequence[Entry]:
        now = self._now()
        where = f"owner = :owner AND state = 'finished' AND {where} AND sent_at > :since"
        found = entries_where(rows, where, owner=owner, since=now - WINDOW - 1)
        return [entry for entry in reversed(found) if fits(entry, now)]

    def _standing(self, rows: sqlite3.Connection, owner: str, fingerprint: str) -> Entry | None:
        now = self._now()
        found = entries_where(rows, "owner = :owner AND fingerprint = :print", owner=owner, print=fingerprint)
        return next((entry for entry in found if standing(entry, now) != "again"), None)

    async def _change(
        self,
        entry_id: str,
        rule: Callable[[Entry | None], Entry],
        *,
        money: Money = "nothing_spent",
        task_id: str | None = None,
    ) -> Entry:
        def step(rows: sqlite3.Connection) -> Entry:
            before = first_where(rows, "id = :id", id=entry_id)
            after = rule(before)
            if after != before:
                save(rows, after)
            owner = after.intent.owner
            for digest in transitions.uploads_to_invalidate(before, after, lambda made: made_by(rows, owner, made)):
                unremember(rows, after.intent.account, digest)
            return after

        return await self._step(step, money=money, task_id=task_id)
