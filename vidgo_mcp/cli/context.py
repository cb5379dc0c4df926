"""What every command takes from the way it was started: the settings, and the options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from vidgo_mcp.settings import Settings, SettingsError, load

F = TypeVar("F", bound=Callable[..., Any])


class UnusableSettings(click.ClickException):
    """A setting that cannot be used is a mistake in how the command was started."""

    exit_code = 2


def settings_of(context: click.Context, sandbox: bool = False) -> Settings:
    """Return the settings of a command; ``sandbox`` is its own option.

    Raises:
        UnusableSettings: one of them cannot be used.
    """
    try:
        return load(**overrides_of(context, sandbox))
    except SettingsError as error:
        raise UnusableSettings(str(error)) from None


def overrides_of(context: click.Context, sandbox: bool) -> dict[str, Any]:
    """Return what the command line says in place of the environment."""
    given: dict[str, Any] = context.obj
    return given | ({"sandbox": True} if sandbox else {})


def sandbox_option(command: F) -> F:
    """Give a command ``--sandbox``."""
    return click.option("--sandbox", is_flag=True, help="Use a sandbox inside the process: no key, no cost.")(command)


def json_option(command: F) -> F:
    """Give a command ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Write JSON to stdout: what the MCP tool of this returns, if any."
    )(command)


def output_options(command: F) -> F:
    """Give a command ``--output`` and ``--overwrite``."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Let --output replace a file that is there."),
        click.option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the finished picture to FILE as well; into a folder under a readable name; - is stdout. Before "
            "anything is paid it is checked that FILE can be written and holds nothing else.",
        ),
    ):
        command = option(command)
    return command
