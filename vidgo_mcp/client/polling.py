"""When a task's status is read: first after 4 s, often while such tasks usually finish, seldom later.

``Plan`` is the timetable for one kind of task; ``Polling`` follows it for one task, through failed reads and finishes
without a file. Neither waits nor reads: ``VidgoClient.wait`` and the service's watches do, both by this one policy.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Self

from vidgo_mcp.client.retry import backoff
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.models.tasks import Task

FIRST_READ: Final = 4.0
CLOSEST_READS: Final = 2.0
EMPTY_FILES_SECONDS: Final = 60.0
"""Seconds for which a task that finished without a file is read again, before that is believed."""
REFUSED_READ_PAUSE: Final = 15.0
"""Seconds before a read that Vidgo refused (401, 403, 404) is tried again."""
LONGEST_REFUSED_PAUSE: Final = 3600.0
"""Seconds of a Retry-After that are believed: a mistaken one, in milliseconds perhaps, would outlast the picture."""
READ_PRICE: Final = 0.2
"""Seconds of late notice that one read less is worth; it places the plan between a poll every 3 and every 4 s."""
LONGEST_LEARNED: Final = 600.0
"""Seconds beyond which a duration tells when somebody looked again, after a restart perhaps, not what the task took."""

_EDGES: Final = (0, 4, 8, 12, 15, 18, 21, 24, 27, 30, 33, 36, 40, 45, 50, 55, 60, 70, 80, 100, 120, 150, 180, 240, 600)
_PRIOR: Final = (
    *(0.04, 0.02, 0.005, 0.01),  # refusals by policy come early
    *(0.045, 0.075, 0.09, 0.095, 0.095, 0.09, 0.08, 0.085, 0.075, 0.05, 0.03, 0.015),  # 15 to 60 s
    *(0.025, 0.02, 0.02, 0.012, 0.01, 0.005, 0.005, 0.003),  # the tail
)
_PRIOR_TASKS: Final = 30
"""How many tasks the vendor's word weighs against those that were seen."""
_LEAST_HAZARD: Final = 0.002
_LONGEST_GAP: Final = 15.0
_LATE: Final = 60.0
"""Seconds between reads of a task that is long overdue."""


class Plan:
    """When the status of one kind of task is read, so that late notice and the number of reads are both small.

    The best gap between two looks is proportional to one over the square root of the hazard: of how likely the task
    ends in the next second, given that it has not ended yet (Barlow, Hunter and Proschan 1963, on checking schedules).
    The hazard comes from the vendor's word (15 to 60 s) and, more with each task, from how long earlier tasks took.

    ``durations`` are the seconds that earlier tasks of the kind took. A higher ``read_price`` means fewer reads.
    """

    def __init__(self, durations: Sequence[float] = (), *, read_price: float = READ_PRICE) -> None:
        counts = [_PRIOR_TASKS * share for share in _PRIOR]
        for seconds in durations:
            if 0 <= seconds <= LONGEST_LEARNED:
                counts[min(len(counts) - 1, bisect_right(_EDGES, seconds) - 1)] += 1
        self.usual = _within(counts, 0.1), _within(counts, 0.9)
        """Seconds, to five, within which a tenth, and nine tenths, of such tasks end."""
        left = sum(counts)
        self._rates: list[float] = []
        for count, (start, end) in zip(counts, pairwise(_EDGES), strict=True):
            hazard = count / (max(left - count / 2, 1e-9) * (end - start))
            self._rates.append(math.sqrt(max(hazard, _LEAST_HAZARD) / (2 * read_price)))
            left -= count

    def next_read(self, elapsed: float, progress: int | None = None) -> float:
        """Return when to read next, in seconds from the submit.

        ``elapsed`` is when the last read was made; 0 for the submit itself. Where ``progress``, 0 to 100, tells of an
        end sooner than usual it is believed; below 20 it says nothing.
        """
        if elapsed < FIRST_READ:
            return FIRST_READ
        planned = self._planned(elapsed)
        if progress is None or not 20 <= progress < 100:
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


