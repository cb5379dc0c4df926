"""``vidgo-mcp generate``: makes a picture, or edits the ones that are given."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, Final
from uuid import uuid4

import anyio
import click

from vidgo_mcp.app import build_service, local_files, principal_of
from vidgo_mcp.cli.options import json_option, options_of, output_option, sandbox_option, settings_of, typed_arguments
from vidgo_mcp.cli.output import checked_output
from vidgo_mcp.cli.report import EXIT_CODES, Report
from vidgo_mcp.cli.session import patient, run
from vidgo_mcp.cli.terminal import Wait, is_terminal, read_line
from vidgo_mcp.cli.typed_files import typed_references
from vidgo_mcp.errors import BudgetError, VidgoError
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import Service, read_arguments
from vidgo_mcp.service.limits import Answer, Question
from vidgo_mcp.wording import for_person

LAST_LOOK: Final = 10.0
"""Seconds for finding out, after Ctrl-C, what became of a submit."""
ANSWER_SECONDS: Final = 300.0
"""How long a person may think about a price."""


@click.command(epilog=EXIT_CODES)
@click.argument("prompt")
@options_of(EditArguments, leave=("prompt",), names={"image_urls": "image"})
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
    report = Report(settings, as_json, checked_output(output, as_json=as_json))
    files, principal = local_files(settings), principal_of(settings)
    model: type[GenerateArguments] = GenerateArguments
    raw = typed_arguments(given)
    if "image_urls" in raw:
        model = EditArguments
        raw["image_urls"], files = typed_references(raw["image_urls"], files)

    async def make(service: Service, wait: Wait) -> TaskResult:
        ask = _agree if yes else partial(_ask, wait)
        return await service.make(principal, read_arguments(model, raw), progress=wait, ask=ask)

    async def stopped(service: Service) -> str:
        # The same request, which may only be reused: it says what became of the task, and can spend nothing.
        again = read_arguments(model, raw | {"max_credits": 0, "wait_seconds": 0})
        with anyio.move_on_after(LAST_LOOK):
            try:
                return for_person.stopped_text(await service.make(principal, again), report.command)
            except BudgetError:
                return for_person.STOPPED_BEFORE
            except VidgoError as error:
                return for_person.error_text(error, report.command)
        return for_person.STOPPED_UNKNOWN

    sys.exit(run(build_service(patient(settings), files=files), report, make, stopped))


async def _agree(question: Question) -> Answer:
    return Answer("accepted", uuid4().hex)


async def _ask(wait: Wait, question: Question) -> Answer:
    if not is_terminal(sys.stdin):
        return Answer("cannot_ask")
    with wait.hidden(), anyio.move_on_after(ANSWER_SECONDS):
        typed = await read_line(f"{question.text()}\n[y/N] ")
        if typed is None:
            return Answer("dismissed")
        return await _agree(question) if typed.lower() in {"y", "yes"} else Answer("declined")
    return Answer("no_answer")
