"""What the client's tests share: a request, networks that are functions, and one whose answers depend on the second."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx
import pytest

from vidgo_mcp.client import ImageRequest, VidgoClient
from vidgo_mcp.pricing import price_request

KEY: Final = "vk-live-0123456789"
BASE: Final = "http://127.0.0.1:9"
BOAT: Final = ImageRequest(prompt="a boat")
PRICED: Final = price_request(BOAT)
EPOCH: Final = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT

Answer = httpx.Response | Exception | Callable[[], Awaitable[Any]]
Call = Callable[[VidgoClient], Awaitable[Any]]

CALLS: Final[dict[str, Call]] = {
    "submit": lambda client: client.submit_once(PRICED),
    "status": lambda client: client.status("task-1"),
    "balance": lambda client: client.balance(),
    "upload": lambda client: client.upload(b"x", file_name="a.png", mime_type="image/png"),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def answering(answer: httpx.Response | Exception, key: str = KEY) -> VidgoClient:
    """Return a client whose every call meets one answer."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {key}"
        if isinstance(answer, Exception):
            raise answer
        return answer

    return VidgoClient(key, base_url=BASE, transport=httpx.MockTransport(handle))


def in_turn(*answers: Answer) -> Callable[[float], Answer]:
    """Give one answer after the other, and the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


class Network:
    """Answers each request by the second at which it comes, after ``delay`` seconds, and keeps those seconds."""

    def __init__(self, answer: Callable[[float], Answer], *, delay: float = 0.0, longest: float = 3600.0) -> None:
        self._answer = answer
        self._delay = delay
        self._longest = longest
        self._started = anyio.current_time()
        self.times: list[float] = []

    @property
    def elapsed(self) -> float:
        return anyio.current_time() - self._started

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.times)]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.times.append(self.elapsed)
        assert len(self.times) < 500, "it asks for ever"
        answer = self._answer(self.elapsed)
        await anyio.sleep(self._delay)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else await answer()

    @asynccontextmanager
    async def client(self, **given: Any) -> AsyncIterator[VidgoClient]:
        """Yield a client of this network for at most ``longest`` seconds of virtual time."""
        given = {"random": lambda: 1.0, "now": lambda: EPOCH + self.elapsed, **given}
        with anyio.fail_after(self._longest):
            async with VidgoClient(KEY, base_url=BASE, transport=httpx.MockTransport(self.handle), **given) as client:
                yield client
