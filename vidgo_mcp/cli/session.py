"""Runs a command that waits for a picture: it shows progress, survives signals, and reports before it saves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import click

from vidgo_mcp.app import configure_logging, principal_of
from vidgo_mcp.cli.output import deliver
from vidgo_mcp.cli.report import Report
from vidgo_mcp.cli.terminal import Wait, shown_wait
from vidgo_mcp.errors import InternalError, VidgoError
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.server.signals import cancel_on_signal
from vidgo_mcp.service import Service
from vidgo_mcp.settings import Settings
from vidgo_mcp.wording.for_person import saved_late_text

WATCHED_WAIT: Final = 300
"""Seconds for which a command waits when neither its options nor VIDGO_WAIT_SECONDS say: somebody watches it."""

Work = Callable[[Service, Wait], Awaitable[TaskResult | TaskList]]
Stopped = Callable[[Service], Awaitable[str]]

log = logging.getLogger(__name__)


def patient(settings: Settings) -> Settings:
    """Return the settings with which a command waits."""
    chosen = "wait_seconds" in settings.model_fields_set
    return settings if chosen else settings.model_copy(update={"wait_seconds": WATCHED_WAIT})


def run(service: Service, report: Report, work: Work, stopped: Stopped) -> int:
    """Run a command and return its exit code.

    ``service`` is entered and left here; after a signal ``stopped`` says what became of the work.
    """
    configure_logging(report.settings.log_level)
    return anyio.run(_run, service, report, work, stopped)


async def _run(service: Service, report: Report, work: Work, stopped: Stopped) -> int:
    found: TaskResult | TaskList | VidgoError | None = None
    undelivered: VidgoError | None = None
    received: list[int] = []
    # The service is outermost: a signal cancels the work, and the service can still find out what became of a submit.
    async with service:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope, received)
            try:
                with shown_wait() as wait:
                    found, undelivered = await deliver(
                        service, principal_of(report.settings), await work(service, wait), report.output
                    )
            except VidgoError as error:
                found = error
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    click.echo(await stopped(service), err=True)
                raise
            except Exception as error:  # the outermost edge: what a bug may have cost must not look like a refusal
                log.exception("the command failed in an unexpected way (%s)", type(error).__name__)
                found = InternalError(
                    "vidgo-mcp failed; the lines above have the details.", money="unknown", remedy="compare_balance"
                )
            tasks.cancel_scope.cancel()
        # Reported before the service is left, which may take long: it still saves the picture.
        if found is None:
            code = 128 + received[0]
        else:
            code = report.fail(found) if isinstance(found, VidgoError) else report.show(found, undelivered)
    if isinstance(found, TaskResult) and found.task_id in service.saved_late:
        click.echo(saved_late_text(service.saved_late[found.task_id]), err=True)
    return code
