"""How the command line speaks: UTF-8 whatever the locale, JSON for scripts, and the progress of a wait for people."""

from __future__ import annotations

import errno
import io
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

import anyio
import click

from vidgo_mcp import foreign_text
from vidgo_mcp.foreign_text import plain_text, terminal_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

LINE_EVERY: Final = 10.0
"""Seconds between two lines about a wait."""


def use_utf8() -> None:
    """Write UTF-8 whatever the locale says; what cannot be encoded is spelled out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person is at a stream; a windowed program has none."""
    return stream is not None and not stream.closed and stream.isatty()


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print lines, to stderr with ``err``: all that this command line says in words goes through here."""
    click.echo(terminal_text(text), err=err, nl=nl)


def json_text(value: dict[str, Any]) -> str:
    """Return what ``--json`` prints."""
    return foreign_text.json_text(value, indent=2)


def plain_reason(error: OSError) -> str:
    """Return why the system refused, without what some libraries add to its words."""
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return error.strerror or str(error)


class Wait:
    """Shows a wait as a line now and then: called with its progress, 0 to 100, and what happens."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._next = -math.inf

    async def __call__(self, progress: float, message: str) -> None:
        now = anyio.current_time()
        if now >= self._next:
            self._next = now + LINE_EVERY
            self._say(message)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the screen to something else."""
        yield


class _Bar(Wait):
    """Shows a wait as a bar."""

    def __init__(self, bar: Bar, wait: TaskID) -> None:
        self._bar = bar
        self._wait = wait

    async def __call__(self, progress: float, message: str) -> None:
        self._bar.update(self._wait, completed=progress, description=plain_text(message))

    @contextmanager
    def hidden(self) -> Iterator[None]:
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


@contextmanager
def shown_wait(console: Console | None = None, say: Callable[[str], None] | None = None) -> Iterator[Wait]:
    """Show a wait: as a bar on a terminal, elsewhere as lines, so that a killed command has named its task.

    By default both go to stderr, which leaves stdout to the result.
    """
    if not (console.is_terminal if console is not None else is_terminal(sys.stderr)):
        yield Wait(say or partial(echo, err=True))
        return
    # Scripts and servers do without Rich.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    bar = Bar(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        console=console or Console(stderr=True),
        transient=True,
    )
    with bar:
        yield _Bar(bar, bar.add_task("sending", total=100))
