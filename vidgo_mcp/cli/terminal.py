"""How the command line speaks: streams that take any letter, JSON for scripts, and a bar for whoever watches a wait."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

import anyio
import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

READING: Final = 0.05
"""Seconds between looks at whether the person has answered."""


class Wait(Protocol):
    """What shows a wait: called with how far it is and what happens; hidden while something else is on the screen."""

    async def __call__(self, progress: float, message: str) -> None: ...

    def hidden(self) -> AbstractContextManager[None]: ...


def use_utf8() -> None:
    """Write UTF-8 whatever the locale says; what cannot be written at all is spelled out instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person is at a stream; a windowed program has none."""
    return stream is not None and not stream.closed and stream.isatty()


def echo_json(value: dict[str, Any]) -> None:
    """Write one JSON document to stdout."""
    click.echo(json_text(value))


def json_text(value: dict[str, Any]) -> str:
    """Return one JSON document."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def plain_reason(error: OSError) -> str:
    """Return why the system refused, without the details that some libraries add to its words."""
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)


@contextmanager
def shown_wait(console: Console | None = None, say: Callable[[str], None] | None = None) -> Iterator[Wait]:
    """Show how far a wait is: a bar on a terminal, elsewhere a line for each wait, such as when the task has an id.

    Whoever is killed while waiting can still find the task by that line.

    Args:
        console: where the bar goes; stderr by default, which leaves stdout to the result.
        say: where the lines go; stderr by default.
    """
    if not (console.is_terminal if console is not None else is_terminal(sys.stderr)):
        yield _Lines(say or partial(click.echo, err=True))
        return
    # Imported here: a server, a script and a price do without Rich.
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        console=console or Console(stderr=True),
        transient=True,
    )
    with bar:
        yield _Shown(bar, bar.add_task("sending", total=100))


async def answered(question: str) -> str | None:
    """Put a question to whoever is at the terminal; return the answer as it was typed, None at the end of the input.

    The thread that reads is left behind when the caller is cancelled: nothing wakes it but the person.
    """
    click.echo(question, err=True, nl=False)
    typed: list[bytes] = []

    def read() -> None:
        # Not through sys.stdin: a reader left behind would hold its lock when the process ends.
        with suppress(OSError):
            typed.append(os.read(sys.stdin.fileno(), 1024))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while reader.is_alive():  # noqa: ASYNC110  # an event cannot be set from a thread that is left behind
        await anyio.sleep(READING)
    if not typed or not typed[0]:
        return None
    return typed[0].decode("utf-8", "replace").strip()


class _Shown:
    """Shows how far a wait is as a bar."""

    def __init__(self, bar: Bar, wait: TaskID) -> None:
        self._bar = bar
        self._wait = wait

    async def __call__(self, progress: float, message: str) -> None:
        self._bar.update(self._wait, completed=progress, description=message)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


class _Lines:
    """Says once of each kind of wait how far it is: for a reference, for the upload limit, for the picture."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    async def __call__(self, progress: float, message: str) -> None:
        # What the picture itself is told of has no colon: its line is the one with the id.
        kind, colon, _ = message.partition(": ")
        kind = kind if colon else ""
        if kind not in self._said:
            self._said.add(kind)
            self._say(message)

    def hidden(self) -> AbstractContextManager[None]:
        return nullcontext()
