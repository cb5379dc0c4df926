"""What one process knows of the pictures that it may have paid for: put back when the file that records them loses it.

A person may remove the file under a running process, or put an older copy in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from sqlite3 import Connection
from typing import Final, TypeVar

from vidgo_mcp.journal import tables, transitions
from vidgo_mcp.journal.boots import TOLERANCE, JournalTime
from vidgo_mcp.journal.entries import Entry, in_window

E = TypeVar("E", bound=Entry | None)

AWAITED: Final = 60.0
"""Seconds for which a submit of another process counts as awaited here after each look at it."""

log = logging.getLogger(__name__)


class KnownEntries:
    """The entries that this process sent, or saw later, as long as they count."""

    def __init__(self) -> None:
        self._known: dict[str, Entry] = {}
        self._awaited: dict[str, tuple[Entry, float]] = {}
        """What other processes sent, and when it was last looked at: one that waits for it must not pay for it."""
        self._last_bound: Entry | None = None
        self._newest_seen: Entry | None = None
        """The newest with a task, whoever bound it; a copy may have it, and not yet the task that was bound last."""
        self._zero = 0.0
        """By which time of the boot they are known."""

    def changed(self, entry_id: str, after: E) -> E:
        """Note how an entry is after a step, None when it is deleted."""
        if after is None or after.state == "reserved":
            self._known.pop(entry_id, None)
            return after
        self._known[entry_id] = after
        newest = self._newest_seen
        if after.task_id is not None and (newest is None or newest.created_at <= after.created_at):
            self._newest_seen = after
        return after

    def looked_at(self, entry_id: str, found: Entry | None, now: float) -> Entry | None:
        """Note how an entry was found by somebody who waits for it, None when it is gone."""
        self._awaited.pop(entry_id, None)
        if found is not None and found.state == "sent":
            self._awaited[entry_id] = found, now + AWAITED
        return found

    def bound(self, entry: Entry, now: float) -> Entry:
        """Note an entry that has its task, and forget those that no longer count."""
        # Its place may be another task's by now: then it is recorded under a new id.
        made = entry.intent, entry.created_at
        known = [one for one in tuple(self._known.values()) if one.task_id or (one.intent, one.created_at) != made]
        self._known = {one.id: one for one in (*known, entry) if in_window(one, now)}
        self._last_bound = entry
        return entry

    def delivered(self, entry_ids: Collection[str]) -> None:
        """Note that somebody received these results."""
        for entry_id in entry_ids:
            if (known := self._known.get(entry_id)) is not None:
                self._known[entry_id] = replace(known, delivered=True)

    def put_back_lost(self, db: Connection, time: JournalTime, *, replaced: bool) -> None:
        """Put them back into a file that was ``replaced``, or that shows by what it lacks that it is an older one."""
        self._move_along(time)
        now, is_another = time(), replaced
        for last in (self._last_bound, self._newest_seen):
            known_last = None if last is None else self._known.get(last.id)
            if not replaced and known_last is not None and in_window(known_last, now):
                # A task that is recorded is never taken back, and neither is its end.
                there = tables.by_task(db, known_last.intent.owner, known_last.task_id or "")
                replaced = transitions.restored(there, known_last) is known_last
        replaced = self._lacks_unbound(db) or replaced
        known = [entry for entry in tuple(self._known.values()) if in_window(entry, now)] if replaced else []
        # Only into another file: in the same one it is gone because it was taken back, or settled.
        if is_another:
            known += [entry for entry, until in tuple(self._awaited.values()) if now < until]
        # What is there already comes back as it is there.
        lost = [entry for entry in known if tables.put_back(db, entry) is entry]
        if lost:
            log.warning("the journal was removed or replaced by an older one: %d entries are put back", len(lost))

    def _move_along(self, time: JournalTime) -> None:
        """Keep the age of what was recorded in this boot when its time is corrected; an earlier one stays."""
        off = time.zero - self._zero
        if abs(off) <= TOLERANCE:
            return
        self._zero = time.zero
        for entry in tuple(self._known.values()):
            if entry.boot != time.boot:
                continue
            sent_at, ended_at = (None if at is None else at + off for at in (entry.sent_at, entry.ended_at))
            created_at = entry.created_at + off
            self._known[entry.id] = replace(entry, created_at=created_at, sent_at=sent_at, ended_at=ended_at)

    def _lacks_unbound(self, db: Connection) -> bool:
        """Return whether one without a task was lost; one that a person has settled meanwhile is forgotten."""
        lacks = False
        for entry in [one for one in tuple(self._known.values()) if one.task_id is None]:
            if tables.is_sent(db, entry.id):
                continue
            if tables.is_settled(db, entry):
                self._known.pop(entry.id, None)
            else:
                lacks = True
        return lacks
