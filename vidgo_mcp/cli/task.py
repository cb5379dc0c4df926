"""``vidgo-mcp task``: waits for a task that exists, or lists the newest ones."""

from __future__ import annotations

import sys
from typing import Any

import click

from vidgo_mcp.app import build_service, for_reading, principal_of
from vidgo_mcp.cli.options import json_option, options_of, output_option, sandbox_option, settings_of, typed_arguments
from vidgo_mcp.cli.output import checked_output
from vidgo_mcp.cli.report import EXIT_CODES, Report
from vidgo_mcp.cli.session import patient, run
from vidgo_mcp.cli.terminal import Wait
from vidgo_mcp.models.requests import ABSENT, GetTaskArguments
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.service import Service, read_arguments
from vidgo_mcp.service.waiting import ProgressReporter
from vidgo_mcp.wording import for_person


@click.command(epilog=EXIT_CODES)
@click.argument("task_id", metavar="[ID]", required=False)
@options_of(GetTaskArguments, leave=("task_id",))
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
    report = Report(settings, as_json, checked_output(output, as_json=as_json))

    async def find(service: Service, wait: Wait) -> TaskResult | TaskList:
        arguments = read_arguments(GetTaskArguments, typed_arguments(given))
        tasks = service.tasks(principal_of(settings))
        if arguments.task_id is None:
            return await tasks.listed(arguments.limit)
        deadline = service.deadline(arguments.wait_seconds)
        return await tasks.get(arguments.task_id, deadline, ProgressReporter(wait))

    async def stopped(_: Service) -> str:
        return for_person.stopped_waiting_text(given["task_id"], report.command)

    sys.exit(run(build_service(for_reading(patient(settings))), report, find, stopped))
