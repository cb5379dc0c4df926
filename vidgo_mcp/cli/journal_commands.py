"""``vidgo-mcp journal``: list, show, export, add up and settle by hand what was paid for."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import anyio
import click

from vidgo_mcp.app import build_service, connected, for_reading, journal_of, journal_path, principal_of
from vidgo_mcp.cli.options import json_option, settings_of
from vidgo_mcp.cli.session import Report
from vidgo_mcp.cli.terminal import echo, json_text, plain_reason
from vidgo_mcp.errors import InvalidRequestError, NotFoundError, PermissionDeniedError, UnavailableError, VidgoError
from vidgo_mcp.foreign_text import csv_cell, escape, plain_text, quoted
from vidgo_mcp.journal import Entry, Journal
from vidgo_mcp.models.results import SpendingReport
from vidgo_mcp.models.tasks import TASK_ID_RULE, is_task_id
from vidgo_mcp.service.task_results import timestamp
from vidgo_mcp.settings import Settings
from vidgo_mcp.wording.balance import balance_sentence
from vidgo_mcp.wording.for_person import PROMPT_WIDTH, local_time

T = TypeVar("T")

COLUMNS: Final = (
    *("id", "state", "task_id", "created_at", "sent_at", "ended_at", "expires_at", "credits", "model", "size", "tier"),
    *("quality", "variation", "prompt", "references", "status", "progress", "image_urls", "saved_paths"),
    *("error", "finding", "charged", "delivered", "answer", "named_task", "vendor_id"),
)


@dataclass(frozen=True, slots=True)
class JournalView:
    """An open journal, and whose part of it is meant."""

    settings: Settings
    journal: Journal
    owner: str

    async def entries(self, limit: int = sys.maxsize) -> Sequence[Entry]:
        """Return the newest entries, after what dead processes left is settled."""
        await self.journal.expire()
        return await self.journal.newest(self.owner, limit)

    async def find(self, name: str) -> Entry:
        """Return the entry of an id, of the first four letters or more of one, or of a task."""
        sought = name.strip().removeprefix("task:")
        entries = await self.entries()
        found = [entry for entry in entries if sought in {entry.id, entry.task_id, entry.named_task}]
        if not found and len(sought) >= 4:
            found = [entry for entry in entries if entry.id.startswith(sought)]
        if len(found) == 1:
            return found[0]
        if found:
            what = f"{len(found)} entries match {sought}; give more of the id that the journal has for one."
            raise NotFoundError(what, remedy="tell_user")
        what = f"The journal has no entry {escape(sought)}; `vidgo-mcp journal` lists them."
        raise NotFoundError(what, remedy="tell_user")

    async def settle(self, name: str, task_id: str | None) -> tuple[Entry, Entry | None]:
        """Settle a submit whose answer was lost: by its task, or with None as not charged."""
        entry = await self.find(name)
        if entry.state != "unknown":
            what = f"Only a submit whose outcome is unknown can be settled; {entry.id[:8]} is {entry.state}."
            raise InvalidRequestError(what, remedy="tell_user")
        if task_id is None:
            return entry, await self.journal.resolve(entry.id, task=None)
        task_id = task_id.strip().removeprefix("task:")
        if not is_task_id(task_id):
            raise InvalidRequestError(f"That is no task_id, which has {TASK_ID_RULE}.", remedy="tell_user")
        known = await self.journal.by_task(self.owner, task_id)
        if known is not None:
            what = f"The task {task_id} already belongs to the entry {known.id[:8]}."
            raise InvalidRequestError(what, remedy="tell_user")
        # Read as Vidgo describes it to this key, so that a typing error settles nothing.
        try:
            async with connected(self.settings) as client:
                task = await client.status(entry.asked_as if task_id == entry.named_task else task_id)
        except (NotFoundError, PermissionDeniedError):
            what = f"Vidgo knows no task {task_id} of this key, so nothing was changed."
            raise NotFoundError(what, remedy="tell_user") from None
        except UnavailableError as error:
            what = f"The task {task_id} cannot be read at Vidgo. {error.message}"
            raise error.changed(message=what, money="nothing_spent") from None
        await self.journal.resolve(entry.id, task=task)
        return entry, await self.journal.record(entry.id, task)


@click.group(invoke_without_command=True)
@click.option("--limit", default=10, type=click.IntRange(1), help="How many to list, newest first.")
@click.option("--summary", is_flag=True, help="Add up the last 24 hours, 7 and 30 days, by quality and tier.")
@json_option
@click.pass_context
def journal(context: click.Context, /, limit: int, summary: bool, as_json: bool) -> None:
    """List what was paid for with your key, newest first. Free.

    It shows what this computer recorded, needs the key (to know what is yours) and no network.
    """
    if context.invoked_subcommand is not None:
        return
    if summary:
        report = _found(context, as_json, _spending)
        echo(json_text(report.to_json()) if as_json else _spending_text(report))
        return
    entries = _found(context, as_json, lambda view: view.entries(limit))
    if as_json:
        echo(json_text({"entries": [_as_dict(entry) for entry in entries]}))
    else:
        echo(_entries_text(entries, journal_path(settings_of(context))))


@journal.command("show")
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def journal_show(context: click.Context, /, name: str, as_json: bool) -> None:
    """Show all that is recorded of the entry ID: its own id, the beginning of it, or its task's."""
    recorded = _as_dict(_found(context, as_json, lambda view: view.find(name)))
    if as_json:
        echo(json_text(recorded))
        return
    for field, value in recorded.items():
        echo(f"{field:<12} {local_time(value) if field.endswith('_at') else escape(str(_joined(value)))}")


