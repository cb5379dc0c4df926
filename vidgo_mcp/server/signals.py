"""Signals that ask a process to end, where the system has them. It loads nothing of the protocol."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress

import anyio


async def on_signal(react: Callable[[int], None]) -> None:
    """Call ``react`` with the number of each SIGINT and SIGTERM, until cancelled.

    On Windows it returns at once: there the end of stdin, or KeyboardInterrupt, ends the process.
    """
    with suppress(NotImplementedError), anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            react(number)


async def cancel_on_signal(scope: anyio.CancelScope, received: list[int]) -> None:
    """Cancel a scope at SIGINT or SIGTERM, and add the number of the signal to ``received``."""

    def cancel(number: int) -> None:
        received.append(number)
        scope.cancel()

    await on_signal(cancel)
