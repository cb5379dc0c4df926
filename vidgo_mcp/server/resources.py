"""What a client can read without calling a tool: the prices, what was spent, and each task with its picture."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final
from urllib.parse import quote as percent_encode
from urllib.parse import unquote

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    BlobResourceContents,
    Completion,
    CompletionArgument,
    ListResourcesResult,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from pydantic import ValidationError

from vidgo_mcp.errors import NotFoundError, VidgoError
from vidgo_mcp.foreign_text import json_text, plain_text
from vidgo_mcp.models import ViewArguments
from vidgo_mcp.models.results import Result, TaskResult
from vidgo_mcp.models.tasks import TASK_ID_RULE
from vidgo_mcp.server.price_page import price_page
from vidgo_mcp.service import Principal, Service
from vidgo_mcp.wording import for_model

PRICING: Final = "vidgo://pricing"
SPENDING: Final = "vidgo://spending"
TASK: Final = "vidgo://tasks/{task_id}"
IMAGE: Final = "vidgo://images/{task_id}"
JSON: Final = "application/json"
MARKDOWN: Final = "text/markdown"

LISTED: Final = 20
"""How many of the newest tasks are listed; of older ones the URI still works."""
MOST_COMPLETIONS: Final = 100
"""What the protocol allows in one answer."""
AN_HOUR: Final = 3_600_000
A_MINUTE: Final = 60_000
"""Milliseconds, for how long a client may keep an answer."""

FIXED: Final = (
    Resource(
        name="pricing",
        title="Prices",
        uri=PRICING,
        description="Credits a picture by quality and tier, which tier a size gets, and the rules of exact sizes.",
        mime_type=MARKDOWN,
    ),
    Resource(
        name="spending",
        title="Spending",
        uri=SPENDING,
        description="Credits spent in the last 24 hours, 7 days and 30 days, by quality and tier, and the budget left.",
        mime_type=JSON,
    ),
)
TEMPLATES: Final = (
    ResourceTemplate(
        name="task",
        title="Task",
        uri_template=TASK,
        description="One task as it stands: outcome, URL, price and what to do next. Reading does not wait.",
        mime_type=JSON,
    ),
    ResourceTemplate(
        name="image",
        title="Picture",
        uri_template=IMAGE,
        description="The finished picture of a task, its own bytes or scaled down to at most 700 KB, for people and "
        "programs; a model that wants to see it calls view_image.",
    ),
)

_ONE_TASK = re.compile(r"vidgo://(tasks|images)/([^/?#]{1,600})")
"""Percent-encoded, the longest task_id has three characters for each of its 200."""

log = logging.getLogger(__name__)


async def listing(service: Service, principal: Principal) -> ListResourcesResult:
    """Return what always exists, and the newest tasks of the caller where they can be read."""
    # More than are listed: those without a task_id, such as lost answers, have no address.
    newest = _by_id(await _newest(service, MOST_COMPLETIONS, principal))
    tasks = [resource for task_id in islice(newest, LISTED) for resource in _resources(task_id, newest[task_id])]
    return ListResourcesResult(resources=[*FIXED, *tasks])


def _resources(task_id: str, task: TaskResult) -> list[Resource]:
    words = plain_text(task.prompt or task_id, 60)
    about, uri = for_model.summary(task), _uri(TASK, task_id)
    found = [Resource(name=task_id, title=f"Task: {words}", uri=uri, description=about, mime_type=JSON)]
    if _has_picture(task):
        about = f"The picture; {'a copy is saved' if task.saved_paths else f'its URL dies at {task.expires_at}'}."
        uri = _uri(IMAGE, task_id)
        found.append(Resource(name=f"picture-{task_id}", title=f"Picture: {words}", uri=uri, description=about))
    return found


async def read(service: Service, uri: str, principal: Principal) -> ReadResourceResult:
    """Return a resource, with how long a client may keep it.

    Raises:
        NotFoundError: there is none at this address.
        MCPError: it exists, and cannot be read now; the message says why.
    """
    if uri == PRICING:
        prices = await service.prices_in_force(principal)
        page = TextResourceContents(uri=uri, mime_type=MARKDOWN, text=price_page(prices))
        return ReadResourceResult(contents=[page], ttl_ms=AN_HOUR, cache_scope="public")
    try:
        if uri == SPENDING:
            return ReadResourceResult(contents=[_json(uri, await service.spending(principal))])
        kind, task_id = _parse_uri(uri)
        if kind == "images":
            return await _read_image(service, uri, task_id, principal)
        task = await service.tasks(principal).peek_task(task_id)
    except NotFoundError:
        raise
    except VidgoError as error:
        raise MCPError(INTERNAL_ERROR, for_model.error_line(error)) from None
    # Other tasks change: they end, are saved, and their URLs die.
    ttl_ms = A_MINUTE if task.outcome == "failed" else 0
    contents = _json(uri, for_model.task_answer(task))
    return ReadResourceResult(contents=[contents], ttl_ms=ttl_ms, cache_scope="private")


async def _read_image(service: Service, uri: str, task_id: str, principal: Principal) -> ReadResourceResult:
    task, view = await service.tasks(principal).view(task_id, max_edge=None)
    blob = base64.b64encode(view.content).decode("ascii")
    contents: list[TextResourceContents | BlobResourceContents] = [
        BlobResourceContents(uri=uri, mime_type=view.mime_type, blob=blob)
    ]
    if not view.original:
        note = for_model.scaled_text(task, view)
        contents.append(TextResourceContents(uri=uri, mime_type="text/plain", text=note))
    return ReadResourceResult(contents=contents, ttl_ms=AN_HOUR, cache_scope="private")


def _json(uri: str, result: Result) -> TextResourceContents:
    return TextResourceContents(uri=uri, mime_type=JSON, text=json_text(result.to_json(), indent=2))


async def complete(service: Service, template: str, argument: CompletionArgument, principal: Principal) -> Completion:
    """Return the task ids that match what was typed so far into an address.

    Raises:
        MCPError: there is no such template.
    """
    if template not in {TASK, IMAGE}:
        raise MCPError(
            INVALID_PARAMS, f"Unknown resource template: {plain_text(template, 80)}. The templates are {TASK}, {IMAGE}."
        )
    if argument.name != "task_id":
        return Completion(values=[])
    return await complete_task(service, argument.value, principal, pictures=template == IMAGE)


async def complete_task(
    service: Service, typed: str, principal: Principal, *, pictures: bool, prefix: str = ""
) -> Completion:
    """Return the newest tasks that match what was typed, those that begin with it first, each after ``prefix``.

    With ``pictures`` only those whose picture can be had are offered.
    """
    tasks = await _newest(service, MOST_COMPLETIONS + 1, principal)
    older = len(tasks) > MOST_COMPLETIONS
    found = _by_id(tasks[:MOST_COMPLETIONS])
    offered = [f"{prefix}{task_id}" for task_id, task in found.items() if not pictures or _has_picture(task)]
    folded = typed.strip().lower()
    matches = [value for value in offered if folded in value.lower()]
    matches.sort(key=lambda value: not value.lower().startswith(folded))
    # Whether one of the older tasks fits is not known, and so neither is their number.
    return Completion(values=matches, total=None if older else len(matches), has_more=older)


async def _newest(service: Service, limit: int, principal: Principal) -> list[TaskResult]:
    try:
        return await service.tasks(principal).newest(limit)
    except VidgoError as error:
        # A list that fails hides the prices too, which need neither key nor journal.
        log.debug("the newest tasks cannot be listed: %s", error.message)
        return []


def _by_id(tasks: Sequence[TaskResult]) -> dict[str, TaskResult]:
    """Return the tasks that an address can name."""
    return {task.task_id: task for task in tasks if task.task_id is not None and _is_task_id(task.task_id)}


def _has_picture(task: TaskResult) -> bool:
    return task.outcome == "finished" and bool(task.image_urls or task.saved_paths)


def _uri(template: str, task_id: str) -> str:
    return template.replace("{task_id}", percent_encode(task_id, safe=""))


def _parse_uri(uri: str) -> tuple[str, str]:
    """Return ``tasks`` or ``images``, and the task_id, decoded once.

    Raises:
        NotFoundError: no task can have this address.
    """
    found = _ONE_TASK.fullmatch(uri)
    with suppress(UnicodeDecodeError):
        if found and _is_task_id(task_id := unquote(found[2], errors="strict")):
            return found[1], task_id
    raise NotFoundError(f"The resources are {PRICING}, {SPENDING}, {TASK} and {IMAGE}; a task_id has {TASK_ID_RULE}.")


def _is_task_id(task_id: str) -> bool:
    """Return whether the tools take it as a task_id, exactly as it stands."""
    try:
        return ViewArguments.model_validate({"task_id": task_id}).task_id == task_id
    except ValidationError:
        return False
