"""``vidgo-mcp`` on its own: serves the MCP client that started it."""

from __future__ import annotations

import sys
from typing import Final

import anyio
import click

from vidgo_mcp.app import build_service, configure_logging, principal_of, state_key
from vidgo_mcp.cli.terminal import echo, is_terminal
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.opening import Opening
from vidgo_mcp.server.stdio import serve_stdio
from vidgo_mcp.settings import Settings

AT_A_TERMINAL: Final = (
    "vidgo-mcp now waits on stdin for an MCP client. You are at a terminal: press Ctrl-C, then try `vidgo-mcp demo` "
    "or `vidgo-mcp --help`."
)


def serve(settings: Settings, opening: Opening | None) -> None:
    """Serve until stdin closes or a signal comes; ``opening`` has answered the client so far."""
    if sys.stdin is None or sys.stdout is None:
        raise click.ClickException("An MCP server over stdio needs stdin and stdout, and one of them is closed.")
    configure_logging(settings.log_level)
    if is_terminal(sys.stdin):
        echo(AT_A_TERMINAL, err=True)
    service, principal = build_service(settings), principal_of(settings)
    server = build_server(service, principal_of=lambda ctx: principal, state_key=state_key(settings))
    anyio.run(serve_stdio, server, service, opening)
