"""Tasks that Vidgo accepted and that the journal could not record yet: what is known of them is here, and paid for.

They answer their request and are recorded as soon as the journal can, also when it has lost their entry meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio

from vidgo_mcp.errors import JournalError, VidgoError
from vidgo_mcp.journal import RENEWAL, Entry, Journal
from vidgo_mcp.journal.transitions import accepted
from vidgo_mcp.models.tasks import Task

log = logging.getLogger(__name__)


class UnboundTasks:
    """Those of one account in this process. ``on_bound`` is told of each one that was recorded late."""

    def __init__(self, journal: Journal, on_bound: Callable[[Entry], Awaitable[object]]) -> None:
        self._journal = journal
        self._on_bound = on_bound
        self._kept: dict[str, tuple[Entry, Task]] = {}
        self._why: dict[str, str] = {}
        self._binding = anyio.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, entry: Entry, task: Task) -> Entry:
        """Return a sent entry as it is with its task, and keep it until it is recorded."""
        kept = accepted(entry, task)
        self._kept[entry.id] = kept, task
        return kept

    def get(self, entry_id: str) -> Entry | None:
        kept = self._kept.get(entry_id)
        return None if kept is None else kept[0]

    def has(self, task_id: str) -> bool:
        """Return whether a task is one of them, whoever's it is."""
        return any(entry.task_id == task_id for entry, _ in self._kept.values())

    def of_owner(self, owner: str) -> Sequence[Entry]:
        """Return those of one owner, newest first."""
        return [entry for entry, _ in reversed(self._kept.values()) if entry.intent.owner == owner]

    def merged(self, entries: Sequence[Entry], owner: str, limit: int) -> Sequence[Entry]:
        """Return the newest entries of an owner as they are: the journal may have older words of some, or none."""
        kept = {entry.id: entry for entry in self.of_owner(owner)}
        known = [kept.pop(entry.id, entry) for entry in entries]
        return sorted([*kept.values(), *known], key=lambda entry: entry.created_at, reverse=True)[:limit]

    def notes(self, entry_id: str) -> list[str]:
        """Return what somebody who gets this task needs to know of it."""
        why = self._why.get(entry_id)
        if why is None:
            return []
        return [
            f"It is paid for, but the journal could not record it yet. {why} This server keeps it, tries again "
            f"every {RENEWAL:.0f} s, and does not pay for it again; note its task_id in case the server ends before."
        ]

    async def bind(self, entry_id: str) -> Entry | None:
        """Record one; return its entry, None when the journal cannot."""
        async with self._binding:
            if entry_id not in self._kept:
                return None
            entry, task = self._kept[entry_id]
            try:
                bound = await self._recorded(entry, task)
            except Exception as error:  # whatever keeps it from writing: what was paid for is tried again
                if entry_id not in self._why:
                    # Vidgo's whole id, a secret elsewhere in logs: it may be all that is left of what was paid for.
                    log.exception("task %s was accepted by Vidgo, but the journal could not record it", entry.asked_as)
                said = error.message if isinstance(error, VidgoError) else str(error) or type(error).__name__
                self._why[entry_id] = f"{said.removesuffix('.')}."
                return None
            del self._kept[entry_id]
            self._why.pop(entry_id, None)
            return bound

    async def bind_all(self) -> None:
        """Record those that were tried before."""
        for entry_id in [one for one in self._kept if one in self._why]:
            bound = await self.bind(entry_id)
            if bound is None:
                continue
            log.warning("task %s is recorded now", bound.task_id)
            await self._on_bound(bound)

    async def give_up(self) -> None:
        """Try once more at the end of the process; what then is not recorded is named in the log."""
        for entry, _ in list(self._kept.values()):
            if await self.bind(entry.id) is None and entry.id in self._kept:  # a renewal may have recorded it meanwhile
                log.error("task %s is paid for, and the journal has no record of it", entry.asked_as)

    async def _recorded(self, entry: Entry, task: Task) -> Entry:
        try:
            return await self._journal.bind(entry.id, task)
        except JournalError as error:
            if error.facts.reason is not None:
                raise
            # The store works, and its entry is gone, or has become another.
            return await self._journal.restore(entry)
