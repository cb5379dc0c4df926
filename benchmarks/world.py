"""The whole paid workflow without a socket, on trio's virtual clock: service, journal, real client, and the sandbox.

What the benchmarks decide for each task, how long it takes for instance, is said by ``casting``: it is called with each
task right after the sandbox has accepted it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import trio
import trio.testing

from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal import Journal
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, Task, create_app
from vidgo_mcp.service import Service, account_of

BASE: Final = "http://127.0.0.1:8787"
NOON: Final = 1_780_000_000.0
"""The time of day at which the virtual clock starts, in seconds since the epoch."""
ACCOUNT: Final = account_of(SANDBOX_KEY, BASE)


def now() -> float:
    """Return the time of day on the virtual clock."""
    return NOON + trio.current_time()


def on_virtual_clock(main: Callable[..., Any], *given: Any) -> Any:
    """Run an async function where waiting takes no time."""
    return trio.run(main, *given, clock=trio.testing.MockClock(autojump_threshold=0))


class Wire(httpx.AsyncBaseTransport):
    """The way to the sandbox; it counts what was asked."""

    def __init__(self, sandbox: Sandbox, casting: Callable[[Task], None]) -> None:
        self._sandbox = sandbox
        self._inner = httpx.ASGITransport(create_app(sandbox))
        self._casting = casting
        self._cast = 0
        self.posts = 0
        self.reads = 0
        self.others = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/generate/submit":
            self.posts += 1
        elif request.url.path.startswith("/api/generate/status/"):
            self.reads += 1
        else:
            self.others += 1
        try:
            return await self._inner.handle_async_request(request)
        finally:
            # Also when the answer was lost: the task exists.
            for task in list(self._sandbox.tasks.values())[self._cast :]:
                self._cast += 1
                self._casting(task)


class World:
    """A vendor, and a service in front of it that can be stopped and started again on the same journal."""

    def __init__(self, journal: Journal, casting: Callable[[Task], None], *, funds: int, seed: int) -> None:
        self.sandbox = Sandbox(
            accounts={SANDBOX_KEY: funds},
            clock=trio.current_time,
            now=lambda: datetime.fromtimestamp(now(), UTC),
            inline_render=True,
            strict=True,
        )
        self.wire = Wire(self.sandbox, casting)
        self.journal = journal
        self._draw = random.Random(f"jitter {seed}").random

    def service(self) -> Service:
        """Return a service, not yet entered."""
        return Service(journal=self.journal, connect=self._connect, account=ACCOUNT, now=now, draw=self._draw)

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[VidgoClient]:
        client = VidgoClient(SANDBOX_KEY, base_url=BASE, transport=self.wire, now=now, draw=self._draw)
        async with client:
            yield client
