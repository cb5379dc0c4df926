"""Waiting for a task: finds or starts its one watch, and tells a caller how far it is while the call may wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from vidgo_mcp.service.watches import Watch

Progress = Callable[[float, str], Awaitable[None]]
"""Told how far a wait has come, above 0, below 100 and strictly rising, and what is happening, in words."""

SHORTEST_WAIT_FOR_ID: Final = 20.0
"""Seconds for which even a call that does not wait holds out for a task_id, or for a first status."""
PROGRESS_EVERY: Final = 4.0


async def silence(progress: float, message: str) -> None:
    """Tell nobody how far a wait has come."""


class Deadline:
    """How long one call may wait. All of it counts from the start of the call: uploads and the submit too."""

    def __init__(self, wait_seconds: float) -> None:
        self._started = self._agreed = anyio.current_time()
        self._wait = wait_seconds

    def restart_for_id(self) -> None:
        """Hold out for a task_id from now on: the person took time to agree, and only now it begins."""
        self._agreed = anyio.current_time()

    def left(self) -> float:
        """Return the seconds left for the picture; negative when they are over."""
        return self._started + self._wait - anyio.current_time()

    def left_for_id(self) -> float:
        """Return the seconds left for what even a call with ``wait_seconds`` 0 waits for."""
        until = max(self._started + self._wait, self._agreed + SHORTEST_WAIT_FOR_ID)
        return until - anyio.current_time()


class ProgressReporter:
    """Tells one caller how far the call is, in numbers that rise with every telling, whatever the vendor reports."""

    def __init__(self, progress: Progress = silence) -> None:
        self._progress = progress
        self._shown = 0.0

    async def report_watch(self, watch: Watch) -> None:
        """Tell how far a task is."""
        task = watch.polling.latest
        reported = float(task.progress or 0) if task else 0.0
        status = task.status if task else "accepted"
        age = anyio.current_time() - watch.polling.submitted
        await self.report(f"{status} after {age:.0f} s, task {watch.task_id}", reported)

    async def report(self, message: str, reported: float = 0.0) -> None:
        """Tell what is happening; ``reported`` is how far it is by somebody's word, 0 to 100."""
        self._shown = max(self._shown + (99.0 - self._shown) * 0.05, min(reported, 98.0))
        # Not rounded: after many tellings the steps are so small that rounded numbers would stand still.
        await self._progress(self._shown, message)
