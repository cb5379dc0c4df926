"""Whoever opens more connections than there are descriptors does not stop an HTTP server, nor fill its log."""

from __future__ import annotations

import logging
import socket
import sys
from contextlib import AsyncExitStack, suppress

import anyio
import anyio.abc
import httpx
import psutil
import pytest

from tests.server.conftest import PATIENCE
from tests.server.test_over_http import served
from tests.server.test_stopping_over_http import serving
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.server import connections
from vidgo_mcp.server.connections import HEADER_SECONDS, MOST_DESCRIPTORS, RESERVED, most_connections
from vidgo_mcp.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="no limit of descriptors")]

MANY = 300


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def opened(stack: AsyncExitStack, url: httpx.URL, sent: bytes = b"") -> list[anyio.abc.SocketStream]:
    """Open many connections, and send the same through each."""
    streams = []
    for _ in range(MANY):
        stream = await stack.enter_async_context(await anyio.connect_tcp(url.host, url.port or 80))
        streams.append(stream)
        if sent:
            await stream.send(sent)
    return streams


@pytest.mark.parametrize("sent", [b"", b"POST /mcp HTT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"], ids=str)
async def test_out_of_descriptors_callers_are_told_to_come_again_and_are_served_when_idle_ones_ended(
    sent: bytes, sandbox_url: str
) -> None:
    async with serving(sandbox_url, limits="ulimit -n 256") as (process, address), AsyncExitStack() as stack:
        url = httpx.URL(address)
        usage = psutil.Process(process.pid)
        before = sum(usage.cpu_times()[:2])
        await opened(stack, url, sent)
        statuses = set()
        with anyio.fail_after(PATIENCE):
            while 200 not in statuses:
                async with httpx.AsyncClient() as client:
                    answer = await client.get(url.join("/healthz"))
                statuses.add(answer.status_code)
                assert answer.status_code == 200 or "Retry-After" in answer.headers
                await anyio.sleep(0.5)
        assert statuses == {200, 503}
        assert sum(usage.cpu_times()[:2]) - before < HEADER_SECONDS / 4
        process.terminate()
        assert process.stderr is not None
        with anyio.fail_after(PATIENCE):
            log = b"".join([part async for part in process.stderr])
    assert len(log.splitlines()) <= 5, log


async def test_a_low_soft_limit_is_raised_so_that_all_are_served(sandbox_url: str) -> None:
    async with serving(sandbox_url, limits="ulimit -Sn 256") as (_, address), AsyncExitStack() as stack:
        url = httpx.URL(address)
        await opened(stack, url)
        async with httpx.AsyncClient() as client:
            assert (await client.get(url.join("/healthz"))).status_code == 200


async def test_whoever_is_refused_since_those_who_left_are_still_served_is_told_to_come_again(sandbox_url: str) -> None:
    # A large body waits for its turn, also when its sender has gone.
    large = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
    async with serving(sandbox_url, limits="ulimit -n 160") as (_, address):
        url = httpx.URL(address)
        async with await anyio.connect_tcp(url.host, url.port or 80) as first:
            await first.send(large)
            answer = httpx.Response(200)
            with anyio.fail_after(PATIENCE):
                while answer.status_code == 200:
                    async with await anyio.connect_tcp(url.host, url.port or 80) as gone:
                        await gone.send(large)
                    async with httpx.AsyncClient() as client:
                        answer = await client.get(url.join("/healthz"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


async def test_whoever_does_not_read_their_answers_is_dropped(
    sandbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.5)
    service = Service(
        journal=SqliteJournal(None), connect=lambda account: VidgoClient(SANDBOX_KEY, base_url=sandbox_url)
    )
    # A refusal repeats the name that was called.
    request = b"GET /mcp HTTP/1.1\r\nHost: " + b"x" * 8000 + b"\r\n\r\n"
    async with served(service) as base:
        url = httpx.URL(base)
        with socket.create_connection((url.host, url.port or 80)) as reader:
            reader.setblocking(False)

            async def ask_on() -> None:
                while True:
                    with suppress(BlockingIOError):
                        reader.send(request)
                    await anyio.sleep(0.001)

            with anyio.fail_after(PATIENCE / 4), pytest.raises(ConnectionError):
                await ask_on()


@pytest.mark.parametrize("name", ["asyncio", "uvicorn.error", "mcp.server.request_state", "mcp.server.runner"])
async def test_a_line_that_strangers_cause_is_logged_once_a_minute_and_what_is_cancelled_never(name: str) -> None:
    log, at = logging.getLogger(name), logging.WARNING
    connections.calm_logs()
    cancelled = anyio.get_cancelled_exc_class()()
    record = log.makeRecord(name, at, "", 0, f"{name} refused %s", (1,), None)
    assert [bool(log.filter(record)) for _ in "123"] == [True, False, False]
    record = log.makeRecord(name, at, "", 0, "torn", (), (type(cancelled), cancelled, None))
    assert not log.filter(record)


@pytest.mark.parametrize(("descriptors", "most"), [(0, 1), (RESERVED, 1), (256, 64), (MOST_DESCRIPTORS, 5056)])
def test_the_bound_leaves_room_for_what_calls_need(descriptors: int, most: int) -> None:
    assert most_connections(descriptors) == most
