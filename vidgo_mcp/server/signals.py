"""Signals that ask a process to end: the first begins the end, and further ones cannot tear what is under way.

A client that sends a second signal 0.1 s after the first would otherwise lose the answer to a submit. It loads nothing
of the protocol.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import anyio.from_thread
import anyio.lowlevel

from vidgo_mcp.server.ending import ending_signals
from vidgo_mcp.service.service import SHUTDOWN_SECONDS

CONSOLE_ENDS: Final = frozenset({2, 5, 6})
"""What Windows tells a console's programs: it is closed, the user logs off, the system shuts down."""


@asynccontextmanager
async def held_signals(
    begin: Callable[[], object], again: Callable[[], object] = lambda: None
) -> AsyncGenerator[list[int]]:
    """Call ``begin`` at the first signal, ``again`` at the second; none ends the process within 10 s of the first.

    What it gives has the number of each one that came. Keep it open until what is under way has ended.
    """
    received: list[int] = []
    first = 0.0

    def react(number: int) -> None:
        nonlocal first
        received.append(number)
        if len(received) == 1:
            first = anyio.current_time()
            begin()
        elif anyio.current_time() > first + SHUTDOWN_SECONDS:
            # What should have ended by now hangs.
            os._exit(128 + number)
        elif len(received) == 2:
            again()

    async def listen(signals: Any) -> None:
        async for number in signals:
            react(number)

    numbers = ending_signals()
    tasks = await anyio.create_task_group().__aenter__()
    try:
        with ExitStack() as stack:
            if sys.platform == "win32":
                stack.enter_context(windows_signals(react, numbers))
            else:
                receiver = stack.enter_context(anyio.open_signal_receiver(*map(signal.Signals, numbers)))
                tasks.start_soon(listen, receiver)
            yield received
    finally:
        tasks.cancel_scope.cancel()
        # Without the error of the body, which so stays itself and is not wrapped in a group.
        await tasks.__aexit__(None, None, None)


@contextmanager
def windows_signals(
    react: Callable[[int], object],
    numbers: Iterable[int],
    *,
    install: Callable[[int, Any], Any] = signal.signal,
    add_console_handler: Callable[[Callable[[int], bool]], Callable[[], object]] | None = None,
) -> Generator[None]:
    """Pass signals to ``react`` on Windows, where an event loop gets none; a closed console counts as SIGTERM.

    ``add_console_handler`` has a function called with each event of the console, and returns what undoes that.
    """
    ended = threading.Event()
    token = anyio.lowlevel.current_token()

    def on_console(event: int) -> bool:
        # In a thread of the system, which ends the process when this returns.
        if event not in CONSOLE_ENDS:
            return False
        anyio.from_thread.run_sync(react, int(signal.SIGTERM), token=token)
        return ended.wait(SHUTDOWN_SECONDS)

    before = {number: install(number, lambda number, frame: react(number)) for number in numbers}
    undo = (add_console_handler or _add_console_handler)(on_console)
    try:
        yield
    finally:
        undo()
        ended.set()
        for number, handler in before.items():
            install(number, handler)


def _add_console_handler(handle: Callable[[int], bool]) -> Callable[[], object]:
    if sys.platform != "win32":
        raise NotImplementedError
    import ctypes  # noqa: PLC0415  # on Windows only: some builds of Python have none

    kernel = ctypes.windll.kernel32
    routine = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(handle)
    kernel.SetConsoleCtrlHandler(routine, 1)
    return lambda: kernel.SetConsoleCtrlHandler(routine, 0)
