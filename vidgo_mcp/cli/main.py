"""The command ``vidgo-mcp``: without a subcommand it is the MCP server over stdio that a client starts.

What a command needs is imported when it runs: a client that starts the server waits for every import.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import anyio
import click

from vidgo_mcp import __version__
from vidgo_mcp.cli.context import json_option, output_options, overrides_of, sandbox_option, settings_of
from vidgo_mcp.cli.journal_commands import journal
from vidgo_mcp.cli.options import options_of
from vidgo_mcp.cli.terminal import is_terminal, use_utf8
from vidgo_mcp.models.requests import ABSENT, EditArguments, EstimateArguments, GetTaskArguments
from vidgo_mcp.settings import Settings

LAST_THREADS = 1.0
"""Seconds that threads have to end with the command."""
AT_A_TERMINAL = (
    "vidgo-mcp now waits on stdin for an MCP client. You are at a terminal: press Ctrl-C, then try `vidgo-mcp demo` "
    "or `vidgo-mcp --help`."
)
MORE_WORDS = {
    "wait_seconds": "Default 300 here, or VIDGO_WAIT_SECONDS.",
    "image_urls": "A file that you type may lie anywhere on this computer; it is uploaded to Vidgo. Repeat the option "
    "for several.",
}
EXIT_CODES = """\b
Exit codes:
  0    finished
  1    refused, or another error: nothing was spent
  2    the command or a setting is wrong: nothing was spent
  3    the task failed; a failed task is refunded
  4    pending: the task goes on and is paid for; `vidgo-mcp task ID` fetches it.
       Also when the picture is paid for and could not be written to --output
  5    outcome unknown: it may have been paid for; compare the balance first
  130  stopped by Ctrl-C"""
EXAMPLES = """\b
Try it without a key:
  vidgo-mcp demo                        the whole story in 15 seconds
  vidgo-mcp price --size 16:9           what a picture costs
  vidgo-mcp doctor                      what is missing in this setup

\b
A client's configuration needs the command and the key:
  {"mcpServers": {"vidgo": {"command": "vidgo-mcp", "env": {"VIDGO_API_KEY": "..."}}}}"""
FAULT_HELP = """\b
A fault is written endpoint:name, endpoint:name=VALUE, and *N for only the next N requests:
  --faults submit:lose_answer*1    the answer to the next submit is lost after charging
  --faults status:slow=5           every status read takes 5 s
  --faults task:failed             tasks fail, and are refunded
`vidgo-mcp sandbox --faults help` lists all of them."""


class Commands(click.Group):
    """Lists commands in the order in which a newcomer needs them, and points a typing error to the nearest one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of their definition."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with the nearest name."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = get_close_matches(args[0], self.commands, n=1)
            ctx.fail(f"No such command {args[0]!r}.{f' Did you mean {near[0]}?' if near else ''}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="vidgo-mcp")
@sandbox_option
@click.pass_context
def cli(context: click.Context, sandbox: bool) -> None:
    """Make and edit pictures with Vidgo's GPT Image 2.

    Without a command this is an MCP server over stdio, which an MCP client starts: put it into the configuration of
    your client. The commands below are for people and scripts.
    """
    context.obj = {"sandbox": True} if sandbox else {}
    if context.invoked_subcommand is None:
        _run_stdio(settings_of(context))


def _run_stdio(settings: Settings) -> None:
    from vidgo_mcp.app import build_service, configure_logging, state_key
    from vidgo_mcp.server.build import build_server
    from vidgo_mcp.server.stdio import serve_stdio

    configure_logging(settings.log_level)
    if is_terminal(sys.stdin):
        click.echo(AT_A_TERMINAL, err=True)
    service = build_service(settings)
    anyio.run(serve_stdio, build_server(service, state_key=state_key(settings)), service)


@cli.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the pictures are saved. Left out, a new folder vidgo-demo in the current one.",
)
def demo(output: Path | None) -> None:
    """Show what this does, without a key: price, picture, edit, and no double payment.

    Starts the real server over stdio, as a client would, against a sandbox on this machine. Takes about 15 seconds
    and costs nothing. Your key and your settings are not used.
    """
    from vidgo_mcp.cli.demo import run

    sys.exit(run(output))


