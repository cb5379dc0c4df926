"""Tells a person, or a script, what came of a command about pictures: in words or JSON, and by the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Final

import click

from vidgo_mcp.app import journal_path
from vidgo_mcp.cli.output import Fetched, Output, written
from vidgo_mcp.cli.terminal import echo_json
from vidgo_mcp.errors import Money, VidgoError
from vidgo_mcp.models.results import Result, TaskList, TaskResult
from vidgo_mcp.settings import Settings
from vidgo_mcp.wording import for_model, for_person


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
        echo_json(as_sent(found).to_json())
    elif isinstance(found, TaskList):
        click.echo(for_person.list_text(found, command_of(settings)))
    elif isinstance(found, TaskResult):
        to_stdout = output is not None and output.path is None
        click.echo(for_person.task_text(found, command_of(settings, output)), err=to_stdout)
    return _exit_code(found) if isinstance(found, TaskResult) else ExitCode.DONE


def _delivered(output: Output, picture: Fetched, settings: Settings, as_json: bool) -> int:
    result, missing = picture.result, ""
    if picture.why:
        command = replace(command_of(settings), options=picture.again)
        missing = for_person.not_written_text(picture.why, result, command)
    if as_json:
        noted = {"notes": [*(result.notes or ()), missing]} if missing else {}
        echo_json(as_sent(result.model_copy(update=noted)).to_json())
    else:
        click.echo(for_person.task_text(result, command_of(settings)), err=output.path is None)
    if not missing:
        return ExitCode.DONE
    click.echo(f"Error: {missing}", err=True)
    return ExitCode.PENDING if picture.again or result.credits_charged else ExitCode.REFUSED


def as_sent(found: Result) -> Result:
    """Return a result as the tool of it sends it."""
    if isinstance(found, TaskList):
        return for_model.with_next_steps(found)
    return for_model.with_next_step(found) if isinstance(found, TaskResult) else found


def _exit_code(result: TaskResult) -> ExitCode:
    if result.outcome == "finished":
        return ExitCode.DONE
    if result.outcome == "failed":
        return ExitCode.FAILED
    # Without an id the process ends before the answer came, so nobody will learn it any more.
    return ExitCode.PENDING if result.outcome == "pending" and result.task_id else ExitCode.UNKNOWN


def tell_error(error: VidgoError, settings: Settings, as_json: bool, output: Output | None = None) -> int:
    """Say why a command could not be answered; return the exit code."""
    command = command_of(settings, output)
    if as_json:
        echo_json(for_model.error_result(error).to_json())
    else:
        click.echo(for_person.error_text(error, command), err=True)
    return _BY_MONEY[error.money]


def command_of(settings: Settings, output: Output | None = None) -> for_person.Command:
    """Return what the words of a command depend on."""
    options = "" if output is None else output.options
    return for_person.Command(settings.sandbox, journal_path(settings) is not None, options)
