"""What all tests share: a clean environment, no network beyond loopback, and a world on a virtual clock.

A ``World`` is the whole workflow without a socket: the service, its journal, the real client, and the sandbox as Vidgo,
all on trio's clock, so that a wait of ten minutes takes none. It needs an ``anyio_backend`` that has such a clock.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack

import anyio.lowlevel
import httpx
import pytest
import trio
import trio.testing
from hypothesis import settings

from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal import Clock, Journal
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.requests import EditArguments, GenerateArguments, GetTaskArguments
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.pricing import PUBLISHED, PriceTable
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, create_app
from vidgo_mcp.service import Limits, LocalFiles, Principal, Progress, Runtime, Service, account_of
from vidgo_mcp.service.caller_tasks import CallerTasks
from vidgo_mcp.service.limits import Ask, cannot_ask
from vidgo_mcp.service.watches import ProgressReporter, silence

# A machine may be busy: how long an example takes says nothing of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

BASE = "http://127.0.0.1:8787"
ANOTHER_KEY = "another-key"
NOON = 1_780_000_000.0
"""The time of day at which a virtual clock starts, in seconds since the epoch."""
DAY = 24 * 3600.0
UPLOAD = "/api/common/upload/stream"

Hook = Callable[[httpx.Request], Awaitable[None]]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@pytest.fixture
def temporary() -> Iterator[str]:
    """Yield a temporary folder whose path is short, as those of sockets must be, and which others may pass."""
    with tempfile.TemporaryDirectory(prefix="v-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield folder


# The folder comes first, so that it is removed when nothing is patched any more.
@pytest.fixture(autouse=True)
def _clean_surroundings(temporary: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start each test without settings, without proxies and certificates, and in a home of its own."""
    for name in list(os.environ):
        if name.upper().startswith(("VIDGO_", "SSL")) or name.upper().endswith("_PROXY") or name == "XDG_PICTURES_DIR":
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    # Sandboxes inside a process remember there.
    monkeypatch.setenv("TMPDIR", temporary)
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine."""
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: Any, original: Callable[..., Any] = original) -> Any:
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                host = str(address[0])
                if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
                    raise AssertionError(f"a test tried to connect to {address}")
            return original(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)


def virtual_backend() -> tuple[str, dict[str, Any]]:
    """Return the ``anyio_backend`` on which waiting takes no time. No threads may wait under it."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def virtual_now() -> float:
    """Return the time of day on the virtual clock."""
    return NOON + trio.current_time()


