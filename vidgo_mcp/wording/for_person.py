"""Results and errors as a person reads them at a terminal, with the command to type next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vidgo_mcp.errors import Money, VidgoError
from vidgo_mcp.foreign_text import described_url, escape, quoted
from vidgo_mcp.models.results import Estimate, TaskList, TaskResult
from vidgo_mcp.pricing import PriceTable
from vidgo_mcp.wording import for_model
from vidgo_mcp.wording.balance import balance_sentence
from vidgo_mcp.wording.for_model import lines
from vidgo_mcp.wording.remedies import IN_MEMORY, PAYS_AGAIN, SETTLE, Case, case_of, fetch_command, next_step

PROMPT_WIDTH: Final = 60
FREE_AGAIN: Final = "The same command again finds it, and costs nothing."
SANDBOX_ENDED: Final = (
    "The sandbox ended with this command, and its pictures with it. `vidgo-mcp sandbox` serves one that lasts; "
    "`vidgo-mcp demo` saves pictures."
)
SANDBOX_SAVED: Final = "The sandbox ended with this command, and its URL with it."
SANDBOX_KEPT: Final = f"{SANDBOX_SAVED} For a day every command with --sandbox still knows the picture."
STOPPED_BEFORE: Final = "Stopped before anything was sent; nothing was spent."
STOPPING: Final = "Waiting at most 10 s for what is under way at Vidgo; another signal or Ctrl-C changes nothing."
STOPPED_UNKNOWN: Final = f"Stopped; what became of it could not be read in time. {FREE_AGAIN}"
MONEY: Final[dict[Money, str]] = {**for_model.MONEY, "accepted": "The task exists and is paid for."}


@dataclass(frozen=True, slots=True)
class Command:
    """What a command's words depend on.

    Attributes:
        sandbox: it ran against a sandbox that ended with the command, and forgot everything.
        kept_sandbox: it ran against a sandbox that remembers, but answers only while a command runs.
        durable: the journal outlives the command.
        options: what `vidgo-mcp task ID` is given so that the picture lands where this command wanted it.
    """

    sandbox: bool = False
    kept_sandbox: bool = False
    durable: bool = True
    options: str = ""


def task_text(result: TaskResult, command: Command) -> str:
    """Return one task, the URL on a line of its own."""
    urls = map(described_url, result.image_urls or ())
    said = [_headline(result), *urls, *_facts(result), *for_model.notes(result.notes)]
    if command.sandbox:
        said.append(SANDBOX_SAVED if result.saved_paths else SANDBOX_ENDED)
    elif result.outcome == "pending":
        said += _go_on(result, command)
    elif command.kept_sandbox:
        said.append(SANDBOX_KEPT)
    elif result.outcome == "finished" and result.task_id and (result.image_urls or result.saved_paths):
        said.append(f'To change it: vidgo-mcp generate "..." --image task:{result.task_id}')
    return lines(*said)


def stopped_text(result: TaskResult, command: Command) -> str:
    """Return what a person who stopped waiting must know: whether the task goes on, and how to fetch it."""
    if command.sandbox and result.outcome == "pending":
        return f"Stopped. {SANDBOX_ENDED}"
    if result.outcome == "pending" and result.task_id is not None:
        head = f"Stopped waiting. Task {result.task_id} was accepted ({result.credits} credits) and goes on."
        return lines(head, *_go_on(result, command))
    unwritten = result.outcome == "finished" and command.options and not command.sandbox
    return lines(task_text(result, command), f"Not written. {_fetch(result.task_id, command)}" if unwritten else "")


def stopped_waiting_text(task_id: str | None, command: Command) -> str:
    """Return what a person must know who stopped waiting for a task, or for the list of tasks."""
    return f"Stopped waiting; the task goes on. {_fetch(task_id, command)}" if task_id else "Stopped."


def undelivered_text(error: VidgoError, command: Command) -> str:
    """Return why a finished picture is not where it was wanted, and how it gets there if it can."""
    fetchable = error.money == "accepted" and not command.sandbox
    return f"{error.message} The picture is paid for. {_fetch(error.task_id, command)}" if fetchable else error.message


def saved_late_text(path: str | None) -> str:
    """Return what became of a picture that was still being saved when its result was shown."""
    return f"Saved as {path}" if path else "Not saved yet: the next vidgo-mcp that runs tries again."


def list_text(result: TaskList, command: Command) -> str:
    """Return the newest tasks, two lines each."""
    if result.tasks:
        return "\n".join(_entry(task) for task in result.tasks)
    why = "" if command.durable else f"{IN_MEMORY}; "
    return f"No tasks are recorded here. {why}`vidgo-mcp task ID` asks Vidgo for any task of your key."


def price_text(estimate: Estimate, table: PriceTable | None) -> str:
    """Return a price; ``table`` adds the whole price list."""
    text = for_model.estimate_text(estimate)
    if table is not None:
        rows = ("  " + name.ljust(8) + "".join(cell.rjust(5) for cell in cells) for name, *cells in table.rows())
        text = "\n".join([text, "", f"Credits a picture, {table.origin}:", *rows])
    return text


def error_text(error: VidgoError, command: Command) -> str:
    """Return why a command could not be answered, what that means for the money, and what to do."""
    fetch = _fetch(error.task_id, command) if error.money == "accepted" else ""
    step = fetch or next_step(error.remedy, "person", case_of(error, options=command.options, durable=command.durable))
    found = balance_sentence(error.facts.finding, error.facts.price, "person")
    return lines(f"Error: {error.message}", found, MONEY[error.money], step)


def local_time(timestamp: str) -> str:
    """Return an ISO 8601 time in the time zone of this computer, which is where the reader sits."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M")