def _within(counts: Sequence[float], share: float) -> int:
    """Return the seconds within which a share of the tasks end; each span counts as evenly filled."""
    left = share * sum(counts)
    for count, (start, end) in zip(counts, pairwise(_EDGES), strict=True):
        if count >= left:
            return 5 * round((start + (end - start) * left / count) / 5)
        left -= count
    return _EDGES[-1]


@dataclass(frozen=True, slots=True)
class Polling:
    """The reads of one task: when the next one is due, and whether they have ended.

    Frozen: each event returns the state after it. All times are seconds on the caller's clock.
    """

    plan: Plan
    random: Callable[[], float]  # from 0 to 1, for jitter
    submitted: float  # or first asked for
    due: float
    soonest: float  # before this it is not read, whoever asks
    heard: float = -math.inf  # when a read, or the submit, was answered or failed
    latest: Task | None = None
    failure: VidgoError | None = None  # of the last read, when it failed
    readings: int = 0
    misses: int = 0  # how many reads have failed since one succeeded
    empty_since: float | None = None
    empty: bool = False  # it finished without a file, and that is believed

    @classmethod
    def of_submitted(cls, plan: Plan, submitted: float, now: float, random: Callable[[], float]) -> Self:
        """Begin after a submit, whose answer counts as a read."""
        due = submitted + plan.next_read(now - submitted)
        return cls(plan, random, submitted, due, soonest=submitted + CLOSEST_READS, heard=submitted)

    @classmethod
    def of_unknown(cls, now: float, last_read: float, random: Callable[[], float]) -> Self:
        """Begin with a task that was not submitted here: read it at once, unless it was read just before."""
        due = max(now, last_read + CLOSEST_READS)
        return cls(Plan(), random, submitted=now, due=due, soonest=due)

    @property
    def ended(self) -> bool:
        """Whether the latest reading is the last: it failed, has a file, or is believed to get none."""
        if self.latest is None or self.latest.phase == "pending":
            return False
        return self.latest.phase == "failed" or bool(self.latest.file_urls) or self.empty

    def needs_poll(self, now: float) -> bool:
        """Return whether what is known is so old that somebody who asks should get a new reading."""
        return now - self.heard >= CLOSEST_READS

    def poll_now(self) -> Self:
        """Read as soon as the last read is 2 s old and Vidgo has not asked for more time."""
        return replace(self, due=min(self.due, self.soonest))

    def seen(self, task: Task, now: float) -> Self:
        """Return the state after a reading."""
        soonest, empty_since, empty = now + CLOSEST_READS, self.empty_since, False
        # The plan has the first read at 4 s, also when somebody asked for one a second before.
        due = max(soonest, self.submitted + self.plan.next_read(now - self.submitted, task.progress))
        if task.phase == "finished" and not task.file_urls:
            empty_since = now if empty_since is None else empty_since
            empty = now - empty_since >= EMPTY_FILES_SECONDS
            due = min(due, max(soonest, empty_since + EMPTY_FILES_SECONDS))
        read = replace(self, heard=now, latest=task, failure=None, readings=self.readings + 1, misses=0)
        return replace(read, due=due, soonest=soonest, empty_since=empty_since, empty=empty)

    def missed(self, error: VidgoError, now: float) -> Self:
        """Return the state after a failed read: pauses grow; none is shorter than a Retry-After of up to an hour."""
        asked = min(error.retry_after or 0.0, LONGEST_REFUSED_PAUSE)
        pause = max(CLOSEST_READS, backoff(self.misses, self.random, asked))
        if not error.retryable:
            pause = max(pause, REFUSED_READ_PAUSE)
        return replace(self, due=now + pause, soonest=now + pause, heard=now, failure=error, misses=self.misses + 1)
