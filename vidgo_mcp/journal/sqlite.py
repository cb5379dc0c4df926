"""The embedded journal: a SQLite file that several processes share and that survives each of them, or memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar
from uuid import uuid4

from vidgo_mcp.errors import Money
from vidgo_mcp.journal import balance_rows, balances, processes, tables, transitions
from vidgo_mcp.journal.balances import Look, Reading
from vidgo_mcp.journal.boots import TimedDatabase
from vidgo_mcp.journal.clock import Clock
from vidgo_mcp.journal.connection import step
from vidgo_mcp.journal.entries import (
    WINDOW,
    ConsentUsed,
    Entry,
    Exhausted,
    Existing,
    Intent,
    Reservation,
    Reserved,
    Spending,
    in_window,
    reuse_decision,
)
from vidgo_mcp.journal.known_entries import KnownEntries
from vidgo_mcp.journal.processes import Lease
from vidgo_mcp.models.findings import ObservedPrice
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PriceTable

E = TypeVar("E", bound=Entry | None)
Rule = Callable[[Entry | None], E]


class SqliteJournal(TimedDatabase):
    """A journal in a SQLite file or in memory. Every step is one transaction, on the disk before it returns.

    Args:
        path: the file, whose folder is made when it is missing; None keeps everything in memory.
        clock: what tells the time.
        retention: seconds after which an entry that has ended is deleted, at least the window.
        fate_of: what can be proven of a process by its name; called in a worker thread.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Clock = Clock(),  # noqa: B008  # frozen
        retention: float = 90 * 24 * 3600.0,
        fate_of: Callable[[str], processes.Fate] = processes.fate_of,
    ) -> None:
        super().__init__(path, clock)
        self._uptime = clock.uptime
        self._retention = max(retention, WINDOW)
        self._fate_of = fate_of
        self._known = KnownEntries()

    @step
    def find(self, db: Connection, owner: str, fingerprint: str) -> Entry | None:
        return tables.reusable(db, owner, fingerprint, self._now())

    @step
    def reserve(
        self, db: Connection, intent: Intent, *, process: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        owner, now = intent.owner, self._now()
        found = tables.reusable(db, owner, intent.fingerprint, now)
        if found is not None:
            return Existing(found)
        used = db.execute("SELECT used_at FROM consents WHERE owner = ? AND consent = ?", (owner, consent)).fetchone()
        if used is not None and now < used["used_at"] + WINDOW:
            return ConsentUsed(used["used_at"])
        if budget is not None and (full := tables.exhausted(db, owner, intent.credits, budget, now)):
            return full
        entry = Entry(uuid4().hex, intent, state="reserved", process=process, created_at=now, boot=self._now.boot)
        tables.insert(db, entry)
        self._renew(db, process)
        if consent is not None:
            query = "INSERT OR REPLACE INTO consents (owner, consent, used_at) VALUES (?, ?, ?)"
            db.execute(query, (owner, consent, now))
        if self._now.may_prune():
            tables.prune(db, now=now, oldest=now - self._retention)
        return Reserved(entry)

    async def mark_sent(self, entry_id: str) -> Entry:
        return await self._change(entry_id, lambda e: transitions.sending(e, self._now()))

    async def unsend(self, entry_id: str) -> Entry:
        return await self._change(entry_id, transitions.unsend)

    async def release(self, entry_id: str) -> None:
        await self._change(entry_id, transitions.released)

    async def mark_unknown(
        self, entry_id: str, reason: str, *, named_task: str | None = None, vendor_id: str | None = None
    ) -> Entry:
        def lost(entry: Entry | None) -> Entry:
            return transitions.to_unknown(entry, reason, self._now(), named_task, vendor_id)

        return await self._change(entry_id, lost, money="unknown")

    async def bind(self, entry_id: str, task: Task) -> Entry:
        bound = await self._change(entry_id, lambda e: transitions.binding(e, task), task_id=task.task_id)
        return self._known.bound(bound, self._now())

    async def restore(self, entry: Entry) -> Entry:
        restored = await self._step(lambda db: tables.put_back(db, entry), task_id=entry.task_id)
        return self._known.bound(restored, self._now())

    async def resolve(self, entry_id: str, *, task: Task | None) -> Entry | None:
        return await self._change(entry_id, lambda e: transitions.resolved(e, task))

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        return await self._change(
            entry_id, lambda e: transitions.recorded(e, task, empty=empty, now=self._now()), task_id=task.task_id
        )

    async def lose_url(self, entry_id: str) -> Entry:
        return await self._change(entry_id, transitions.without_url)

    @step
    def renew(self, db: Connection, process: str) -> None:
        self._renew(db, process)

    async def expire(self) -> Sequence[Entry]:
        return await self._settle(await self._fates(await self._under_way()))

    @step
    def entry(self, db: Connection, entry_id: str) -> Entry | None:
        return self._known.looked_at(entry_id, tables.entry(db, entry_id), self._now())

    @step
    def by_task(self, db: Connection, owner: str, task_id: str) -> Entry | None:
        return tables.by_task(db, owner, task_id)

    @step
    def named(self, db: Connection) -> Sequence[Entry]:
        return tables.entries(db, "state = 'unknown' AND named_task IS NOT NULL")

    @step
    def by_url(self, db: Connection, owner: str, url: str) -> Entry | None:
        named = "SELECT number FROM entries WHERE owner = :owner AND image_urls != '[]' AND instr(image_urls, :url)"
        return tables.first(db, f"number IN ({named})", owner=owner, url=json.dumps(url))

    @step
    def newest(self, db: Connection, owner: str, limit: int) -> Sequence[Entry]:
        return tables.entries(db, "owner = :owner", owner=owner, limit=limit)

    @step
    def undelivered(self, db: Connection, owner: str) -> Sequence[Entry]:
        return self._finished(db, owner, "delivered = 0")

    @step
    def mark_delivered(self, db: Connection, entry_ids: Collection[str]) -> None:
        db.executemany("UPDATE entries SET delivered = 1 WHERE id = ?", [(entry_id,) for entry_id in entry_ids])
        self._known.delivered(entry_ids)

    async def claim_saving(self, entry_id: str, *, process: str) -> bool:
        saver = await self._claim(entry_id, process)
        if saver is not None and saver != process and "dead" in (await self._fates([saver])).values():
            saver = await self._claim(entry_id, process, instead_of=saver)
        return saver == process

    async def mark_saved(self, entry_id: str, paths: Sequence[str], digest: str) -> Entry:
        return await self._change(entry_id, lambda e: transitions.saved(e, paths, digest))

    async def record_pixels(self, entry_id: str, pixels: str) -> Entry:
        return await self._change(entry_id, lambda e: transitions.measured(e, pixels))

    @step
    def release_saving(self, db: Connection, entry_id: str, *, process: str) -> None:
        db.execute("DELETE FROM leases WHERE name = ? AND process = ?", (processes.claim_name(entry_id), process))

    @step
    def unsaved(self, db: Connection, owner: str) -> Sequence[Entry]:
        return self._finished(db, owner, "saved_paths = '[]'")

    @step
    def variations(self, db: Connection, owner: str, request_key: str) -> frozenset[int]:
        found = tables.entries(db, "owner = :owner AND request_key = :key", owner=owner, key=request_key)
        return frozenset(entry.intent.variation for entry in found if reuse_decision(entry, self._now()) != "again")

    @step
    def spent(self, db: Connection, owner: str) -> int:
        return tables.spent(db, owner, self._now())

    @step
    def exhausted(self, db: Connection, owner: str, price: int, budget: int) -> Exhausted | None:
        return tables.exhausted(db, owner, price, budget, self._now())

    @step
    def spending(self, db: Connection, owner: str, since: float) -> Sequence[Spending]:
        return tables.spending(db, owner, since)

    @step
    def durations(self, db: Connection, quality: Quality, tier: Tier, limit: int) -> Sequence[float]:
        where = "state = 'finished' AND quality = ? AND tier = ?"
        query = f"SELECT ended_at - sent_at FROM entries WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608  # ours
        return [seconds for (seconds,) in db.execute(query, (quality, tier, limit))]

    @step
    def unfinished(self, db: Connection) -> Sequence[Entry]:
        return [entry for entry in reversed(tables.entries(db, "state = 'accepted'")) if in_window(entry, self._now())]

    @step
    def balance_look(self, db: Connection, account: str) -> Look:
        return balance_rows.look(db, account)

    @step
    def begin_reading(self, db: Connection, account: str, table: PriceTable, *, opening: bool) -> Look | float:
        balance_rows.use_table(db, account, table)
        look, now = balance_rows.look(db, account), self._uptime()
        pause = balances.reading_due_in(look, self._now(), opening=opening)
        if pause:
            return pause
        turn = Lease.begun(processes.reading_name(account), "", balances.READING_TURN, now)
        for taken in tables.living(db, now, turn.name):
            return taken.until - now
        tables.keep(db, turn)
        return look

    @step
    def compare_balance(self, db: Connection, account: str, look: Look, credits_left: float, table: PriceTable) -> None:
        balance_rows.compare(db, account, look, Reading(credits_left, self._now()), table)

    @step
    def balance_read(self, db: Connection, account: str) -> Reading | None:
        return balance_rows.reading(db, account)

    @step
    def observed_prices(self, db: Connection, account: str, table: PriceTable) -> Sequence[ObservedPrice]:
        return [price for price in balance_rows.observed_prices(db, account, table) if price.charged is not None]

    @step
    def upload_of(self, db: Connection, account: str, digest: str) -> str | None:
        query = "SELECT url FROM uploads WHERE account = ? AND digest = ? AND until > ?"
        found = db.execute(query, (account, digest, self._now())).fetchone()
        return None if found is None else found["url"]

    @step
    def remember_upload(self, db: Connection, account: str, digest: str, url: str, *, until: float) -> None:
        query = "INSERT OR REPLACE INTO uploads (account, digest, url, until) VALUES (?, ?, ?, ?)"
        db.execute(query, (account, digest, url, until))

    @step
    def forget_upload(self, db: Connection, account: str, digest: str) -> None:
        tables.forget_upload(db, account, digest)

    @step
    def upload_turn(self, db: Connection, account: str) -> float:
        now = self._uptime()
        turn = processes.upload_turn(account, tables.living(db, now, *processes.turn_names(account)), now)
        if isinstance(turn, Lease):
            tables.keep(db, turn)
            return 0.0
        return turn

    @step
    def hold_uploads(self, db: Connection, account: str, seconds: float) -> None:
        now = self._uptime()
        taken = tables.living(db, now, *processes.turn_names(account))
        for lease in processes.upload_hold(account, taken, seconds, now):
            tables.keep(db, lease)

    @step
    def _under_way(self, db: Connection) -> Sequence[str]:
        """Return the processes that have something reserved or sent."""
        query = "SELECT DISTINCT process FROM entries WHERE state IN ('reserved', 'sent')"
        return [process for (process,) in db.execute(query)]

    async def _fates(self, names: Sequence[str]) -> Mapping[str, processes.Fate]:
        """Return what can be proven of processes. Asked outside a transaction: it may take its time."""
        return await self._in_thread(lambda: {name: self._fate_of(name) for name in names})

    @step
    def _settle(self, db: Connection, fates: Mapping[str, processes.Fate]) -> Sequence[Entry]:
        now, since_boot = self._now(), self._uptime()
        alive = {lease.name for lease in tables.living(db, since_boot)}
        lost = []
        for entry in reversed(tables.entries(db, "state IN ('reserved', 'sent')")):
            fate = fates.get(entry.process, "unknown")
            if fate == "alive" or (fate == "unknown" and processes.lease_name(entry.process) in alive):
                continue
            if entry.state == "reserved":
                tables.delete(db, entry.id)
            else:
                lease = tables.lease(db, processes.lease_name(entry.process))
                silence = None if lease is None else lease.silence(since_boot)
                why = transitions.ENDED if fate == "dead" else transitions.unheard(silence)
                lost.append(transitions.to_unknown(entry, why, now))
                tables.save(db, lost[-1])
        tables.prune_leases(db, alive)
        return lost

    @step
    def _claim(self, db: Connection, entry_id: str, process: str, *, instead_of: str = "") -> str | None:
        """Return which process may save a picture, this one where no other may; None when none has to."""
        found, now = tables.entry(db, entry_id), self._uptime()
        if found is None or found.state != "finished" or found.saved_paths or not in_window(found, self._now()):
            return None
        claim = Lease.begun(processes.claim_name(entry_id), process, processes.SAVING, now)
        for lease in tables.living(db, now, claim.name):
            if lease.process not in {process, instead_of}:
                return lease.process
        tables.keep(db, claim)
        return process

    def _renew(self, db: Connection, process: str) -> None:
        tables.keep(db, Lease.begun(processes.lease_name(process), process, processes.LEASE, self._uptime()))

    def _finished(self, db: Connection, owner: str, condition: str) -> Sequence[Entry]:
        """Return finished pictures with a living URL, oldest first."""
        now = self._now()
        where = f"owner = :owner AND state = 'finished' AND {condition} AND sent_at > :since"
        found = tables.entries(db, where, owner=owner, since=now - WINDOW - 1)
        return [entry for entry in reversed(found) if in_window(entry, now)]

    async def _change(
        self, entry_id: str, rule: Rule[E], *, money: Money = "nothing_spent", task_id: str | None = None
    ) -> E:
        """Let a rule make another entry of one; None deletes it."""

        def change(db: Connection) -> E:
            before = tables.entry(db, entry_id)
            after = rule(before)
            if after is None:
                tables.delete(db, entry_id)
                return after
            if after != before:
                tables.save(db, after)
            made_by = partial(tables.by_task, db, after.intent.owner)
            for digest in transitions.uploads_to_invalidate(before, after, made_by):
                tables.forget_upload(db, after.intent.account, digest)
            return after

        after = await self._step(change, money=money, task_id=task_id)
        return self._known.changed(entry_id, after)

    def _put_back_lost(self, db: Connection, *, replaced: bool) -> None:
        super()._put_back_lost(db, replaced=replaced)
        self._known.put_back_lost(db, self._now, replaced=replaced)
