"""The six tools: their words, their hints, which part of the service each one calls, and how it answers.

An answer is text that alone is enough, and the same as structure.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_types import CallToolResult, ImageContent, ListToolsResult, ResourceLink, TextContent, Tool, ToolAnnotations

from vidgo_mcp.errors import VidgoError
from vidgo_mcp.files.kinds import kind_of_name
from vidgo_mcp.models.requests import (
    Arguments,
    BalanceArguments,
    EditArguments,
    EstimateArguments,
    GenerateArguments,
    GetTaskArguments,
    PictureDataArguments,
    ViewArguments,
)
from vidgo_mcp.models.results import BalanceResult, Estimate, Result, TaskList, TaskResult, View, ViewFacts
from vidgo_mcp.pricing import PriceTable
from vidgo_mcp.server import view
from vidgo_mcp.server.resources import AN_HOUR
from vidgo_mcp.server.schemas import output_schema, picture_schema
from vidgo_mcp.service import Principal, Progress, Service, read_arguments
from vidgo_mcp.service.facts_for_view import spent, task_facts
from vidgo_mcp.service.limits import Ask
from vidgo_mcp.service.task_results import bug_after
from vidgo_mcp.service.watches import ProgressReporter
from vidgo_mcp.wording import for_model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, and what their client can take.

    ``links``: resource links, on which older clients break; ``patience``: the seconds after which it would give up;
    ``has_view``: it shows views in the chat.
    """

    service: Service
    principal: Principal
    progress: Progress
    links: bool
    ask: Ask
    patience: float | None = None
    has_view: bool = False


LARGEST_IN_VIEW: Final = 700_000
"""Bytes of a picture in the chat; in base64 it stays below the 1 MB at which some hosts give up."""

Answer = Callable[[Call, Any], Awaitable[CallToolResult]]


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """One tool as it is listed, and what answers it."""

    tool: Tool
    arguments: type[Arguments]
    answer: Answer

    async def run(self, call: Call, raw: Mapping[str, Any] | None) -> CallToolResult:
        """Return the answer to a call with what the model sent.

        Raises:
            VidgoError: it could not be answered.
        """
        prices = call.service.prices(call.principal)
        return await self.answer(call, read_arguments(self.arguments, raw, prices, local_api=call.principal.local_api))


async def _make(call: Call, arguments: GenerateArguments) -> CallToolResult:
    made = await call.service.make(
        call.principal, arguments, progress=call.progress, ask=call.ask, patience=call.patience
    )
    try:
        return await _task_answer(call, made)
    except Exception as error:  # a bug in the words must not hide what was paid for
        log.exception("a result cannot be said (%s)", type(error).__name__)
        raise bug_after(made, "vidgo-mcp failed while answering; its log on stderr has the details.") from None


async def _get_task(call: Call, arguments: GetTaskArguments) -> CallToolResult:
    tasks = call.service.tasks(call.principal)
    if arguments.task_id is None:
        listed = for_model.list_answer(await tasks.listed(arguments.limit))
        answer = _answer(for_model.list_text(listed), listed)
        if call.has_view:
            answer.meta = view.result_meta(ViewFacts(spent_24h=await spent(tasks)))
        return answer
    deadline = call.service.deadline(arguments.wait_seconds, call.patience)
    found = await tasks.get(arguments.task_id, deadline, ProgressReporter(call.progress))
    return await _task_answer(call, found)


async def _estimate(call: Call, arguments: EstimateArguments) -> CallToolResult:
    price = await call.service.estimate(call.principal, arguments)
    answer = _answer(for_model.estimate_text(price), price)
    if call.has_view:
        usual = await call.service.usual_seconds(call.principal, price.quality, price.tier)
        answer.meta = view.result_meta(ViewFacts(usual_seconds=usual))
    return answer


async def _balance(call: Call, arguments: BalanceArguments) -> CallToolResult:
    left = await call.service.balance(call.principal)
    return _answer(for_model.balance_text(left), left)


async def _view(call: Call, arguments: ViewArguments) -> CallToolResult:
    found, seen = await call.service.tasks(call.principal).view(arguments.task_id, arguments.max_edge)
    # No structured content: several clients then drop the image.
    return CallToolResult(content=[_image(seen), TextContent(text=for_model.view_text(found, seen))])


async def _picture_data(call: Call, arguments: PictureDataArguments) -> CallToolResult:
    tasks = call.service.tasks(call.principal)
    _, seen = await tasks.view(arguments.task_id, arguments.max_edge, LARGEST_IN_VIEW)
    return CallToolResult(
        content=[_image(seen)], _meta=view.result_meta(ViewFacts(width=seen.width, height=seen.height))
    )


def _image(seen: View) -> ImageContent:
    return ImageContent(data=base64.b64encode(seen.content).decode("ascii"), mime_type=seen.mime_type)


def _answer(text: str, result: Result) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], structured_content=result.to_json())


