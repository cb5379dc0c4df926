"""Runs a command about pictures to its exit code: it shows progress, survives signals, and reports before it saves.

Where ``--output`` wants the picture is proved to be writable before anything is paid for.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import click

from vidgo_mcp.app import configure_logging, journal_path, principal_of
from vidgo_mcp.cli.terminal import Wait, echo, is_terminal, json_text, plain_reason, shown_wait
from vidgo_mcp.errors import InternalError, Money, NotFoundError, UnavailableError, VidgoError
from vidgo_mcp.files.kinds import whole_picture
from vidgo_mcp.files.naming import file_name
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.files.writer import save, write_to
from vidgo_mcp.foreign_text import escape
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.server.signals import held_signals
from vidgo_mcp.service import Principal, Service
from vidgo_mcp.service.task_results import bug_after
from vidgo_mcp.settings import Settings
from vidgo_mcp.wording import for_model, for_person

STDOUT: Final = "-"
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

Work = Callable[[Service, Wait], Awaitable[TaskResult | TaskList]]
Stopped = Callable[[Service], Awaitable[str]]

log = logging.getLogger(__name__)


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
    """Reports what came of a command, in words or, as the tools return it, in JSON; ``output`` is what -o was given."""

    settings: Settings
    as_json: bool = False
    output: str | None = None

    @property
    def command(self) -> for_person.Command:
        sandbox, durable = self.settings.sandbox, journal_path(self.settings) is not None
        options = " --sandbox" if sandbox else ""
        if self.output is not None:
            options += f' -o "{self.output}"' if " " in self.output else f" -o {self.output}"
        return for_person.Command(
            sandbox=sandbox and not durable, kept_sandbox=sandbox and durable, durable=durable, options=options
        )

    def show(self, result: TaskResult | TaskList, undelivered: VidgoError | None = None) -> ExitCode:
        """Show a result, and why its picture is not where it was wanted if so; return the exit code."""
        if isinstance(result, TaskList):
            if self.as_json:
                echo(json_text(for_model.list_answer(result).to_json()))
            else:
                echo(for_person.list_text(result, self.command))
            return ExitCode.DONE
        missing = "" if undelivered is None else for_person.undelivered_text(undelivered, self.command)
        if self.as_json:
            noted = {"notes": [*(result.notes or ()), missing]} if missing else {}
            echo(json_text(for_model.task_answer(result.model_copy(update=noted)).to_json()))
        else:
            echo(for_person.task_text(result, self.command), err=self.output == STDOUT)
        if undelivered is None:
            return _exit_code(result)
        echo(f"Error: {missing}", err=True)
        return ExitCode.PENDING if result.credits_charged else _BY_MONEY[undelivered.money]

    def fail(self, error: VidgoError) -> ExitCode:
        """Say why a command could not be answered; return the exit code."""
        if self.as_json:
            echo(json_text(for_model.error_result(error).to_json()))
        else:
            echo(for_person.error_text(error, self.command), err=True)
        return _BY_MONEY[error.money]


def check_output(typed: str | None, *, as_json: bool) -> None:
    """Raise a usage error where no picture can be written: ``typed`` is a new file, a folder, ``-``, or None."""
    if typed is None:
        return
    if typed == STDOUT and as_json:
        raise click.UsageError("--output - and --json would both write to stdout; name a file.")
    if typed == STDOUT and is_terminal(sys.stdout):
        raise click.UsageError("--output - would write a picture to the terminal; send it to a program or a file.")
    try:
        if typed != STDOUT:
            prove_writable(typed)
    except FileExistsError:
        raise click.UsageError(
            f"{escape(typed)} exists already, so nothing was sent. Name another file; `vidgo-mcp task ID -o FILE` "
            "writes a picture that is already paid for."
        ) from None
    except OSError as error:
        what = f"--output {escape(typed)} cannot be used: {plain_reason(error)}."
        raise click.UsageError(f"{what} Nothing was sent.") from None


def prove_writable(place: str) -> None:
    """Make a file, or one in a folder, and remove it: permissions alone do not tell on every system."""
    # Named like an unfinished picture: should this process be killed here, saving another one sweeps it away.
    trial = Path(place, f".vidgo-{secrets.token_hex(8)}.part") if place and Path(place).is_dir() else place
    os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    Path(trial).unlink()


def _write(content: bytes, result: TaskResult, typed: str) -> TaskResult:
    """Write a picture, unless the file exists by now; return its result with the path."""
    path = Path(typed).absolute()
    try:
        kind = whole_picture(content)
    except UnusableError as error:
        raise UnavailableError(f"What its URL gave cannot be used: {error.reason}.") from None
    if typed == STDOUT:
        # Not through sys.stdout: Python complains at the end about what a reader that went away leaves in it.
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
        return result
    if path.is_dir():
        made = datetime.now(UTC) if result.created_at is None else datetime.fromisoformat(result.created_at)
        day, prompt, task_id = made.astimezone().date(), result.prompt or "", result.task_id or ""
        name = partial(file_name, day=day, prompt=prompt, task_id=task_id, extension=kind.extension)
        path = save(content, path, lambda number: name(number=number))
    else:
        write_to(path, content)
    return result.model_copy(update={"saved_paths": [*(result.saved_paths or ()), str(path)]})


async def deliver(
    service: Service, principal: Principal, result: TaskResult | TaskList, typed: str | None
) -> tuple[TaskResult | TaskList, VidgoError | None]:
    """Write a finished picture where it was wanted; return its result, and why it is not there if so."""
    if typed is None or isinstance(result, TaskList) or result.outcome != "finished" or result.task_id is None:
        return result, None
    try:
        _, content = await service.tasks(principal).file(result.task_id)
        return await anyio.to_thread.run_sync(_write, content, result, typed, abandon_on_cancel=True), None
    except NotFoundError as error:  # the picture is gone: no command gets it
        return result, error
    except VidgoError as error:
        return result, error.changed(money="accepted", task_id=result.task_id)
    except OSError as error:
        what = f"{'stdout' if typed == STDOUT else typed} could not be written: {plain_reason(error)}."
        return result, UnavailableError(what, money="accepted", task_id=result.task_id)


def patient(settings: Settings) -> Settings:
    """Return the settings with which a command waits: longer by default than a tool, since somebody watches it."""
    chosen = "wait_seconds" in settings.model_fields_set
    return settings if chosen else settings.model_copy(update={"wait_seconds": 300})


async def run(service: Service, report: Report, work: Work, stopped: Stopped) -> int:
    """Run a command and return its exit code.

    ``service`` is entered and left here; after a signal ``stopped`` says what became of the work.
    """
    configure_logging(report.settings.log_level)
    found: TaskResult | TaskList | VidgoError | None = None
    made: TaskResult | TaskList | None = None
    undelivered: VidgoError | None = None
    principal = principal_of(report.settings)
    working = anyio.CancelScope()

    def stop() -> None:
        working.cancel()
        service.begin_end()  # second, or the work would end as if its time had run out

    # A signal cancels the work only: the service can still find out what became of a submit, whatever signals follow.
    async with held_signals(stop, partial(_say, for_person.STOPPING)) as received, service:
        with working:
            try:
                with shown_wait() as wait:
                    made = await work(service, wait)
                    found, undelivered = await deliver(service, principal, made, report.output)
            except VidgoError as error:
                found = error
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    _say(await stopped(service))
                raise
            except Exception as error:  # the outermost edge: a bug after paying must not look like a refusal
                log.exception("the command failed in an unexpected way (%s)", type(error).__name__)
                what = "vidgo-mcp failed; the lines above have the details."
                found = bug_after(made, what) if isinstance(made, TaskResult) else InternalError(what)
        # Reported before the service is left, which may take long: it still saves the picture.
        if found is None:
            code = 128 + received[0]
        else:
            code = report.fail(found) if isinstance(found, VidgoError) else report.show(found, undelivered)
    if isinstance(found, TaskResult) and found.task_id in service.saved_late:
        echo(for_person.saved_late_text(service.saved_late[found.task_id]), err=True)
    return code


def _say(text: str) -> None:
    # The terminal may be what went away.
    with suppress(OSError):
        echo(text, err=True)


def _exit_code(result: TaskResult) -> ExitCode:
    if result.outcome == "finished":
        return ExitCode.DONE
    if result.outcome == "failed":
        return ExitCode.FAILED
    if result.remedy == "repeat_with_time":
        return ExitCode.REFUSED
    # Without an id the process ends before the answer came, so nobody will learn it any more.
    return ExitCode.PENDING if result.outcome == "pending" and result.task_id else ExitCode.UNKNOWN
