"""Writes a finished picture where ``--output`` says, which was proved to be writable before anything was paid."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread
import click

from vidgo_mcp.cli.terminal import is_terminal, plain_reason
from vidgo_mcp.errors import NotFoundError, UnavailableError, VidgoError
from vidgo_mcp.files.images import kind_of
from vidgo_mcp.files.naming import file_name
from vidgo_mcp.files.writer import save, write_to
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.service import Principal, Service

STDOUT: Final = "-"


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
            f"{typed} exists already, so nothing was sent. Name another file; `vidgo-mcp task ID -o FILE` writes a "
            "picture that is already paid for."
        ) from None
    except OSError as error:
        raise click.UsageError(f"--output {typed} cannot be used: {plain_reason(error)}. Nothing was sent.") from None


def prove_writable(place: str) -> None:
    """Make a file, or one in a folder, and remove it: permissions alone do not tell on every system."""
    # Named like an unfinished picture: should this process be killed here, saving another one sweeps it away.
    trial = Path(place, f".vidgo-{secrets.token_hex(8)}.part") if place and Path(place).is_dir() else place
    os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    Path(trial).unlink()


def _write(content: bytes, result: TaskResult, typed: str) -> TaskResult:
    """Write a picture, and return its result with the path.

    Raises:
        UnavailableError: it is no picture.
        OSError: it could not be written, or the file exists by now.
    """
    kind, path = kind_of(content), Path(typed).absolute()
    if kind is None:
        raise UnavailableError("What its URL gave is no picture.")
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
