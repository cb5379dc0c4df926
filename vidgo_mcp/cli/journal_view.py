"""The journal for the person whose money it records: list, show, export, settle by hand, and add up."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import anyio
import click

from vidgo_mcp.app import (
    account_name,
    build_service,
    connected,
    for_reading,
    journal_exists,
    journal_of,
    journal_path,
)
from vidgo_mcp.cli import journal_text
from vidgo_mcp.cli.report import ExitCode, tell_error
from vidgo_mcp.cli.terminal import echo_json, json_text, plain_reason
from vidgo_mcp.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.journal import Entry, Journal
from vidgo_mcp.models.results import SpendingReport
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.service.identity import owner_of
from vidgo_mcp.service.task_results import timestamp
from vidgo_mcp.settings import Settings, missing_key_reason

T = TypeVar("T")

EVERYTHING: Final = 2**62
SHORTEST_ID: Final = 4
"""Letters of an entry's id that are enough, where they fit only one."""
NOTHING: Final[Sequence[Entry]] = ()
IN_MEMORY: Final = "The journal is in memory and ends with each process, so there is nothing to show."
COLUMNS: Final = (
    *("id", "state", "task_id", "created_at", "sent_at", "ended_at", "expires_at", "credits", "model", "size", "tier"),
    *("quality", "variation", "prompt", "references", "status", "progress", "image_urls", "saved_paths"),
    *("error", "delivered"),
)

Format = Literal["json", "csv"]


