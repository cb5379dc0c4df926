"""What a person reads: results and errors of the service in plain lines, with the command to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from vidgo_mcp.app import journal_path
from vidgo_mcp.errors import Category, Consent, DeclinedError, JournalError, VidgoError
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import Estimate, SpendingReport, TaskList, TaskResult
from vidgo_mcp.pricing import price_table
from vidgo_mcp.service.task_results import timestamp
from vidgo_mcp.settings import Settings

MEMORY: Final = "The journal is in memory and ends with each command"
PAYS_AGAIN: Final = f"{MEMORY}: the same vidgo-mcp generate again would pay again."
IS_FREE: Final = "The same vidgo-mcp generate again finds it, and costs nothing."
SETTLE: Final = (
    "Compare the balance (`vidgo-mcp doctor` shows it). The same again sends nothing for 24 hours; `vidgo-mcp journal` "
    "lists it, and `vidgo-mcp journal resolve` settles it by hand."
)
SANDBOX_ENDED: Final = (
    "The sandbox ended with this command, and its pictures with it. `vidgo-mcp sandbox` serves one that lasts; "
    "`vidgo-mcp demo` saves pictures."
)
SANDBOX_SAVED: Final = "The sandbox ended with this command, and its URL with it."
PROMPT_WIDTH: Final = 76

_NEXT: Final[dict[Category, str]] = {
    "authentication": "Set VIDGO_API_KEY to a valid Vidgo key (`vidgo-mcp doctor` checks it), or try --sandbox.",
    "insufficient_credits": "Top up the account, or find a cheaper picture with `vidgo-mcp price`.",
    "not_found": "`vidgo-mcp task` lists the tasks that are known here.",
    "rate_limited": "Wait a little, then run the command again.",
    "internal": "Run it again with VIDGO_LOG_LEVEL=DEBUG and report what it says.",
}

_CONSENT: Final[dict[Consent, str]] = {
    "declined": "",
    "dismissed": "",
    "no_answer": "Run it again, and answer y.",
    "cannot_ask": "Run it on a terminal, where you are asked, or with --yes.",
}


def of_task(result: TaskResult, settings: Settings, *, options: str = "") -> str:
    """Return one task, the URL on a line of its own.

    Args:
        result: the task.
        settings: what the user set.
        options: what the command that fetches its picture is given beside the id.
    """
    lines = [_headline(result), *(result.image_urls or ()), *_facts(result), *_notes(result.notes)]
    if settings.sandbox:
        lines.append(SANDBOX_SAVED if result.saved_paths else SANDBOX_ENDED)
    elif result.outcome == "pending":
        lines += _go_on(result, settings, options)
    elif result.outcome == "finished" and result.task_id and (result.image_urls or result.saved_paths):
        lines.append(f'To change it: vidgo-mcp generate "..." --image task:{result.task_id}')
    return "\n".join(line for line in lines if line)


def of_stopped(result: TaskResult, settings: Settings, *, options: str = "") -> str:
    """Return what a person who stopped waiting must know: the task goes on, and how to fetch it."""
    if result.outcome == "finished" and options and not settings.sandbox:
        return f"{of_task(result, settings)}\nNot written. {_fetch(result.task_id, options)}"
    if result.outcome != "pending":
        return of_task(result, settings)
    if settings.sandbox:
        return f"Stopped. {SANDBOX_ENDED}"
    if result.task_id is None:
        return "\n".join([_headline(result), *(line for line in _go_on(result, settings, options) if line)])
    head = f"Stopped waiting. Task {result.task_id} was accepted ({result.credits} credits) and goes on."
    return "\n".join([head, *_go_on(result, settings, options)])


def of_missing(why: str, again: str, result: TaskResult, settings: Settings) -> str:
    """Return why a finished picture is not where it was wanted, and how it gets there; nothing without a reason."""
    if not why or not again or settings.sandbox:
        return why
    return f"{why} The picture is paid for. {_fetch(result.task_id, again)}"


def of_list(result: TaskList, settings: Settings) -> str:
    """Return the newest tasks, two lines each."""
    if result.tasks:
        return "\n".join(_entry(task) for task in result.tasks)
    why = "" if _durable(settings) else f"{MEMORY}; "
    return f"No tasks are recorded here. {why}`vidgo-mcp task ID` asks Vidgo for any task of your key."


def of_estimate(estimate: Estimate, *, table: bool) -> str:
    """Return a price, with the whole price list for whoever asked for nothing in particular."""
    many = f", {estimate.total_credits} credits for {estimate.count}" if estimate.count > 1 else ""
    lines = [f"{estimate.credits} credits a picture{many}: {estimate.explanation}.", *_notes(estimate.notes)]
    if table:
        lines += ["", "Credits a picture:"]
        lines += ["  " + row[0].ljust(8) + "".join(cell.rjust(5) for cell in row[1:]) for row in price_table()]
    return "\n".join(lines)


def of_entries(entries: Sequence[Entry], settings: Settings) -> str:
    """Return what the journal has, two lines each."""
    if not entries:
        return f"Nothing is recorded for this key in {journal_path(settings)}."
    lines = []
    for entry in entries:
        intent = entry.intent
        made = _local(timestamp(entry.created_at))
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


def of_entry(recorded: Mapping[str, Any]) -> str:
    """Return everything that is recorded of one entry, a line each."""
    lines = []
    for name, value in recorded.items():
        shown = _local(value) if name.endswith("_at") else " ".join(value) if isinstance(value, list) else str(value)
        lines.append(f"{name:<12} {shown}")
    return "\n".join(lines)


def of_settled(before: Entry, after: Entry | None) -> str:
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


def of_spending(report: SpendingReport) -> str:
    """Return what went out, by period, quality and tier."""
    lines = []
    for period in report.periods:
        pictures = f"{period.pictures} {'picture' if period.pictures == 1 else 'pictures'}"
        lines.append(f"last {period.period}: {period.credits} credits, {pictures}")
        lines += [f"    {one.quality:<8}{one.tier:<4}{one.pictures:>6}{one.credits:>8} credits" for one in period.lines]
    if report.budget_per_day is not None:
        lines.append(f"{report.budget_left} credits are left of the {report.budget_per_day} of a day.")
    return "\n".join(lines)


def of_saved_late(path: str | None) -> str:
    """Return what became of a picture that was still being saved when it was shown."""
    return (
        f"Saved as {path}" if path else "Not saved yet: another vidgo-mcp that runs, or the next one, tries it again."
    )


def of_error(error: VidgoError, settings: Settings, *, step: str | None = None, options: str = "") -> str:
    """Return why a command could not be answered, what that means for the money, and what to do."""
    money = {
        "nothing_spent": "Nothing was spent.",
        "accepted": "The task exists and is paid for.",
        "unknown": "It is not known whether credits were spent.",
    }[error.money]
    if step is None:
        step = _step(error, settings, options)
    said = "othing was spent" in f"{error.message} {step}" and error.money == "nothing_spent"
    return "\n".join(line for line in (f"Error: {error.message}", "" if said else money, step) if line)


def _step(error: VidgoError, settings: Settings, options: str) -> str:
    if error.money == "accepted" and error.task_id:
        return _fetch(error.task_id, options)
    if error.category == "outcome_unknown":
        first = f"Compare the balance first (`vidgo-mcp doctor` shows it). {PAYS_AGAIN}"
        return SETTLE if _durable(settings) else first
    if isinstance(error, DeclinedError):
        return _CONSENT[error.consent]
    if isinstance(error, JournalError):
        return "`vidgo-mcp doctor` says what to do about it; VIDGO_JOURNAL names another file."
    if error.category == "unavailable" and error.field == "image_urls":
        return "Run the command again, with more time if it needs that; what was uploaded is not uploaded again."
    if error.category == "unavailable":
        return "`vidgo-mcp doctor` shows what can be reached. Then run the command again."
    return _NEXT.get(error.category, error.next_step)


def _headline(result: TaskResult) -> str:
    price = "" if result.credits is None else f" {result.credits} credits."
    if result.reused:
        price = " Already paid for; this cost nothing."
    if result.outcome == "finished":
        return f"Finished.{price}"
    if result.outcome == "failed":
        return f"Failed: {result.error}{' The credits were refunded.' if result.refunded else price}"
    if result.outcome == "unknown":
        return f"Unknown: the answer to the submit was lost; it may have cost {result.credits} credits."
    if result.task_id is None:
        return f"Vidgo has not answered the submit: the picture may have been paid for ({result.credits} credits)."
    progress = f", {result.progress} %" if result.progress else ""
    return f"Pending ({result.status}{progress}): it goes on, and is paid for.{price}"


def _facts(result: TaskResult) -> list[str]:
    shape = f"  {result.size}, {result.tier}, {result.quality}" if result.size else ""
    dies = f"  the URL dies on {_local(result.expires_at)}" if result.image_urls and result.expires_at else ""
    alive = "" if result.image_urls else "the URL has died, but the picture is "
    saved = [f"  {alive}saved as {path}" for path in result.saved_paths or ()]
    return [f"  task {result.task_id}" if result.task_id else "", shape, dies, *saved]


def _entry(result: TaskResult) -> str:
    price = "" if result.credits is None else f"{result.credits} credits"
    made = _local(result.created_at) if result.created_at else ""
    head = "  ".join(part for part in (result.task_id or "(no task id)", result.outcome, price, made) if part)
    return f"{head}\n    {' '.join((result.prompt or '').split())[:PROMPT_WIDTH]}".rstrip()


def _fetch(task_id: str | None, options: str) -> str:
    return f"Fetch it with: vidgo-mcp task {task_id}{options}" if task_id else ""


def _go_on(result: TaskResult, settings: Settings, options: str) -> list[str]:
    fetch = _fetch(result.task_id, options)
    if not _durable(settings):
        return [fetch, PAYS_AGAIN]
    return [fetch, IS_FREE if result.task_id else SETTLE]


def _durable(settings: Settings) -> bool:
    return journal_path(settings) is not None


def _notes(notes: list[str] | None) -> list[str]:
    return [f"Note: {note}" for note in notes or ()]


def _local(timestamp: str) -> str:
    """Return an ISO 8601 time of day in the time zone of this computer, which is where the reader sits."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M")
