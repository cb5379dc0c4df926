"""Turns outcomes and errors into tool results whose text alone is enough, and whose structure says the same."""

from __future__ import annotations

import base64
import mimetypes
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from vidgo_mcp.errors import DeclinedError, Money, VidgoError, sentence
from vidgo_mcp.models.results import BalanceResult, ErrorResult, Estimate, Result, TaskList, TaskResult, View

MONEY: Final[dict[Money, str]] = {
    "nothing_spent": "Nothing was spent.",
    "accepted": "A task exists: do not submit it again.",
    "unknown": "It is not known whether credits were spent.",
}


def task_result(result: TaskResult, *, links: bool) -> CallToolResult:
    """Return one task; ``links`` adds a resource link for the URL, which older clients break on."""
    content: list[ContentBlock] = [_text(task_text(result))]
    if links:
        content += [
            ResourceLink(name=f"picture-{result.task_id}", title="Picture", uri=url, mime_type=_image_type(url))
            for url in result.image_urls or ()
        ]
    return _structured(content, result)


def list_result(result: TaskList) -> CallToolResult:
    """Return the newest tasks."""
    blocks = [task_text(task, brief=True) for task in result.tasks]
    if blocks:
        blocks.insert(0, f"{len(blocks)} {'task' if len(blocks) == 1 else 'tasks'}, newest first.")
    return _structured([_text("\n\n".join([*blocks, _next(result.next_step)]))], result)


def estimate_result(result: Estimate) -> CallToolResult:
    """Return a price."""
    many = f", {result.total_credits} credits for {result.count}" if result.count > 1 else ""
    lines = [f"{result.credits} credits a picture{many}: {result.explanation}.", *_notes(result.notes)]
    return _structured([_text("\n".join(lines))], result)


def balance_result(result: BalanceResult) -> CallToolResult:
    """Return the credits of the account."""
    text = (
        f"{result.credits} credits are left. At 1K they buy {result.pictures_low} pictures at low, "
        f"{result.pictures_medium} at medium or {result.pictures_high} at high."
    )
    return _structured([_text(text)], result)


def view_result(result: TaskResult, view: View) -> CallToolResult:
    """Return a picture to look at. No structured content: several clients then drop the image."""
    image = ImageContent(data=base64.b64encode(view.content).decode("ascii"), mime_type=view.mime_type)
    said = (
        f"Task {result.task_id}: {view.width}x{view.height}, shown at {view.shown_width}x{view.shown_height}. "
        f"{(result.prompt or '').strip()}"
    )
    return CallToolResult(content=[image, _text(said.strip())])


def error_result(error: VidgoError) -> CallToolResult:
    """Return a call that could not be answered."""
    structured = ErrorResult(
        category=error.category,
        message=error.message,
        retryable=error.retryable,
        money=error.money,
        task_id=error.task_id,
        field=error.field,
        consent=error.consent if isinstance(error, DeclinedError) else None,
        next_step=error.next_step,
    )
    several = error.message.startswith("- ")
    lines = [f"Error ({error.category}):{chr(10) if several else ' '}{error.message}"]
    if error.task_id:
        lines.append(f"task_id: {error.task_id}")
    if error.money != "nothing_spent" or "othing was spent" not in f"{error.message} {error.next_step}":
        lines.append(MONEY[error.money])
    lines.append(_next(error.next_step))
    return CallToolResult(
        content=[_text("\n".join(line for line in lines if line))],
        structured_content=structured.to_json(),
        is_error=True,
    )


def task_text(result: TaskResult, *, brief: bool = False) -> str:
    """Return everything about a task that a client needs which shows only text."""
    lines = [_headline(result), *(result.image_urls or ())]
    facts = [
        f"task_id: {result.task_id}" if result.task_id else "",
        f"the URL dies at {result.expires_at}" if result.image_urls and result.expires_at else "",
        f"saved as {', '.join(result.saved_paths)}" if result.saved_paths else "",
        _shape(result),
    ]
    lines.append("; ".join(fact for fact in facts if fact))
    if brief and result.prompt:
        lines.append(f"prompt: {result.prompt}")
    lines += _notes(result.notes)
    if not brief:
        lines.append(_next(result.next_step))
    return "\n".join(line for line in lines if line)


def _headline(result: TaskResult) -> str:
    price = _price(result)
    if result.outcome == "finished":
        return f"Finished. {price}" if result.image_urls else f"Finished, but its URL has died. {price}"
    if result.outcome == "failed":
        refund = "The credits were refunded." if result.refunded else price
        return f"Failed: {sentence(result.error or '')} {refund}"
    if result.outcome == "unknown":
        return f"Unknown: the answer to the submit was lost. It may have cost {result.credits} credits."
    progress = f", {result.progress} %" if result.progress is not None else ""
    if not result.task_id:
        # Vidgo has not answered the submit, and may still refuse it.
        return f"Pending (no task_id yet). It costs {result.credits} credits if Vidgo accepts it."
    return f"Pending ({result.status}{progress}). {price}"


def _price(result: TaskResult) -> str:
    if result.credits is None:
        return ""
    if result.credits_charged is None:
        return f"Its price: {result.credits} credits."
    if result.reused:
        return f"Already paid for ({result.credits} credits); this call cost nothing."
    return f"This call cost {result.credits_charged} credits."


def _shape(result: TaskResult) -> str:
    if result.size is None:
        return ""
    return f"{result.size}, {result.tier}, {result.quality}, variation {result.variation}"


def _notes(notes: list[str] | None) -> list[str]:
    return [f"Note: {note}" for note in notes or ()]


def _next(step: str | None) -> str:
    return f"Next: {step}" if step else ""


def _image_type(url: str) -> str | None:
    """Vidgo does not document the format, so only a telling name is believed."""
    guessed, _ = mimetypes.guess_type(urlsplit(url).path)
    return guessed if guessed and guessed.startswith("image/") else None


def _text(text: str) -> TextContent:
    return TextContent(text=text)


def _structured(content: list[ContentBlock], result: Result) -> CallToolResult:
    structured: dict[str, Any] = result.to_json()
    return CallToolResult(content=content, structured_content=structured)
