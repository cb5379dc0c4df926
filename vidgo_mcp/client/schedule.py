"""When a task's status is read: first after 4 s, dense while such tasks usually finish, sparser later, never hasty."""

from __future__ import annotations

from typing import Final

FIRST_READ: Final = 4.0
CLOSEST_READS: Final = 2.0
_STEPS: Final = ((8.0, 2.0), (60.0, 3.0), (180.0, 5.0), (600.0, 10.0))
_LATE: Final = 60.0
EMPTY_FILES_PATIENCE: Final = 60.0
"""Seconds for which a task that finished without a file is read again, before that is believed."""


def next_read(elapsed: float) -> float:
    """Return the seconds from the submit to the next read, when ``elapsed`` have passed and a read was just made.

    A task takes 15 to 60 s by the vendor's word; refusals by policy come within the first seconds.
    """
    if elapsed < FIRST_READ:
        return FIRST_READ
    for until, step in _STEPS:
        if elapsed < until:
            return elapsed + step
    return elapsed + _LATE
