"""The options that several commands share; those that a tool has too are made from its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click

from vidgo_mcp.models.requests import Arguments
from vidgo_mcp.server.opening import Opening
from vidgo_mcp.settings import Settings, SettingsError, load

F = TypeVar("F", bound=Callable[..., Any])

MORE_HELP: Final[Mapping[str, str]] = {
    "quality": "`vidgo-mcp price` prints what they cost.",
    "wait_seconds": "Default 300 here, or VIDGO_WAIT_SECONDS.",
    "image_urls": "A file that you name may lie anywhere on this computer; it is uploaded to Vidgo. Repeat the option "
    "for several.",
}
"""What a command's help says of an argument beyond the description that its tool has."""


@dataclass
class Given:
    """What a command starts with: settings that the command line replaces, and a client that is answered already."""

    overrides: dict[str, Any] = field(default_factory=dict)
    opening: Opening | None = None


class UnusableSettingsError(click.ClickException):
    """A setting that cannot be used is a mistake in how the command was started."""

    exit_code = 2


def settings_of(context: click.Context) -> Settings:
    """Return the settings of a command.

    Raises:
        UnusableSettingsError: one of them cannot be used.
    """
    try:
        return load(**context.ensure_object(Given).overrides)
    except SettingsError as error:
        raise UnusableSettingsError(str(error)) from None


def _asked_for_json(context: click.Context, _: click.Parameter, value: bool) -> bool:
    """Return whether JSON was asked for, before or after the name of a command below a group."""
    return value or bool(context.parent and context.parent.params.get("as_json"))


def _override_sandbox(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Given).overrides["sandbox"] = True


sandbox_option = click.option(
    "--sandbox",
    is_flag=True,
    expose_value=False,
    callback=_override_sandbox,
    help="Use a sandbox inside the process: no key, no cost.",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_asked_for_json,
    help="Write JSON to stdout, like its MCP tool, if any.",
)
output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the finished picture to FILE as well: a new file, or a folder, in which it gets a readable name; - is "
    "stdout. That it can be written is checked before anything is paid for.",
)


def options_of(model: type[Arguments], *, leave: str = "") -> Callable[[F], F]:
    """Return a decorator that gives a command one option for each argument of a tool, but not for ``leave``.

    Values stay as they were typed: ``read_arguments`` folds and checks them, as it does for a model's call.
    """
    properties: dict[str, Any] = model.model_json_schema()["properties"]

    def decorate(command: F) -> F:
        for name in reversed([name for name in properties if name != leave]):
            described = properties[name]
            # An argument that may be left out is "this or null"; leaving it out is what an option means anyway.
            schema = described["anyOf"][0] if "anyOf" in described else described
            metavar = {"integer": "N", "array": "REF"}.get(schema.get("type", ""), name.upper())
            if "enum" in schema:
                metavar = f"[{'|'.join(schema['enum'])}]"
            command = click.option(
                "--image" if name == "image_urls" else f"--{name.replace('_', '-')}",
                name,
                metavar=metavar,
                multiple=schema.get("type") == "array",
                help=f"{schema['description']} {MORE_HELP.get(name, '')}".strip(),
            )(command)
        return command

    return decorate


def typed_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were typed."""
    return {name: value for name, value in given.items() if value not in (None, ())}
