"""Puts a finished picture where the person who typed the command wants it.

Everything that can be wrong with that place is looked for before anything is paid. What goes wrong later is told as
what it is: a picture that is paid for, can still be fetched, and is not where it should be.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from vidgo_mcp.cli.folder_checks import why_unwritable
from vidgo_mcp.cli.terminal import is_terminal, plain_reason
from vidgo_mcp.errors import NotFoundError, VidgoError
from vidgo_mcp.files.images import Kind, kind_of
from vidgo_mcp.files.naming import file_name
from vidgo_mcp.files.writer import STALE, save, sweep, write_to
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import Service

STDOUT: Final = "-"
WINDOWS: Final = os.name == "nt"
_EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {"image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif")}
"""What else than its usual extension fits a type."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where a picture is wanted, beside the usual saving.

    Attributes:
        typed: as it was typed.
        path: a file or a folder, absolute; None is stdout.
        overwrite: whether a file that is there may be replaced.
    """

    typed: str
    path: Path | None
    overwrite: bool = False

    @property
    def options(self) -> str:
        """What a command has to be given, so that it writes the picture there."""
        return f" -o {quoted(self.typed, windows=WINDOWS)}{' --overwrite' if self.overwrite else ''}"

    @property
    def taken(self) -> bool:
        """Whether there is a file already, which only this very picture may be."""
        path = self.path
        return path is not None and not self.overwrite and os.path.lexists(path) and not path.is_dir()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished picture on its way: its bytes, or why it does not arrive.

    Attributes:
        result: what is known of it.
        content: the bytes that are saved.
        why: a sentence when it does not arrive.
        again: then the options with which ``vidgo-mcp task ID`` still gets it there, none when nothing does.
    """

    result: TaskResult
    content: bytes = b""
    why: str = ""
    again: str = ""


def chosen(typed: str | None, *, overwrite: bool, as_json: bool) -> Output | None:
    """Return where a picture is to be written, None when the person named no place.

    Raises:
        click.UsageError: it cannot be written there.
    """
    if typed is None:
        if overwrite:
            raise click.UsageError("--overwrite needs --output FILE.")
        return None
    if typed == STDOUT:
        if as_json:
            raise click.UsageError("--output - and --json would both write to stdout; name a file.")
        if is_terminal(sys.stdout):
            raise click.UsageError(
                "--output - would write the bytes of a picture to the terminal; send them to a program or a file."
            )
        return Output(typed, None)
    if not typed.strip():
        raise click.UsageError("--output names no file.")
    try:
        # Only "~" itself: "~fox.png" is a file.
        path = Path(typed).expanduser() if typed == "~" or typed.startswith(("~/", f"~{os.sep}")) else Path(typed)
        _check_place(path.absolute(), is_folder=typed.endswith(("/", os.sep)))
    except RuntimeError:
        raise _unusable(typed, "the home folder that ~ stands for is not known; write the whole path") from None
    except OSError as error:
        raise _unusable(typed, plain_reason(error)) from None
    return Output(typed, path.absolute(), overwrite)


def not_paid_yet(output: Output) -> click.UsageError:
    """Return the refusal to pay for a new picture whose file is there already."""
    return click.UsageError(
        f"{output.path} exists, and this picture is not paid for yet: nothing was sent, and nothing was spent. "
        "Name another file, or add --overwrite."
    )


async def fetched(service: Service, result: TaskResult, output: Output) -> TaskResult | Fetched:
    """Return a finished picture with the bytes that are saved, or with the reason; another result as it is."""
    if result.outcome != "finished" or result.task_id is None:
        return result
    try:
        _, content = await service.file(result.task_id)
    except NotFoundError as error:
        return Fetched(result, why=error.message)
    except VidgoError as error:
        return Fetched(result, why=error.message, again=output.options)
    if kind_of(content) is None:
        return Fetched(result, why="What its URL gave is no picture.", again=output.options)
    return Fetched(result, content)


def written(output: Output, picture: Fetched) -> Fetched:
    """Write a picture, and return it with its path; with the reason when it could not be written. Blocks."""
    kind, result, path = kind_of(picture.content), picture.result, output.path
    if kind is None:
        return picture
    if path is not None:
        # What commands left that were killed at this: nobody else looks into this folder.
        sweep(path if path.is_dir() else path.parent, older_than=STALE, now=time.time())
    try:
        if path is None:
            _to_stdout(picture.content)
            return picture
        if path.is_dir():
            path = _into_folder(path, picture.content, kind, result)
        else:
            write_to(path, picture.content, overwrite=output.overwrite)
            _warn_of_extension(path, kind)
    except FileExistsError:
        over = replace(output, overwrite=True).options
        return Fetched(result, why=f"{path} was left as it is: it is another file.", again=over)
    except OSError as error:
        why = f"{path or 'stdout'} could not be written: {plain_reason(error)}."
        return Fetched(result, why=why, again=output.options)
    paths = dict.fromkeys([*(result.saved_paths or ()), str(path)])
    return Fetched(result.model_copy(update={"saved_paths": list(paths)}), picture.content)


def quoted(text: str, *, windows: bool) -> str:
    """Return a name as it has to be typed at a shell."""
    return subprocess.list2cmdline([text]) if windows else shlex.quote(text)


def _check_place(path: Path, *, is_folder: bool) -> None:
    """Refuse what could only fail after the picture is paid for.

    Raises:
        click.UsageError: nothing can be written there.
        OSError: it cannot even be looked at.
    """
    with suppress(FileNotFoundError):
        path.lstat()
    if is_folder and not path.is_dir():
        raise _unusable(path, "there is no such folder; make it first")
    if path.is_dir():
        folder = path
    elif path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise _unusable(path, "it is not a regular file; for stdout write --output -")
    else:
        folder = path.parent
    if not folder.is_dir():
        raise _unusable(path, f"there is no folder {folder}; make it first")
    why = why_unwritable(folder)
    if why is not None:
        raise _unusable(path, f"in the folder {folder} no file can be made ({why})")


def _unusable(place: object, why: str) -> click.UsageError:
    return click.UsageError(f"--output {place} cannot be used: {why}. Nothing was sent.")


def _into_folder(folder: Path, content: bytes, kind: Kind, result: TaskResult) -> Path:
    made = datetime.now(UTC) if result.created_at is None else datetime.fromisoformat(result.created_at)

    def name(number: int) -> str:
        return file_name(
            day=made.astimezone().date(),
            prompt=result.prompt or "",
            task_id=result.task_id or "",
            extension=kind.extension,
            number=number,
        )

    return save(content, folder, name)


def _to_stdout(content: bytes) -> None:
    # Not through sys.stdout: what a reader that went away leaves in its buffer is complained about at the end.
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def _warn_of_extension(path: Path, kind: Kind) -> None:
    suffix = path.suffix.lower()
    if suffix and suffix not in _EXTENSIONS.get(kind.mime_type, (kind.extension,)):
        click.echo(f"Warning: {path.name} is {kind.mime_type}, which its extension does not say.", err=True)