async def _task_answer(call: Call, found: TaskResult) -> CallToolResult:
    result = for_model.task_answer(found)
    answer = _answer(for_model.task_text(result), result)
    if call.has_view:
        answer.meta = view.result_meta(await task_facts(call.service.tasks(call.principal), found))
    for url in result.image_urls or () if call.links else ():
        # The ending of a copy comes from its bytes. Without one, only the name in the URL can tell.
        kind = kind_of_name(result.saved_paths[0] if result.saved_paths else urlsplit(url).path)
        mime_type = kind.mime_type if kind else None
        name = f"picture-{result.task_id}"
        answer.content.append(ResourceLink(name=name, title="Picture", uri=url, mime_type=mime_type))
    return answer


def error_answer(error: VidgoError) -> CallToolResult:
    """Return the answer to a call that could not be answered."""
    answer = _answer(for_model.error_text(error), for_model.error_result(error))
    answer.is_error = True
    return answer


def _entry(
    name: str,
    description: str,
    answer: Answer,
    arguments: type[Arguments],
    prices: PriceTable,
    *results: type[Result],
    spends: bool = False,
    open_world: bool = True,
) -> ToolEntry:
    title = name.replace("_", " ").capitalize()
    hints = ToolAnnotations(
        title=title,
        read_only_hint=not spends,
        destructive_hint=False,
        idempotent_hint=True,
        open_world_hint=open_world,
    )
    tool = Tool(
        name=name,
        title=title,
        description=description,
        input_schema=picture_schema(arguments, prices),
        output_schema=output_schema(*results) if results else None,
        annotations=hints,
    )
    return ToolEntry(tool, arguments, answer)


# The words that people use stand here: some clients find a tool only by a search for them.
KINDS: Final = "picture, photo, drawing, illustration, logo, icon, poster, artwork"
SAME_AGAIN: Final = (
    "One call makes one image; for several, call once for each with variation 1, 2, 3, ...; calls may run in parallel. "
    "The same arguments again (wait_seconds and max_credits do not count) return the image already paid for, free, for "
    "24 hours: after a time-out call get_task without task_id; if it is not listed, repeat the call. Answers finished "
    "with a URL, pending (do what next_step says) or failed (refunded); the error outcome_unknown: it may be paid for."
)


SHOWN_IN_VIEW: Final = ("generate_image", "edit_image", "get_task")


def picture_data(prices: PriceTable) -> ToolEntry:
    """Return the tool that only the view calls."""
    words = "Give the view in the chat the picture of a task, scaled down. Free. Not for models: use view_image."
    return _entry("picture_data", words, _picture_data, PictureDataArguments, prices)


def list_for_view(tools: Sequence[Tool], own: Tool) -> ListToolsResult:
    """Return the list for a client that shows views: it says which tools have one, and has the tool of the view."""
    shown = [
        tool.model_copy(update={"meta": view.tool_meta("model", "app")}) if tool.name in SHOWN_IN_VIEW else tool
        for tool in tools
    ]
    # Not for others who share a cache: most clients show no views.
    return ListToolsResult(
        tools=[*shown, own.model_copy(update={"meta": view.tool_meta("app")})],
        ttl_ms=AN_HOUR,
        cache_scope="private",
    )


def tool_entries(default_wait: int, prices: PriceTable, *, reads_files: bool) -> dict[str, ToolEntry]:
    """Return all tools by name, in the order in which they are listed.

    ``default_wait``: how many seconds a call waits that does not say; ``reads_files``: references may be local files.
    """
    generate = f"Generate an image from words. Spends credits. Create, draw or make any {KINDS}. {SAME_AGAIN}"
    edit = (
        f"Edit images into one new image. Spends credits. Change, retouch or combine any {KINDS}. {SAME_AGAIN} A "
        f"picture pasted into the chat cannot be reached: ask for its URL{' or path' if reads_files else ''}; never "
        "invent a data URI, never recreate it with generate_image."
    )
    get_task = (
        "Get an image of generate_image or edit_image: wait for its task, or without task_id list the newest tasks. "
        "Free. It waits up to wait_seconds; still pending, call it again. For pending results, and first after a "
        "time-out."
    )
    price = (
        "Price an image before generate_image or edit_image makes it: exact credits, and what the user's limits allow. "
        "Free. Works without key and network."
    )
    balance = "Return the credits left in the Vidgo account, and how many images they buy within the limits. Free."
    view = "Show a finished image to you, the model, scaled down, so that you can judge it. Free. Users see its URL."
    entries = (
        _entry("generate_image", generate, _make, GenerateArguments, prices, TaskResult, spends=True),
        _entry("edit_image", edit, _make, EditArguments, prices, TaskResult, spends=True),
        _entry("get_task", get_task, _get_task, GetTaskArguments, prices, TaskResult, TaskList),
        _entry("estimate_cost", price, _estimate, EstimateArguments, prices, Estimate, open_world=False),
        _entry("get_balance", balance, _balance, BalanceArguments, prices, BalanceResult),
        _entry("view_image", view, _view, ViewArguments, prices),
    )
    by_name = {entry.tool.name: entry for entry in entries}
    for entry in entries:
        wait = entry.tool.input_schema["properties"].get("wait_seconds")
        if wait is not None:
            wait["default"] = default_wait
            wait["description"] += f" Default {default_wait}."
    if reads_files:
        references = by_name["edit_image"].tool.input_schema["properties"]["image_urls"]
        references["description"] += " Or the path of a local file."
    return by_name
