"""Serves several clients of this machine over HTTP, and says in one sentence why it cannot."""

from __future__ import annotations

import socket

import anyio
import click

from vidgo_mcp.app import MEGABYTE, build_service, configure_logging, remote_disk, state_key
from vidgo_mcp.cli.terminal import plain_reason
from vidgo_mcp.models.urls import is_loopback_host
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.http import LARGEST_REQUEST, NotLoopbackError, serve_http
from vidgo_mcp.settings import Settings


def run(settings: Settings, *, host: str, port: int) -> None:
    """Serve until Ctrl-C."""
    configure_logging(settings.log_level)
    service = build_service(settings, disk=remote_disk(settings))
    if settings.save_dir not in {None, "off"} or settings.input_dirs:
        click.echo("VIDGO_SAVE_DIR and VIDGO_INPUT_DIRS have no effect over HTTP.", err=True)
    if is_loopback_host(host):
        _check_port(host, port)

    def ready(bound: int) -> None:
        click.echo(f"Serving MCP at http://{host}:{bound}/mcp; Ctrl-C stops it.", err=True)

    async def serving() -> None:
        await serve_http(
            build_server(service, state_key=state_key(settings)),
            service,
            host=host,
            port=port,
            on_ready=ready,
            largest_request=_largest_request(settings),
        )

    try:
        anyio.run(serving)
    except NotLoopbackError as error:
        raise click.ClickException(str(error)) from None


def _largest_request(settings: Settings) -> int:
    """Return the bytes of one call that may bring two of the largest pictures, in base64."""
    return LARGEST_REQUEST + 2 * (settings.max_upload_mb * MEGABYTE * 4 // 3)


def _check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be taken: uvicorn would log it and leave."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address, family=family).close()
    except OSError as error:
        raise click.ClickException(
            f"{host}:{port} cannot be used: {plain_reason(error)}. Try another --port; 0 takes a free one."
        ) from None
