"""Turns what the journal or Vidgo knows of a task into the result that a caller gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from vidgo_mcp.errors import (
    Facts,
    InternalError,
    NotFoundError,
    OutcomeUnknownError,
    Remedy,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.foreign_text import described_url, escape, quoted
from vidgo_mcp.journal import UPLOADED, Entry, Intent, State, in_window
from vidgo_mcp.models.fields import Outcome
from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.models.sizes import parse_size
from vidgo_mcp.models.tasks import CUT, DOCUMENTED_WORDS, Task, is_word, refuses_content, status_word

A_FILE: Final = "a file"
"""How a source is named that was uploaded: its path is not kept."""
NO_FILE: Final = "Vidgo says finished, but gave no file that is a picture."
OUTCOMES: Final[Mapping[State, Outcome]] = {
    "reserved": "pending",
    "sent": "pending",
    "accepted": "pending",
    "unknown": "unknown",
    "finished": "finished",
    "empty": "failed",
    "failed": "failed",
}
REMEDIES: Final[Mapping[State | Outcome, Remedy]] = {
    "pending": "wait_for_task",
    "finished": "show_picture",
    "failed": "tell_refund",
    "empty": "contact_support",
    "unknown": "compare_balance",
}
"""What to do about a task, unless more is known."""


def entry_result(
    entry: Entry,
    now: float,
    *,
    saved: Sequence[str] = (),
    charged: bool | None = None,
    another: int | None = None,
    notes: Sequence[str] = (),
    finding: BalanceFinding | None = None,
) -> TaskResult:
    """Return one task as results show it.

    ``saved`` are its copies; ``charged`` says whether this very call caused the submit, None for a mere look;
    ``another`` is the lowest unused variation of a picture that was reused; ``finding`` is what the balance says of a
    lost answer.
    """
    intent = entry.intent
    width, height = _pixels(entry)
    alive = in_window(entry, now)
    shows_url = alive and entry.state == "finished"
    failed = entry.state == "failed"
    error = entry.error if failed else None
    if entry.state == "empty":
        error = f"{NO_FILE} It was paid for and not refunded."
    return TaskResult(
        outcome=OUTCOMES[entry.state],
        task_id=entry.task_id,
        status=entry.status,
        progress=entry.progress,
        image_urls=list(entry.image_urls[:1]) if shows_url else None,
        expires_at=timestamp(entry.dies_at) if shows_url and entry.dies_at is not None else None,
        saved_paths=list(saved) or None,
        prompt=intent.prompt,
        created_at=timestamp(entry.created_at),
        model=intent.model,
        size=intent.size,
        tier=intent.tier,
        quality=intent.quality,
        variation=intent.variation,
        width=width,
        height=height,
        sources=[A_FILE if ref.startswith(UPLOADED) else ref.removeprefix("url:") for ref in intent.references] or None,
        credits=None if failed else intent.credits,
        credits_charged=None if charged is None else intent.credits if charged and not failed else 0,
        reused=None if charged is None else not charged and entry.state != "reserved",
        refunded=True if failed else None,
        error=error,
        notes=[*_state_notes(entry, alive), *notes] or None,
        remedy=_remedy(entry, can_be_shown=alive or bool(saved)),
        next_variation=another,
        finding=finding,
    )


def _pixels(entry: Entry) -> tuple[int | None, int | None]:
    """Return what the file has, once its bytes were seen; before that, what was asked for in pixels."""
    if entry.pixels is not None:
        width, _, height = entry.pixels.partition("x")
        return int(width), int(height)
    size = parse_size(entry.intent.size)
    return (size.width, size.height) if size.kind == "custom" else (None, None)


def unready_result(intent: Intent, now: float, note: str) -> TaskResult:
    """Return a request whose references were not ready in time: nothing is recorded of it, and nothing was spent."""
    entry = Entry(id="", intent=intent, state="reserved", process="", created_at=now)
    result = entry_result(entry, now, charged=False, notes=[note])
    return result.model_copy(update={"remedy": "repeat_with_time"})


def with_wait_noted(result: TaskResult, shortened: float | None, *, stopping: bool) -> TaskResult:
    """Return a result with a note on why it is pending, where a call waited less than it was asked to."""
    if result.outcome != "pending":
        return result
    if stopping:
        goes_on = " The picture goes on at Vidgo." if result.task_id else ""
        note = f"This server is being stopped, so the call waited no longer.{goes_on}"
    elif shortened is not None:
        note = f"This client gives up on calls early, so they wait at most {shortened:.0f} s here: pending is normal."
    else:
        return result
    return result.model_copy(update={"notes": [*(result.notes or ()), note]})


def _state_notes(entry: Entry, alive: bool) -> list[str]:
    ended = entry.state == "finished"
    if entry.state == "unknown" and entry.named_task is not None:
        why = "and broke off within its id" if entry.named_task.endswith(CUT) else "which could not be read at Vidgo"
        return [f"The answer to its submit named the task {entry.named_task}, {why}."]
    if entry.status is None or entry.state == "unknown":
        return []
    notes = _said_notes(entry.status, entry.image_urls, ended=ended)
    if ended:
        return notes if alive else [*notes, "The URL has died: Vidgo usually keeps a picture for about 24 hours."]
    if entry.answer is not None:
        notes.append(f"What Vidgo answered is kept: `vidgo-mcp journal show {entry.task_id}` shows it.")
    if entry.state != "accepted":
        return notes
    if status_word(entry.status) == "finished":
        notes.insert(0, "Vidgo says finished but names no picture yet; it is read again.")
    return notes if alive else ["Overdue: it has not ended within 24 hours.", *notes]


def _said_notes(status: str, urls: Sequence[str], *, ended: bool) -> list[str]:
    """Return notes about what Vidgo says of a task that its documents do not foresee."""
    notes = []
    if status_word(status) not in DOCUMENTED_WORDS:
        what = "its picture is there" if ended else "nothing is concluded from it"
        said = (
            f"Vidgo's own word for this task is {quoted(status)}"
            if is_word(status)
            else f"Vidgo gives this task {status}"
        )
        notes.append(f"{said}, which it does not document; {what}.")
    if urls and not ended:
        said = quoted(status) if is_word(status) else status
        notes.append(f"Vidgo says {said}, and yet names a picture, perhaps an unfinished one: {described_url(urls[0])}")
    return notes


def _remedy(entry: Entry, *, can_be_shown: bool) -> Remedy:
    if entry.state == "finished" and not can_be_shown:
        return "make_again"
    if OUTCOMES[entry.state] == "pending":
        return "wait_for_task" if entry.task_id else "repeat"
    return _failed_remedy(entry.error) if entry.state == "failed" else REMEDIES[entry.state]


def _failed_remedy(words: str | None) -> Remedy:
    return "reword_if_asked" if refuses_content(words) else REMEDIES["failed"]


def untracked_result(task: Task, *, empty: bool = False, notes: Sequence[str] = ()) -> TaskResult:
    """Return a task that this journal did not submit, as Vidgo describes it."""
    failed = task.phase == "failed" or empty
    finished = task.phase == "finished" and bool(task.file_urls)
    outcome: Outcome = "failed" if failed else "finished" if finished else "pending"
    return TaskResult(
        outcome=outcome,
        task_id=task.task_id,
        status=task.status,
        progress=None if failed else task.progress,
        image_urls=list(task.file_urls[:1]) if finished else None,
        refunded=True if failed and not empty else None,
        error=NO_FILE if empty else task.error_message if failed else None,
        notes=[*notes, *_said_notes(task.status, task.file_urls, ended=finished)] or None,
        remedy=_failed_remedy(task.error_message) if failed else REMEDIES[outcome],
    )


def lost_answer(entry: Entry, finding: BalanceFinding | None) -> OutcomeUnknownError:
    """Return the error for a request whose submit may have been accepted."""
    why = f"{entry.error[0].upper()}{entry.error[1:].rstrip('.')}. " if entry.error else ""
    price, variation = entry.intent.credits, entry.intent.variation + 1
    return OutcomeUnknownError(
        "It is not known what became of the submit of this picture, so it may have been paid for "
        f"({price} credits). {why}Nothing is sent again until 24 hours after that submit.",
        facts=Facts(price=price, variation=variation, finding=finding, named_task=entry.named_task),
    )


def shared_notes(entry: Entry, others: Sequence[Entry]) -> list[str]:
    """Return what to say where Vidgo gave the same task to another request too: it is one picture."""
    if entry.task_id is None:
        return []
    shared = next((one for one in others if one.task_id == entry.task_id and one.id != entry.id), None)
    if shared is None:
        return []
    return [
        f"Vidgo gave another request of yours the same task ({quoted(shared.intent.prompt, 40)}): the picture may be of"
        " that one, and may have been charged once for both; compare the balance."
    ]


def paid_nothing(entry: Entry) -> UnavailableError:
    """Return the error for a request that was paid for and gave no file."""
    return UnavailableError(
        f"Vidgo finished task {entry.task_id} without a file and charged {entry.intent.credits} credits, so this "
        "request is not sent again for 24 hours.",
        money="accepted",
        retryable=False,
        task_id=entry.task_id,
        remedy="contact_support",
    )


def undelivered_notes(entries: Sequence[Entry]) -> list[str]:
    """Return a note for each of the first finished pictures that nobody has received yet."""
    return [
        f"Finished and paid for, but never shown: task_id {entry.task_id} ({quoted(entry.intent.prompt, 40)})."
        for entry in entries[:3]
    ]


def no_such_task(error: VidgoError, task_id: str, near: str | None, field: str) -> NotFoundError:
    """Return the error for an id that neither the journal nor Vidgo knows, with the nearest known one."""
    hint = f" The nearest known task_id is {near}." if near else ""
    return NotFoundError(
        f"No task {task_id} belongs to this key.{hint}",
        field=field,
        remedy="use_nearest_task" if near else "list_tasks",
        facts=Facts(other_task=near),
        http_status=error.http_status,
        vendor_text=error.vendor_text,
    )


def viewable_url(result: TaskResult) -> str:
    """Return the URL of a picture without a copy that can be looked at.

    Raises:
        UnavailableError: it is still being made.
        NotFoundError: it has no picture, or none that is alive.
    """
    if result.outcome == "finished" and result.image_urls:
        return result.image_urls[0]
    if result.outcome == "pending":
        raise UnavailableError(
            f"Task {result.task_id} has no picture yet.",
            money="accepted",
            task_id=result.task_id,
            remedy="wait_for_task",
        )
    remedy: Remedy = "make_again"
    if result.outcome == "finished":
        why = "its URL has died, usually after about 24 hours"
        if result.saved_paths:
            why += f", and its saved copy was changed or cannot be read: {escape(result.saved_paths[0])}"
    elif result.refunded:
        why = "it failed, and was refunded"
    else:
        why = "Vidgo finished it without a file. It was paid for and not refunded"
        remedy = "contact_support"
    raise NotFoundError(
        f"Task {result.task_id} has no picture to look at: {why}.",
        task_id=result.task_id,
        remedy=remedy,
        facts=Facts(price=result.price_again or result.credits if result.outcome == "finished" else None),
    )


def timestamp(seconds: float) -> str:
    """Return a time of day as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def bug_after(result: TaskResult, message: str) -> InternalError:
    """Return the error for a failure of our own once there is a result, which says what is known of the money."""
    if result.task_id is not None:
        return InternalError(message, money="accepted", task_id=result.task_id, remedy="wait_for_task")
    if result.remedy == "repeat_with_time":
        return InternalError(message)
    return InternalError(message, money="unknown", remedy="repeat")
