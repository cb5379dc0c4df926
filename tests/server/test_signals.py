"""Signals: the first begins the end, and whatever follows cannot tear a submit that is under way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.server.conftest import COMMAND, PATIENCE, until
from tests.server.test_over_stdio import INITIALIZE, environment, started, submitted
from tests.service.durable import moved
from vidgo_mcp.journal import Entry
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox
from vidgo_mcp.server.ending import ending_signals
from vidgo_mcp.server.signals import held_signals, windows_signals
from vidgo_mcp.service import Principal, account_of

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")]

LOW = 2
ENDING = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT]
CLAUDE_CODE = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def only_entry(file: Path, url: str) -> Entry:
    journal = SqliteJournal(file)
    [entry] = await journal.newest(Principal(account_of(SANDBOX_KEY, url)).owner, 10)
    await journal.aclose()
    return entry


@pytest.mark.parametrize("signals", [[one] for one in ENDING] + [CLAUDE_CODE, ENDING], ids=str)
async def test_over_stdio_no_signal_loses_the_answer_to_a_submit(
    signals: list[signal.Signals], sandbox: Sandbox, sandbox_url: str, tmp_path: Path
) -> None:
    sandbox.set_faults(["submit:slow=1"])
    async with started(sandbox_url, VIDGO_JOURNAL=str(tmp_path / "journal.db")) as server:
        await server.send("tools/call", {"name": "generate_image", "arguments": {"prompt": "a fox"}}, 1)
        await until(lambda: submitted(sandbox))
        for number in signals:
            server.process.send_signal(number)
            await anyio.sleep(0.1)  # signals that come at once may be taken for one
        assert await server.end() == (128 + signals[0], "")
    entry = await only_entry(tmp_path / "journal.db", sandbox_url)
    assert (entry.state, [entry.task_id]) == ("accepted", list(sandbox.tasks))
    assert moved(sandbox) == [("charge", LOW)]


async def test_a_signal_after_stdin_closed_changes_nothing(sandbox: Sandbox, sandbox_url: str, tmp_path: Path) -> None:
    sandbox.set_faults(["submit:slow=1"])
    async with started(sandbox_url, VIDGO_JOURNAL=str(tmp_path / "journal.db")) as server:
        await server.send("tools/call", {"name": "generate_image", "arguments": {"prompt": "a fox"}}, 1)
        await until(lambda: submitted(sandbox))
        await server.close_stdin()
        await anyio.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        await server.end()
    assert (await only_entry(tmp_path / "journal.db", sandbox_url)).state == "accepted"


SLOW_TO_END = """
import anyio
from vidgo_mcp.cli.main import main
from vidgo_mcp.service import Service

class SlowToEnd(Service):
    async def __aexit__(self, *error):
        await anyio.sleep(0.5)
        await super().__aexit__(*error)

