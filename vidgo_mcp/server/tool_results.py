"""Turns outcomes and errors into tool results whose text alone is enough, and whose structure says the same."""

from __future__ import annotations

import base64
import mimetypes
from typing import Any
from urllib.parse import urlsplit

from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from vidgo_mcp.errors import VidgoError
from vidgo_mcp.models.results import BalanceResult, Estimate, Result, TaskList, TaskResult, View
from vidgo_mcp.wording import for_model


def task_result(result: TaskResult, *, links: bool) -> CallToolResult:
    """Return one task; ``links`` adds a resource link for the URL, which older clients break on."""
    result = for_model.with_next_step(result)
    content: list[ContentBlock] = [_text(for_model.task_text(result))]
    if links:
        content += [
            ResourceLink(name=f"picture-{result.task_id}", title="Picture", uri=url, mime_type=_image_type(url))
            for url in result.image_urls or ()
        ]
    return _structured(content, result)


def list_result(result: TaskList) -> CallToolResult:
    """Return the newest tasks."""
    listed = for_model.with_next_steps(result)
    return _structured([_text(for_model.list_text(listed))], listed)


def estimate_result(result: Estimate) -> CallToolResult:
    """Return a price."""
    return _structured([_text(for_model.estimate_text(result))], result)


def balance_result(result: BalanceResult) -> CallToolResult:
    """Return the credits of the account."""
    return _structured([_text(for_model.balance_text(result))], result)


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
    return CallToolResult(
        content=[_text(for_model.error_text(error))],
        structured_content=for_model.error_result(error).to_json(),
        is_error=True,
    )


def _image_type(url: str) -> str | None:
    """Vidgo does not document the format, so only a telling name is believed."""
    guessed, _ = mimetypes.guess_type(urlsplit(url).path)
    return guessed if guessed and guessed.startswith("image/") else None


def _text(text: str) -> TextContent:
    return TextContent(text=text)


def _structured(content: list[ContentBlock], result: Result) -> CallToolResult:
    structured: dict[str, Any] = result.to_json()
    return CallToolResult(content=content, structured_content=structured)
