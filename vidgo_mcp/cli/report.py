"""Reports what came of a command about pictures to a person or a script: in words or JSON, and by the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import click

from vidgo_mcp.app import journal_path
from vidgo_mcp.cli.output import STDOUT, Output
from vidgo_mcp.cli.terminal import json_text
from vidgo_mcp.errors import Money, VidgoError
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.settings import Settings
from vidgo_mcp.wording import for_model, for_person

EXIT_CODES: Final = """\b
Exit codes:
  0    finished
  1    refused, or another error: nothing was spent
  2    the command or a setting is wrong: nothing was spent
  3    the task failed; a failed task is refunded
  4    pending: the task goes on and is paid for; `vidgo-mcp task ID` fetches it.
       Also when the picture is paid for and could not be written to --output
  5    outcome unknown: it may have been paid for; compare the balance first
  130  stopped by Ctrl-C"""


class ExitCode(IntEnum):
    """What a script branches on; 2 is click's own code for a command that was typed wrongly."""

    DONE = 0
    REFUSED = 1
    FAILED = 3
    PENDING = 4
    UNKNOWN = 5


_BY_MONEY: Final[Mapping[Money, ExitCode]] = {
    "nothing_spent": ExitCode.REFUSED,
    "accepted": ExitCode.PENDING,
    "unknown": ExitCode.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Report:
    """How a command reports; ``as_json`` gives stdout what the tools return."""

    settings: Settings
    as_json: bool = False
    output: Output | None = None

    @property
    def command(self) -> for_person.Command:
        """What the words for a person depend on."""
        options = "" if self.output is None else self.output.options
        return for_person.Command(self.settings.sandbox, journal_path(self.settings) is not None, options)

    def show(self, result: TaskResult | TaskList, undelivered: VidgoError | None = None) -> ExitCode:
        """Show a result, and why its picture is not where it was wanted if so; return the exit code."""
        missing = "" if undelivered is None else for_person.undelivered_text(undelivered, self.command)
        if isinstance(result, TaskList):
            if self.as_json:
                click.echo(json_text(for_model.with_next_steps(result).to_json()))
            else:
                click.echo(for_person.list_text(result, self.command))
            return ExitCode.DONE
        if self.as_json:
            noted = {"notes": [*(result.notes or ()), missing]} if missing else {}
            click.echo(json_text(for_model.with_next_step(result.model_copy(update=noted)).to_json()))
        else:
            to_stdout = self.output is not None and self.output.typed == STDOUT
            click.echo(for_person.task_text(result, self.command), err=to_stdout)
        if undelivered is None:
            return _exit_code(result)
        click.echo(f"Error: {missing}", err=True)
        return ExitCode.PENDING if result.credits_charged else _BY_MONEY[undelivered.money]

    def fail(self, error: VidgoError) -> ExitCode:
        """Say why a command could not be answered; return the exit code."""
        if self.as_json:
            click.echo(json_text(for_model.error_result(error).to_json()))
        else:
            click.echo(for_person.error_text(error, self.command), err=True)
        return _BY_MONEY[error.money]


def _exit_code(result: TaskResult) -> ExitCode:
    if result.outcome == "finished":
        return ExitCode.DONE
    if result.outcome == "failed":
        return ExitCode.FAILED
    if result.remedy == "repeat_with_time":
        return ExitCode.REFUSED
    # Without an id the process ends before the answer came, so nobody will learn it any more.
    return ExitCode.PENDING if result.outcome == "pending" and result.task_id else ExitCode.UNKNOWN
