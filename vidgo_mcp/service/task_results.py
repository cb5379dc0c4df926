"""Turns what the journal knows of a picture into the result that a caller gets, and says what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from vidgo_mcp.errors import Facts, NotFoundError, OutcomeUnknownError, Remedy, UnavailableError, VidgoError
from vidgo_mcp.journal import Entry, in_window
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.models.sizes import parse_size
from vidgo_mcp.models.tasks import Task

PROMPT_SHOWN: Final = 100
DOCUMENTED_STATUSES: Final = frozenset({"not_started", "running", "finished", "failed"})


def entry_result(
    entry: Entry,
    now: float,
    *,
    saved: Sequence[str] = (),
    charged: bool | None = None,
    another: int | None = None,
    notes: Sequence[str] = (),
    receipt: Sequence[str] = (),
) -> TaskResult:
    """Return one task as results show it.

    Args:
        entry: what the journal knows.
        now: the time of day, seconds since the epoch.
        saved: where its copies are.
        charged: whether this very call caused the submit; None in answers of get_task.
        another: the lowest unused variation, for a picture that was reused.
        notes: what else there is to say.
        receipt: what the day has cost by now, said last.
    """
    intent = entry.intent
    size = parse_size(intent.size)
    alive = in_window(entry, now)
    finished, failed, empty = entry.state == "finished", entry.state == "failed", entry.state == "empty"
    sent = entry.state != "reserved"
    said = list(notes)
    if entry.state == "accepted" and not alive:
        said.append("Overdue: it has not ended within 24 hours.")
    if entry.state == "accepted" and entry.status not in DOCUMENTED_STATUSES:
        said.append(f"Vidgo reports a status that it does not document: {entry.status}.")
    if entry.state == "accepted" and entry.status == "finished":
        said.append("Vidgo says finished but names no file yet; it is read again.")
    if finished and not alive:
        said.append("The URL has died: Vidgo keeps a picture for 24 hours.")
    outcome = {"finished": "finished", "failed": "failed", "empty": "failed", "unknown": "unknown"}.get(
        entry.state, "pending"
    )
    if charged is False and finished and alive:
        said.insert(0, f"Paid for {age(now - entry.created_at)}.")
    return TaskResult.model_validate(
        {
            "outcome": outcome,
            "task_id": entry.task_id,
            "status": entry.status,
            "progress": entry.progress,
            "image_urls": list(entry.image_urls[:1]) if finished and alive else None,
            "expires_at": timestamp(entry.dies_at) if entry.dies_at is not None else None,
            "saved_paths": list(saved) or None,
            "prompt": intent.prompt[:PROMPT_SHOWN],
            "created_at": timestamp(entry.created_at),
            "model": intent.model,
            "size": intent.size,
            "tier": intent.tier,
            "quality": intent.quality,
            "variation": intent.variation,
            "width": size.width if size.kind == "custom" else None,
            "height": size.height if size.kind == "custom" else None,
            "credits": intent.credits,
            "credits_charged": None if charged is None else intent.credits if charged and not failed and sent else 0,
            "reused": None if charged is None else sent and not charged,
            "refunded": True if failed else None,
            "error": _reason(entry) if failed or empty else None,
            "notes": [*said, *receipt] or None,
            "remedy": _remedy(entry, now, saved),
            "next_variation": another if charged is False and finished and alive else None,
        }
    )


def _reason(entry: Entry) -> str:
    if entry.state == "empty":
        return "Vidgo says finished, but gave no file. It was paid for and not refunded."
    return entry.error or "Vidgo gave no reason."


def _remedy(entry: Entry, now: float, saved: Sequence[str]) -> Remedy:
    if entry.state == "finished":
        return "show_picture" if saved or in_window(entry, now) else "make_again"
    if entry.state == "failed":
        return "tell_user"
    if entry.state == "empty":
        return "contact_support"
    if entry.state == "unknown":
        return "compare_balance"
    return "wait_for_task" if entry.task_id else "repeat"


def untracked_result(task: Task, *, empty: bool = False, notes: Sequence[str] = ()) -> TaskResult:
    """Return a task that this journal did not submit, as Vidgo describes it."""
    said = list(notes)
    if task.status not in DOCUMENTED_STATUSES:
        said.append(f"Vidgo reports a status that it does not document: {task.status}.")
    if task.phase == "failed" or empty:
        error = task.error_message or (
            "Vidgo gave no reason." if not empty else "Vidgo says finished, but gave no file."
        )
        return TaskResult(
            outcome="failed",
            task_id=task.task_id,
            status=task.status,
            refunded=None if empty else True,
            error=error,
            notes=said or None,
            remedy="tell_user",
        )
    done = bool(task.file_urls)
    return TaskResult(
        outcome="finished" if done else "pending",
        task_id=task.task_id,
        status=task.status,
        progress=task.progress,
        image_urls=list(task.file_urls[:1]) if done else None,
        notes=said or None,
        remedy="show_picture" if done else "wait_for_task",
    )


def lost_answer(entry: Entry) -> OutcomeUnknownError:
    """Return the error for a request whose submit may have been accepted."""
    return OutcomeUnknownError(
        "The answer to the submit of this picture was lost, so it may have been paid for "
        f"({entry.intent.credits} credits). {_sentence(entry.error)}Nothing is sent again for 24 hours."
    )


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


def _sentence(text: str | None) -> str:
    if not text:
        return ""
    return f"{text[0].upper()}{text[1:].rstrip('.')}. "


def undelivered_notes(entries: Sequence[Entry]) -> list[str]:
    """Return a note for each finished picture that nobody has received yet."""
    return [
        f"Finished and paid for, but never shown: task_id {entry.task_id} ({entry.intent.prompt[:40].strip()!r}). "
        "Call get_task with it."
        for entry in entries[:3]
    ]


def timestamp(seconds: float) -> str:
    """Return a time of day as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def age(seconds: float) -> str:
    """Return how long ago something was, in words."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s ago"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min ago"
    return f"{round(seconds / 3600)} h ago"


def no_such_task(error: VidgoError, task_id: str, near: Sequence[str], field: str) -> NotFoundError:
    """Return the error for an id that neither the journal nor Vidgo knows, with the nearest known one."""
    hint = f" The nearest known task_id is {near[0]}." if near else ""
    return NotFoundError(
        f"No task {task_id} belongs to this key.{hint}",
        field=field,
        remedy="use_nearest_task" if near else "list_tasks",
        facts=Facts(other_task=near[0] if near else None),
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
        why = "its URL has died after 24 hours"
        if result.saved_paths:
            why += f", and its saved copy was changed or cannot be read: {result.saved_paths[0]}"
    elif result.refunded:
        why = "it failed, and was refunded"
    else:
        why = "Vidgo finished it without a file. It was paid for and not refunded"
        remedy = "contact_support"
    raise NotFoundError(
        f"Task {result.task_id} has no picture to look at: {why}.",
        task_id=result.task_id,
        remedy=remedy,
        facts=Facts(price=result.credits if result.outcome == "finished" else None),
    )
