"""Builds the MCP server around a service, on the SDK's low-level server, which passes on exactly what is written.

The SDK's higher level ignores unknown arguments, so that a typo would cost money, and lets the text of a validation
library through to the model.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import anyio
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError

from vidgo_mcp import __version__
from vidgo_mcp.errors import InternalError, NotFoundError, VidgoError
from vidgo_mcp.foreign_text import plain_text
from vidgo_mcp.server import prompts, resources, view
from vidgo_mcp.server.client_timeout import ClientTimeout
from vidgo_mcp.server.elicitation import ANSWER_SECONDS, Context, QuestionForClient, asker, read_answers
from vidgo_mcp.server.tools import Call, error_answer, list_for_view, picture_data, tool_entries
from vidgo_mcp.service import Principal, Progress, Service
from vidgo_mcp.wording import for_model

NAME: Final = "vidgo-mcp"
MODERN_SINCE: Final = "2026-07-28"
"""The first stateless version: its clients take resource links in results, and are asked by answering."""
RESOURCE_NOT_FOUND: Final = -32002
"""What the protocol asked for before 2026-07-28; since then it is INVALID_PARAMS."""
AN_HOUR: Final = CacheHint(3_600_000, "public")
UNEXPECTED: Final = "%s failed in an unexpected way"
SEE_LOG: Final = "{} failed inside vidgo-mcp; the server's log on stderr has the details."

PrincipalOf = Callable[[Context], Principal]
R = TypeVar("R")

log = logging.getLogger(__name__)


def instructions(*, reads_files: bool) -> str:
    """Return what every model reads first; ``reads_files`` says whether references may be local files."""
    reference = "a URL or a file path" if reads_files else "a URL"
    # The first 250 characters are all that some clients show.
    return (
        "Makes and edits images with Vidgo for credits. After a time-out call get_task without task_id; if the image "
        "is not listed, repeat the same call: the same arguments are never paid twice. Never reword a prompt to repeat "
        "a call.\n\n"
        "The same arguments, for 24 hours: prompt, size, resolution, quality, variation, image_urls; wait_seconds and "
        "max_credits do not count, no resolution is 1K, and a square in 4K is the same image as in 2K. Where calls "
        "time out pass a small wait_seconds, such as 3, to every call, and repeat get_task while it is pending. "
        "outcome_unknown: it may be paid for; tell the user, and raise variation only if they agree that it may be "
        "paid twice.\n\n"
        "Money: before high, 2K, 4K or several images tell the user the price (estimate_cost) and wait for a yes, "
        "unless they named that quality or a limit; otherwise just make it. If not all fit the limit, say how many do. "
        "If the size that they named is not possible, make the nearest within the limit, and tell them its true size "
        "and what they have to crop. max_credits limits one call, not a total. Budgets "
        "are the user's: only they can raise one, in this server's settings. If "
        "the content is refused tell the user; reword it only as they say, once for each answer of theirs.\n\n"
        'Pictures: to edit one made here, edit_image with image_urls ["task:<task_id>"]. Pictures pasted into the chat '
        f"cannot be reached: ask the user for {reference}, and do not recreate them with generate_image. Look at a "
        "result with view_image. Give the user the URL, which usually dies after about 24 hours. A task_id opens its "
        "picture to whoever has it."
    )


def build_server(service: Service, *, principal_of: PrincipalOf, state_key: bytes | None = None) -> Server[Any]:
    """Return the server; the service must be entered by whoever runs it.

    ``state_key`` seals questions to the person; several processes that serve the same clients need the same one.
    """
    entries = tool_entries(service.default_wait, service.price_table, reads_files=service.reads_files)
    patience, tools = ClientTimeout(), [entry.tool for entry in entries.values()]
    for_view = picture_data(service.price_table)
    callables = {**entries, for_view.tool.name: for_view}
    listing, for_views = types.ListToolsResult(tools=tools), list_for_view(tools, for_view.tool)

    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        service.warm_up(principal_of(ctx))
        return for_views if view.has_view(ctx) else listing

    async def call_tool(
        ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        entry = callables.get(params.name)
        if entry is None:
            raise MCPError(
                types.INVALID_PARAMS,
                f"Unknown tool: {plain_text(params.name, 60)}. The tools are {', '.join(entries)}.",
            )
        modern = ctx.protocol_version >= MODERN_SINCE
        ask = asker(ctx, params, modern=modern)
        seconds = patience.seconds if ctx.request is None else None
        call = Call(service, principal_of(ctx), _progress(ctx), modern, ask, seconds, view.has_view(ctx))
        try:
            return await entry.run(call, params.arguments)
        except QuestionForClient as question:
            return question.result
        except VidgoError as error:
            return error_answer(error)
        except Exception:  # the outermost edge: an escaped exception would reach the model as a bare protocol error
            log.exception(UNEXPECTED, params.name)
            # What may cost something says itself what its bugs can have cost.
            return error_answer(InternalError(SEE_LOG.format(params.name)))

    async def list_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        found = await _guarded("The list of resources", resources.listing(service, principal_of(ctx)))
        return (
            found.model_copy(update={"resources": [view.RESOURCE, *found.resources]}) if view.has_view(ctx) else found
        )

    async def list_templates(
        ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=list(resources.TEMPLATES))

    async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        if params.uri == view.URI:
            return view.read()
        try:
            return await _guarded("Reading a resource", resources.read(service, params.uri, principal_of(ctx)))
        except NotFoundError as error:
            code = types.INVALID_PARAMS if ctx.protocol_version >= MODERN_SINCE else RESOURCE_NOT_FOUND
            message = f"Resource not found. {for_model.error_line(error)}"
            raise MCPError(code, message, data={"uri": params.uri}) from None

    async def list_prompts(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return prompts.listing(reads_files=service.reads_files)

    async def get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        prices = await service.prices_in_force(principal_of(ctx))
        return prompts.get(params.name, params.arguments, prices, reads_files=service.reads_files)

    async def complete(ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        principal, ref = principal_of(ctx), params.ref
        if isinstance(ref, types.PromptReference):
            completion = prompts.complete(service, ref.name, params.argument, principal)
        else:
            completion = resources.complete(service, ref.uri, params.argument, principal)
        return types.CompleteResult(completion=await _guarded("Completion", completion))

    server: Server[Any] = Server(
        NAME,
        version=__version__,
        title="Vidgo images",
        instructions=instructions(reads_files=service.reads_files),
        cache_hints={
            **dict.fromkeys(("tools/list", "prompts/list", "resources/templates/list", "server/discover"), AN_HOUR),
            **dict.fromkeys(("resources/list", "resources/read"), CacheHint(0, "private")),
        },
        get_tool_input_schema=lambda name: callables[name].tool.input_schema if name in callables else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )
    ephemeral = RequestStateSecurity.ephemeral(ttl=ANSWER_SECONDS)
    security = RequestStateSecurity(keys=[state_key], ttl=ANSWER_SECONDS) if state_key else ephemeral
    server.extensions[view.EXTENSION] = {}
    server.middleware += [patience, read_answers, RequestStateBoundary(security, default_audience=NAME)]
    return server


async def _guarded(what: str, answer: Awaitable[R]) -> R:
    try:
        return await answer
    except (MCPError, NotFoundError):
        raise
    except Exception:  # the outermost edge: the SDK would send the words of any exception to the client
        log.exception(UNEXPECTED, what)
        raise MCPError(types.INTERNAL_ERROR, SEE_LOG.format(what)) from None


def _progress(ctx: Context) -> Progress:
    async def report(progress: float, message: str) -> None:
        try:
            await ctx.session.report_progress(progress, 100.0, message)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            # Nobody listens any more; the call itself goes on until it is cancelled.
            log.debug("progress could not be delivered")

    return report
