"""What one process knows of the pictures that it may have paid for: put back when the file that records them loses it.

A person may remove the file under a running process, or put an older copy in its place.
"""

from __future__ import annotations

import logging
from sqlite3 import Connection

from vidgo_mcp.journal import tables
from vidgo_mcp.journal.entries import Entry, in_window

log = logging.getLogger(__name__)


class KnownEntries:
    """The entries that this process sent, or saw later, as long as they count."""

    def __init__(self) -> None:
        self._known: dict[str, Entry] = {}
        self._last_bound: Entry | None = None
        self._numbers: dict[str, int] = {}
        """Where the file has those that changed. No file gives a number to two entries, one after the other."""

    def found(self, db: Connection, entry_id: str) -> Entry | None:
        """Return an entry as the file has it."""
        number = tables.number_of(db, entry_id)
        if number is not None:
            self._numbers[entry_id] = number
        return tables.entry(db, entry_id)

    def changed(self, entry_id: str, after: Entry | None) -> None:
        """Note how an entry is after a step, None when it is deleted."""
        if after is None or after.state == "reserved":
            self._known.pop(entry_id, None)
        else:
            self._known[entry_id] = after

    def bound(self, entry: Entry, now: float) -> Entry:
        """Note an entry that has its task, and forget those that no longer count."""
        self._known = {one.id: one for one in (*self._known.values(), entry) if in_window(one, now)}
        self._numbers = {entry_id: number for entry_id, number in self._numbers.items() if entry_id in self._known}
        self._last_bound = entry
        return entry

    def put_back_lost(self, db: Connection, now: float, boot: str, *, replaced: bool) -> None:
        """Put them back into a file that was ``replaced``, or that shows by what it lacks that it is an older one."""
        last = self._last_bound
        if not replaced and last is not None and last.id in self._known:
            # A task that is recorded is never taken back.
            replaced = tables.by_task(db, last.intent.owner, last.task_id or "") is None
        replaced = replaced or self._lacks_unbound(db)
        known = [entry for entry in self._known.values() if in_window(entry, now)] if replaced else []
        if known:
            log.warning("the journal was removed or replaced by an older one: %d entries are put back", len(known))
        for entry in known:
            tables.put_back(db, entry, boot)

    def _lacks_unbound(self, db: Connection) -> bool:
        """Return whether one without a task was lost; one that a person has settled meanwhile is forgotten."""
        for entry in [one for one in self._known.values() if one.task_id is None]:
            number = tables.number_of(db, entry.id)
            if number is not None:
                self._numbers[entry.id] = number
            elif tables.is_deleted(db, self._numbers.get(entry.id)):
                del self._known[entry.id]
            else:
                return True
        return False