@cli.command(epilog=EXIT_CODES)
@click.argument("prompt")
@options_of(EditArguments, leave=("prompt",), names={"image_urls": "image"}, add=MORE_WORDS)
@click.option("--yes", is_flag=True, help="Agree to a price above VIDGO_CONFIRM_ABOVE without being asked.")
@output_options
@json_option
@sandbox_option
@click.pass_context
def generate(
    context: click.Context,
    /,
    sandbox: bool,
    as_json: bool,
    output: str | None,
    overwrite: bool,
    yes: bool,
    **given: Any,
) -> None:
    """Make a picture from PROMPT, save it and print its URL. Spends credits.

    With --image it edits those pictures. `vidgo-mcp price` tells the price before. The same arguments mean the same
    picture: after Ctrl-C or a time-out the same command again finds it, and costs nothing for 24 hours.
    """
    from vidgo_mcp.cli import picture_commands
    from vidgo_mcp.cli.output import chosen

    settings = settings_of(context, sandbox)
    place = chosen(output, overwrite=overwrite, as_json=as_json)
    sys.exit(picture_commands.generate(settings, given, yes=yes, as_json=as_json, output=place))


@cli.command(epilog=EXIT_CODES)
@click.argument("task_id", metavar="[ID]", required=False)
@options_of(GetTaskArguments, leave=("task_id",), add=MORE_WORDS)
@output_options
@json_option
@sandbox_option
@click.pass_context
def task(
    context: click.Context, /, sandbox: bool, as_json: bool, output: str | None, overwrite: bool, **given: Any
) -> None:
    """Wait for the task ID, save its picture and print its URL; without ID list the newest. Free.

    Any task of your key can be fetched by its ID; one that was not made from this computer is saved only with --output.
    The list shows what the journal of this computer knows.
    """
    if output is not None and given["task_id"] in ABSENT:
        raise click.UsageError("--output needs the ID of the task whose picture it is; `vidgo-mcp task` lists them.")
    from vidgo_mcp.cli import picture_commands
    from vidgo_mcp.cli.output import chosen

    settings = settings_of(context, sandbox)
    place = chosen(output, overwrite=overwrite, as_json=as_json)
    sys.exit(picture_commands.task(settings, given, as_json=as_json, output=place))


@cli.command()
@options_of(EstimateArguments)
@json_option
@click.pass_context
def price(context: click.Context, /, as_json: bool, **given: Any) -> None:
    """Print the exact price of a picture. Free, works without key and network."""
    from vidgo_mcp.cli import picture_commands

    sys.exit(picture_commands.price(settings_of(context), given, as_json=as_json))


cli.add_command(journal)


@cli.command()
@json_option
@sandbox_option
@click.pass_context
def doctor(context: click.Context, sandbox: bool, as_json: bool) -> None:
    """Check key, settings, network, clock, journal, folders and encoding. Free.

    One line for each, with what to do about a problem. Exit code 0 when everything is in order, else 1.
    """
    from vidgo_mcp.cli import doctor as examination

    sys.exit(examination.run(as_json=as_json, overrides=overrides_of(context, sandbox)))


@cli.command()
@click.option("--http", is_flag=True, required=True, help="Serve MCP over Streamable HTTP at /mcp.")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@sandbox_option
@click.pass_context
def serve(context: click.Context, http: bool, host: str, port: int, sandbox: bool) -> None:
    """Serve several clients of this machine over HTTP. Ctrl-C stops it."""
    from vidgo_mcp.cli import serve as serving

    serving.run(settings_of(context, sandbox), host=host, port=port)


@cli.command(epilog=FAULT_HELP)
@click.option("--port", default=8787, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--faults", multiple=True, metavar="FAULT", help="Misbehave like this; repeatable. `help` lists them.")
@click.option(
    "--seconds",
    nargs=2,
    type=float,
    default=(3.0, 8.0),
    show_default=True,
    metavar="MIN MAX",
    help="How long tasks take.",
)
@click.option(
    "--credits",
    "balance",
    default=1000,
    show_default=True,
    type=click.IntRange(0),
    help="What the account starts with.",
)
def sandbox(port: int, faults: Sequence[str], seconds: tuple[float, float], balance: int) -> None:
    """Serve an imitation of Vidgo on this machine. No key, no cost.

    It keeps accounts, draws real pictures, and misbehaves on request, to try what happens to money when answers are
    lost.
    """
    from vidgo_mcp.cli import sandbox as imitation

    if "help" in faults:
        click.echo(imitation.fault_list())
        return
    imitation.check_faults(faults)
    imitation.run(port=port, faults=faults, seconds=seconds, balance=balance)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    use_utf8()
    try:
        sys.exit(cli.main(prog_name="vidgo-mcp", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        _leave(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _leave(130)
    except SystemExit as end:
        _leave(end.code)


def _leave(code: str | int | None) -> NoReturn:
    """End the process, also when one of its threads hangs in a folder that does not answer."""
    until = time.monotonic() + LAST_THREADS
    # Python itself would wait for these, for ever.
    threads = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in threads) and (code is None or isinstance(code, int)):
        for stream in (sys.stdout, sys.stderr):
            # Whoever read it may have gone away.
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code or 0)
    sys.exit(code)
