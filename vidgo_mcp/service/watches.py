"""One watch for each task, however many calls wait for it; how long a call may wait, and what it is told."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
import anyio.lowlevel

from vidgo_mcp.client.polling import CLOSEST_READS, Plan, Polling
from vidgo_mcp.errors import JournalError, RateLimitedError, VidgoError
from vidgo_mcp.journal import RENEWAL, WINDOW, Entry, Journal
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.models.tasks import Task, logged_id

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

READ_SPACING: Final = 0.05
"""Seconds between two status reads of one account, whichever tasks they are for."""
LEARNED_FROM: Final = 200
"""From how many of the newest tasks of a kind it is learned how long such tasks take."""
PLAN_LIFE: Final = 600.0
"""Seconds after which that is learned anew."""
SHORTEST_AFTER_CONSENT: Final = 2.0
"""Seconds that remain for a task_id when the person took all of the client's time to agree."""
SHORTEST_WAIT_FOR_ID: Final = 20.0
"""Seconds for which even a call that does not wait holds out for a task_id, or for a first status."""
PROGRESS_EVERY: Final = 4.0

Progress = Callable[[float, str], Awaitable[None]]
"""Told how far a wait has come, above 0, below 100 and strictly rising, and what is happening, in words."""

log = logging.getLogger(__name__)


class RateLimiter:
    """The rate that all reads of an account share."""

    def __init__(self) -> None:
        self._next = -math.inf
        self._held_until = -math.inf

    async def turn(self) -> None:
        while True:
            slot = max(anyio.current_time(), self._next, self._held_until)
            self._next = slot + READ_SPACING
            await anyio.sleep_until(slot)
            # Vidgo may have asked for a pause meanwhile.
            if anyio.current_time() >= self._held_until:
                return

    def hold(self, until: float) -> None:
        """Let nobody read before a time, because Vidgo asked for that."""
        self._held_until = max(self._held_until, until)


