"""As a server on a real socket sees it: a submit is one POST on a fresh connection, and the key goes nowhere else."""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.client.conftest import BOAT, CALLS, KEY, PRICED
from vidgo_mcp.client import ImageRequest, Timeouts, VidgoClient
from vidgo_mcp.errors import NotSentError, OutcomeUnknownError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

LONGEST = 5.0

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Reply:
    """The bytes of one answer, and what then happens to the connection: keep, close, or hang until the client ends."""

    content: bytes
    then: str = "keep"


@dataclass(frozen=True)
class Seen:
    """One request as the server read it, with the number of its connection."""

    connection: int
    head: str
    body: bytes


@dataclass
class Wire:
    """A server on a real socket that gives scripted bytes, one reply a request; the last one again and again."""

    listener: socket.socket
    script: list[Reply] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def lines(self) -> list[str]:
        return [seen.head.partition("\r\n")[0] for seen in self.seen]

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.talk, args=(connection, self.connections), daemon=True).start()

    def talk(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(LONGEST)
            while request := self.read(connection):
                head, body = request
                self.seen.append(Seen(number, head, body))
                reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                connection.sendall(reply.content)
                if reply.then == "hang":
                    connection.recv(1)
                if reply.then != "keep":
                    return

    @staticmethod
    def read(connection: socket.socket) -> tuple[str, bytes] | None:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        while len(body) < length:
            body += connection.recv(65536)
        return head.decode("latin-1"), body


@pytest.fixture
def serve() -> Iterator[Callable[..., Wire]]:
    """Return a function that starts a scripted server; all of them end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*script: Reply) -> Wire:
            wire = Wire(socket.create_server(("127.0.0.1", 0)), list(script))
            thread = threading.Thread(target=wire.run, daemon=True)
            thread.start()
            stack.callback(thread.join, LONGEST)
            stack.callback(wire.listener.close)
            # A blocked accept is not ended by close; a shutdown ends it.
            stack.callback(wire.listener.shutdown, socket.SHUT_RDWR)
            return wire

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., VidgoClient]]:
    """Return a function that makes a client; all of them end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        def build(url: str, **given: Any) -> VidgoClient:
            client = VidgoClient(KEY, base_url=url, **given)
            stack.push_async_callback(client.aclose)
            return client

        yield build


Serve = Callable[..., Wire]
Connect = Callable[..., VidgoClient]


def http(status: int, body: Any = b"", *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} x", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


ACCEPTED = http(200, {"code": 200, "data": {"task_id": "task-1", "status": "not_started"}})
RUNNING = http(200, {"code": 200, "data": {"task_id": "task-1", "status": "running"}})
UNKNOWN_OUTCOMES = {
    "dropped before an answer": Reply(b"", "close"),
    "half a status line": Reply(b"HTTP/1.1 20", "close"),
    "half a head": Reply(b"HTTP/1.1 200 OK\r\nContent-Type: app", "close"),
    "half a body": Reply(ACCEPTED[:-30], "close"),
    "half a chunk": Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"code"', "close"),
    "not HTTP": Reply(b"\x15\x03\x01\x00\x02\x02\x16", "close"),
    "a length that is none": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: soon\r\n\r\n{}", "close"),
    "broken gzip": Reply(http(200, b"no gzip", "Content-Encoding: gzip")),
    "no answer in time": Reply(b"", "hang"),
    "half an answer in time": Reply(ACCEPTED[:-30], "hang"),
    "408 in plain text": Reply(http(408, b"Request timeout", "Content-Type: text/plain")),
    "500": Reply(http(500, {"detail": "Internal error"})),
    "502 as a page": Reply(http(502, b"<html>Bad gateway</html>")),
    "503 that names a time": Reply(http(503, b"", "Retry-After: 1")),
    "504": Reply(http(504)),
    "an empty 200": Reply(http(200)),
    "an empty 204": Reply(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "an envelope that says 500": Reply(http(200, {"code": 500, "error": {"message": "oops"}})),
}


@pytest.mark.parametrize("what", UNKNOWN_OUTCOMES)
async def test_a_submit_whose_outcome_is_unknown_is_posted_once(what: str, serve: Serve, connect: Connect) -> None:
    wire = serve(UNKNOWN_OUTCOMES[what])
    client = connect(wire.url, timeouts=Timeouts(connect=1, read=0.3, submit=0.3), random=lambda: 0.0)
    with anyio.fail_after(LONGEST), pytest.raises(OutcomeUnknownError) as caught:
        await client.submit(BOAT)
    assert (caught.value.money, caught.value.retryable) == ("unknown", False)
    # What came of an id helps a person to find it.
    assert (caught.value.facts.named_task == "task...") is what.startswith(("half a body", "half an answer"))
    assert wire.lines() == ["POST /api/generate/submit HTTP/1.1"]


BODY = ACCEPTED.partition(b"\r\n\r\n")[2]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY)
PLAIN = http(200, BODY, "Content-Encoding: gzip")
LATIN = http(200, BODY[:-1] + b', "msg": "\xe9"}')
LONGER = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + BODY


@pytest.mark.parametrize("content", [CHUNKED, LONGER], ids=["no last chunk", "a wrong length"])
@pytest.mark.parametrize("then", ["close", "hang"])
async def test_a_task_that_was_named_is_not_lost_because_the_end_of_the_answer_is(
    content: bytes, then: str, serve: Serve, connect: Connect
) -> None:
    client = connect(serve(Reply(content, then)).url, timeouts=Timeouts(connect=1, read=0.3, submit=0.3))
    with anyio.fail_after(LONGEST):
        assert (await client.submit_once(PRICED)).task_id == "task-1"


@pytest.mark.parametrize("content", [PLAIN, LATIN], ids=["gzip that is none", "a byte that is no text"])
async def test_a_task_that_was_named_is_not_lost_because_of_how_it_was_written(
    content: bytes, serve: Serve, connect: Connect
) -> None:
    with anyio.fail_after(LONGEST):
        assert (await connect(serve(Reply(content)).url).submit_once(PRICED)).task_id == "task-1"


@pytest.mark.parametrize("status", [400, 401, 402, 429])
@pytest.mark.parametrize("then", ["close", "hang"])
async def test_a_refusal_is_one_although_its_body_breaks_off(
    status: int, then: str, serve: Serve, connect: Connect
) -> None:
    wire = serve(Reply(http(status, b'{"detail": "no"}')[:-4], then))
    client = connect(wire.url, timeouts=Timeouts(connect=1, read=0.3, submit=0.3))
    with anyio.fail_after(LONGEST), pytest.raises(VidgoError) as caught:
        await client.submit_once(PRICED)
    assert (caught.value.money, caught.value.http_status) == ("nothing_spent", status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed_and_never_sees_the_key(status: int, serve: Serve, connect: Connect) -> None:
    elsewhere = serve(Reply(ACCEPTED))
    wire = serve(Reply(http(status, b"", f"Location: {elsewhere.url}/api/generate/submit")))
    client = connect(wire.url)
    with anyio.fail_after(LONGEST):
        with pytest.raises(OutcomeUnknownError):
            await client.submit(BOAT)
        with pytest.raises(UnavailableError):
            await client.status("task-1")
        with pytest.raises(UnavailableError):
            await client.upload(b"x", file_name="a.png", mime_type="image/png")
    assert len(wire.seen) == 3
    assert elsewhere.connections == 0


async def test_a_refused_connection_proves_that_nothing_was_sent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with anyio.fail_after(LONGEST), pytest.raises(NotSentError) as caught:
        await connect(f"http://127.0.0.1:{port}").submit_once(PRICED)
    assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="the system does not tell")
async def test_a_connection_that_was_closed_while_the_submit_was_recorded_carries_nothing(
    serve: Serve, connect: Connect
) -> None:
    wire, closed = serve(Reply(ACCEPTED)), threading.Event()

    def close(connection: socket.socket, number: int) -> None:
        connection.close()
        closed.set()

    async def recording() -> None:
        assert await anyio.to_thread.run_sync(closed.wait, LONGEST)

    wire.talk = close  # type: ignore[method-assign]
    with anyio.fail_after(LONGEST), pytest.raises(NotSentError) as caught:
        await connect(wire.url).submit_once(PRICED, leaving=recording)
    assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)


