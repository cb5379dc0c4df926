"""Over HTTP, on a real socket: both eras, several clients at once, and nobody who came by a foreign name."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.server.lowlevel import Server

from tests.conftest import World
from tests.server.conftest import ERAS, FOREIGN_WORDS, PATIENCE, Caller, text_of, until
from tests.server.test_json_lines import RIGHT, WRONG
from tests.service.durable import moved
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox
from vidgo_mcp.server import build
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.http import KEEP_ALIVE, NotLoopbackError, http_app, serve_http
from vidgo_mcp.service import Principal, Service, account_of

pytestmark = pytest.mark.anyio

LOW = 2
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
ACCOUNT = account_of(SANDBOX_KEY, "the sandbox")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def service(sandbox_url: str) -> Service:
    return Service(
        journal=SqliteJournal(None),
        connect=lambda account: VidgoClient(SANDBOX_KEY, base_url=sandbox_url),
        account=ACCOUNT,
    )


def server_of(service: Service) -> Server[Any]:
    return build_server(service, principal_of=lambda ctx: Principal(ACCOUNT))


@asynccontextmanager
async def served(service: Service) -> AsyncGenerator[str]:
    """Serve on a free port until the signal that a supervisor sends."""
    ready = anyio.Event()
    ports: list[int] = []

    def on_ready(port: int) -> None:
        ports.append(port)
        ready.set()

    async def serve() -> None:
        await serve_http(server_of(service), service, host="127.0.0.1", port=0, max_body_mb=8, on_ready=on_ready)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        with anyio.fail_after(PATIENCE):
            await ready.wait()
            yield f"http://127.0.0.1:{ports[0]}"
            os.kill(os.getpid(), signal.SIGTERM)


async def test_both_eras_get_their_picture_with_progress_and_twenty_clients_pay_once(
    service: Service, sandbox: Sandbox
) -> None:
    told: dict[str, list[float]] = {era: [] for era in ERAS}
    made: list[dict[str, Any]] = []

    async with served(service) as base:

        async def with_progress(era: Any) -> None:
            async def listen(progress: float, total: float | None, message: str | None) -> None:
                told[era].append(progress)

            async with Client(f"{base}/mcp", mode=era) as client:
                result = await client.call_tool("generate_image", {"prompt": era}, progress_callback=listen)
                assert "Finished." in text_of(result)

        async def same(era: Any) -> None:
            async with Client(f"{base}/mcp", mode=era) as client:
                made.append(await (await Caller.of(client)).data("generate_image", prompt="the same"))

        async with anyio.create_task_group() as tasks:
            for era in ERAS:
                tasks.start_soon(with_progress, era)
                for _ in range(10):
                    tasks.start_soon(same, era)
    for era in ERAS:
        assert told[era]
        assert told[era] == sorted(set(told[era]))
        assert told[era][-1] < 100
    assert len({result["image_urls"][0] for result in made}) == 1
    assert sorted(result["credits_charged"] for result in made) == [0] * 19 + [LOW]
    assert moved(sandbox) == [("charge", LOW)] * 3


async def test_a_signal_lets_a_running_call_get_its_answer(service: Service, sandbox: Sandbox) -> None:
    sandbox.set_faults(["submit:slow=1.5"])
    answers: list[str] = []
    async with anyio.create_task_group() as tasks, served(service) as base:

        async def call() -> None:
            async with Client(f"{base}/mcp", mode="legacy") as client:
                await client.list_tools()  # or the client asks for it after the call, of a server that is gone
                result = await client.call_tool("generate_image", {"prompt": "a fox", "wait_seconds": 0})
                answers.append(text_of(result))

        tasks.start_soon(call)
        await until(lambda: [record for record in sandbox.requests if record.method == "POST"])
    [answer] = answers
    assert "task-unified-" in answer
    assert moved(sandbox) == [("charge", LOW)]


async def test_the_health_check_answers_everybody_and_tells_nothing(service: Service) -> None:
    async with served(service) as base, httpx.AsyncClient() as client:
        answer = await client.get(f"{base}/healthz", headers={"Host": "evil.example"})
        assert (answer.status_code, answer.text) == (200, "ok\n")


@asynccontextmanager
async def posting() -> AsyncGenerator[Callable[..., Any]]:
    async with World(key=None) as world:
        app = http_app(build_server(world.service, principal_of=lambda ctx: world.principal()))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        async with app.router.lifespan_context(app), client:

            async def post(**headers: str) -> httpx.Response:
                return await client.post(
                    "/mcp",
                    json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
                    headers={
                        "Accept": "application/json, text/event-stream",
                        "MCP-Protocol-Version": "2025-11-25",
                        **headers,
                    },
                )

            yield post


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize(
    ("header", "values", "status"),
    [
        ("Host", ("127.0.0.1", "127.0.0.1:8000", "localhost", "localhost:1", "[::1]", "[::1]:8000"), 200),
        ("Host", ("LOCALHOST:8000", "LocalHost", "localhost.", "localhost.:8000", "127.0.0.1."), 200),
        ("Host", ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "0.0.0.0"), 421),
        (
            "Host",
            ("", "localhost..", "localhost:8000:1", "localhost:x", "a@localhost", "localhost/x", "[localhost]"),
            421,
        ),
        ("Origin", ("http://localhost:6274", "http://127.0.0.1", "http://[::1]:5173"), 200),
        ("Origin", ("http://LOCALHOST:6274", "HTTP://localhost.:6274"), 200),
        (
            "Origin",
            ("https://evil.example", "http://localhost.evil.example", "null", "http://localhost@evil.example"),
            403,
        ),
    ],
)
async def test_only_who_names_this_machine_is_served(header: str, values: tuple[str, ...], status: int) -> None:
    async with posting() as post:
        for value in values:
            answer = await post(**{header: value})
            assert (value, answer.status_code) == (value, status)
            assert status == 200 or ("--host" in answer.text and "localhost" in answer.text)


ODD_HOSTS = [
    b"localhost:8000@evil.example",
    b"localhost@evil.example",
    b"user:word@localhost",
    b"localhost#@evil.example",
    b"localhost\\@evil.example",
    b"localhost,evil.example",
    b"localhost evil.example",
    b"local host",
    b"localhost:",
    b"localhost:http",
    b"localhost:99999",
    b"localhost:-1",
    b"localhost:\xd9\xa1",
    b"[::1",
    b"::1",
    b"[::1]x",
    b"[::1%25lo]",
    b"localho\xc5\xbft",
    b"",
]


async def test_no_odd_host_passes_for_this_machine(service: Service) -> None:
    rest = b"Content-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    lines = [b"Host: " + host + b"\r\n" for host in ODD_HOSTS]
    named, foreign = b"Host: localhost\r\n", b"Host: evil.example\r\n"
    async with served(service) as base:
        url = httpx.URL(base)

        async def status(head: bytes, target: bytes = b"/mcp") -> bytes:
            async with await anyio.connect_tcp(url.host, url.port or 80) as stream:
                await stream.send(b"POST " + target + b" HTTP/1.1\r\n" + head + rest)
                return (await stream.receive()).split()[1]

        for line in lines:
            assert (line, await status(line)) == (line, b"421")
        for several in (named + foreign, foreign + named, named + named, b""):
            assert (several, await status(several)) == (several, b"400")
        for target in (b"//mcp", b"/mcp/", b"/%6dcp", b"/healthz/../mcp", b"http://localhost/mcp"):
            assert (target, await status(foreign, target)) == (target, b"421")


async def test_several_origins_are_none(service: Service) -> None:
    pages = [("Origin", "http://localhost:6274"), ("Origin", "https://evil.example")]
    async with served(service) as base, httpx.AsyncClient() as client:
        for origins in (pages, pages[::-1]):
            assert (await client.post(f"{base}/mcp", headers=[*HEADERS.items(), *origins])).status_code == 403


def allowed_headers(answer: httpx.Response) -> set[str]:
    return {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}


async def test_a_page_of_this_machine_may_ask_and_read_and_a_foreign_one_may_not(service: Service) -> None:
    needed = {"authorization", "content-type", "last-event-id", "mcp-method", "mcp-name"}
    needed |= {"mcp-protocol-version", "mcp-session-id"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ", ".join(sorted(needed))}
    page = "http://localhost:6274"
    async with served(service) as base, httpx.AsyncClient(base_url=base) as client:
        preflight = await client.options("/mcp", headers={"Origin": page, **asks})
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == page
        assert needed <= allowed_headers(preflight)
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert (await client.options("/mcp")).status_code == 405
        plain = await client.options("/mcp", headers={"Origin": page})
        assert (plain.status_code, plain.headers["Access-Control-Allow-Origin"]) == (200, page)
        headers = {"Accept": "application/json, text/event-stream", "Origin": page}
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = await client.post("/mcp", json=listing, headers=headers)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, page)
        assert "Mcp-Session-Id" in answer.headers["Access-Control-Expose-Headers"]
        foreign = await client.options("/mcp", headers={"Origin": "https://evil.example", **asks})
        assert foreign.status_code == 403
        assert "Access-Control-Allow-Origin" not in foreign.headers


@pytest.mark.parametrize("version", [None, "2025-11-25", "2026-07-28", "2024-01-01", "no version"])
async def test_a_body_that_is_no_request_is_answered_as_a_line_is(version: str | None, service: Service) -> None:
    headers = HEADERS if version is None else {**HEADERS, "Mcp-Protocol-Version": version}
    async with served(service) as base, httpx.AsyncClient(base_url=base, headers=headers) as client:
        for body, expected in [*WRONG, (b"", [(-32600, None)]), (b'{"id": null, "error": 1}', [(-32600, None)])]:
            answer = await client.post("/mcp", content=body)
            answers = answer.json()
            answers = answers if isinstance(answers, list) else [answers]
            assert answer.status_code == 400
            assert (body, [(one["error"]["code"], one["id"]) for one in answers]) == (body, expected)
            assert not FOREIGN_WORDS.search(answer.text)
        if version in {None, "2025-11-25"}:
            for body in RIGHT:
                assert (await client.post("/mcp", content=body)).status_code == 200


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("method", ["initialize", "tools/list", "tools/call", "resources/read", "prompts/get"])
async def test_parameters_of_a_wrong_type_are_refused_without_foreign_words(
    method: str, version: str, service: Service
) -> None:
    odd: list[Any] = [5, "text", [], None, {"name": 5}, {"uri": []}, {"cursor": {}}, {"_meta": 5}, {"arguments": "x"}]
    odd += [{"name": "get_balance", "arguments": 5}, {"name": "get_balance", "arguments": []}]
    odd += [{"name": "get_balance", "requestState": 5}, {"name": "get_balance", "inputResponses": []}]
    headers = {**HEADERS, "Mcp-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": "get_balance"}
    async with served(service) as base, httpx.AsyncClient(base_url=base, headers=headers) as client:
        for params in odd:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            answer = await client.post("/mcp", json=request)
            assert not FOREIGN_WORDS.search(answer.text), answer.text


def test_a_pooled_connection_outlives_a_thought() -> None:
    assert KEEP_ALIVE > 75


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
async def test_a_bind_that_others_can_reach_is_refused(host: str, service: Service) -> None:
    with pytest.raises(NotLoopbackError) as refused:
        http_app(server_of(service), host)
    assert "127.0.0.1" in str(refused.value)
    with pytest.raises(NotLoopbackError):
        await serve_http(server_of(service), service, host=host, port=0, max_body_mb=8, on_ready=lambda port: None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"])
async def test_every_name_of_loopback_can_be_bound(host: str, service: Service) -> None:
    assert http_app(server_of(service), host).routes


class Gone:
    """The session of a client that has left."""

    async def report_progress(self, progress: float, total: float, message: str) -> None:
        raise anyio.ClosedResourceError


async def test_progress_for_a_client_that_has_left_does_not_hurt_the_call() -> None:
    context: Any = SimpleNamespace(session=Gone())
    await build._progress(context)(5.0, "running")


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_failure_of_ours(
    version: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Protocol-Version: {version}\r\nContent-Length: 99\r\n"
    head += "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\r\n{"
    async with served(service) as base, httpx.AsyncClient(base_url=base) as client:
        url = httpx.URL(base)
        async with await anyio.connect_tcp(url.host, url.port or 80) as stream:
            await stream.send(head.encode())
            await client.get("/healthz")
        for _ in range(3):
            await client.get("/healthz")
    assert "Exception in ASGI application" not in caplog.text
