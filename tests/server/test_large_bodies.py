"""No body over HTTP takes much memory or much time, and one that is refused is answered with words."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import psutil
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.server.conftest import ERAS, PATIENCE
from tests.server.test_over_http import HEADERS, served, service  # noqa: F401  # a fixture
from tests.server.test_stopping_over_http import serving
from vidgo_mcp.server import bodies
from vidgo_mcp.server.bodies import LARGE, MANY_VALUES, MEGABYTE, MOST_VALUES, TOO_MANY_VALUES
from vidgo_mcp.server.connections import READ_AT_ONCE, BoundedConnection
from vidgo_mcp.server.json_lines import read_line
from vidgo_mcp.service import Service

pytestmark = pytest.mark.anyio

MODERN = {"Mcp-Protocol-Version": "2026-07-28"}
LARGEST_BODY = 8 * MEGABYTE
ALMOST = LARGEST_BODY - 1024


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def call(arguments: bytes) -> bytes:
    params = b'{"name": "generate_image", "arguments": {' + arguments + b"}}"
    return b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ' + params + b"}"


BOMBS = {
    "nested": b"[" * ALMOST,
    "objects": call(b'"prompt": [' + b"{}," * (ALMOST // 4) + b"{}]"),
    "keys": call(b",".join(b'"%x":1' % number for number in range(ALMOST // 11))),
    "as many keys as are read": call(b",".join(b'"%x":1' % number for number in range(MOST_VALUES - 8))),
    "one text": call(b'"prompt": "' + b"a" * (ALMOST - 100) + b'"'),
    "escapes": call(b'"prompt": "' + rb"\u0041" * (ALMOST // 7) + b'"'),
    "backslashes": b'{"a": "' + b"\\" * ALMOST,
    "a number": call(b'"prompt": ' + b"9" * (ALMOST - 100)),
    "long numbers": call(b'"prompt": [' + b",".join([b"9" * 4000] * (ALMOST // 4001)) + b"]"),
    "spaces": b" " * ALMOST,
}


async def test_no_body_takes_much_memory(sandbox_url: str) -> None:
    async with serving(sandbox_url) as (process, url), httpx.AsyncClient(timeout=PATIENCE, headers=HEADERS) as client:
        await client.post(url, content=call(b""))
        memory = psutil.Process(process.pid).memory_info
        before = memory().rss
        peak = 0

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, memory().rss)
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            for body in BOMBS.values():
                for headers in ({}, MODERN):
                    assert (await client.post(url, content=body, headers=headers)).status_code in {200, 400, 413}
            async with anyio.create_task_group() as crowd:
                for _ in range(10):
                    crowd.start_soon(lambda: client.post(url, content=BOMBS["one text"]))
            tasks.cancel_scope.cancel()
        assert peak - before < 250 * MEGABYTE


@pytest.mark.parametrize("bomb", ["nested", "objects", "keys", "a number", "long numbers"])
async def test_what_the_sdk_would_parse_for_long_is_refused(bomb: str, service: Service) -> None:  # noqa: F811
    async with served(service) as base, httpx.AsyncClient(headers=HEADERS) as client:
        answer = await client.post(f"{base}/mcp", content=BOMBS[bomb])
        assert (answer.status_code, answer.json()["error"]["message"]) == (413, TOO_MANY_VALUES)


async def parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


@pytest.mark.parametrize("headers", [{}, MODERN], ids=["older", "modern"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_with_the_limit_and_what_to_do(
    chunked: bool,
    headers: dict[str, str],
    service: Service,  # noqa: F811
) -> None:
    body = call(b'"prompt": "' + b"a" * LARGEST_BODY + b'"')
    async with served(service) as base, httpx.AsyncClient(headers=HEADERS) as client:
        answer = await client.post(f"{base}/mcp", content=parts(body) if chunked else body, headers=headers)
        message = answer.json()["error"]["message"]
        assert (answer.status_code, "8 MB" in message, "as URLs" in message) == (413, True, True)
        assert (await client.get(f"{base}/healthz")).status_code == 200


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_reads_why_its_call_was_too_large(era: Any, service: Service) -> None:  # noqa: F811
    async with served(service) as base, Client(f"{base}/mcp", mode=era) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("generate_image", {"prompt": "a" * LARGEST_BODY})
        assert "8 MB" in str(refused.value)


async def test_the_limit_of_a_body_is_a_setting(sandbox_url: str) -> None:
    async with (
        serving(sandbox_url, VIDGO_MAX_BODY_MB="1") as (_, url),
        httpx.AsyncClient(timeout=PATIENCE, headers=HEADERS) as client,
    ):
        taken, refused = (call(b'"prompt": "' + b"a" * size + b'"') for size in (MEGABYTE - 1024, MEGABYTE))
        assert (await client.post(url, content=taken)).status_code == 200
        answer = await client.post(url, content=refused)
        message = answer.json()["error"]["message"]
        assert (answer.status_code, "1 MB" in message, "VIDGO_MAX_BODY_MB" in message) == (413, True, True)


@pytest.mark.skipif(sys.platform == "win32", reason="its transport has a size of its own")
async def test_a_body_is_read_in_small_parts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    sizes: list[int] = []
    received = BoundedConnection.data_received

    def record(self: BoundedConnection, data: bytes) -> None:
        sizes.append(len(data))
        received(self, data)

    monkeypatch.setattr(BoundedConnection, "data_received", record)
    async with served(service) as base, httpx.AsyncClient(headers=HEADERS, timeout=PATIENCE) as client:
        await client.post(f"{base}/mcp", content=BOMBS["one text"])
    assert max(sizes) <= READ_AT_ONCE


async def test_many_values_are_parsed_one_body_at_a_time(
    service: Service,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way, most = 0, 0

    def read(body: bytes) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.02)
        under_way -= 1
        assert threading.current_thread() is not threading.main_thread()
        return read_line(body)

    monkeypatch.setattr(bodies, "read_line", read)
    body = call(b",".join(b'"%x":1' % number for number in range(MANY_VALUES + 1)))
    async with served(service) as base, httpx.AsyncClient(headers=HEADERS, timeout=PATIENCE) as client:

        async def post() -> None:
            assert (await client.post(f"{base}/mcp", content=body)).status_code == 200

        async with anyio.create_task_group() as crowd:
            for _ in range(5):
                crowd.start_soon(post)
    assert most == 1


@pytest.mark.parametrize("size", [99, LARGE + 1])
async def test_a_body_that_does_not_arrive_is_refused_and_keeps_nobody_waiting(
    size: int,
    service: Service,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n{{"
    large = call(b'"prompt": "' + b"a" * LARGE + b'"')
    async with served(service) as base, httpx.AsyncClient(headers=HEADERS) as client:
        url = httpx.URL(base)
        async with await anyio.connect_tcp(url.host, url.port or 80) as stream:
            await stream.send(head.encode())
            with anyio.fail_after(PATIENCE):
                assert (await client.post(f"{base}/mcp", content=large)).status_code == 200
                assert b" 408 " in await stream.receive()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_served_so_that_no_stream_stays_idle(method: str, service: Service) -> None:  # noqa: F811
    async with served(service) as base, httpx.AsyncClient(headers=HEADERS) as client:
        answer = await client.request(method, f"{base}/mcp")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
