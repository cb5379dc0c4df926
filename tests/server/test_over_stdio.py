"""Over stdio: a process that keeps stdout for the protocol, and that ends without losing what it paid for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.server.conftest import COMMAND, ERAS, PATIENCE, Caller, until
from tests.service.durable import moved
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox
from vidgo_mcp.service import Principal, account_of

pytestmark = pytest.mark.anyio

LOW = 2
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def submitted(sandbox: Sandbox) -> bool:
    return any(record.method == "POST" for record in sandbox.requests)


def environment(url: str, **more: str) -> dict[str, str]:
    return {**os.environ, "VIDGO_API_KEY": SANDBOX_KEY, "VIDGO_BASE_URL": url, **more}


class Server:
    """A child process, spoken to line by line, so that nothing on its stdout goes unseen."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process = process
        assert process.stdout is not None
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self.lines: list[dict[str, Any]] = []

    async def send(self, method: str, params: dict[str, Any], number: int | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            message["id"] = number
        assert self.process.stdin is not None
        await self.process.stdin.send(json.dumps(message).encode() + b"\n")

    async def line(self) -> dict[str, Any]:
        with anyio.fail_after(PATIENCE):
            message = json.loads(await self._stdout.receive_until(b"\n", 1_000_000))
        assert isinstance(message, dict)
        assert message["jsonrpc"] == "2.0"
        self.lines.append(message)
        return message

    async def answer(self, number: int) -> dict[str, Any]:
        while (message := await self.line()).get("id") != number:
            pass
        result = message["result"]
        assert isinstance(result, dict)
        return result

    async def generate(self, number: int, prompt: str = "a fox") -> None:
        """Ask for a picture, with progress."""
        await self.send(
            "tools/call",
            {"name": "generate_image", "arguments": {"prompt": prompt}, "_meta": {"progressToken": number}},
            number,
        )

    async def close_stdin(self) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()

    async def end(self) -> tuple[int, str]:
        """Wait for the end of the process; return its code, and all of its stderr."""
        assert self.process.stderr is not None
        stderr = bytearray()
        with anyio.fail_after(PATIENCE):
            try:
                while True:
                    await self.line()
            except (anyio.EndOfStream, anyio.IncompleteRead):
                pass
            async for chunk in self.process.stderr:
                stderr += chunk
            return await self.process.wait(), stderr.decode()


@asynccontextmanager
async def started(url: str, command: Sequence[str] = (COMMAND,), **more: str) -> AsyncGenerator[Server]:
    process = await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(url, **more)
    )
    async with process:
        try:
            server = Server(process)
            await server.send("initialize", INITIALIZE, 0)
            assert (await server.answer(0))["serverInfo"]["name"] == "vidgo-mcp"
            await server.send("notifications/initialized", {})
            yield server
        finally:
            if process.returncode is None:
                process.kill()


async def test_both_eras_get_the_same_picture_through_the_sdks_client(sandbox: Sandbox, sandbox_url: str) -> None:
    made: list[dict[str, Any]] = []
    parameters = StdioServerParameters(command=COMMAND, env=environment(sandbox_url))

    async def one(era: Any) -> None:
        async with Client(parameters, mode=era) as client:
            caller = await Caller.of(client)
            assert caller.modern == (era == "auto")
            made.append(await caller.data("generate_image", prompt=f"a fox for {era}"))
            assert (await caller.data("get_balance"))["credits"] <= 998
            assert (await caller.error("generate_image", prompt="a fox", n=2))["field"] == "n"
            view = await caller.call("view_image", task_id=made[-1]["task_id"])
            assert not view.is_error

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for era in ERAS:
                tasks.start_soon(one, era)
    assert [result["outcome"] for result in made] == ["finished", "finished"]
    assert moved(sandbox) == [("charge", LOW)] * 2


async def test_stdin_that_closes_while_a_call_waits_ends_the_process_in_good_order(
    sandbox: Sandbox, sandbox_url: str
) -> None:
    sandbox.set_faults(["task:stuck"])
    async with started(sandbox_url, VIDGO_LOG_LEVEL="DEBUG") as server:
        await server.send("tools/list", {}, 1)
        await server.answer(1)
        await server.generate(2)
        progress = await server.line()
        assert progress["method"] == "notifications/progress"
        await server.close_stdin()
        code, stderr = await server.end()
    assert code == 0
    assert "Traceback" not in stderr
    assert SANDBOX_KEY not in stderr
    assert "sig=" not in stderr
    assert moved(sandbox) == [("charge", LOW)]
    assert sandbox.balance() == 998


@pytest.mark.parametrize(("end", "expected"), [("stdin", 0), ("signal", 128 + signal.SIGTERM)])
async def test_the_end_of_a_process_waits_for_a_submit_and_keeps_its_task(
    end: str, expected: int, sandbox: Sandbox, sandbox_url: str, tmp_path: Path
) -> None:
    sandbox.set_faults(["submit:slow=1"])
    journal = SqliteJournal(tmp_path / "journal.db")
    async with started(sandbox_url, VIDGO_JOURNAL=str(tmp_path / "journal.db")) as server:
        await server.generate(1)
        await until(lambda: submitted(sandbox))
        if end == "signal":
            server.process.send_signal(signal.SIGTERM)
        else:
            await server.close_stdin()
        assert await server.end() == (expected, "")
    assert [record.status for record in sandbox.requests if record.method == "POST"] == [200]
    assert moved(sandbox) == [("charge", LOW)]
    [entry] = await journal.newest(Principal(account_of(SANDBOX_KEY, sandbox_url)).owner, 10)
    await journal.aclose()
    assert (entry.state, [entry.task_id]) == ("accepted", list(sandbox.tasks))


async def test_even_the_most_talkative_log_never_shows_the_key_or_a_signed_url(
    sandbox: Sandbox, sandbox_url: str
) -> None:
    async with started(sandbox_url, VIDGO_LOG_LEVEL="DEBUG") as server:
        sandbox.set_faults(["file:refuse=502*1"])
        await server.generate(1)
        assert "saved_paths" not in (await server.answer(1))["structuredContent"]
        await server.generate(2)
        result = (await server.answer(2))["structuredContent"]
        assert "?sig=" in result["image_urls"][0]
        sandbox.set_faults([f"submit:refuse=400:no {SANDBOX_KEY}", "file:refuse=500"])
        # Without its saved copy the picture has to be fetched.
        Path(result["saved_paths"][0]).unlink()
        await server.send("tools/call", {"name": "view_image", "arguments": {"task_id": result["task_id"]}}, 3)
        assert (await server.answer(3))["isError"]
        await server.generate(4, "a hare")
        assert (await server.answer(4))["isError"]
        await server.close_stdin()
        code, stderr = await server.end()
    assert code == 0
    assert "DEBUG" in stderr
    assert f"task ...{result['task_id'][-8:]} is not saved yet" in stderr
    assert result["task_id"] not in stderr
    assert SANDBOX_KEY not in stderr
    assert "sig=" not in stderr
    assert SANDBOX_KEY not in json.dumps(server.lines)
