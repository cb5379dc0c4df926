"""Tells a person, or a script, what came of a command about pictures: in words or JSON, and by the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import click

from vidgo_mcp.cli import words
from vidgo_mcp.cli.output import Fetched, Output, written
from vidgo_mcp.cli.terminal import echo_json
from vidgo_mcp.errors import Money, VidgoError
from vidgo_mcp.models.results import Result, TaskList, TaskResult
from vidgo_mcp.settings import Settings


class ExitCode(IntEnum):
    """What a script branches on; 2 is click's own code for a command that was typed wrongly."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    FAILED = 3
    PENDING = 4
    UNKNOWN = 5


_BY_MONEY: Final[Mapping[Money, ExitCode]] = {
    "nothing_spent": ExitCode.REFUSED,
    "accepted": ExitCode.PENDING,
    "unknown": ExitCode.UNKNOWN,
}


def told(found: Result | Fetched, settings: Settings, as_json: bool, output: Output | None) -> int:
    """Show a result, and write its picture where that is wanted; return the exit code."""
    if isinstance(found, Fetched):
        assert output is not None
        return _delivered(output, written(output, found), settings, as_json)
    if as_json:
        echo_json(found.to_json())
    elif isinstance(found, TaskList):
        click.echo(words.of_list(found, settings))
    elif isinstance(found, TaskResult):
        to_stdout = output is not None and output.path is None
        click.echo(words.of_task(found, settings, options=options_of_output(output)), err=to_stdout)
    return _exit_code(found) if isinstance(found, TaskResult) else ExitCode.DONE


def _delivered(output: Output, picture: Fetched, settings: Settings, as_json: bool) -> int:
    result, missing = picture.result, words.of_missing(picture.why, picture.again, picture.result, settings)
    if as_json:
        noted = {"notes": [*(result.notes or ()), missing]} if missing else {}
        echo_json(result.model_copy(update=noted).to_json())
    else:
        click.echo(words.of_task(result, settings), err=output.path is None)
    if not missing:
        return ExitCode.DONE
    click.echo(f"Error: {missing}", err=True)
    return ExitCode.PENDING if picture.again or result.credits_charged else ExitCode.REFUSED


def _exit_code(result: TaskResult) -> ExitCode:
    if result.outcome == "finished":
        return ExitCode.DONE
    if result.outcome == "failed":
        return ExitCode.FAILED
    # Without an id the process ends before the answer came, so nobody will learn it any more.
    return ExitCode.PENDING if result.outcome == "pending" and result.task_id else ExitCode.UNKNOWN


def tell_error(
    error: VidgoError, settings: Settings, as_json: bool, *, step: str | None = None, options: str = ""
) -> int:
    """Say why a command could not be answered; return the exit code.

    Args:
        error: why.
        settings: what the user set.
        as_json: write JSON to stdout.
        step: said in place of the usual next step.
        options: what the command that fetches the picture is given beside the id.
    """
    if as_json:
        # Imported here: the very structure that a tool answers with, which needs the SDK.
        from vidgo_mcp.server.tool_results import error_result

        echo_json(error_result(error).structured_content or {})
    else:
        click.echo(words.of_error(error, settings, step=step, options=options), err=True)
    return _BY_MONEY[error.money]


def options_of_output(output: Output | None) -> str:
    """Return what the command that fetches a picture is given beside the id, so that it lands in the same place."""
    return "" if output is None else output.options
