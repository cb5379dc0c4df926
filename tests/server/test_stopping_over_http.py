"""A stopped HTTP server answers the calls that wait before it closes their connections."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp_types import CallToolResult

from tests.server.conftest import COMMAND, ERAS, PATIENCE, Caller, until
from tests.server.test_over_stdio import environment, submitted
from tests.service.durable import moved
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal import Entry
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running
from vidgo_mcp.server.build import build_server
from vidgo_mcp.service import Principal, Service, account_of

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")]

LOW = 2
CALLS = 40


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def entries_of(file: Path, url: str) -> list[Entry]:
    journal = SqliteJournal(file)
    entries = await journal.newest(Principal(account_of(SANDBOX_KEY, url)).owner, 2 * CALLS)
    await journal.aclose()
    return list(entries)


@asynccontextmanager
async def serving(url: str, *, limits: str = "", **settings: str) -> AsyncGenerator[tuple[anyio.abc.Process, str]]:
    """Serve over HTTP in a process of its own, after the shell's ``limits``; what it logs follows on its stderr."""
    process = await anyio.open_process(
        ["sh", "-c", f'{limits}\nexec "$@"', "sh", COMMAND, "serve", "--http", "--port", "0"],
        stdin=subprocess.DEVNULL,
        env=environment(url, **settings),
    )
    try:
        assert process.stderr is not None
        with anyio.fail_after(PATIENCE):
            said = await BufferedByteReceiveStream(process.stderr).receive_until(b"/mcp;", 10_000)
        yield process, said.decode().split()[-1] + "/mcp"
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
async def test_calls_that_wait_get_their_task_ids_when_the_server_is_stopped(
    number: signal.Signals, tmp_path: Path
) -> None:
    sandbox, file = Sandbox(seconds=(3600, 3600)), tmp_path / "journal.db"
    answers: dict[str, dict[str, Any]] = {}
    with running(sandbox) as base:
        async with serving(base, VIDGO_JOURNAL=str(file)) as (process, url):

            async def call(era: Any, prompt: str) -> None:
                async with Client(url, mode=era) as client:
                    caller = await Caller.of(client)
                    answers[prompt] = await caller.data("generate_image", prompt=prompt, wait_seconds=300)

            async with anyio.create_task_group() as tasks:
                for one in range(CALLS):
                    tasks.start_soon(call, ERAS[one % 2], f"fox {one}")
                await until(lambda: len(sandbox.tasks) == CALLS)
                process.send_signal(number)
                with anyio.fail_after(PATIENCE):
                    assert await process.wait() == 0
        entries = await entries_of(file, base)
    assert {entry.state for entry in entries} == {"accepted"}
    assert {entry.intent.prompt: entry.task_id for entry in entries} == {
        prompt: answer["task_id"] for prompt, answer in answers.items()
    }
    for answer in answers.values():
        assert (answer["outcome"], answer["credits_charged"]) == ("pending", LOW)
        assert "being stopped" in " ".join(answer["notes"])
        assert "get_task" in answer["next_step"]
    assert moved(sandbox) == [("charge", LOW)] * CALLS


@pytest.mark.parametrize(
    ("fault", "states"),
    [("submit:slow=2", {"accepted"}), ("submit:rate_limited=3", set())],
    ids=["an answer under way is waited for", "what Vidgo has not taken is given up"],
)
async def test_a_submit_is_let_through_and_nothing_begins(fault: str, states: set[str], tmp_path: Path) -> None:
    sandbox, file = Sandbox(seconds=(3600, 3600), faults=[fault]), tmp_path / "journal.db"
    answers: list[CallToolResult] = []
    with running(sandbox) as base:
        async with serving(base, VIDGO_JOURNAL=str(file)) as (process, url):

            async def call() -> None:
                async with Client(url, mode="legacy") as client:
                    caller = await Caller.of(client)
                    answers.append(await caller.call("generate_image", prompt="a fox", wait_seconds=300))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await until(lambda: submitted(sandbox))
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await process.wait() == 0
        entries = await entries_of(file, base)
    assert {entry.state for entry in entries} == states
    [answer] = answers
    assert answer.is_error != bool(states)
    assert answer.structured_content is not None
    if states:
        assert answer.structured_content["task_id"] == entries[0].task_id
    else:
        assert answer.structured_content["money"] == "nothing_spent"
    assert moved(sandbox) == [("charge", LOW)] * len(states)