class Watch:
    """What is known of one task, and who waits for more.

    Attributes:
        entry_id: the journal's entry of a task that was submitted here. Such a task is read on when nobody waits.
        asked_as: the id by which Vidgo knows it.
        changed: set at the next reading, or the next failure to read.
        stopping: whether the process is about to end, so that nobody waits any longer.
    """

    def __init__(self, task_id: str, polling: Polling, entry_id: str | None, asked_as: str) -> None:
        self.task_id = task_id
        self.asked_as = asked_as
        self.polling = polling
        self.entry_id = entry_id
        self.changed = anyio.Event()
        self.stopping = False
        self._waiters = 0
        self._given_up = False
        self._woken = anyio.Event()

    def poll_now(self) -> None:
        self.polling = self.polling.poll_now()
        self._woken.set()

    @property
    def ended(self) -> bool:
        """Whether it will not be read again."""
        return self._given_up or self.polling.ended

    @property
    def failed_for_good(self) -> bool:
        """Whether waiting is in vain: the task was not submitted here, and Vidgo refuses to show it."""
        failure = self.polling.failure
        return self.entry_id is None and failure is not None and not failure.retryable

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._waiters += 1
        try:
            yield
        finally:
            self._waiters -= 1
            self._woken.set()

    def give_up(self) -> None:
        """Read no more, and let nobody wait any longer."""
        self._given_up = True
        self.announce()

    def stop(self) -> None:
        self.stopping = True
        self.announce()

    def announce(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def until_due(self) -> bool:
        """Wait until the next read is due; return False when there will be none."""
        end = self.polling.submitted + WINDOW
        while not self.ended and (self.entry_id is not None or self._waiters) and (now := anyio.current_time()) < end:
            if now >= self.polling.due:
                return True
            self._woken = anyio.Event()
            with anyio.move_on_after(min(self.polling.due, end) - now):
                await self._woken.wait()
        return False


class Watches:
    """All watches of one account.

    ``on_ended`` gets the last reading of a task, with its entry where the journal has recorded it; ``now`` and
    ``random`` are those of ``Runtime``.
    """

    def __init__(
        self,
        journal: Journal,
        open_client: Callable[[], Awaitable[VidgoClient]],
        tasks: anyio.abc.TaskGroup,
        *,
        on_ended: Callable[[Entry | None, Task], object],
        now: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._open_client = open_client
        self._tasks = tasks
        self._on_ended = on_ended
        self._now = now
        self._random = random
        self._rate = RateLimiter()
        self._stopping = False
        self._watches: dict[str, Watch] = {}
        self._plans: dict[tuple[Quality, Tier], tuple[Plan, float]] = {}
        self._last_reads: dict[str, float] = {}
        """Of watches that ended within the last 2 s: another one for the same task keeps the distance."""

    def stop(self) -> None:
        """End all waits as if their time had run out: the process is about to end, and the tasks go on at Vidgo."""
        self._stopping = True
        for watch in self._watches.values():
            watch.stop()

    async def tracked_task(self, entry: Entry) -> Watch:
        """Return the watch of a task that was submitted here; it goes on when nobody waits."""
        assert entry.task_id is not None
        plan = await self.plan(entry.intent.quality, entry.intent.tier)
        if entry.task_id in self._watches:
            watch = self._watches[entry.task_id]
            # It may have been watched before it was known to be submitted here.
            watch.entry_id, watch.asked_as = entry.id, entry.asked_as
            return watch
        now = anyio.current_time()
        submitted = now - (self._now() - (entry.sent_at or entry.created_at))
        polling = Polling.of_submitted(plan, submitted, now, self._random)
        return self._start(entry.task_id, polling, entry.id, entry.asked_as)

    def untracked_task(self, task_id: str) -> Watch:
        """Return the watch of a task that was not submitted here; it ends when nobody waits."""
        if task_id in self._watches:
            return self._watches[task_id]
        last_read = self._last_reads.get(task_id, -math.inf)
        return self._start(task_id, Polling.of_unknown(anyio.current_time(), last_read, self._random), None, task_id)

    def _start(self, task_id: str, polling: Polling, entry_id: str | None, asked_as: str) -> Watch:
        watch = self._watches[task_id] = Watch(task_id, polling, entry_id, asked_as)
        watch.stopping = self._stopping
        self._tasks.start_soon(self._run, watch)
        return watch

    async def _run(self, watch: Watch) -> None:
        """Read a task until it has ended, its time is over, or nobody is interested."""
        try:
            await anyio.lowlevel.checkpoint()  # lets whoever started this begin to wait
            while await watch.until_due():
                await self._rate.turn()
                await self._poll(watch)
                watch.announce()
        except Exception:  # the edge of a background task: what goes wrong with one task must not end all other calls
            log.exception("the watch of task %s failed", logged_id(watch.task_id))
        finally:
            del self._watches[watch.task_id]
            since = anyio.current_time() - CLOSEST_READS
            recent = {task_id: at for task_id, at in self._last_reads.items() if at > since}
            self._last_reads = {**recent, watch.task_id: watch.polling.heard}
        watch.give_up()

    async def _poll(self, watch: Watch) -> None:
        try:
            client = await self._open_client()
            task = await client.status(watch.asked_as)
        except VidgoError as error:
            watch.polling = watch.polling.missed(error, anyio.current_time())
            if isinstance(error, RateLimitedError):
                self._rate.hold(watch.polling.soonest)
            return
        polling = watch.polling.seen(task, anyio.current_time())
        entry = None
        if watch.entry_id is not None:
            try:
                entry = await self._journal.record(watch.entry_id, task, empty=polling.empty)
            except JournalError as error:
                # Whoever waits still gets the picture.
                log.warning("%s", error.message)
                if polling.ended:
                    self._tasks.start_soon(self._record_later, watch.entry_id, task, polling.empty)
        if polling.ended:
            self._on_ended(entry, task)
        # Only now: what a call reports as finished is in the journal.
        watch.polling = polling

    async def _record_later(self, entry_id: str, task: Task, empty: bool) -> None:
        """Record an end that the journal could not take, as soon as it can; only then is the picture saved."""
        while True:
            await anyio.sleep(RENEWAL)
            try:
                self._on_ended(await self._journal.record(entry_id, task, empty=empty), task)
            except JournalError as error:
                if error.facts.reason is not None:
                    continue
            return

    async def plan(self, quality: Quality, tier: Tier) -> Plan:
        """Return when to read such a task, learned from how long the newest ones took."""
        now = anyio.current_time()
        plan, learned_at = self._plans.get((quality, tier), (None, -math.inf))
        if plan is None or now - learned_at > PLAN_LIFE:
            try:
                durations = await self._journal.durations(quality, tier, LEARNED_FROM)
            except JournalError:
                durations = ()
            plan = Plan(durations)
            self._plans[quality, tier] = plan, now
        return plan


async def silence(progress: float, message: str) -> None:
    """Tell nobody how far a wait has come."""


class Deadline:
    """How long one call may wait. All of it counts from the start of the call: uploads and the submit too.

    ``patience``: after how many seconds it must have answered, whatever it wants to wait for.
    """

    def __init__(self, wait_seconds: float, patience: float | None = None) -> None:
        self._started = self._agreed = anyio.current_time()
        self._patience = math.inf if patience is None else patience
        self.shortened = patience if patience is not None and patience < wait_seconds else None
        """How long it waits where that is less than it was asked to."""
        self._wait = min(wait_seconds, self._patience)

    def restart_for_id(self) -> None:
        """Hold out for a task_id from now on: the person took time to agree, and only now it begins."""
        self._agreed = anyio.current_time()

    def left(self) -> float:
        """Return the seconds left for the picture; negative when they are over."""
        return self._started + self._wait - anyio.current_time()

    def left_for_answer(self) -> float:
        """Return the seconds within which the call must have answered; endless where nobody is known to give up."""
        return self._started + self._patience - anyio.current_time()

    def left_for_id(self) -> float:
        """Return the seconds left for what even a call with ``wait_seconds`` 0 waits for."""
        until = max(self._started + self._wait, self._agreed + SHORTEST_WAIT_FOR_ID)
        latest = max(self._started + self._patience, self._agreed + min(self._patience, SHORTEST_AFTER_CONSENT))
        return min(until, latest) - anyio.current_time()


class ProgressReporter:
    """Tells one caller how far the call is, in numbers that rise with every report, whatever the vendor says."""

    def __init__(self, progress: Progress = silence) -> None:
        self._progress = progress
        self._shown = 0.0

    async def report_watch(self, watch: Watch) -> None:
        """Tell how far a task is."""
        task = watch.polling.latest
        if task is None and watch.entry_id is None:
            # Nobody knows yet whether there is such a task at all.
            if not watch.failed_for_good:
                await self.report(f"asking Vidgo for task {watch.task_id}")
            return
        status, progress = (task.status, task.progress) if task else ("accepted", None)
        age = anyio.current_time() - watch.polling.submitted
        await self.report(f"{status} after {age:.0f} s, task {watch.task_id}", float(progress or 0))

    async def report(self, message: str, reported: float = 0.0) -> None:
        """Tell what is happening; ``reported`` is how far it is by somebody's word, 0 to 100."""
        nearer = max(self._shown + (99.0 - self._shown) * 0.05, min(reported, 98.0))
        # After many reports the steps are so small that numbers rounded any further would stand still.
        self._shown = max(round(nearer, 2), round(self._shown + 0.001, 3))
        await self._progress(self._shown, message)


async def follow(
    watch: Watch, deadline: Deadline, reporter: ProgressReporter, *, look: bool = True
) -> VidgoError | None:
    """Wait until the task has ended or the call's time is over; return why it was never read meanwhile, if so.

    With ``look`` a reading that is at most 2 s old is asked for, and waited for as long as for a task_id.
    """
    readings = watch.polling.readings
    with watch.waiting():
        await reporter.report_watch(watch)
        if look and watch.polling.needs_poll(anyio.current_time()):
            watch.poll_now()
        while not watch.ended and not watch.failed_for_good and not watch.stopping:
            look = look and watch.polling.needs_poll(anyio.current_time())
            left = deadline.left_for_id() if look else deadline.left()
            if left <= 0:
                break
            with anyio.move_on_after(min(left, PROGRESS_EVERY)):
                await watch.changed.wait()
            await reporter.report_watch(watch)
    failure = watch.polling.failure
    # All who wait get the failure, so each gets one of their own to change and to raise.
    return failure.changed() if failure is not None and watch.polling.readings == readings else None
