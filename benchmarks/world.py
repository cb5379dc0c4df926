"""The whole paid workflow without a socket, on trio's virtual clock: service, journal, real client, and the sandbox.

What the benchmarks decide for each task, how long it takes for instance, is said by ``on_task``: it is called with each
task right after the sandbox has accepted it. ``before`` is called with the endpoint of each request that is on its way.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import httpx
import trio
import trio.testing
from PIL import Image

from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal import Clock, Journal, SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY, Account, Sandbox, Task, VendorOptions, create_app
from vidgo_mcp.service import LocalFiles, Runtime, Service, account_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BASE: Final = "http://127.0.0.1:8787"
NOON: Final = 1_780_000_000.0
"""The time of day at which the virtual clock starts, in seconds since the epoch."""
ACCOUNT: Final = account_of(SANDBOX_KEY, BASE)
EDGE: Final = 8
"""Pixels of a picture's edge, where only its bytes matter."""


def now() -> float:
    """Return the time of day on the virtual clock."""
    return NOON + trio.current_time()


@dataclass(slots=True)
class Surroundings:
    """What goes wrong around a process.

    Attributes:
        skew: seconds by which the time of day is wrong.
        full: the disk of the journal takes nothing.
    """

    skew: float = 0.0
    full: bool = False

    def now(self) -> float:
        """Return the time of day, right or wrong."""
        return now() + self.skew


class VirtualJournal(SqliteJournal):
    """A journal in memory, on the virtual clock, in surroundings that may be hostile."""

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        self._surroundings = surroundings or Surroundings()
        super().__init__(None, clock=Clock(self._surroundings.now, trio.current_time, lambda: "this boot"))

    def _transact(self, step: Callable[[sqlite3.Connection], T]) -> T:
        if self._surroundings.full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return super()._transact(step)


def on_virtual_clock(main: Callable[..., Any], *given: Any) -> Any:
    """Run an async function where waiting takes no time."""
    return trio.run(main, *given, clock=trio.testing.MockClock(autojump_threshold=0))


def _nothing(endpoint: str) -> None:
    """Let a request pass."""


def thumbnail(seed: str) -> bytes:
    """Return a tiny PNG, another one for each seed."""
    file = BytesIO()
    Image.frombytes("RGB", (EDGE, EDGE), random.Random(seed).randbytes(3 * EDGE * EDGE)).save(file, "PNG")
    return file.getvalue()


async def at_once(work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """Run work that blocks in place of a thread, for which the virtual clock would not wait."""
    await trio.lowlevel.checkpoint()
    return work(*args)


class WatchedSandbox(Sandbox):
    """Hands each task over before anybody can look at it: an answer to its submit may come late, or never."""

    on_task: Callable[[Task], None]

    def submit(self, account: Account, body: Any, base_url: str) -> Task:
        task = super().submit(account, body, base_url)
        self.on_task(task)
        return task


class Wire(httpx.AsyncBaseTransport):
    """The way to the sandbox; it counts what was asked."""

    def __init__(self, sandbox: Sandbox, before: Callable[[str], None]) -> None:
        self._inner = httpx.ASGITransport(create_app(sandbox))
        self._before = before
        self.posts = 0
        self.reads = 0
        self.uploads = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        endpoint = request.url.path.removeprefix("/api/generate/").partition("/")[0]
        if endpoint == "submit":
            self.posts += 1
        elif endpoint == "status":
            self.reads += 1
        elif request.url.path.startswith("/files/"):
            endpoint = "file"
        else:
            endpoint = "upload" if "/upload/" in request.url.path else "balance"
            self.uploads += endpoint == "upload"
        self._before(endpoint)
        return await self._inner.handle_async_request(request)


class World:
    """A vendor, and a service in front of it that can be stopped and started again on the same journal."""

    def __init__(
        self,
        journal: Journal,
        on_task: Callable[[Task], None],
        before: Callable[[str], None] = _nothing,
        *,
        funds: int,
        seed: object,
        files: LocalFiles | None = None,
        now: Callable[[], float] = now,
    ) -> None:
        self.now = now
        self._files = files
        self.sandbox = WatchedSandbox(
            accounts={SANDBOX_KEY: funds},
            clock=trio.current_time,
            now=lambda: datetime.fromtimestamp(now(), UTC),
            options=VendorOptions(inline_render=True, strict=True),
        )
        self.sandbox.on_task = on_task
        self.sandbox.draw = lambda brief: thumbnail(brief.seed)
        self.wire = Wire(self.sandbox, before)
        self.journal = journal
        self._random = random.Random(f"jitter {seed}").random

    def service(self) -> Service:
        """Return a service, not yet entered."""
        return Service(
            journal=self.journal,
            connect=lambda account: self.client(),
            files=self._files,
            runtime=Runtime(now=self.journal.now, random=self._random, threads=lambda: at_once),
            account=ACCOUNT,
        )

    def client(self) -> VidgoClient:
        """Return a client on the same wire."""
        return VidgoClient(SANDBOX_KEY, base_url=BASE, transport=self.wire, now=self.now, random=self._random)