@dataclass(frozen=True, slots=True)
class JournalView:
    """An open journal, and whose part of it is meant."""

    journal: Journal
    owner: str

    async def entries(self, limit: int = EVERYTHING) -> Sequence[Entry]:
        """Return the newest entries, after what dead processes left is settled."""
        await self.journal.expire()
        return await self.journal.newest(self.owner, limit)

    async def find(self, name: str) -> Entry:
        """Return the entry of an id, of the beginning of one, or of a task.

        Raises:
            NotFoundError: there is none, or more than one.
        """
        sought = name.strip().removeprefix("task:")
        entries = await self.entries()
        found = [entry for entry in entries if sought in {entry.id, entry.task_id}]
        if not found and len(sought) >= SHORTEST_ID:
            found = [entry for entry in entries if entry.id.startswith(sought)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFoundError(f"{len(found)} entries begin with {sought}; give more of the id.", remedy="tell_user")
        raise NotFoundError(f"The journal has no entry {sought}; `vidgo-mcp journal` lists them.", remedy="tell_user")


def listing(settings: Settings, *, limit: int, as_json: bool) -> int:
    """List the newest entries; return the exit code."""

    async def read(book: JournalView) -> Sequence[Entry]:
        return await book.entries(limit)

    def tell(entries: Sequence[Entry]) -> None:
        if as_json:
            echo_json({"entries": [as_dict(entry) for entry in entries]})
        else:
            click.echo(journal_text.entries_text(entries, journal_path(settings)))

    return _with_view(settings, read, tell, as_json=as_json, missing=NOTHING)


def show(settings: Settings, name: str, *, as_json: bool) -> int:
    """Show one entry with all that is recorded; return the exit code."""

    async def read(book: JournalView) -> Entry:
        return await book.find(name)

    def tell(entry: Entry) -> None:
        if as_json:
            echo_json(as_dict(entry))
        else:
            click.echo(journal_text.entry_text(as_dict(entry)))

    return _with_view(settings, read, tell, as_json=as_json)


def export(settings: Settings, form: Format, output: Path | None, *, as_json: bool) -> int:
    """Write all entries as one document; return the exit code."""

    async def read(book: JournalView) -> Sequence[Entry]:
        return await book.entries()

    def tell(entries: Sequence[Entry]) -> None:
        rows = [as_dict(entry) for entry in entries]
        if output is not None:
            _write(output, as_csv(rows) if form == "csv" else json_text({"entries": rows}) + "\n")
            many = "1 entry" if len(rows) == 1 else f"{len(rows)} entries"
            click.echo(f"{many} written to {output}.", err=True)
        elif form == "csv":
            click.echo(as_csv(rows), nl=False)
        else:
            echo_json({"entries": rows})

    return _with_view(settings, read, tell, as_json=as_json, missing=NOTHING)


def resolve(settings: Settings, name: str, task_id: str | None, *, as_json: bool) -> int:
    """Settle a submit whose answer was lost, by its task, or by None as not charged; return the exit code."""

    async def settle(book: JournalView) -> tuple[Entry, Entry | None]:
        entry = await book.find(name)
        if entry.state != "unknown":
            raise InvalidRequestError(
                f"Only a submit whose outcome is unknown can be settled; {entry.id[:8]} is {entry.state}. "
                "`vidgo-mcp journal` lists what is unknown.",
                remedy="tell_user",
            )
        if task_id is None:
            return entry, await book.journal.resolve(entry.id, task=None)
        task = await _task_of(settings, book, task_id.strip().removeprefix("task:"))
        await book.journal.resolve(entry.id, task=task)
        return entry, await book.journal.record(entry.id, task)

    def tell(settled: tuple[Entry, Entry | None]) -> None:
        before, after = settled
        if as_json:
            echo_json({"settled": before.id, **({"not_charged": True} if after is None else as_dict(after))})
        else:
            click.echo(journal_text.settled_text(before, after))

    return _with_view(settings, settle, tell, as_json=as_json)


def summary(settings: Settings, *, as_json: bool) -> int:
    """Add up the last day, week and month; return the exit code."""
    if journal_path(settings) is None:
        _say_in_memory(as_json, {"periods": []})
        return ExitCode.DONE
    try:
        report = anyio.run(_spending, settings)
    except VidgoError as error:
        return tell_error(error, settings, as_json)
    if as_json:
        echo_json(report.to_json())
    else:
        click.echo(journal_text.spending_text(report))
    return ExitCode.DONE


async def _spending(settings: Settings) -> SpendingReport:
    async with build_service(for_reading(settings)) as service:
        return await service.spending()


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return what is recorded; what is not known is absent."""
    intent = entry.intent
    times = {"created_at": entry.created_at, "sent_at": entry.sent_at, "ended_at": entry.ended_at}
    times["expires_at"] = entry.dies_at
    found: dict[str, Any] = {name: None if at is None else timestamp(at) for name, at in times.items()}
    found |= {name: getattr(entry, name) for name in ("id", "state", "task_id", "status", "progress", "error")}
    found |= {name: getattr(intent, name) for name in ("credits", "model", "size", "tier", "quality", "variation")}
    found |= {"prompt": intent.prompt, "references": list(intent.references), "delivered": entry.delivered}
    found |= {"image_urls": list(entry.image_urls), "saved_paths": list(entry.saved_paths)}
    return {name: found[name] for name in COLUMNS if found[name] not in (None, [])}


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table with a header; several values of one cell stand apart by a space."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {name: " ".join(value) if isinstance(value, list) else value for name, value in row.items()}
        writer.writerow(cells)
    return text.getvalue()


def _with_view(
    settings: Settings,
    work: Callable[[JournalView], Awaitable[T]],
    tell: Callable[[T], None],
    *,
    as_json: bool,
    missing: T | None = None,
) -> int:
    """Do something with the journal and tell what came of it; ``missing`` stands for what no journal has."""
    if journal_path(settings) is None:
        _say_in_memory(as_json, {"entries": []})
        return ExitCode.DONE if missing is not None else ExitCode.REFUSED
    try:
        if account_name(settings) is None:
            raise AuthenticationError(missing_key_reason())
        if journal_exists(settings):
            found = anyio.run(_opened, settings, work)
        elif missing is not None:
            found = missing
        else:
            raise NotFoundError(
                f"There is no journal yet: {journal_path(settings)} does not exist.", remedy="tell_user"
            )
        tell(found)
    except VidgoError as error:
        return tell_error(error, settings, as_json)
    return ExitCode.DONE


def _say_in_memory(as_json: bool, nothing: dict[str, Any]) -> None:
    if as_json:
        echo_json(nothing)
    click.echo(IN_MEMORY, err=as_json)


async def _opened(settings: Settings, work: Callable[[JournalView], Awaitable[T]]) -> T:
    async with _view(settings) as book:
        return await work(book)


@asynccontextmanager
async def _view(settings: Settings) -> AsyncGenerator[JournalView]:
    journal = journal_of(settings)
    try:
        yield JournalView(journal, owner_of(account_name(settings) or "", ""))
    finally:
        await journal.aclose()


async def _task_of(settings: Settings, book: JournalView, task_id: str) -> Task:
    """Return a task as Vidgo describes it to this key, so that a typing error settles nothing."""
    known = await book.journal.by_task(book.owner, task_id)
    if known is not None:
        raise InvalidRequestError(
            f"The task {task_id} belongs to the entry {known.id[:8]} already.", remedy="tell_user"
        )
    try:
        async with connected(settings) as client:
            return await client.status(task_id)
    except (NotFoundError, PermissionDeniedError):
        raise NotFoundError(
            f"Vidgo knows no task {task_id} of this key, so nothing was changed.", remedy="tell_user"
        ) from None
    except UnavailableError as error:
        raise UnavailableError(f"The task {task_id} cannot be read at Vidgo. {error.message}") from None


def _write(path: Path, text: str) -> None:
    """Write a new file that only its owner can read: prompts and signed URLs are private."""
    try:
        # Never over an existing file: it may be the journal itself.
        new = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(new, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidRequestError(f"{path} exists already; name another file.", remedy="tell_user") from None
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be written: {plain_reason(error)}.", remedy="tell_user") from None
