"""When a refused call is made again: after growing pauses with full jitter, never before a Retry-After."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from vidgo_mcp.errors import NotSentError, RateLimitedError, VidgoError

SUBMIT_RETRY_SECONDS: Final = 20.0
"""Seconds for which a submit that was provably not accepted is tried again."""
NAMED_TASK_SECONDS: Final = 10.0
"""For reading a task that the answer to a submit named without being a success, half of them for each of two tries."""
BACKOFF: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds; the vendor's advice for 429 and 5xx."""


class RetryDeadline:
    """The time from now, in seconds, that one call has for trying again; ``random`` is for jitter."""

    def __init__(self, seconds: float, random: Callable[[], float]) -> None:
        self._deadline = anyio.current_time() + seconds
        self._random = random
        self._attempt = 0

    async def pause(self, error: VidgoError) -> None:
        """Sleep until the call may be made again, or raise as ``next_pause`` does."""
        await anyio.sleep(self.next_pause(error))

    def next_pause(self, error: VidgoError) -> float:
        """Return the seconds until the call may be made again.

        Raises:
            VidgoError: the error itself, when it does not prove that nothing was accepted, or no time is left.
        """
        if not isinstance(error, NotSentError | RateLimitedError):
            raise error
        delay = backoff(self._attempt, self._random, error.retry_after)
        self._attempt += 1
        if anyio.current_time() + delay > self._deadline:
            raise error
        return delay


def backoff(attempt: int, random: Callable[[], float], retry_after: float | None) -> float:
    """Return the seconds before the next attempt; ``attempt`` counts from 0."""
    bound = BACKOFF[min(attempt, len(BACKOFF) - 1)]
    return max(bound * random(), retry_after or 0.0)
