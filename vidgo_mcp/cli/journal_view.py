"""The journal as a person or a script reads it: entries as JSON, as CSV and as text, and what went out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import SpendingReport
from vidgo_mcp.service.task_results import timestamp
from vidgo_mcp.wording.for_person import PROMPT_WIDTH, local_time

COLUMNS: Final = (
    *("id", "state", "task_id", "created_at", "sent_at", "ended_at", "expires_at", "credits", "model", "size", "tier"),
    *("quality", "variation", "prompt", "references", "status", "progress", "image_urls", "saved_paths"),
    *("error", "delivered"),
)


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return what is recorded of an entry; what is not known is absent."""
    found: dict[str, Any] = {"expires_at": entry.dies_at}
    found |= {name: getattr(entry, name, getattr(entry.intent, name, None)) for name in COLUMNS if name not in found}
    found |= {name: timestamp(at) for name, at in found.items() if name.endswith("_at") and at is not None}
    return {name: found[name] for name in COLUMNS if found[name] not in (None, ())}


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table with a header; several values in one cell are separated by a space."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, tuple) else value


def entries_text(entries: Sequence[Entry], path: Path | None) -> str:
    """Return entries, two lines each; ``path`` is the journal's file."""
    if not entries:
        return "Nothing is recorded." if path is None else f"Nothing is recorded for this key in {path}."
    lines = []
    for entry in entries:
        intent, made = entry.intent, local_time(timestamp(entry.created_at))
        head = f"{entry.id[:8]}  {entry.state:<8}  {intent.credits:>2} credits  {made}  {entry.task_id or ''}"
        lines.append(head.rstrip())
        shape = f"{intent.size}, {intent.tier}, {intent.quality}, variation {intent.variation}"
        lines.append(f"    {shape}: {' '.join(intent.prompt.split())}"[: PROMPT_WIDTH + 4].rstrip())
    unknown = sum(entry.state == "unknown" for entry in entries)
    if unknown:
        lines.append(
            f"{unknown} {'outcome is' if unknown == 1 else 'outcomes are'} unknown: compare the balance, then "
            "`vidgo-mcp journal resolve ID --task TASK_ID`, or `--not-charged`."
        )
    return "\n".join(lines)


def entry_text(recorded: Mapping[str, Any]) -> str:
    """Return one recorded picture, a line for each fact."""
    return "\n".join(
        f"{name:<12} {local_time(value) if name.endswith('_at') else _cell(value)}" for name, value in recorded.items()
    )


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
    """Return what was spent in each period, and what a day has left."""
    lines = []
    for period in report.periods:
        pictures = f"{period.pictures} {'picture' if period.pictures == 1 else 'pictures'}"
        lines.append(f"last {period.period}: {period.credits} credits, {pictures}")
        lines += [f"    {one.quality:<8}{one.tier:<4}{one.pictures:>6}{one.credits:>8} credits" for one in period.lines]
    if report.budget_per_day is not None:
        lines.append(f"{report.budget_left} credits are left of the {report.budget_per_day} of a day.")
    return "\n".join(lines)