async def test_whoever_waits_for_an_answer_that_does_not_come_is_told_that_it_may_be_paid(tmp_path: Path) -> None:
    sandbox, file = Sandbox(seconds=(3600, 3600), faults=["submit:hang=60"]), tmp_path / "journal.db"
    errors: list[dict[str, Any]] = []
    with running(sandbox) as base:
        async with serving(base, VIDGO_JOURNAL=str(file)) as (process, url):

            async def call(era: Any) -> None:
                async with Client(url, mode=era) as client:
                    caller = await Caller.of(client)
                    errors.append(await caller.error("generate_image", prompt=f"a fox {era}", wait_seconds=300))

            async with anyio.create_task_group() as tasks:
                for era in ERAS:
                    tasks.start_soon(call, era)
                await until(lambda: sum(record.method == "POST" for record in sandbox.requests) == len(ERAS))
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await process.wait() == 0
                assert process.stderr is not None
                log = b"".join([part async for part in process.stderr])
        entries = await entries_of(file, base)
    assert [(error["category"], error["money"]) for error in errors] == [("outcome_unknown", "unknown")] * len(ERAS)
    assert {entry.state for entry in entries} == {"unknown"}
    assert b"Traceback" not in log


@pytest.mark.parametrize("era", ERAS)
async def test_whoever_waits_for_a_known_task_is_told_that_it_is_pending(era: Any, tmp_path: Path) -> None:
    sandbox = Sandbox(seconds=(3600, 3600))
    waiting, answers = anyio.Event(), []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        waiting.set()

    with running(sandbox) as base:
        async with serving(base, VIDGO_JOURNAL=str(tmp_path / "journal.db")) as (process, url):

            async def call() -> None:
                async with Client(url, mode=era) as client:
                    caller = await Caller.of(client)
                    made = await caller.data("generate_image", prompt="a fox", wait_seconds=0)
                    arguments = {"task_id": made["task_id"], "wait_seconds": 300}
                    result = await client.call_tool("get_task", arguments, progress_callback=listen)
                    answers.append(result.structured_content)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                with anyio.fail_after(PATIENCE):
                    await waiting.wait()
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await process.wait() == 0
    [answer] = answers
    assert answer is not None
    assert (answer["outcome"], [answer["task_id"]]) == ("pending", list(sandbox.tasks))
    assert "being stopped" in " ".join(answer["notes"])


@pytest.mark.parametrize("size", [100, 3_000_000], ids=["small", "large"])
async def test_whoever_still_sends_a_body_is_not_waited_for(size: int, sandbox_url: str) -> None:
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\nUpgrade: websocket\r\n\r\n{{"
    async with serving(sandbox_url, VIDGO_JOURNAL="memory") as (process, url), AsyncExitStack() as stack:
        at = httpx.URL(url)
        streams = [await stack.enter_async_context(await anyio.connect_tcp(at.host, at.port or 80)) for _ in range(3)]
        for stream in streams:
            await stream.send(head.encode())
        async with httpx.AsyncClient() as http:
            assert (await http.get(at.join("/healthz"))).is_success
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(5):
            for stream in streams:
                answer = await stream.receive()
                assert (answer[9:12], answer.endswith(b"nothing was done.\n")) == (b"503", True)
            assert await process.wait() == 0
        assert process.stderr is not None
        assert b"".join([part async for part in process.stderr]).count(b"\n") <= 1


async def test_a_call_that_comes_while_the_server_stops_sends_nothing(sandbox: Sandbox, sandbox_url: str) -> None:
    service = Service(
        journal=SqliteJournal(None),
        connect=lambda account: VidgoClient(SANDBOX_KEY, base_url=sandbox_url),
        account=account_of(SANDBOX_KEY, "the sandbox"),
    )
    async with service:
        server = build_server(service, principal_of=lambda ctx: Principal(account_of(SANDBOX_KEY, "the sandbox")))
        async with Client(server) as client:
            caller = await Caller.of(client)
            service.begin_end()
            error = await caller.error("generate_image", prompt="a fox", wait_seconds=300)
    assert (error["money"], "being stopped" in error["message"]) == ("nothing_spent", True)
    assert moved(sandbox) == []
