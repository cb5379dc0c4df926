"""``vidgo-mcp generate``, ``task`` and ``price``: what the tools of the same purpose do, for a person at a shell.

What a model names has to lie in folders that were allowed beforehand. A file that a person types is allowed by being
typed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import click

from vidgo_mcp.app import build_service, for_reading, local_files, principal_of
from vidgo_mcp.cli.options import json_option, options_of, output_option, sandbox_option, settings_of, typed_arguments
from vidgo_mcp.cli.session import EXIT_CODES, Report, check_output, patient, run
from vidgo_mcp.cli.terminal import Wait, echo, is_terminal, json_text
from vidgo_mcp.errors import BudgetError, VidgoError
from vidgo_mcp.models.requests import ABSENT, EditArguments, EstimateArguments, GenerateArguments, GetTaskArguments
from vidgo_mcp.models.results import Estimate, TaskList, TaskResult
from vidgo_mcp.pricing import PriceTable
from vidgo_mcp.service import Service, read_arguments
from vidgo_mcp.service.limits import Answer, Question
from vidgo_mcp.service.watches import ProgressReporter
from vidgo_mcp.wording import for_person


@click.command(epilog=EXIT_CODES)
@click.argument("prompt")
@options_of(EditArguments, leave="prompt")
@click.option("--yes", is_flag=True, help="Agree to a price above VIDGO_CONFIRM_ABOVE without being asked.")
@output_option
@json_option
@sandbox_option
@click.pass_context
def generate(context: click.Context, /, as_json: bool, output: str | None, yes: bool, **given: Any) -> None:
    """Make a picture from PROMPT, save it and print its URL. Spends credits.

    With --image it edits those pictures. `vidgo-mcp price` tells the price before. The same arguments mean the same
    picture: after Ctrl-C or a time-out the same command again finds it, and costs nothing for 24 hours.
    """
    settings = settings_of(context)
    check_output(output, as_json=as_json)
    report = Report(settings, as_json, output)
    files, principal = local_files(settings), principal_of(settings)
    model: type[GenerateArguments] = GenerateArguments
    raw = typed_arguments(given)
    if "image_urls" in raw:
        model = EditArguments
        assert files.folders is not None
        files = replace(files, folders=replace(files.folders, anywhere=True))

    async def make(service: Service, wait: Wait) -> TaskResult:
        ask = _agree if yes else partial(_ask, wait)
        prices = await service.prices_in_force(principal)
        asked = read_arguments(model, raw, prices, local_api=principal.local_api)
        return await service.make(principal, asked, progress=wait, ask=ask)

    async def stopped(service: Service) -> str:
        # The same request, which may only be reused: it says what became of the task, and can spend nothing.
        again = read_arguments(model, raw | {"max_credits": 0, "wait_seconds": 0}, local_api=principal.local_api)
        with anyio.move_on_after(10):
            try:
                return for_person.stopped_text(await service.make(principal, again), report.command)
            except BudgetError:
                return for_person.STOPPED_BEFORE
            except VidgoError as error:
                return for_person.error_text(error, report.command)
        return for_person.STOPPED_UNKNOWN

    sys.exit(anyio.run(run, build_service(patient(settings), files=files), report, make, stopped))


def _no_option(context: click.Context, _: click.Parameter, typed: str | None) -> str | None:
    """Refuse what looks like an option: an id may begin with one dash; two are a mistyped option."""
    if typed is not None and typed.startswith("--"):
        raise click.NoSuchOption(typed, ctx=context)
    return typed


@click.command(epilog=EXIT_CODES, context_settings={"ignore_unknown_options": True})
@click.argument("task_id", metavar="[ID]", required=False, callback=_no_option)
@options_of(GetTaskArguments, leave="task_id")
@output_option
@json_option
@sandbox_option
@click.pass_context
def task(context: click.Context, /, as_json: bool, output: str | None, **given: Any) -> None:
    """Wait for the task ID, save its picture and print its URL; without ID list the newest. Free.

    Any task of your key can be fetched by its ID; one that was not made from this computer is saved only with --output.
    The list shows what the journal of this computer knows.
    """
    if output is not None and given["task_id"] in ABSENT:
        raise click.UsageError("--output needs the ID of the task whose picture it is; `vidgo-mcp task` lists them.")
    settings = settings_of(context)
    check_output(output, as_json=as_json)
    report = Report(settings, as_json, output)

    async def find(service: Service, wait: Wait) -> TaskResult | TaskList:
        arguments = read_arguments(GetTaskArguments, typed_arguments(given))
        tasks = service.tasks(principal_of(settings))
        if arguments.task_id is None:
            return await tasks.listed(arguments.limit)
        deadline = service.deadline(arguments.wait_seconds)
        return await tasks.get(arguments.task_id, deadline, ProgressReporter(wait))

    async def stopped(_: Service) -> str:
        return for_person.stopped_waiting_text(given["task_id"], report.command)

    sys.exit(anyio.run(run, build_service(for_reading(patient(settings))), report, find, stopped))


@click.command()
@options_of(EstimateArguments)
@json_option
@click.pass_context
def price(context: click.Context, /, as_json: bool, **given: Any) -> None:
    """Print the exact price of a picture. Free, works without key and network."""
    settings, raw = settings_of(context), typed_arguments(given)

    async def estimated() -> tuple[Estimate, PriceTable]:
        principal = principal_of(settings)
        async with build_service(for_reading(settings)) as service:
            prices = await service.prices_in_force(principal)
            return await service.estimate(principal, read_arguments(EstimateArguments, raw, prices)), prices

    try:
        estimate, prices = anyio.run(estimated)
    except VidgoError as error:
        sys.exit(Report(settings, as_json).fail(error))
    echo(json_text(estimate.to_json()) if as_json else for_person.price_text(estimate, None if raw else prices))


async def _agree(question: Question) -> Answer:
    return Answer("accepted", uuid4().hex)


async def _ask(wait: Wait, question: Question) -> Answer:
    if not is_terminal(sys.stdin):
        return Answer("cannot_ask")
    with wait.hidden(), anyio.move_on_after(300):
        echo(f"{question.text()}\n[y/N] ", err=True, nl=False)
        # Not through sys.stdin: a cancelled call leaves its thread behind, which would hold the lock of the stream.
        typed = await anyio.to_thread.run_sync(os.read, sys.stdin.fileno(), 1024, abandon_on_cancel=True)
        if not typed:
            return Answer("dismissed")
        agreed = typed.decode("utf-8", "replace").strip().lower() in {"y", "yes"}
        return await _agree(question) if agreed else Answer("declined")
    return Answer("no_answer")