async def at_once(work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """Run work that blocks in place of a thread: the virtual clock would not wait for one."""
    await anyio.lowlevel.checkpoint()
    return work(*args)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it left the client, at a second of the virtual clock."""

    at: float
    method: str
    path: str


class Wire(httpx.AsyncBaseTransport):
    """The way to the sandbox: it writes down when a request was made, and lets a test come between.

    ``before`` and ``after`` are awaited on each side of the sandbox, and may raise what a socket raises.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = httpx.ASGITransport(create_app(sandbox))
        self.seen: list[Seen] = []
        self.before: Hook | None = None
        self.after: Hook | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(Seen(trio.current_time(), request.method, request.url.path))
        if self.before is not None:
            await self.before(request)
        response = await self._inner.handle_async_request(request)
        if self.after is not None:
            await self.after(request)
        return response


class Telling:
    """Keeps what a call tells of its progress, and when."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.values: list[float] = []
        self.messages: list[str] = []

    async def __call__(self, value: float, message: str) -> None:
        self.at.append(trio.current_time())
        self.values.append(value)
        self.messages.append(message)


def news(result: TaskResult) -> list[str]:
    """Return the notes without the receipt, which every call that pays has."""
    return [note for note in result.notes or () if not note.startswith("Spent in 24 h: ")]


VIRTUAL_CLOCK = Clock(virtual_now, trio.current_time, lambda: "")
"""The virtual clock for a journal; its machine has no names for its boots."""


class VirtualJournal(SqliteJournal):
    """A journal in memory, on the virtual clock."""

    def __init__(self) -> None:
        super().__init__(None, clock=VIRTUAL_CLOCK)


class World:
    """Use it as an async context manager, inside a test that has the virtual clock."""

    def __init__(
        self,
        *,
        faults: Sequence[str] = (),
        seconds: float = 20.0,
        funds: int = 1000,
        key: str | None = SANDBOX_KEY,
        journal: Journal | None = None,
        sandbox: Sandbox | None = None,
        callback_url: str | None = None,
        limits: Limits | None = None,
        files: LocalFiles | None = None,
        threads: Callable[[], Any] = lambda: at_once,
        process: str = "this process",
        local_api: bool = True,
        prices: PriceTable = PUBLISHED,
    ) -> None:
        self.sandbox = sandbox or Sandbox(
            accounts={SANDBOX_KEY: funds, ANOTHER_KEY: funds},
            faults=faults,
            seconds=(seconds, seconds),
            clock=trio.current_time,
            now=lambda: datetime.fromtimestamp(virtual_now(), UTC),
            options=VendorOptions(inline_render=True, strict=True),
        )
        self.wire = Wire(self.sandbox)
        self.journal: Journal = journal or VirtualJournal()
        self.opened = 0
        """How many clients were opened."""
        self.account = None if key is None else account_of(key, BASE)
        self._keys = {account_of(one, BASE): one for one in (SANDBOX_KEY, ANOTHER_KEY)}
        self.limits = limits or Limits()
        self.local_api = local_api
        self.service = Service(
            journal=self.journal,
            connect=lambda account: self.connect(self._keys[account]),
            files=files,
            callback_url=callback_url,
            prices=prices,
            runtime=Runtime(process, virtual_now, lambda: 1.0, threads),
            account=self.account,
        )

    def principal(self, caller: str = "", *, key: str | None = None) -> Principal:
        """Return somebody who calls, with the key of this world unless another one is given."""
        account = self.account if key is None else account_of(key, BASE)
        return Principal(account, caller, self.limits, local_api=self.local_api)

    def tasks(self, caller: str = "") -> CallerTasks:
        """Return a caller's tasks."""
        return self.service.tasks(self.principal(caller))

    @asynccontextmanager
    async def connect(self, key: str) -> AsyncGenerator[VidgoClient]:
        """Open a client."""
        self.opened += 1
        client = VidgoClient(key, base_url=BASE, transport=self.wire, now=virtual_now, random=lambda: 1.0)
        async with client:
            yield client

    async def __aenter__(self) -> Self:
        await self.service.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.service.__aexit__(kind, error, trace)

    async def make(
        self, *, caller: str = "", progress: Progress = silence, ask: Ask = cannot_ask, **arguments: Any
    ) -> TaskResult:
        """Make a picture, by default a fox that may take ten minutes."""
        model = EditArguments if "image_urls" in arguments else GenerateArguments
        given = model.model_validate({"prompt": "a fox", "wait_seconds": 600, **arguments})
        return await self.service.make(self.principal(caller), given, progress=progress, ask=ask)

    async def finished(self, **arguments: Any) -> TaskResult:
        """Make a picture that is expected to be finished."""
        result = await self.make(**arguments)
        assert result.outcome == "finished", result
        return result

    async def pending(self, **arguments: Any) -> str:
        """Start a picture without waiting for it, and return its task id."""
        result = await self.make(**{"wait_seconds": 0, **arguments})
        assert result.outcome == "pending", result
        assert result.task_id is not None
        return result.task_id

    async def listed(self, caller: str = "") -> TaskList:
        """Return the newest tasks."""
        return await self.tasks(caller).listed(GetTaskArguments().limit)

    async def task(
        self, task_id: str, *, wait_seconds: float | None = None, caller: str = "", progress: Progress = silence
    ) -> TaskResult:
        """Return one task, waiting for its end as a call does."""
        deadline = self.service.deadline(wait_seconds)
        return await self.tasks(caller).get(task_id, deadline, ProgressReporter(progress))

    def movements(self) -> list[tuple[str, int]]:
        """Return every charge and refund, oldest first."""
        return [(entry.kind, entry.credits) for entry in self.sandbox.ledger]

    def submits(self) -> list[float]:
        """Return the seconds at which a submit was posted."""
        return [seen.at for seen in self.wire.seen if seen.path == "/api/generate/submit"]

    def uploads(self) -> list[float]:
        """Return the seconds at which an upload began."""
        return [seen.at for seen in self.wire.seen if seen.path == UPLOAD]

    async def spent(self, caller: str = "") -> int:
        """Return the credits that count in a caller's day: what is reserved, and what is paid for."""
        return await self.journal.spent(self.principal(caller).owner)

    def reads(self, task_id: str = "") -> list[float]:
        """Return the seconds at which a status was read."""
        return [seen.at for seen in self.wire.seen if seen.path.startswith(f"/api/generate/status/{task_id}")]
