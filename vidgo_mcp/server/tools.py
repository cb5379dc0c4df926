"""The six tools: their words, their schemas, their hints, and which part of the service each one calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import CallToolResult, Tool, ToolAnnotations

from vidgo_mcp.models.requests import (
    Arguments,
    BalanceArguments,
    EditArguments,
    EstimateArguments,
    GenerateArguments,
    GetTaskArguments,
    ViewArguments,
)
from vidgo_mcp.models.results import BalanceResult, Estimate, Result, TaskList, TaskResult
from vidgo_mcp.server import tool_results
from vidgo_mcp.server.schemas import input_schema, output_schema
from vidgo_mcp.service import Principal, Progress, Service, read_arguments
from vidgo_mcp.service.limits import Ask
from vidgo_mcp.service.waiting import ProgressReporter

RawArguments = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, and what their client can take."""

    service: Service
    principal: Principal
    progress: Progress
    links: bool
    ask: Ask


Run = Callable[[Call, RawArguments], Awaitable[CallToolResult]]


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """One tool as it is listed, and what runs it. ``spends`` says whether a bug in it can have cost credits."""

    tool: Tool
    run: Run
    spends: bool


async def _generate(call: Call, raw: RawArguments) -> CallToolResult:
    return await _make(call, read_arguments(GenerateArguments, raw))


async def _edit(call: Call, raw: RawArguments) -> CallToolResult:
    return await _make(call, read_arguments(EditArguments, raw))


async def _make(call: Call, arguments: GenerateArguments) -> CallToolResult:
    made = await call.service.make(call.principal, arguments, progress=call.progress, ask=call.ask)
    return tool_results.task_result(made, links=call.links)


async def _get_task(call: Call, raw: RawArguments) -> CallToolResult:
    arguments = read_arguments(GetTaskArguments, raw)
    tasks = call.service.tasks(call.principal)
    if arguments.task_id is None:
        return tool_results.list_result(await tasks.listed(arguments.limit))
    deadline = call.service.deadline(arguments.wait_seconds)
    found = await tasks.get(arguments.task_id, deadline, ProgressReporter(call.progress))
    return tool_results.task_result(found, links=call.links)


async def _estimate(call: Call, raw: RawArguments) -> CallToolResult:
    arguments = read_arguments(EstimateArguments, raw)
    return tool_results.estimate_result(await call.service.estimate(call.principal, arguments))


async def _balance(call: Call, raw: RawArguments) -> CallToolResult:
    read_arguments(BalanceArguments, raw)
    return tool_results.balance_result(await call.service.balance(call.principal))


async def _view(call: Call, raw: RawArguments) -> CallToolResult:
    arguments = read_arguments(ViewArguments, raw)
    found, view = await call.service.tasks(call.principal).view(arguments.task_id, arguments.max_edge)
    return tool_results.view_result(found, view)


def _entry(
    name: str,
    description: str,
    run: Run,
    arguments: type[Arguments],
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
        input_schema=input_schema(arguments),
        output_schema=output_schema(*results) if results else None,
        annotations=hints,
    )
    return ToolEntry(tool, run, spends)


SAME_AGAIN: Final = (
    "One call makes one picture; for several, call once for each with variation 1, 2, 3, ... Repeating a call with the "
    "same arguments, for example after a time-out, returns the picture already paid for, free, for 24 hours. "
    "Answers finished with a URL, pending (then do what next_step says), or failed (refunded)."
)


def tool_entries(default_wait: int, *, reads_files: bool) -> dict[str, ToolEntry]:
    """Return all tools by name, in the order in which they are listed.

    Args:
        default_wait: how many seconds a call waits when it does not say: the operator's setting.
        reads_files: whether references may be local files.
    """
    entries = (
        _entry(
            "generate_image",
            f"Make one picture from words. Spends credits. {SAME_AGAIN}",
            _generate,
            GenerateArguments,
            TaskResult,
            spends=True,
        ),
        _entry(
            "edit_image",
            f"Change or combine pictures as the prompt says, into one new picture. Spends credits. {SAME_AGAIN} "
            f"A picture pasted into the chat cannot be reached: ask for its URL{' or path' if reads_files else ''}.",
            _edit,
            EditArguments,
            TaskResult,
            spends=True,
        ),
        _entry(
            "get_task",
            "Wait for a task and return its picture, or without task_id list the newest tasks. Free. It waits by "
            "itself, so call it once, not in a loop. For pending results, and when the answer to a call was lost.",
            _get_task,
            GetTaskArguments,
            TaskResult,
            TaskList,
        ),
        _entry(
            "estimate_cost",
            "Return the exact price of a picture in credits before it is made. Free. Works without key and network.",
            _estimate,
            EstimateArguments,
            Estimate,
            open_world=False,
        ),
        _entry(
            "get_balance",
            "Return the credits left in the Vidgo account and how many pictures they buy. Free.",
            _balance,
            BalanceArguments,
            BalanceResult,
        ),
        _entry(
            "view_image",
            "Show a finished picture to you, the model, scaled down, so that you can judge it. Free. Users see it by "
            "its URL instead.",
            _view,
            ViewArguments,
        ),
    )
    by_name = {entry.tool.name: entry for entry in entries}
    for entry in entries:
        properties = entry.tool.input_schema["properties"]
        if "wait_seconds" in properties:
            properties["wait_seconds"]["default"] = default_wait
            properties["wait_seconds"]["description"] += f" Default {default_wait}."
    if reads_files:
        references = by_name["edit_image"].tool.input_schema["properties"]["image_urls"]
        references["description"] += " Or the path of a local file."
    return by_name