def _headline(result: TaskResult) -> str:
    price = "" if result.credits is None else f"{result.credits} credits."
    if result.reused:
        price = "Already paid for; this cost nothing."
    if result.outcome != "pending":
        return for_model.end_text(for_model.vendor_marked(result), price)
    if result.remedy == "repeat_with_time":
        return "Not sent: its references are not ready yet. Nothing was spent."
    if result.task_id is None:
        return f"Vidgo has not answered the submit: the picture may have been paid for ({result.credits} credits)."
    progress = f", {result.progress} %" if result.progress else ""
    return f"Pending ({for_model.said_status(result)}{progress}): it goes on, and is paid for. {price}".rstrip()


def _facts(result: TaskResult) -> list[str]:
    shape = f"  {result.size}, {result.tier}, {result.quality}" if result.size else ""
    dies = f"  the URL dies on {local_time(result.expires_at)}" if result.image_urls and result.expires_at else ""
    saved = [f"  saved as {escape(path)}" for path in result.saved_paths or ()]
    return [f"  task {result.task_id}" if result.task_id else "", shape, dies, *saved]


def _entry(result: TaskResult) -> str:
    price = "" if result.credits is None else f"{result.credits} credits"
    made = local_time(result.created_at) if result.created_at else ""
    head = "  ".join(part for part in (result.task_id or "(no task id)", result.outcome, price, made) if part)
    found = balance_sentence(result.finding, result.credits, "person")
    prompt = f"    {quoted(result.prompt, PROMPT_WIDTH)}" if result.prompt else ""
    return lines(head, prompt, f"    {found}" if found else "")


def _fetch(task_id: str | None, command: Command) -> str:
    return fetch_command(Case(task_id=task_id, options=command.options))


def _go_on(result: TaskResult, command: Command) -> list[str]:
    """Return what to do about a pending task."""
    if result.remedy == "repeat_with_time":
        return [next_step("repeat_with_time", "person", Case())]
    again = PAYS_AGAIN if not command.durable else FREE_AGAIN if result.task_id else SETTLE
    return [_fetch(result.task_id, command), again]
