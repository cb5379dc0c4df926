"""Waiting for a task: finds or starts its one watch, and tells a caller how far it is while the call may wait."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from vidgo_mcp.client import polling
from vidgo_mcp.client.polling import Plan
from vidgo_mcp.errors import JournalError, VidgoError
from vidgo_mcp.journal import WINDOW, Entry, Journal
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.service.watches import Pace, Watch

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

Progress = Callable[[float, str], Awaitable[None]]
"""Told how far a wait has come, above 0, below 100 and strictly rising, and what is happening, in words."""

SHORTEST_WAIT_FOR_ID: Final = 20.0
"""Seconds for which even a call that does not wait holds out for a task_id, or for a first status."""
PROGRESS_EVERY: Final = 4.0
LEARNED_FROM: Final = 200
"""How many of the newest tasks of a kind tell how long such tasks take."""
PLAN_LIFE: Final = 600.0

log = logging.getLogger(__name__)


async def silence(progress: float, message: str) -> None:
    """Tell nobody how far a wait has come."""


class Deadline:
    """How long one call may wait. All of it counts from the start of the call: uploads and the submit too."""

    def __init__(self, wait_seconds: float) -> None:
        self._started = self._agreed = anyio.current_time()
        self._wait = wait_seconds

    def agreed(self) -> None:
        """Hold out for a task_id from now on: the person took time to agree, and only now it begins."""
        self._agreed = anyio.current_time()

    def left(self) -> float:
        """Return the seconds left for the picture; negative when they are over."""
        return self._started + self._wait - anyio.current_time()

    def left_for_id(self) -> float:
        """Return the seconds left for what even a call with ``wait_seconds`` 0 waits for."""
        until = max(self._started + self._wait, self._agreed + SHORTEST_WAIT_FOR_ID)
        return until - anyio.current_time()


class Watches:
    """All watches of a process.

    Args:
        journal: where readings of own tasks are recorded.
        open_client: opens the client, once.
        on_failed: told when a task failed, which refunds it.
        on_finished: told when the journal has recorded a picture.
        now: the time of day in seconds since the epoch.
    """

    def __init__(
        self,
        journal: Journal,
        open_client: Callable[[], Awaitable[VidgoClient]],
        *,
        on_failed: Callable[[], None],
        on_finished: Callable[[Entry], object],
        now: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._journal = journal
        self._open_client = open_client
        self._on_failed = on_failed
        self._on_finished = on_finished
        self._now = now
        self._draw = draw
        self._pace = Pace()
        self._watches: dict[str, Watch] = {}
        self._plans: dict[tuple[Quality, Tier], tuple[Plan, float]] = {}
        self._read_at: dict[str, float] = {}

    async def own(self, tasks: anyio.abc.TaskGroup, entry: Entry) -> Watch:
        """Return the watch of a task that this journal submitted; it goes on when nobody waits."""
        assert entry.task_id is not None
        plan = await self._plan(entry)
        age = self._now() - (entry.sent_at or entry.created_at)
        return self._find(tasks, entry.task_id, entry.id, age, plan)

    async def _plan(self, entry: Entry) -> Plan:
        """Return when to read such a task, learned from how long the newest ones took."""
        kind = (entry.intent.quality, entry.intent.tier)
        learned = self._plans.get(kind)
        if learned is None or anyio.current_time() - learned[1] > PLAN_LIFE:
            try:
                durations = await self._journal.durations(*kind, LEARNED_FROM)
            except JournalError:
                durations = ()
            learned = self._plans[kind] = (Plan(durations), anyio.current_time())
        return learned[0]

    def untracked_task(self, tasks: anyio.abc.TaskGroup, task_id: str) -> Watch:
        """Return the watch of somebody's task; it ends when nobody waits."""
        return self._find(tasks, task_id, None, 0.0, Plan())

    def _find(self, tasks: anyio.abc.TaskGroup, task_id: str, entry_id: str | None, age: float, plan: Plan) -> Watch:
        async def keep(task: Task, empty: bool) -> None:
            if task.phase == "failed":
                self._on_failed()
            if entry_id is None:
                return
            try:
                entry = await self._journal.record(entry_id, task, empty=empty)
            except JournalError as error:
                # Whoever waits still gets the picture, and it will be read again from Vidgo.
                log.warning("%s", error.message)
            else:
                if entry.state == "finished":
                    self._on_finished(entry)

        if task_id in self._watches:
            known = self._watches[task_id]
            if entry_id is not None:
                known.track(keep)
            return known
        watch = Watch(
            task_id,
            age=age,
            lasting=WINDOW - age,
            read=self._read,
            keep=keep,
            pace=self._pace,
            plan=plan,
            unattended=entry_id is not None,
            last_read=self._read_at.get(task_id, -math.inf),
            draw=self._draw,
        )
        self._watches[task_id] = watch
        tasks.start_soon(self._run, watch)
        return watch

    async def _read(self, task_id: str) -> Task:
        client = await self._open_client()
        try:
            return await client.status(task_id)
        finally:
            now = anyio.current_time()
            recent = {other: at for other, at in self._read_at.items() if now - at < polling.CLOSEST_READS}
            self._read_at = {**recent, task_id: now}

    async def _run(self, watch: Watch) -> None:
        try:
            await watch.run()
        except Exception:  # the edge of a background task: what goes wrong with one task must not end all other calls
            log.exception("the watch of task %s failed", watch.task_id)
            watch.give_up()
        finally:
            self._watches.pop(watch.task_id, None)


async def follow(watch: Watch, deadline: Deadline, meter: ProgressReporter, *, look: bool = True) -> VidgoError | None:
    """Wait until the task has ended or the call's time is over; return the failure if it was never read meanwhile.

    ``look`` asks for a reading that is at most 2 s old, and waits for it as long as for a task_id.
    """
    readings = watch.readings
    with watch.attended():
        await meter.tell(watch)
        if look and watch.stale():
            watch.poll_now()
        while not watch.ended and not watch.failed_for_good:
            look = look and watch.stale()
            left = deadline.left_for_id() if look else deadline.left()
            if left <= 0:
                break
            with anyio.move_on_after(min(left, PROGRESS_EVERY)):
                await watch.changed()
            await meter.tell(watch)
    return watch.failure if watch.readings == readings else None


class ProgressReporter:
    """Tells one caller how far the call is, in numbers that rise with every telling, whatever the vendor reports."""

    def __init__(self, progress: Progress = silence) -> None:
        self._progress = progress
        self._shown = 0.0

    async def tell(self, watch: Watch) -> None:
        """Tell how far a task is."""
        task = watch.latest
        reported = float(task.progress or 0) if task else 0.0
        status = task.status if task else "accepted"
        await self.say(f"{status} after {watch.age():.0f} s, task {watch.task_id}", reported)

    async def say(self, message: str, reported: float = 0.0) -> None:
        """Tell what is happening; ``reported`` is how far it is by somebody's word, 0 to 100."""
        self._shown = max(self._shown + (99.0 - self._shown) * 0.05, min(reported, 98.0))
        # Not rounded: after many tellings the steps are so small that rounded numbers would stand still.
        await self._progress(self._shown, message)