import vidgo_mcp.app
vidgo_mcp.app.Service = SlowToEnd
main()
"""


async def test_a_line_that_comes_after_the_signal_does_not_disturb_the_end(sandbox_url: str) -> None:
    async with started(sandbox_url, command=[sys.executable, "-c", SLOW_TO_END]) as server:
        server.process.send_signal(signal.SIGTERM)
        await anyio.sleep(0.2)
        await server.send("ping", {}, 1)
        assert await server.end() == (128 + signal.SIGTERM, "")


@pytest.mark.parametrize("number", ENDING, ids=str)
async def test_an_idle_server_ends_at_the_first_signal(number: signal.Signals, sandbox_url: str) -> None:
    async with started(sandbox_url) as server:
        with anyio.fail_after(5):
            server.process.send_signal(number)
            assert await server.end() == (128 + number, "")


async def test_a_client_that_reads_no_more_ends_the_server_without_losing_the_submit(
    sandbox: Sandbox, sandbox_url: str, tmp_path: Path
) -> None:
    sandbox.set_faults(["submit:slow=1"])
    call = {"name": "generate_image", "arguments": {"prompt": "a fox"}}
    messages: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": INITIALIZE},
        {"method": "notifications/initialized"},
        {"id": 1, "method": "tools/call", "params": call},
        {"id": 2, "method": "ping"},
    ]
    lines = [json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n" for message in messages]
    process = subprocess.Popen(  # noqa: ASYNC220 - its pipes can be closed from here
        [COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(sandbox_url, VIDGO_JOURNAL=str(tmp_path / "journal.db")),
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.writelines(lines[:3])
        process.stdin.flush()
        await until(lambda: submitted(sandbox))
        process.stdout.close()
        process.stdin.write(lines[3])
        process.stdin.flush()
        await until(lambda: process.poll() is not None)
        assert (process.returncode, process.stderr.read()) == (0, b"")
    assert (await only_entry(tmp_path / "journal.db", sandbox_url)).state == "accepted"


async def test_a_client_that_reads_no_more_ends_the_server_also_while_it_sends_no_requests(sandbox_url: str) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220 - its pipes can be closed from here
        [COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(sandbox_url),
        bufsize=0,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"no request\n" * 100)
        process.stdout.readline()
        process.stdout.close()
        with suppress(OSError):
            for _ in range(500):
                process.stdin.write(b"no request\n" * 10)
        await until(lambda: process.poll() is not None)
        assert (process.returncode, process.stderr.read()) == (0, b"")


async def test_a_server_under_nohup_outlives_its_terminal(sandbox_url: str) -> None:
    process = await anyio.open_process(
        ["nohup", COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(sandbox_url)
    )
    async with process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        await process.stdout.receive()
        process.send_signal(signal.SIGHUP)
        await process.stdin.send(b'{"jsonrpc": "2.0", "id": 2, "method": "ping"}\n')
        assert b'"id":2' in await process.stdout.receive()
        process.kill()


@pytest.mark.parametrize("number", ENDING, ids=str)
async def test_over_http_no_signal_loses_the_answer_to_a_submit(
    number: signal.Signals, sandbox: Sandbox, sandbox_url: str, tmp_path: Path
) -> None:
    sandbox.set_faults(["submit:slow=1.5"])
    process = await anyio.open_process(
        [COMMAND, "serve", "--http", "--port", "0"],
        env=environment(sandbox_url, VIDGO_JOURNAL=str(tmp_path / "journal.db")),
    )
    async with process:
        assert process.stderr is not None
        url = (await process.stderr.receive()).decode().split()[3].rstrip(";")
        call = (
            "import anyio, sys; from mcp import Client\n"
            "async def call():\n"
            "    async with Client(sys.argv[1], mode='legacy') as client:\n"
            "        await client.call_tool('generate_image', {'prompt': 'a fox'})\n"
            "anyio.run(call)"
        )
        async with await anyio.open_process([sys.executable, "-c", call, url], stderr=subprocess.DEVNULL) as caller:
            await until(lambda: submitted(sandbox))
            process.send_signal(number)
            await anyio.sleep(0.3)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            await until(lambda: sandbox.tasks)
            caller.kill()
        with anyio.fail_after(PATIENCE):
            assert await process.wait() == 0
    assert (await only_entry(tmp_path / "journal.db", sandbox_url)).state in {"accepted", "finished"}
    assert moved(sandbox) == [("charge", LOW)]


async def test_after_the_grace_a_further_signal_ends_what_hangs(tmp_path: Path) -> None:
    program = (
        "import anyio, vidgo_mcp.server.signals as signals\n"
        "signals.SHUTDOWN_SECONDS = 0.2\n"
        "async def main():\n"
        "    async with signals.held_signals(lambda: print('first', flush=True)):\n"
        "        print('ready', flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)"
    )
    async with await anyio.open_process([sys.executable, "-c", program]) as process:
        assert process.stdout is not None
        said = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(PATIENCE):
            assert await said.receive_until(b"\n", 100) == b"ready"
            process.send_signal(signal.SIGINT)
            assert await said.receive_until(b"\n", 100) == b"first"
            await anyio.sleep(0.4)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 128 + signal.SIGTERM


def test_the_terminals_end_is_listened_to_unless_it_is_ignored() -> None:
    assert ending_signals(lambda number: False) == [2, 15, 1, 3]
    assert ending_signals(lambda number: True) == [2, 15, 3]


@pytest.mark.parametrize(("event", "taken"), [(0, False), (1, False), (2, True), (5, True), (6, True)])
async def test_windows_signals_and_a_closed_console_are_told(event: int, taken: bool) -> None:
    told: list[int] = []
    handlers: dict[int, Any] = {2: "before"}
    console: list[Callable[[int], bool]] = []
    answers: list[bool] = []

    def install(number: int, handler: Any) -> Any:
        before, handlers[number] = handlers.get(number), handler
        return before

    def add(handle: Callable[[int], bool]) -> Callable[[], object]:
        console.append(handle)
        return console.clear

    with windows_signals(told.append, [2, 21], install=install, add_console_handler=add):
        handlers[21](21, None)
        assert told == [21]
        waiting = threading.Thread(target=lambda: answers.append(console[0](event)))
        waiting.start()
        await until(lambda: told == [21, 15] if taken else answers)
        # The system ends the process when the answer comes: not before everything has ended.
        assert answers == [] if taken else [False]
    await until(lambda: answers == [taken])
    assert (handlers, console) == ({2: "before", 21: None}, [])


async def test_the_second_signal_is_told_once() -> None:
    told: list[str] = []
    async with held_signals(lambda: told.append("first"), lambda: told.append("second")) as received:
        for number in CLAUDE_CODE * 2:
            os.kill(os.getpid(), number)
            await until(lambda: len(received) == len(told) or len(received) > 2)
            await anyio.sleep(0.01)
    assert told == ["first", "second"]
    assert received == [*CLAUDE_CODE, *CLAUDE_CODE]
