"""One watch for each task, however many calls wait for it, and one pace for all watches of a key."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel

from vidgo_mcp.client import polling
from vidgo_mcp.client.polling import Plan
from vidgo_mcp.client.retry import backoff
from vidgo_mcp.errors import RateLimitedError, VidgoError
from vidgo_mcp.models.tasks import Task

READ_SPACING = 0.05
"""Seconds between two status reads of one key, whichever tasks they are for."""
REFUSED_READ_PAUSE = 15.0
"""Seconds before a read that Vidgo refused (401, 403, 404) is tried again."""

Read = Callable[[str], Awaitable[Task]]
Keep = Callable[[Task, bool], Awaitable[None]]


class Pace:
    """The rate that all reads of a key share."""

    def __init__(self, spacing: float = READ_SPACING) -> None:
        self._spacing = spacing
        self._next = -math.inf
        self._held_until = -math.inf

    async def turn(self) -> None:
        """Wait until it is this read's turn."""
        while True:
            slot = max(anyio.current_time(), self._next, self._held_until)
            self._next = slot + self._spacing
            await anyio.sleep_until(slot)
            # Whoever was waiting for a turn when Vidgo asked for a pause waits on.
            if anyio.current_time() >= self._held_until:
                return

    def hold(self, seconds: float) -> None:
        """Let nobody read for a while, because Vidgo asked for it."""
        self._held_until = max(self._held_until, anyio.current_time() + seconds)


class Watch:
    """Reads one task until it has ended.

    Args:
        task_id: the task.
        age: seconds since it was submitted.
        lasting: seconds after which to stop although it has not ended.
        read: makes one status read.
        keep: records a reading; the second argument says that a finish without files is now believed.
        plan: when such tasks are read.
        unattended: it goes on when nobody waits, because the task was paid for here.
        last_read: when an earlier watch read somebody else's task.
    """

    def __init__(
        self,
        task_id: str,
        *,
        age: float,
        lasting: float,
        read: Read,
        keep: Keep,
        pace: Pace,
        plan: Plan,
        unattended: bool,
        last_read: float = -math.inf,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.task_id = task_id
        self.latest: Task | None = None
        self.failure: VidgoError | None = None
        self.ended = False
        self.empty = False
        self.readings = 0
        self._waiters = 0
        now = anyio.current_time()
        self._started = now - age
        self._until = now + lasting
        self._read = read
        self._keep = keep
        self._pace = pace
        self._plan = plan
        self._unattended = unattended
        self._draw = draw
        self._misses = 0
        self._empty_since: float | None = None
        # The answer to our own submit counts as a read; of somebody else's task nothing is known yet.
        self._last_read = self._started if unattended else last_read
        self._not_before = self._started
        soonest = max(now, last_read + polling.CLOSEST_READS)
        self._due = self._started + plan.next_read(age) if unattended else soonest
        self._changed = anyio.Event()
        self._hurried = anyio.Event()

    def poll_now(self) -> None:
        """Read as soon as the last read is 2 s old, and Vidgo has not asked for more time."""
        self._due = min(self._due, max(self._last_read + polling.CLOSEST_READS, self._not_before))
        self._hurried.set()

    def track(self, keep: Keep) -> None:
        """Record readings from now on, and go on when nobody waits: the task turned out to be paid for here."""
        self._keep = keep
        self._unattended = True

    def stale(self) -> bool:
        """Return whether nothing is known, or the last read is so old that an asking call should read again."""
        unread = self.latest is None and self.failure is None and not self._unattended
        return unread or anyio.current_time() - self._last_read >= polling.CLOSEST_READS

    async def changed(self) -> None:
        """Wait for the next reading, or the next failure to read."""
        await self._changed.wait()

    @property
    def failed_for_good(self) -> bool:
        """Whether Vidgo refuses to tell about a task that was not submitted here, so that waiting is in vain."""
        return not self._unattended and self.failure is not None and not self.failure.retryable

    def age(self) -> float:
        """Return the seconds since the task was submitted, or since it was first asked for."""
        return anyio.current_time() - self._started

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Count somebody who waits."""
        self._waiters += 1
        try:
            yield
        finally:
            self._waiters -= 1
            self._hurried.set()

    async def run(self) -> None:
        """Read until the task has ended, its time is over, or nobody is interested."""
        await anyio.lowlevel.checkpoint()  # lets whoever started this begin to wait
        while await self._due_and_wanted():
            await self._pace.turn()
            await self._once()
        self.give_up()

    def give_up(self) -> None:
        """Read no more, and let nobody wait any longer."""
        self.ended = True
        self._announce()

    async def _due_and_wanted(self) -> bool:
        while not self.ended and (self._unattended or self._waiters) and (now := anyio.current_time()) < self._until:
            if now >= self._due:
                return True
            self._hurried = anyio.Event()
            with anyio.move_on_after(min(self._due, self._until) - now):
                await self._hurried.wait()
        return False

    async def _once(self) -> None:
        try:
            task = await self._read(self.task_id)
        except VidgoError as error:
            self._missed(error)
        else:
            await self._seen(task)
        self._announce()

    async def _seen(self, task: Task) -> None:
        now = self._last_read = anyio.current_time()
        self.failure, self._misses = None, 0
        if task.phase == "finished" and not task.file_urls:
            self._empty_since = now if self._empty_since is None else self._empty_since
            self.empty = now - self._empty_since >= polling.EMPTY_FILES_SECONDS
        await self._keep(task, self.empty)
        self.latest = task
        self.readings += 1
        self.ended = task.phase == "failed" or bool(task.file_urls) or self.empty
        self._not_before = now
        self._due = self._started + self._plan.next_read(now - self._started, task.progress)
        if self._empty_since is not None:
            believed = self._empty_since + polling.EMPTY_FILES_SECONDS
            self._due = min(self._due, max(now + polling.CLOSEST_READS, believed))

    def _missed(self, error: VidgoError) -> None:
        now = self._last_read = anyio.current_time()
        self.failure = error
        pause = max(polling.CLOSEST_READS, backoff(self._misses, self._draw, error.retry_after))
        if not error.retryable:
            pause = max(pause, REFUSED_READ_PAUSE)
        self._misses += 1
        self._due = self._not_before = now + pause
        if isinstance(error, RateLimitedError):
            self._pace.hold(pause)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
