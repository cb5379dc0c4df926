"""When a task's status is read: first after 4 s, dense while such tasks usually finish, sparser later, never hasty."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

FIRST_READ: Final = 4.0
CLOSEST_READS: Final = 2.0
EMPTY_FILES_SECONDS: Final = 60.0
"""Seconds for which a task that finished without a file is read again, before that is believed."""
READ_PRICE: Final = 0.2
"""Seconds of late notice that one read less is worth; it places the plan between a poll every 3 and every 4 s."""
HINTS_FROM: Final = 20
"""Percent of progress below which an extrapolation of it says nothing."""
PRIOR_TASKS: Final = 30
"""How many tasks the vendor's word weighs against those that were seen."""
LONGEST_LEARNED: Final = 600.0
"""Seconds beyond which a duration tells when somebody looked again, after a restart perhaps, not what the task took."""

_EDGES: Final = (0, 4, 8, 12, 15, 18, 21, 24, 27, 30, 33, 36, 40, 45, 50, 55, 60, 70, 80, 100, 120, 150, 180, 240, 600)
_PRIOR: Final = (
    *(0.04, 0.02, 0.005, 0.01),  # refusals by policy come early
    *(0.045, 0.075, 0.09, 0.095, 0.095, 0.09, 0.08, 0.085, 0.075, 0.05, 0.03, 0.015),  # 15 to 60 s
    *(0.025, 0.02, 0.02, 0.012, 0.01, 0.005, 0.005, 0.003),  # the tail
)
_LEAST_HAZARD: Final = 0.002
_LONGEST_GAP: Final = 15.0
_LATE: Final = 60.0
"""Seconds between reads of a task that is long overdue."""


class Plan:
    """When the status of one kind of task is read, so that late notice and the number of reads are both small.

    The best gap between two looks is proportional to one over the square root of the hazard: of how likely the task
    ends in the next second, given that it has not ended yet (Barlow, Hunter and Proschan 1963, on checking schedules).
    The hazard comes from the vendor's word (15 to 60 s) and, more with each task, from how long earlier tasks took.

    Args:
        durations: seconds that earlier tasks of the kind took; what no task can have taken is ignored.
        read_price: seconds of late notice that one read less is worth; higher means fewer reads.
    """

    def __init__(self, durations: Sequence[float] = (), *, read_price: float = READ_PRICE) -> None:
        counts = [PRIOR_TASKS * share for share in _PRIOR]
        for seconds in durations:
            if 0 <= seconds <= LONGEST_LEARNED:
                counts[min(len(counts) - 1, bisect_right(_EDGES, seconds) - 1)] += 1
        left = sum(counts)
        self._rates: list[float] = []
        for index, count in enumerate(counts):
            width = _EDGES[index + 1] - _EDGES[index]
            hazard = count / (max(left - count / 2, 1e-9) * width)
            self._rates.append(math.sqrt(max(hazard, _LEAST_HAZARD) / (2 * read_price)))
            left -= count

    def next_read(self, elapsed: float, progress: int | None = None) -> float:
        """Return when to read next, in seconds from the submit.

        Args:
            elapsed: seconds from the submit to the read that was just made; 0 for the submit itself.
            progress: what the vendor reported, 0 to 100. Where it tells of an end sooner than usual it is believed.
        """
        if elapsed < FIRST_READ:
            return FIRST_READ
        planned = self._planned(elapsed)
        if progress is None or not HINTS_FROM <= progress < 100:
            return planned
        foreseen = elapsed * 100 / progress
        return min(planned, max(foreseen, elapsed + CLOSEST_READS, elapsed + (planned - elapsed) / 3))

    def _planned(self, elapsed: float) -> float:
        soonest, latest = elapsed + CLOSEST_READS, elapsed + (_LATE if elapsed >= _EDGES[-1] else _LONGEST_GAP)
        due, look = elapsed, 1.0
        for index in range(max(0, bisect_right(_EDGES, elapsed) - 1), len(self._rates)):
            span = _EDGES[index + 1] - due
            if self._rates[index] * span >= look:
                return min(max(due + look / self._rates[index], soonest), latest)
            look -= self._rates[index] * span
            due = _EDGES[index + 1]
        return latest
