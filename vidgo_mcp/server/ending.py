"""Which signals end this process, and how while nothing is under way yet. It loads next to nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

ENDING: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
"""By name, since no system has all of them: of a person, a service manager, a closed terminal, and Windows."""


def ending_signals(ignored: Callable[[int], bool] | None = None) -> list[int]:
    """Return the numbers of the signals that end this process; under ``nohup`` the terminal's end is none of them."""
    ignored = ignored or (lambda number: signal.getsignal(number) is signal.SIG_IGN)
    numbers = [int(getattr(signal, name)) for name in ENDING if hasattr(signal, name)]
    return [number for number in numbers if number != getattr(signal, "SIGHUP", None) or not ignored(number)]


def end_at_once() -> None:
    """Let each of them end the process as it will later, without a traceback: nothing can be lost while it starts."""
    for number in ending_signals():
        signal.signal(number, lambda number, frame: os._exit(128 + number))