@journal.command("export")
@click.option("--format", "form", type=click.Choice(["json", "csv"]), default="json", help="Which.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A new file for you alone; by default stdout.",
)
@json_option
@click.pass_context
def journal_export(context: click.Context, /, form: Literal["json", "csv"], output: Path | None, as_json: bool) -> None:
    """Write all entries of your key, newest first, with full prompts."""
    rows = [_as_dict(entry) for entry in _found(context, as_json, lambda view: view.entries())]
    text = _as_csv(rows) if form == "csv" else f"{json_text({'entries': rows})}\n"
    if output is None:
        echo(text, nl=False)
        return
    try:
        # Never over an existing file: it may be the journal itself. Prompts and signed URLs are private.
        new = os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(new, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{escape(str(output))} exists already; name another file.") from None
    except OSError as error:
        raise click.ClickException(f"{escape(str(output))} cannot be written: {plain_reason(error)}.") from None
    echo(f"{len(rows)} {'entry' if len(rows) == 1 else 'entries'} written to {escape(str(output))}.", err=True)


@journal.command("resolve")
@click.argument("name", metavar="ID")
@click.option("--task", "task_id", metavar="TASK_ID", help="It was charged, and this is its task; Vidgo is asked.")
@click.option("--not-charged", is_flag=True, help="It was not charged: forget it, so that it may be sent again.")
@json_option
@click.pass_context
def journal_resolve(
    context: click.Context, /, name: str, task_id: str | None, not_charged: bool, as_json: bool
) -> None:
    """Settle by hand the entry ID, a submit whose answer was lost. Free.

    Compare the balance first: --not-charged for a picture that was charged means that the next one is paid for again.
    """
    if (task_id is None) is not not_charged:
        raise click.UsageError("Say either --task TASK_ID (it was charged) or --not-charged.")
    before, after = _found(context, as_json, lambda view: view.settle(name, task_id))
    if as_json:
        settled = {"not_charged": True} if after is None else _as_dict(after)
        echo(json_text({"settled": before.id, **settled}))
    else:
        echo(_settled_text(before, after))


def _found(context: click.Context, as_json: bool, read: Callable[[JournalView], Awaitable[T]]) -> T:
    """Return what is found in the journal; where it cannot be used, say so and end the command."""
    settings = settings_of(context)
    if journal_path(settings) is None:
        echo("The journal is in memory and ends with each process, so there is nothing to show.", err=True)

    async def reading() -> T:
        owner = principal_of(settings).owner
        async with aclosing(journal_of(for_reading(settings))) as journal:
            return await read(JournalView(settings, journal, owner))

    try:
        return anyio.run(reading)
    except VidgoError as error:
        sys.exit(Report(settings, as_json).fail(error))


async def _spending(view: JournalView) -> SpendingReport:
    async with build_service(for_reading(view.settings)) as service:
        return await service.spending(principal_of(view.settings))


def _as_dict(entry: Entry) -> dict[str, Any]:
    """Return what is recorded of an entry; what is not known is absent."""
    found: dict[str, Any] = {"expires_at": entry.dies_at, "finding": _finding(entry) or None}
    found["vendor_id"] = plain_text(entry.vendor_id or "") or None
    found |= {name: getattr(entry, name, getattr(entry.intent, name, None)) for name in COLUMNS if name not in found}
    found |= {name: timestamp(at) for name, at in found.items() if name.endswith("_at") and at is not None}
    return {name: found[name] for name in COLUMNS if found[name] not in (None, ())}


def _finding(entry: Entry) -> str:
    return balance_sentence(entry.finding, entry.intent.credits, "person") if entry.state == "unknown" else ""


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table with a header; several values in one cell are separated by a space."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _joined(value: Any) -> Any:
    return " ".join(value) if isinstance(value, tuple) else value


def _cell(value: Any) -> Any:
    joined = _joined(value)
    return csv_cell(joined) if isinstance(joined, str) else joined


def _entries_text(entries: Sequence[Entry], path: Path | None) -> str:
    """Return entries, two lines each; ``path`` is the journal's file."""
    if not entries:
        return "Nothing is recorded." if path is None else f"Nothing is recorded for this key in {escape(str(path))}."
    lines = []
    for entry in entries:
        intent, made = entry.intent, local_time(timestamp(entry.created_at))
        head = f"{entry.id[:8]}  {entry.state:<8}  {intent.credits:>2} credits  {made}  {entry.task_id or ''}"
        lines.append(head.rstrip())
        shape = f"{intent.size}, {intent.tier}, {intent.quality}, variation {intent.variation}"
        lines.append(f"    {shape}: {quoted(intent.prompt, PROMPT_WIDTH)}")
        lines += [f"    {said}" for said in [_finding(entry)] if said]
    unknown = sum(entry.state == "unknown" for entry in entries)
    if unknown:
        lines.append(
            f"{unknown} {'outcome is' if unknown == 1 else 'outcomes are'} unknown: compare the balance, then "
            "`vidgo-mcp journal resolve ID --task TASK_ID`, or `--not-charged`."
        )
    return "\n".join(lines)


def _settled_text(before: Entry, after: Entry | None) -> str:
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


def _spending_text(report: SpendingReport) -> str:
    lines = []
    for period in report.periods:
        pictures = f"{period.pictures} {'picture' if period.pictures == 1 else 'pictures'}"
        lines.append(f"last {period.period}: {period.credits} credits, {pictures}")
        lines += [f"    {one.quality:<8}{one.tier:<4}{one.pictures:>6}{one.credits:>8} credits" for one in period.lines]
    if report.budget_per_day is not None:
        lines.append(f"{report.budget_left} credits are left of the {report.budget_per_day} of a day.")
    lines += report.notes or []
    return "\n".join(lines)
