"""Services that share a journal file, in real time: SQLite works in threads, which a virtual clock cannot wait for."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
import pytest

from tests.conftest import BASE
from vidgo_mcp.client import Timeouts, VidgoClient, polling
from vidgo_mcp.journal import Clock, Journal
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.requests import GenerateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, create_app
from vidgo_mcp.service import Limits, Principal, Runtime, Service, account_of, service
from vidgo_mcp.service.watches import Deadline, ProgressReporter

ACCOUNT = account_of(SANDBOX_KEY, BASE)
OWNER = Principal(ACCOUNT).owner
PATIENCE = 30.0


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let services resume at once, and read tasks often: when they read is tested on the virtual clock."""
    monkeypatch.setattr(service, "RESUME_PAUSE", 0.0)
    monkeypatch.setattr(polling, "CLOSEST_READS", 0.0)
    monkeypatch.setattr(polling.Plan, "next_read", lambda plan, elapsed, progress=None: elapsed + 0.02)


def quick_sandbox(*faults: str, seconds: float = 0.0) -> Sandbox:
    """Return a sandbox whose tasks take next to no time."""
    return Sandbox(seconds=(seconds, seconds), faults=faults, options=VendorOptions(inline_render=True, strict=True))


def moved(sandbox: Sandbox) -> list[tuple[str, int]]:
    """Return every charge and refund, oldest first."""
    return [(entry.kind, entry.credits) for entry in sandbox.ledger]


class Noted(httpx.AsyncBaseTransport):
    """The way to the sandbox, which writes down what went out."""

    def __init__(self, sandbox: Sandbox, vidgo_time: Callable[[], float] | None = None) -> None:
        self._inner = httpx.ASGITransport(create_app(sandbox))
        self._time = vidgo_time
        self.seen: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.method, request.url.path))
        try:
            # An application without a socket hangs for ever where a socket's read would time out.
            with anyio.fail_after(request.extensions["timeout"]["read"]):
                response = await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer", request=request) from None
        if self._time is not None:
            response.headers["date"] = formatdate(self._time(), usegmt=True)
        return response


class Process:
    """What one process has: a service with a name of its own on the shared file. An async context manager.

    Args:
        sandbox: Vidgo.
        path: the shared file.
        name: of the process, in the journal.
        later: seconds by which its time of day is ahead, as if it had been started then.
        dead: the names of processes that provably ended.
        limits: what the operator allows.
        clock: of its machine, instead of one that is right.
        vidgo_time: what Vidgo's answers name as their time; by default they name none.
        journal: instead of one in the file.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        path: Path,
        name: str = "a",
        *,
        later: float = 0.0,
        dead: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        clock: Clock | None = None,
        vidgo_time: Callable[[], float] | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.wire = Noted(sandbox, vidgo_time)
        self.journal = journal or SqliteJournal(
            path,
            clock=clock or Clock(lambda: time.time() + later, lambda: time.monotonic() + later, lambda: "this boot"),
            fate_of=lambda name: "dead" if name in dead else "unknown",
        )
        self.principal = Principal(ACCOUNT, limits=limits or Limits())
        self.service = Service(
            journal=self.journal,
            connect=lambda account: self._connect(),
            runtime=Runtime(name, self.journal.now, lambda: 0.0),
            account=ACCOUNT,
        )

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[VidgoClient]:
        timeouts = Timeouts(submit=0.5)
        async with VidgoClient(
            SANDBOX_KEY, base_url=BASE, transport=self.wire, timeouts=timeouts, random=lambda: 0.0
        ) as client:
            yield client

    async def __aenter__(self) -> Self:
        await self.service.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.service.__aexit__(kind, error, trace)

    async def make(self, **arguments: Any) -> TaskResult:
        """Start a picture, by default a fox, and come back with its task id."""
        given = GenerateArguments.model_validate({"prompt": "a fox", "wait_seconds": 0, **arguments})
        with anyio.fail_after(PATIENCE):
            return await self.service.make(self.principal, given)

    async def finished(self, **arguments: Any) -> TaskResult:
        """Make a picture that takes no time; return what the call that paid, or found it, said."""
        made = await self.make(**arguments)
        assert made.task_id is not None
        if made.outcome == "pending":
            assert (await self.task(made.task_id)).outcome == "finished"
        return made

    async def task(self, task_id: str, *, wait_seconds: float = PATIENCE) -> TaskResult:
        """Return a task, waiting for its end."""
        return await self.service.tasks(self.principal).get(task_id, Deadline(wait_seconds), ProgressReporter())

    def submits(self) -> int:
        """Return how many submits were posted."""
        return sum(method == "POST" for method, _ in self.wire.seen)
