"""The journal as a person reads it: its entries, what settling one means, and what went out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import SpendingReport
from vidgo_mcp.service.task_results import timestamp
from vidgo_mcp.wording.for_person import PROMPT_WIDTH, local_time


def entries_text(entries: Sequence[Entry], path: Path | None) -> str:
    """Return what the journal has, two lines each."""
    if not entries:
        return f"Nothing is recorded for this key in {path}."
    lines = []
    for entry in entries:
        intent = entry.intent
        made = local_time(timestamp(entry.created_at))
        lines.append(
            f"{entry.id[:8]}  {entry.state:<8}  {intent.credits:>2} credits  {made}  {entry.task_id or ''}".rstrip()
        )
        shape = f"{intent.size}, {intent.tier}, {intent.quality}, variation {intent.variation}"
        lines.append(f"    {shape}: {' '.join(intent.prompt.split())}"[: PROMPT_WIDTH + 4].rstrip())
    unknown = sum(entry.state == "unknown" for entry in entries)
    if unknown:
        lines += [
            f"{unknown} {'outcome is' if unknown == 1 else 'outcomes are'} unknown: compare the balance, then "
            "`vidgo-mcp journal resolve ID --task TASK_ID`, or `--not-charged`."
        ]
    return "\n".join(lines)


def entry_text(recorded: Mapping[str, Any]) -> str:
    """Return everything that is recorded of one entry, a line each."""
    lines = []
    for name, value in recorded.items():
        shown = (
            local_time(value) if name.endswith("_at") else " ".join(value) if isinstance(value, list) else str(value)
        )
        lines.append(f"{name:<12} {shown}")
    return "\n".join(lines)


def settled_text(before: Entry, after: Entry | None) -> str:
    """Return what settling a submit by hand means from now on."""
    price = before.intent.credits
    if after is None:
        return (
            f"Settled: not charged. The entry {before.id[:8]} is gone, and its {price} credits no longer count. "
            f"The same request again is sent, and costs {price} credits."
        )
    head = f"Settled: the task {after.task_id} is recorded as what {before.id[:8]} paid for"
    if after.state == "failed":
        return f"{head}. It failed, so its {price} credits were refunded; the same request again is sent, and costs."
    return f"{head} ({price} credits). Until 24 hours after its submit the same request again returns it, free."


def spending_text(report: SpendingReport) -> str:
    """Return what went out, by period, quality and tier."""
    lines = []
    for period in report.periods:
        pictures = f"{period.pictures} {'picture' if period.pictures == 1 else 'pictures'}"
        lines.append(f"last {period.period}: {period.credits} credits, {pictures}")
        lines += [f"    {one.quality:<8}{one.tier:<4}{one.pictures:>6}{one.credits:>8} credits" for one in period.lines]
    if report.budget_per_day is not None:
        lines.append(f"{report.budget_left} credits are left of the {report.budget_per_day} of a day.")
    return "\n".join(lines)
