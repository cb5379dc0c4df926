"""The command ``vidgo-mcp``: on its own it is the MCP server over stdio that a client starts.

The module of a command is imported when the command runs: a client that starts the server waits for every import.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Final, NoReturn

import click

from vidgo_mcp import __version__
from vidgo_mcp.cli.options import Given, sandbox_option, settings_of
from vidgo_mcp.cli.terminal import echo, use_utf8
from vidgo_mcp.server.opening import Opening
from vidgo_mcp.settings import SettingsError, drop_unknown_tracing

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "demo",
    "generate": "picture_commands",
    "task": "picture_commands",
    "price": "picture_commands",
    "journal": "journal_commands",
    "doctor": "doctor",
    "serve": "serve",
    "sandbox": "sandbox",
}
"""Each command with its module, in the order in which a newcomer needs them."""
EXAMPLES: Final = """\b
Try it without a key:
  vidgo-mcp demo                        the whole story in 15 seconds
  vidgo-mcp price --size 16:9           what a picture costs
  vidgo-mcp doctor                      what is missing in this setup

\b
A client's configuration needs the command and the key:
  {"mcpServers": {"vidgo": {"command": "vidgo-mcp", "env": {"VIDGO_API_KEY": "..."}}}}"""


class Commands(click.Group):
    """Imports a command when it is needed, and points a typing error to the nearest name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        return None if module is None else getattr(import_module(f"vidgo_mcp.cli.{module}"), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"No such command {args[0]!r}.{f' Did you mean {near[0]}?' if near else ''}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="vidgo-mcp")
@sandbox_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Make and edit pictures with Vidgo's GPT Image 2.

    Without a command this is an MCP server over stdio, which an MCP client starts: put it into the configuration of
    your client. The commands below are for people and scripts.
    """
    if context.invoked_subcommand is not None:
        return
    from vidgo_mcp.cli.serve_stdio import serve  # noqa: PLC0415  # as the module of a command

    serve(settings_of(context), context.ensure_object(Given).opening)


def main(opening: Opening | None = None) -> NoReturn:
    """Run the command line and exit with its code; ``opening`` answers the client of a server over stdio already."""
    use_utf8()
    for sentence in drop_unknown_tracing():
        echo(sentence, err=True)
    try:
        sys.exit(cli.main(prog_name="vidgo-mcp", standalone_mode=False, obj=Given(opening=opening)))
    except click.ClickException as error:
        # It may name what was typed, or a path.
        said = io.StringIO()
        error.show(said)
        echo(said.getvalue(), err=True, nl=False)
        _leave(error.exit_code)
    except SettingsError as error:
        # It shows only when the setting is used.
        echo(f"Error: {error}", err=True)
        _leave(2)
    except (click.Abort, KeyboardInterrupt):
        _leave(130)
    except SystemExit as end:
        _leave(end.code)


def _leave(code: str | int | None) -> NoReturn:
    """End the process even when one of its threads hangs, as in a network folder whose server is gone."""
    until = time.monotonic() + 1.0
    # Python itself would wait for these forever.
    threads = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in threads) and (code is None or isinstance(code, int)):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # whoever read it may have gone away
                stream.flush()
        os._exit(code or 0)
    sys.exit(code)
