"""What a service takes from its process and its machine, so that tests can put something else in its place."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

import anyio
import anyio.from_thread
import anyio.to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class InThread(Protocol):
    """Runs blocking work without blocking the event loop."""

    def __call__(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> Awaitable[T]:
        """Return what the work returns."""
        ...


class Threads:
    """Runs blocking work in worker threads, a few at once; a cancelled caller does not wait for its end."""

    def __init__(self) -> None:
        # A picture may need 200 MB of memory while it is decoded or written.
        self._limiter = anyio.CapacityLimiter(4)

    async def __call__(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        return await anyio.to_thread.run_sync(work, *args, abandon_on_cancel=True, limiter=self._limiter)


class Places:
    """Runs blocking work in worker threads, in one of a few places: each is free only when its work has ended.

    A caller who gives up leaves the work behind. Its place stays taken, or those who come again and again would fill
    the machine with it.
    """

    def __init__(self, in_thread: InThread, places: int) -> None:
        self._in_thread = in_thread
        self._places = anyio.CapacityLimiter(places)

    async def __call__(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        borrower, begun = object(), threading.Lock()
        await self._places.acquire_on_behalf_of(borrower)

        def run() -> T:
            if not begun.acquire(blocking=False):
                raise RuntimeError("the caller gave up before this began")
            try:
                return work(*args)
            finally:
                try:
                    anyio.from_thread.run_sync(self._places.release_on_behalf_of, borrower)
                except RuntimeError:  # not in a worker thread, or its event loop has ended
                    self._places.release_on_behalf_of(borrower)

        try:
            return await self._in_thread(run)
        finally:
            if begun.acquire(blocking=False):
                self._places.release_on_behalf_of(borrower)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The clock, the dice, the threads and the name of a process.

    Attributes:
        process: the name of this process in the journal.
        now: the time by which entries age, in seconds since the epoch: the journal's.
        random: a number from 0 to 1, for jitter.
        threads: makes a group of worker threads. Looking, decoding and saving each have their own, so that a folder
            that does not answer keeps nobody from the other two.
        is_gone: looks whether a URL on this machine is dead; None looks at none.
    """

    process: str = "this process"
    now: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    threads: Callable[[], InThread] = Threads
    is_gone: Callable[[str], Awaitable[bool]] | None = None
