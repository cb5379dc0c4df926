"""Results and errors as a model reads them: the whole text, and the sentences of the structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vidgo_mcp.errors import DeclinedError, Facts, InvalidRequestError, Money, VidgoError, sentence
from vidgo_mcp.models.results import BalanceResult, ErrorResult, Estimate, TaskList, TaskResult
from vidgo_mcp.wording.remedies import REMEDIES, Case, case_of, next_step

MONEY: Final[dict[Money, str]] = {
    "nothing_spent": "Nothing was spent.",
    "accepted": "A task exists: do not submit it again.",
    "unknown": "It is not known whether credits were spent.",
}


def error_result(error: VidgoError) -> ErrorResult:
    """Return an error as the tools send it."""
    return ErrorResult(
        category=error.category,
        message=error.message,
        retryable=error.retryable,
        money=error.money,
        remedy=error.remedy,
        task_id=error.task_id,
        field=error.field,
        consent=error.consent if isinstance(error, DeclinedError) else None,
        next_step=next_step(error.remedy, "model", case_of(error)),
    )


def error_text(error: VidgoError) -> str:
    """Return an error as a model reads it that sees only text."""
    told = error_result(error)
    several = isinstance(error, InvalidRequestError) and len(error.faults) > 1
    return _lines(
        f"Error ({told.category}):{chr(10) if several else ' '}{told.message}",
        f"task_id: {told.task_id}" if told.task_id else "",
        MONEY[told.money],
        f"Next: {told.next_step}",
    )


def with_next_step(result: TaskResult) -> TaskResult:
    """Return a task with what a model does about it."""
    return result if result.remedy is None else result.model_copy(update={"next_step": _next_step(result)})


def _next_step(result: TaskResult) -> str:
    change = f"To change the picture: edit_image with image_urls task:{result.task_id}."
    if result.outcome == "finished" and result.remedy == "make_again":
        return (
            "The picture can no longer be fetched. The same call of generate_image or edit_image makes it anew and "
            f"costs {result.credits} credits again: ask the user first."
        )
    if result.remedy == "show_picture" and result.image_urls:
        where = " and where the picture is saved" if result.saved_paths else ""
        more = ""
        if result.next_variation is not None:
            again = f"variation {result.next_variation} ({result.credits} credits)"
            more = f" Paid for {_age(result.age or 0.0)}. Only if the user wants another: {again}."
        return f"Show the user this URL{where}. {change}{more}"
    if result.remedy == "show_picture":
        return f"Tell the user where the picture is saved. {change}"
    if result.outcome == "failed" and result.refunded:
        return (
            "The credits were refunded. If the reason names the content, change the prompt; otherwise the same call "
            "may be made again."
        )
    if result.remedy == "repeat":
        return (
            "Wait 20 s, then repeat this exact call, with the same arguments; it finds this picture again and is not "
            "paid for twice."
        )
    assert result.remedy is not None
    return next_step(result.remedy, "model", Case(Facts(price=result.credits), result.task_id))


def with_next_steps(result: TaskList) -> TaskList:
    """Return a list with what a model does about its tasks, and about the list."""
    tasks = [with_next_step(task) for task in result.tasks]
    return result.model_copy(update={"tasks": tasks, "next_step": list_next_step(tasks)})


def list_next_step(tasks: Sequence[TaskResult]) -> str:
    """Return what a model does with a list of tasks."""
    if not tasks:
        return "There are no tasks yet; generate_image makes one."
    steps = []
    if any(task.outcome == "pending" and task.task_id for task in tasks):
        steps.append("Call get_task with the task_id of a pending one; it waits by itself.")
    elif any(task.outcome == "pending" for task in tasks):
        steps.append("One has no task_id yet: repeat the very call that makes it; it is not paid for twice.")
    elif any(task.image_urls or task.saved_paths for task in tasks):
        steps.append(
            "None is pending. Give the user a URL or where it is saved, or edit one with image_urls task:<task_id>."
        )
    if any(task.outcome == "unknown" for task in tasks):
        steps.append(f"For what is unknown: {REMEDIES['compare_balance'].model}")
    return " ".join(steps) or "None is pending, and none has a picture that can be fetched."


def task_text(result: TaskResult, *, brief: bool = False) -> str:
    """Return all that a model needs of a task when it sees only text; ``brief`` for a list."""
    return _lines(
        _headline(result),
        *(result.image_urls or ()),
        "; ".join(
            fact
            for fact in (
                f"task_id: {result.task_id}",
                f"the URL dies at {result.expires_at}" if result.image_urls and result.expires_at else "",
                f"saved as {', '.join(result.saved_paths)}" if result.saved_paths else "",
                f"{result.size}, {result.tier}, {result.quality}, variation {result.variation}" if result.size else "",
            )
            if fact
        ),
        f"prompt: {result.prompt}" if brief and result.prompt else "",
        *notes(result.notes),
        "" if brief else f"Next: {result.next_step}" if result.next_step else "",
    )


def list_text(result: TaskList) -> str:
    """Return the newest tasks as a model reads them that sees only text."""
    blocks = [task_text(task, brief=True) for task in result.tasks]
    if blocks:
        blocks.insert(0, f"{len(blocks)} {'task' if len(blocks) == 1 else 'tasks'}, newest first.")
    return "\n\n".join([*blocks, f"Next: {result.next_step}"])


def estimate_text(result: Estimate) -> str:
    """Return a price, for either reader."""
    many = f", {result.total_credits} credits for {result.count}" if result.count > 1 else ""
    return _lines(f"{result.credits} credits a picture{many}: {result.explanation}.", *notes(result.notes))


def balance_text(result: BalanceResult) -> str:
    """Return the credits of the account, for either reader."""
    return (
        f"{result.credits} credits are left. At 1K they buy {result.pictures_low} pictures at low, "
        f"{result.pictures_medium} at medium or {result.pictures_high} at high."
    )


def notes(said: Sequence[str] | None) -> list[str]:
    """Return notes as lines, for either reader."""
    return [f"Note: {note}" for note in said or ()]


def _headline(result: TaskResult) -> str:
    price = _price(result)
    if result.outcome == "finished":
        return f"Finished. {price}" if result.image_urls else f"Finished, but its URL has died. {price}"
    if result.outcome == "failed":
        return f"Failed: {sentence(result.error or '')} {'The credits were refunded.' if result.refunded else price}"
    if result.outcome == "unknown":
        return f"Unknown: the answer to the submit was lost. It may have cost {result.credits} credits."
    if not result.task_id:
        # Vidgo has not answered the submit, and may still refuse it.
        return f"Pending (no task_id yet). It costs {result.credits} credits if Vidgo accepts it."
    progress = f", {result.progress} %" if result.progress is not None else ""
    return f"Pending ({result.status}{progress}). {price}"


def _price(result: TaskResult) -> str:
    if result.credits is None:
        return ""
    if result.credits_charged is None:
        return f"Its price: {result.credits} credits."
    if result.reused:
        return f"Already paid for ({result.credits} credits); this call cost nothing."
    return f"This call cost {result.credits_charged} credits."


def _age(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0, round(seconds))} s ago"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min ago"
    return f"{round(seconds / 3600)} h ago"


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
