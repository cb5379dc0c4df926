"""What a view in the chat shows beside a result: how long it usually takes, what else it could be, and the day's cost.

All of it is a courtesy: what cannot be read is left out, and no result waits or fails for it.
"""

from __future__ import annotations

from contextlib import suppress

from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import Another, Larger, TaskResult, ViewFacts
from vidgo_mcp.models.sizes import Size, parse_size
from vidgo_mcp.pricing import larger
from vidgo_mcp.service.caller_tasks import CallerTasks
from vidgo_mcp.service.task_results import timestamp


async def task_facts(tasks: CallerTasks, result: TaskResult) -> ViewFacts:
    """Return the facts beside one task."""
    found = ViewFacts(prompt=result.prompt, spent_24h=await spent(tasks))
    if found.spent_24h is None:
        return found  # each reading of a journal that somebody holds waits 10 s
    entry = await tasks.find(result.task_id) if result.task_id else None
    if entry is None:
        return found
    usual = (await tasks.account.watches.plan(entry.intent.quality, entry.intent.tier)).usual
    found = found.model_copy(update={"created_at": timestamp(entry.created_at), "usual_seconds": usual})
    return found if result.outcome != "finished" else found.model_copy(update=await _offers(tasks, entry))


async def spent(tasks: CallerTasks) -> int | None:
    """Return what the caller's last 24 hours cost, None where that is not known."""
    with suppress(JournalError):
        return await tasks.account.journal.spent(tasks.owner)
    return None


async def _offers(tasks: CallerTasks, entry: Entry) -> dict[str, Another | Larger]:
    """Return what could be made next, at the prices in force."""
    intent, prices = entry.intent, tasks.account.reconciliation.prices
    offers: dict[str, Another | Larger] = {}
    with suppress(JournalError):
        used = await tasks.account.journal.variations(tasks.owner, intent.request_key)
        free = next(number for number in range(1, len(used) + 2) if number not in used)
        offers["another"] = Another(variation=free, credits=prices.price(intent.quality, intent.tier))
    shape = parse_size(entry.pixels if intent.size == "auto" and entry.pixels else intent.size)
    more = None if shape == Size("auto") else larger(shape, intent.tier, intent.quality, prices)
    if more is not None and more.resolution is not None:
        offers["larger"] = Larger(size=more.size, resolution=more.resolution, credits=more.credits)
    return offers
