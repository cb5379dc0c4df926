"""The command ``vidgo-mcp``: without a subcommand it is the MCP server over stdio that a client starts."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import click

from vidgo_mcp import __version__
from vidgo_mcp.settings import Settings, SettingsError, load


def _settings(**overrides: Any) -> Settings:
    try:
        return load(**overrides)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@click.group(invoke_without_command=True)
@click.version_option(__version__, prog_name="vidgo-mcp")
@click.option("--sandbox", is_flag=True, help="Use a sandbox inside the process: no key, no cost.")
@click.pass_context
def cli(context: click.Context, sandbox: bool) -> None:
    """Make and edit pictures with Vidgo's GPT Image 2.

    Without a command this is an MCP server over stdio: put it into the configuration of your client.
    """
    context.obj = {"sandbox": True} if sandbox else {}
    if context.invoked_subcommand is None:
        _run_stdio(_settings(**context.obj))


def _run_stdio(settings: Settings) -> None:
    from vidgo_mcp.cli.compose import build_service, configure_logging
    from vidgo_mcp.server import build_server
    from vidgo_mcp.server.stdio import serve_stdio

    configure_logging(settings.log_level)
    service = build_service(settings)
    anyio.run(serve_stdio, build_server(service), service)


@cli.command()
@click.option("--http", is_flag=True, required=True, help="Serve MCP over Streamable HTTP at /mcp.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--sandbox", is_flag=True, help="Use a sandbox inside the process: no key, no cost.")
@click.pass_context
def serve(context: click.Context, http: bool, host: str, port: int, sandbox: bool) -> None:
    """Serve several clients of this machine over HTTP."""
    from vidgo_mcp.cli.compose import build_service, configure_logging
    from vidgo_mcp.server import build_server
    from vidgo_mcp.server.http import NotLoopbackError, serve_http

    settings = _settings(**context.obj, **({"sandbox": True} if sandbox else {}))
    configure_logging(settings.log_level)
    service = build_service(settings)

    def ready(bound: int) -> None:
        click.echo(f"Serving MCP at http://{host}:{bound}/mcp", err=True)

    async def run() -> None:
        await serve_http(build_server(service), service, host=host, port=port, on_ready=ready)

    try:
        anyio.run(run)
    except NotLoopbackError as error:
        raise click.ClickException(str(error)) from None


def main() -> None:
    """Run the command line."""
    try:
        cli.main(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)
