"""``vidgo-mcp serve``: serves several clients of this machine over HTTP, and says in one sentence why it cannot."""

from __future__ import annotations

import socket

import anyio
import click

from vidgo_mcp.app import build_service, configure_logging, no_local_files, principal_of, state_key
from vidgo_mcp.cli.options import sandbox_option, settings_of
from vidgo_mcp.cli.terminal import echo, plain_reason
from vidgo_mcp.foreign_text import escape
from vidgo_mcp.models.urls import is_loopback_host
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.http import NotLoopbackError, serve_http
from vidgo_mcp.settings import Settings


@click.command()
@click.option("--http", is_flag=True, required=True, help="Serve MCP over Streamable HTTP at /mcp.")
@click.option("--host", default="127.0.0.1", help="A loopback address.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), help="0 takes a free one.")
@sandbox_option
@click.pass_context
def serve(context: click.Context, /, http: bool, host: str, port: int) -> None:
    """Serve several clients of this machine over HTTP. Ctrl-C stops it."""
    settings = settings_of(context)
    configure_logging(settings.log_level)
    if settings.save_dir not in {None, "off"} or settings.input_dirs:
        echo("VIDGO_SAVE_DIR and VIDGO_INPUT_DIRS have no effect over HTTP.", err=True)
    try:
        if is_loopback_host(host):
            # Tried beforehand: uvicorn would log that an address cannot be taken, and leave.
            family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
            socket.create_server(address, family=family).close()
    except OSError as error:
        raise click.ClickException(
            f"{host}:{port} cannot be used: {plain_reason(error)}. Try another --port; 0 takes a free one."
        ) from None
    try:
        anyio.run(_serve, settings, host, port)
    except NotLoopbackError as error:
        raise click.ClickException(escape(str(error))) from None


async def _serve(settings: Settings, host: str, port: int) -> None:
    principal = principal_of(settings)
    service = build_service(settings, files=no_local_files(settings))
    await serve_http(
        build_server(service, principal_of=lambda ctx: principal, state_key=state_key(settings)),
        service,
        host=host,
        port=port,
        max_body_mb=settings.max_body_mb,
        on_ready=lambda bound: echo(f"Serving MCP at http://{host}:{bound}/mcp; Ctrl-C stops it.", err=True),
    )
