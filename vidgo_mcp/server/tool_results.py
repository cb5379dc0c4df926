"""Wraps what the service returns or raises in MCP's types: text that alone is enough, and the same as structure."""

from __future__ import annotations

import base64
import mimetypes
from urllib.parse import urlsplit

from mcp_types import CallToolResult, ImageContent, ResourceLink, TextContent

from vidgo_mcp.errors import VidgoError
from vidgo_mcp.models.results import BalanceResult, Estimate, Result, TaskList, TaskResult, View
from vidgo_mcp.wording import for_model


def task_result(result: TaskResult, *, links: bool) -> CallToolResult:
    """Return one task; ``links`` adds a resource link for its URL, which older clients break on."""
    result = for_model.with_next_step(result)
    answer = _answer(for_model.task_text(result), result)
    if links:
        answer.content += [
            ResourceLink(name=f"picture-{result.task_id}", title="Picture", uri=url, mime_type=_image_type(url))
            for url in result.image_urls or ()
        ]
    return answer


def list_result(result: TaskList) -> CallToolResult:
    """Return the newest tasks."""
    result = for_model.with_next_steps(result)
    return _answer(for_model.list_text(result), result)


def estimate_result(result: Estimate) -> CallToolResult:
    """Return a price."""
    return _answer(for_model.estimate_text(result), result)


def balance_result(result: BalanceResult) -> CallToolResult:
    """Return the credits of the account."""
    return _answer(for_model.balance_text(result), result)


def view_result(result: TaskResult, view: View) -> CallToolResult:
    """Return a picture to look at. No structured content: several clients then drop the image."""
    image = ImageContent(data=base64.b64encode(view.content).decode("ascii"), mime_type=view.mime_type)
    return CallToolResult(content=[image, TextContent(text=for_model.view_text(result, view))])


def error_result(error: VidgoError) -> CallToolResult:
    """Return a call that could not be answered."""
    answer = _answer(for_model.error_text(error), for_model.error_result(error))
    answer.is_error = True
    return answer


def _answer(text: str, result: Result) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=result.to_json())


def _image_type(url: str) -> str | None:
    """Vidgo does not document the format, so only the name can tell."""
    guessed, _ = mimetypes.guess_type(urlsplit(url).path)
    return guessed if guessed and guessed.startswith("image/") else None
