"""How each step changes an entry, and how a rolling budget refuses: pure rules that every store shares.

    reserved ──sending──▶ sent ──binding──▶ accepted ──recorded──▶ finished, empty, failed
       ◀──────unsend─────── │                  ▲
                            └─to_unknown─▶ unknown    binding: a late answer, or a person who knows

A rule takes an entry, None for one that is no longer there, and returns it as it is after the step, None where it is
to be deleted. It raises JournalError where the step must not be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from vidgo_mcp.errors import JournalError, Money, Remedy
from vidgo_mcp.journal.entries import MADE, UPLOADED, WINDOW, Entry, Exhausted, State
from vidgo_mcp.models.tasks import Task

ORDER: Final[Sequence[State]] = ("reserved", "sent", "unknown", "accepted", "finished", "empty", "failed")
"""From what is least known of an entry to what is final."""
ENDED: Final = "the process that sent it ended before the answer came"


def unheard(seconds: float | None) -> str:
    """Return why a sent entry became unknown whose process may be alive, for all that can be proven."""
    how_long = "lately" if seconds is None else f"for {seconds:.0f} s"
    return f"the process that sent it has not been heard of {how_long}"


def sending(entry: Entry | None, now: float) -> Entry:
    """Mark, before the POST; only what is reserved may be sent."""
    if entry is None or entry.state != "reserved":
        raise _refusal("The picture was not sent", entry, retryable=True)
    return replace(entry, state="sent", sent_at=now)


def unsend(entry: Entry | None) -> Entry:
    """Take back the mark after a POST that accepted nothing, also when its process had been taken for dead."""
    if entry is None or entry.state not in {"sent", "unknown"}:
        raise _refusal("The refused submit could not be taken back", entry, retryable=True)
    return replace(entry, state="reserved", sent_at=None, error=None, named_task=None, vendor_id=None)


def released(entry: Entry | None) -> None:
    """Delete what is reserved, or gone already; what may have been paid for is never deleted."""
    if entry is not None and entry.state != "reserved":
        raise _refusal("The picture was not released", entry, money="unknown")


def to_unknown(
    entry: Entry | None, reason: str, now: float, named_task: str | None = None, vendor_id: str | None = None
) -> Entry:
    """Record that the answer to the POST was lost, unless its task is known by now."""
    if entry is None:
        raise _refusal("That the answer to the submit was lost could not be recorded", entry, money="unknown")
    if entry.task_id is not None:
        return entry
    sent_at = now if entry.sent_at is None else entry.sent_at
    unknown = replace(entry, state="unknown", sent_at=sent_at, error=reason)
    return unknown if named_task is None else replace(unknown, named_task=named_task, vendor_id=vendor_id)


def binding(entry: Entry | None, task: Task) -> Entry:
    """Record the task that the POST created; the same answer may come twice."""
    if entry is not None and entry.task_id == task.task_id:
        return entry
    if entry is None or entry.state not in {"sent", "unknown"}:
        raise _refusal(f"Vidgo accepted the task {task.task_id}, but it could not be recorded", entry, task=task)
    return accepted(entry, task)


def accepted(entry: Entry, task: Task) -> Entry:
    """Return an entry that was sent as it is with its task."""
    bound = replace(entry, task_id=task.task_id, vendor_id=task.vendor_id, named_task=None)
    return replace(bound, state="accepted", status=task.status, error=None)


def restored(there: Entry | None, known: Entry) -> Entry:
    """Return which of two records of an entry is further on."""
    return known if there is None or ORDER.index(there.state) < ORDER.index(known.state) else there


def resolved(entry: Entry | None, task: Task | None) -> Entry | None:
    """Settle it as a person says, who found its task, or that nothing was charged."""
    if entry is None or entry.state != "unknown":
        raise _refusal("The submit was not settled", entry, remedy="tell_user")
    return None if task is None else binding(entry, task)


def recorded(entry: Entry | None, task: Task, *, empty: bool, now: float) -> Entry:
    """Record a reading of the task. An end is final."""
    if entry is None or entry.task_id is None:
        raise _refusal(f"What Vidgo says of the task {task.task_id} could not be recorded", entry, task=task)
    if entry.state in {"finished", "failed", "empty"}:
        return entry
    seen = replace(entry, status=task.status, progress=task.progress, image_urls=task.file_urls, answer=task.answer)
    if task.phase == "failed":
        return replace(seen, state="failed", error=task.error_message, ended_at=now)
    if task.phase == "finished" and task.file_urls:
        return replace(seen, state="finished", progress=100, ended_at=now)
    if task.phase == "finished" and empty:
        return replace(seen, state="empty", ended_at=now)
    return seen


def without_url(entry: Entry | None) -> Entry:
    """Record that the URL of a finished picture is dead."""
    if entry is None or entry.state != "finished":
        raise _refusal("That the URL of the picture is dead could not be recorded", entry)
    return replace(entry, image_urls=())


def saved(entry: Entry | None, paths: Sequence[str], digest: str) -> Entry:
    """Record the copy of the picture and the digest of its bytes; the first copy stays."""
    if entry is None or entry.state != "finished":
        raise _refusal("Where the copy of the picture is could not be recorded", entry)
    return entry if entry.saved_paths else replace(entry, saved_paths=tuple(paths), saved_digest=digest)


def measured(entry: Entry | None, pixels: str) -> Entry:
    """Record the size of the picture's file."""
    if entry is None or entry.state != "finished":
        raise _refusal("The size of the picture could not be recorded", entry)
    return replace(entry, pixels=pixels)


def uploads_to_invalidate(before: Entry | None, after: Entry, of_task: Callable[[str], Entry | None]) -> Sequence[str]:
    """Return the digests of the uploads with which a task has just failed: Vidgo may have lost them.

    ``of_task`` returns the entry of a task of the same owner: of one whose URL had died, the saved copy was uploaded.
    """
    if after.state != "failed" or (before is not None and before.state == "failed"):
        return ()
    digests = [one.removeprefix(UPLOADED) for one in after.intent.references if one.startswith(UPLOADED)]
    made = [of_task(one.removeprefix(MADE)) for one in after.intent.references if one.startswith(MADE)]
    return [*digests, *(entry.saved_digest for entry in made if entry is not None and entry.saved_digest)]


def exhausted(entries: Iterable[Entry], price: int, budget: int, now: float) -> Exhausted:
    """Return the refusal of a budget without room for a price, given the entries that count in it."""
    counted = sorted((entry.dies_at or now + WINDOW, entry.intent.credits) for entry in entries)
    left = total = sum(paid for _, paid in counted)
    for dies_at, freed in counted:
        left -= freed
        if left + price <= budget:
            return Exhausted(total, dies_at)
    return Exhausted(total, None)


def _refusal(
    what: str,
    entry: Entry | None,
    *,
    money: Money = "nothing_spent",
    remedy: Remedy = "repeat",
    retryable: bool = False,
    task: Task | None = None,
) -> JournalError:
    why = "it is no longer in the journal" if entry is None else f"in the journal it is {entry.state}"
    known = task or entry
    if known is not None and known.task_id is not None:
        money, retryable = "accepted", False
        remedy = "keep_task_id" if remedy == "repeat" else remedy
    return JournalError(
        f"{what}: {why}.", money=money, remedy=remedy, retryable=retryable, task_id=known.task_id if known else None
    )
