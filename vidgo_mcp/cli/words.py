"""What a person reads: results and errors of the service in plain lines, with the command to type next."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from vidgo_mcp.cli.compose import journal_path
from vidgo_mcp.errors import Category, VidgoError
from vidgo_mcp.models.outcomes import Estimate, TaskList, TaskResult
from vidgo_mcp.pricing import price_table
from vidgo_mcp.settings import Settings

MEMORY: Final = "The journal is in memory and ends with each command"
PAYS_AGAIN: Final = f"{MEMORY}: the same vidgo-mcp generate again would pay again."
SANDBOX_ENDED: Final = (
    "The sandbox ended with this command, and its pictures with it. `vidgo-mcp sandbox` serves one that lasts; "
    "`vidgo-mcp demo` saves pictures."
)
PROMPT_WIDTH: Final = 76

_NEXT: Final[dict[Category, str]] = {
    "authentication": "Set VIDGO_API_KEY to a valid Vidgo key (`vidgo-mcp doctor` checks it), or try --sandbox.",
    "insufficient_credits": "Top up the account, or find a cheaper picture with `vidgo-mcp price`.",
    "not_found": "`vidgo-mcp task` lists the tasks that are known here.",
    "rate_limited": "Wait a little, then run the command again.",
    "internal": "Run it again with VIDGO_LOG_LEVEL=DEBUG and report what it says.",
}


def of_task(result: TaskResult, settings: Settings) -> str:
    """Return one task, the URL on a line of its own."""
    lines = [_headline(result), *(result.image_urls or ()), *_facts(result), *_notes(result.notes)]
    if settings.sandbox:
        lines.append(SANDBOX_ENDED)
    elif result.outcome == "pending":
        lines += _go_on(result, settings)
    elif result.outcome == "finished" and result.task_id:
        lines.append(f'To change it: vidgo-mcp generate "..." --image task:{result.task_id}')
    return "\n".join(line for line in lines if line)


def of_stopped(result: TaskResult, settings: Settings) -> str:
    """Return what a person who stopped waiting must know: the task goes on, and how to fetch it."""
    if result.outcome != "pending":
        return of_task(result, settings)
    if settings.sandbox:
        return f"Stopped. {SANDBOX_ENDED}"
    if result.task_id is None:
        return _headline(result)
    head = f"Stopped waiting. Task {result.task_id} was accepted ({result.credits} credits) and goes on."
    return "\n".join([head, *_go_on(result, settings)])


def of_list(result: TaskList, settings: Settings) -> str:
    """Return the newest tasks, two lines each."""
    if result.tasks:
        return "\n".join(_entry(task) for task in result.tasks)
    why = (
        f" {MEMORY}; `vidgo-mcp task ID` asks Vidgo for any task of your key." if journal_path(settings) is None else ""
    )
    return f"No tasks are recorded here.{why}"


def of_estimate(estimate: Estimate, *, table: bool) -> str:
    """Return a price, with the whole price list for whoever asked for nothing in particular."""
    many = f", {estimate.total_credits} credits for {estimate.count}" if estimate.count > 1 else ""
    lines = [f"{estimate.credits} credits a picture{many}: {estimate.explanation}.", *_notes(estimate.notes)]
    if table:
        lines += ["", "Credits a picture:"]
        lines += ["  " + row[0].ljust(8) + "".join(cell.rjust(5) for cell in row[1:]) for row in price_table()]
    return "\n".join(lines)


def of_error(error: VidgoError, settings: Settings) -> str:
    """Return why a command could not be answered, what that means for the money, and what to do."""
    money = {
        "nothing_spent": "Nothing was spent.",
        "accepted": "The task exists and is paid for.",
        "unknown": "It is not known whether credits were spent.",
    }[error.money]
    step = _NEXT.get(error.category, error.next_step)
    if error.money == "accepted" and error.task_id:
        step = f"Fetch it with: vidgo-mcp task {error.task_id}"
    elif error.category == "outcome_unknown":
        step = f"Compare the balance first (`vidgo-mcp doctor` shows it). {_memory(settings)}".strip()
    elif error.category == "unavailable":
        step = "`vidgo-mcp doctor` shows what can be reached. Then run the command again."
    said = "othing was spent" in f"{error.message} {step}" and error.money == "nothing_spent"
    return "\n".join(line for line in (f"Error: {error.message}", "" if said else money, step) if line)


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
    saved = [f"  saved as {path}" for path in result.saved_paths or ()]
    return [f"  task {result.task_id}" if result.task_id else "", shape, dies, *saved]


def _entry(result: TaskResult) -> str:
    price = "" if result.credits is None else f"{result.credits} credits"
    made = _local(result.created_at) if result.created_at else ""
    head = "  ".join(part for part in (result.task_id or "(no task id)", result.outcome, price, made) if part)
    return f"{head}\n    {' '.join((result.prompt or '').split())[:PROMPT_WIDTH]}".rstrip()


def _go_on(result: TaskResult, settings: Settings) -> list[str]:
    fetch = f"Fetch it with: vidgo-mcp task {result.task_id}" if result.task_id else ""
    return [fetch, _memory(settings)]


def _memory(settings: Settings) -> str:
    return "" if journal_path(settings) is not None else PAYS_AGAIN


def _notes(notes: list[str] | None) -> list[str]:
    return [f"Note: {note}" for note in notes or ()]


def _local(timestamp: str) -> str:
    """Return an ISO 8601 time of day in the time zone of this computer, which is where the reader sits."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M")