async def test_a_server_without_tls_proves_that_nothing_was_sent(serve: Serve, connect: Connect) -> None:
    wire = serve(Reply(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close"))
    wire.read = lambda connection: ("tls", connection.recv(65536))  # type: ignore[method-assign]
    with anyio.fail_after(LONGEST), pytest.raises(NotSentError):
        await connect(f"https://127.0.0.1:{wire.port}").submit_once(PRICED)
    assert wire.seen
    assert not any(KEY.encode() in seen.body for seen in wire.seen)


async def test_each_submit_and_upload_has_a_fresh_connection_and_reads_share_one(
    serve: Serve, connect: Connect
) -> None:
    wire = serve(Reply(ACCEPTED))
    client = connect(wire.url)
    uploaded = http(200, {"code": 200, "data": {"file_url": "https://a.b/c.png"}})
    with anyio.fail_after(LONGEST):
        for _ in range(3):
            await client.submit(BOAT)
        wire.script = [Reply(uploaded)]
        await client.upload(b"x", file_name="a.png", mime_type="image/png")
        wire.script = [Reply(RUNNING)]
        for _ in range(3):
            await client.status("task-1")
        wire.script = [Reply(ACCEPTED)]
        await client.submit(BOAT)
    numbers = [seen.connection for seen in wire.seen]
    assert numbers == [1, 2, 3, 4, 5, 5, 5, 6]


@pytest.mark.parametrize("status", ["finished", "failed"])
async def test_what_is_left_of_an_earlier_answer_ends_no_other_task(
    status: str, serve: Serve, connect: Connect
) -> None:
    ended = {"task_id": "task-1", "status": status, "files": [{"file_url": "https://a.b/c.png"}]}
    client = connect(serve(Reply(RUNNING + http(200, {"code": 200, "data": ended}))).url)
    with anyio.fail_after(LONGEST):
        await client.status("task-1")
        with pytest.raises(UnavailableError) as caught:
            await client.status("task-2")
    assert (caught.value.money, caught.value.retryable) == ("accepted", True)


@pytest.mark.parametrize("cookie", ["a=b", "a=\u00e9", f"a={'b' * 4000}"])
async def test_no_cookie_is_kept(cookie: str, serve: Serve, connect: Connect) -> None:
    wire = serve(Reply(ACCEPTED.replace(b"\r\n", f"\r\nSet-Cookie: {cookie}\r\n".encode(), 1)))
    client = connect(wire.url)
    with anyio.fail_after(LONGEST):
        for _ in range(2):
            await client.submit_once(PRICED)
            await client.status("task-1")
    assert not any("cookie:" in seen.head.lower() for seen in wire.seen)


async def test_an_answer_that_never_ends_drips_into_the_deadline(connect: Connect, serve: Serve) -> None:
    wire = serve(Reply(ACCEPTED))

    def drip(connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            assert wire.read(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            connection.settimeout(0.02)
            while True:
                connection.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        return

    wire.talk = drip  # type: ignore[method-assign]
    client = connect(wire.url, timeouts=Timeouts(connect=0.1, read=0.1, submit=0.1))
    with anyio.fail_after(LONGEST):
        with pytest.raises(OutcomeUnknownError):
            await client.submit(BOAT)
        with pytest.raises(UnavailableError):
            await client.status("task-1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
async def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    host: str, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, proxy = serve(Reply(ACCEPTED), Reply(RUNNING)), serve(Reply(http(502)))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    client = connect(f"http://{host}:{wire.port}", timeouts=Timeouts(connect=2))
    with anyio.fail_after(LONGEST):
        if host in {"127.0.0.1", "localhost"}:
            assert (await client.submit_once(PRICED)).task_id == "task-1"
            assert (await client.status("task-1")).status == "running"
        else:
            with pytest.raises(NotSentError):  # nothing listens there
                await client.submit_once(PRICED)
    assert proxy.connections == 0


@pytest.mark.parametrize("scheme", ["https", "all"])
async def test_a_proxy_of_the_environment_is_asked_for_a_tunnel_to_a_remote_api(
    scheme: str, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(Reply(http(403), "close"))
    monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
    client = connect("https://api.vidgo.example")
    with anyio.fail_after(LONGEST):
        with pytest.raises(NotSentError):
            await client.submit_once(PRICED)
        with pytest.raises(UnavailableError):
            await client.balance()
    assert proxy.lines() == ["CONNECT api.vidgo.example:443 HTTP/1.1"] * 2
    assert not any(KEY in seen.head for seen in proxy.seen)


@pytest.mark.parametrize("fault", ["lose_answer", "lose_half", "charged=500", "charged=408", "html"])
async def test_a_charged_submit_whose_answer_is_lost_is_charged_once(fault: str) -> None:
    sandbox = Sandbox(faults=[f"submit:{fault}*1"], seconds=(0, 0))
    with running(sandbox) as url:
        async with VidgoClient(SANDBOX_KEY, base_url=url) as client:
            with anyio.fail_after(LONGEST), pytest.raises(OutcomeUnknownError):
                await client.submit(BOAT)
            assert await client.balance() == 998
    assert [entry.credits for entry in sandbox.ledger] == [2]
    assert [record.method for record in sandbox.requests if record.path.endswith("/submit")] == ["POST"]


async def test_a_picture_is_made_and_fetched_from_the_sandbox() -> None:
    sandbox = Sandbox(seconds=(0, 0), faults=["submit:rate_limited=0*1"])
    with running(sandbox) as url:
        async with VidgoClient(SANDBOX_KEY, base_url=url, random=lambda: 0.0) as client:
            with anyio.fail_after(LONGEST):
                upload = await client.upload(b"\x89PNG\r\n\x1a\n", file_name="a.png", mime_type="image/png")
                task = await client.submit(ImageRequest(prompt="a boat", size="16:9", resolution="2K"))
                ended = await client.status(task.task_id)
                picture = await client.download(ended.file_urls[0])
                sandbox.set_faults(["balance:rate_limited=7"])
                with pytest.raises(RateLimitedError):
                    await client.balance()
    assert picture.startswith(b"\x89PNG")
    assert upload.file_url.startswith(url)
    assert [entry.credits for entry in sandbox.ledger] == [4]


PACKED = http(200, gzip.compress(BODY), "Content-Encoding: gzip")
BIG = gzip.compress(gzip.compress(bytes(100_000_000)))
BOMBS = {
    "one layer": http(200, gzip.decompress(BIG), "Content-Encoding: gzip"),
    "two layers": http(200, BIG, "Content-Encoding: gzip, gzip"),
    "two layers, said apart": http(200, BIG, "Content-Encoding: gzip", "Content-Encoding: gzip"),
    "two layers in an error": http(401, BIG, "Content-Encoding: gzip, gzip"),
}


async def test_an_answer_to_a_submit_is_read_though_nobody_asked_to_compress_it(serve: Serve, connect: Connect) -> None:
    wire = serve(Reply(PACKED))
    assert (await connect(wire.url).submit(BOAT)).task_id == "task-1"
    assert "accept-encoding: identity" in wire.seen[0].head.lower()


@pytest.mark.parametrize("call", [*CALLS, "download"])
@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_compressed_bomb_takes_hardly_any_memory(bomb: str, call: str, serve: Serve, connect: Connect) -> None:
    wire = serve(Reply(BOMBS[bomb]))
    client = connect(wire.url)
    tracemalloc.start()
    try:
        with anyio.fail_after(LONGEST), pytest.raises(VidgoError):
            await (client.download(f"{wire.url}/a.png") if call == "download" else CALLS[call](client))
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
    assert len(wire.seen) == 1
