"""How a reading changes an entry, and how a rolling budget refuses: pure rules that every keeper shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vidgo_mcp.journal.entries import WINDOW, Entry, counts
from vidgo_mcp.journal.journal import Exhausted
from vidgo_mcp.models.tasks import Task


def recorded(entry: Entry, task: Task, *, empty: bool, now: float) -> Entry:
    """Return the entry after a reading of its task. An end is final."""
    if entry.state in {"finished", "failed", "empty"}:
        return entry
    seen = replace(entry, status=task.status, progress=task.progress)
    if task.phase == "failed":
        return replace(seen, state="failed", error=task.error_message, ended_at=now)
    if task.phase == "finished" and task.file_urls:
        return replace(seen, state="finished", image_urls=task.file_urls, progress=100, ended_at=now)
    if task.phase == "finished" and empty:
        return replace(seen, state="empty", ended_at=now)
    return replace(seen, state="accepted")


def exhausted(entries: Iterable[Entry], price: int, budget: int, now: float) -> Exhausted | None:
    """Return how a rolling budget refuses a price, None when there is room."""
    counted = sorted((e.dies_at or now + WINDOW, e.intent.credits) for e in entries if counts(e, now))
    spent = sum(paid for _, paid in counted)
    if spent + price <= budget:
        return None
    left = spent
    for dies_at, freed in counted:
        left -= freed
        if left + price <= budget:
            return Exhausted(spent, dies_at)
    return Exhausted(spent, None)
