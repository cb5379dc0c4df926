"""The yardstick: the smallest server on the same SDK, one tool that echoes, over stdio or over HTTP.

``python benchmarks/bare_server.py`` speaks stdio; with ``--http`` it takes a free port and says so on stderr.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent, Tool

ECHO = Tool(
    name="echo",
    description="Return the text.",
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    output_schema={"type": "object", "properties": {"text": {"type": "string"}}},
)


async def list_tools(ctx: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[ECHO])


async def call_tool(ctx: Any, params: CallToolRequestParams) -> CallToolResult:
    text = str((params.arguments or {})["text"])
    return CallToolResult(content=[TextContent(text=text)], structured_content={"text": text})


SERVER: Server[Any] = Server(
    "bare",
    version="1",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    get_tool_input_schema=lambda name: ECHO.input_schema,
)


async def over_stdio() -> None:
    async with stdio_server() as (read_stream, write_stream):
        await SERVER.run(read_stream, write_stream, SERVER.create_initialization_options())


async def over_http() -> None:
    import uvicorn  # noqa: PLC0415  # over stdio the yardstick should pay for nothing that it does not need

    config = uvicorn.Config(SERVER.streamable_http_app(stateless_http=True), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"Serving MCP at http://127.0.0.1:{port}/mcp", file=sys.stderr, flush=True)


if __name__ == "__main__":
    anyio.run(over_http if "--http" in sys.argv else over_stdio)
