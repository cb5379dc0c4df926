"""Turns the arguments of a tool into options of a command: names, words and limits have one definition, the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from vidgo_mcp.models.requests import Arguments

F = TypeVar("F", bound=Callable[..., Any])


def options_of(
    model: type[Arguments],
    *,
    leave: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    add: Mapping[str, str] | None = None,
) -> Callable[[F], F]:
    """Return a decorator that gives a command one option for each argument.

    Values stay as they were typed: ``read_arguments`` folds and checks them, as it does for a model's call.

    Args:
        model: the arguments of a tool.
        leave: arguments that the command takes in another way.
        names: options that are called otherwise than the argument.
        add: what the help says beyond the words of the field.
    """
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    called, more = names or {}, add or {}

    def decorate(command: F) -> F:
        for name in reversed([name for name in properties if name not in leave]):
            schema = _plain(properties[name])
            command = click.option(
                f"--{called.get(name, name).replace('_', '-')}",
                name,
                metavar=_metavar(name, schema),
                multiple=schema.get("type") == "array",
                help=f"{schema['description']} {more.get(name, '')}".strip(),
            )(command)
        return command

    return decorate


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that is given; that it may be left out is what an option means anyway."""
    chosen: dict[str, Any] = schema["anyOf"][0] if "anyOf" in schema else schema
    return chosen


def _metavar(name: str, schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"[{'|'.join(schema['enum'])}]"
    return {"integer": "N", "array": "REF"}.get(schema.get("type", ""), name.upper())
