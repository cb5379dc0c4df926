"""Pictures for a person, without a model: runs the same service, and finds out what became of what a signal stopped."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import uuid4

import anyio
import click

from vidgo_mcp.app import build_service, configure_logging, disk_of, for_reading
from vidgo_mcp.cli.output import Fetched, Output, fetched, not_paid_yet
from vidgo_mcp.cli.report import ExitCode, command_of, tell_error, told
from vidgo_mcp.cli.terminal import Wait, answered, echo_json, is_terminal, shown_wait
from vidgo_mcp.cli.typed_files import typed_references
from vidgo_mcp.errors import BudgetError, InternalError, VidgoError
from vidgo_mcp.models.requests import EditArguments, EstimateArguments, GenerateArguments, GetTaskArguments
from vidgo_mcp.models.results import Estimate, Result, TaskResult
from vidgo_mcp.server.signals import cancel_on_signal
from vidgo_mcp.service import Disk, Service, read_arguments
from vidgo_mcp.service.consent import Answer, Ask, Question
from vidgo_mcp.settings import Settings
from vidgo_mcp.wording import for_person

PATIENCE: Final = 300
"""Seconds for which a person who watches waits, when neither they nor VIDGO_WAIT_SECONDS says."""
LAST_LOOK: Final = 10.0
"""Seconds for finding out, after Ctrl-C, what became of a submit."""

ANSWER_SECONDS: Final = 300.0
"""How long a person may think about a price."""

Work = Callable[[Service, Wait], Awaitable[Result | Fetched]]
Stop = Callable[[Service], Awaitable[str]]

log = logging.getLogger(__name__)


def generate(
    settings: Settings, given: Mapping[str, Any], *, yes: bool, as_json: bool, output: Output | None = None
) -> int:
    """Make a picture, or edit the ones that are given; return the exit code.

    Args:
        settings: what the user set.
        given: the arguments as they were typed.
        yes: agree to any price above VIDGO_CONFIRM_ABOVE.
        as_json: write JSON to stdout.
        output: where else the picture is wanted.

    Raises:
        click.UsageError: a new picture could not be written to the output, so it was not made.
    """
    model = EditArguments if given.get("image_urls") else GenerateArguments
    raw = {name: value for name, value in given.items() if value not in (None, ())}
    disk = disk_of(settings)
    if model is EditArguments:
        raw["image_urls"], disk = typed_references(raw["image_urls"], disk)
    # A file that is there may be this very picture, written by the same command before: then nothing is paid.
    only_paid = output is not None and output.taken
    last_words = ""

    async def make(service: Service, progress: Wait) -> Result | Fetched:
        async def remembered(value: float, message: str) -> None:
            nonlocal last_words
            last_words = message
            await progress(value, message)

        ask = _agreed if yes else _asking(progress)
        arguments = read_arguments(model, raw | ({"max_credits": 0} if only_paid else {}))
        try:
            made = await service.make(arguments, progress=remembered, ask=ask, goes_on=False)
        except BudgetError:
            if output is None or not only_paid:
                raise
            raise not_paid_yet(output) from None
        return made if output is None else await fetched(service, made, output)

    async def stopped(service: Service) -> str:
        # The same request that may only be reused: it says what is known of the task, and can spend nothing.
        again = read_arguments(model, raw | {"max_credits": 0, "wait_seconds": 0})
        with anyio.move_on_after(LAST_LOOK):
            try:
                found = await service.make(again)
            except BudgetError:
                return "Stopped before anything was sent; nothing was spent."
            except VidgoError as error:
                return for_person.error_text(error, command_of(settings, output))
            return for_person.stopped_text(found, command_of(settings, output))
        return f"Stopped; what became of it could not be read in time. Last known: {last_words or 'nothing'}."

    return _run(settings, settings, make, stopped, as_json=as_json, output=output, disk=disk)


def task(settings: Settings, given: Mapping[str, Any], *, as_json: bool, output: Output | None = None) -> int:
    """Wait for a task and show it, or list the newest ones; return the exit code."""
    raw = {name: value for name, value in given.items() if value is not None}

    async def find(service: Service, progress: Wait) -> Result | Fetched:
        arguments = read_arguments(GetTaskArguments, raw)
        if arguments.task_id is None:
            return await service.tasks(arguments)
        found = await service.task(arguments.task_id, wait_seconds=arguments.wait_seconds, progress=progress)
        return found if output is None else await fetched(service, found, output)

    async def stopped(service: Service) -> str:
        again = f"vidgo-mcp task {given.get('task_id') or ''}".strip()
        return f"Stopped waiting; the task goes on. Fetch it with: {again}{command_of(settings, output).options}"

    return _run(settings, for_reading(settings), find, stopped, as_json=as_json, output=output)


async def _agreed(question: Question) -> Answer:
    return Answer("accepted", uuid4().hex)


def _asking(wait: Wait) -> Ask:
    async def ask(question: Question) -> Answer:
        if not is_terminal(sys.stdin):
            return Answer("cannot_ask")
        with wait.hidden(), anyio.move_on_after(ANSWER_SECONDS):
            typed = await answered(f"{question.text()}\n[y/N] ")
            if typed is None:
                return Answer("dismissed")
            return await _agreed(question) if typed.lower() in {"y", "yes"} else Answer("declined")
        return Answer("no_answer")

    return ask


async def _estimated(settings: Settings, arguments: EstimateArguments) -> Estimate:
    async with build_service(for_reading(settings)) as service:
        return await service.estimate(arguments)


def price(settings: Settings, given: Mapping[str, Any], *, as_json: bool) -> int:
    """Show the exact price of a picture; return the exit code."""
    raw = {name: value for name, value in given.items() if value is not None}
    try:
        estimate = anyio.run(_estimated, settings, read_arguments(EstimateArguments, raw))
    except VidgoError as error:
        return tell_error(error, settings, as_json)
    if as_json:
        echo_json(estimate.to_json())
    else:
        click.echo(for_person.price_text(estimate, table=not raw))
    return ExitCode.DONE


def _run(
    settings: Settings,
    used: Settings,
    work: Work,
    stopped: Stop,
    *,
    as_json: bool,
    output: Output | None,
    disk: Disk | None = None,
) -> int:
    configure_logging(settings.log_level)
    if "wait_seconds" not in settings.model_fields_set:
        used = used.model_copy(update={"wait_seconds": PATIENCE})
    service = build_service(used, disk=disk)
    to_stdout = output is not None and output.path is None
    codes: list[int] = []

    def tell(found: Result | Fetched) -> None:
        codes.append(told(found, settings, as_json, output))

    try:
        # Bytes that are read from stdout are written out of the event loop, where Ctrl-C also ends a write that nobody
        # reads.
        found = anyio.run(_attended, service, work, stopped, None if to_stdout else tell)
    except KeyboardInterrupt:
        if codes:
            click.echo(for_person.saved_late_text(None), err=True)
        raise
    if isinstance(found, click.UsageError):
        raise found
    if isinstance(found, VidgoError):
        return tell_error(found, settings, as_json, output=output)
    if isinstance(found, int):
        return found
    if to_stdout:
        tell(found)
    result = found.result if isinstance(found, Fetched) else found
    if isinstance(result, TaskResult) and result.task_id in service.saved_late:
        click.echo(for_person.saved_late_text(service.saved_late[result.task_id]), err=True)
    return codes[0]


async def _attended(
    service: Service, work: Work, stopped: Stop, tell: Callable[[Result | Fetched], None] | None
) -> Result | Fetched | VidgoError | click.UsageError | int:
    """Return what came of the work, or the exit code of a command that a signal stopped.

    What is found is told before the service is left, which may take long: it still saves the picture.
    """
    found: Result | Fetched | VidgoError | click.UsageError | None = None
    received: list[int] = []
    # The service outside: a signal cancels the wait, and the service still finds out what became of the submit.
    async with service:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope, received)
            try:
                with shown_wait() as progress:
                    found = await work(service, progress)
            except (VidgoError, click.UsageError) as error:
                found = error
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    click.echo(await stopped(service), err=True)
                raise
            except Exception as error:  # the outermost edge: what a bug may have cost must not look like a refusal
                log.exception("the command failed in an unexpected way (%s)", type(error).__name__)
                found = InternalError(
                    "vidgo-mcp failed; the lines above have the details.",
                    money="unknown",
                    remedy="compare_balance",
                )
            tasks.cancel_scope.cancel()
        if isinstance(found, Result | Fetched) and tell is not None:
            tell(found)
    return found if found is not None else 128 + received[0]
