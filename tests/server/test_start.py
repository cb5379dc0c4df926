"""The process answers before the SDK is imported, hands the session over, and ends in that time as it does later."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.conftest import PATIENCE
from tests.server.test_opening import CANCELLED, INITIALIZED, LEGACY, LEGACY_VIEWS, LONG, MODERN, Pipe, first, line
from vidgo_mcp.app import journal_path
from vidgo_mcp.models.fields import DEFAULT_WAIT
from vidgo_mcp.server.ending import ending_signals
from vidgo_mcp.server.opening import Snapshot
from vidgo_mcp.settings import SettingsError, load
from vidgo_mcp.start import SURE, begin, may_have_tasks, sure_settings

HELD = """
import os, sys, threading
class Held:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.write({held}, b"open" if any(one.name == "opening" for one in threading.enumerate()) else b"held")
            if os.read({held}, 1):
                raise ImportError("broken")
sys.meta_path.insert(0, Held())
sys.argv[1:] = {arguments}
from vidgo_mcp.start import main
main()
"""
"""The import of a module waits until a socket is closed, or fails when something comes.

The socket tells when it waits, and whether anything answers meanwhile.
"""
LISTS = (
    "ping",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read ui://vidgo/picture",
)

on_posix = pytest.mark.skipif(os.name == "nt", reason="files passed on, and POSIX signals")
pytestmark = on_posix


class Starting:
    """A process whose imports come to an end only after ``release``."""

    def __init__(self, process: subprocess.Popen[bytes], held: socket.socket) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.held = process, held
        self.stdin, self.stdout = process.stdin, process.stdout

    def release(self, *, opens: bool | None = None) -> None:
        """Let the imports go on; ``opens`` says whether something has to answer by then."""
        state = self.held.recv(4)
        assert opens is None or state == (b"open" if opens else b"held")
        self.held.close()

    def send(self, *lines: bytes) -> None:
        self.stdin.writelines(lines)
        self.stdin.flush()

    def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.stdout.readline())
        return answer

    def end(self) -> tuple[int, bytes, bytes]:
        """Close stdin; return the exit code, and what else was written to stdout and stderr."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, stdout, stderr


@contextmanager
def starting(*arguments: str, module: str = "mcp", **settings: str) -> Iterator[Starting]:
    ours, theirs = socket.socketpair()
    program = HELD.format(held=theirs.fileno(), arguments=list(arguments), module=module)
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | settings,
            pass_fds=[theirs.fileno()],
        ) as process,
    ):
        theirs.close()
        try:
            yield Starting(process, ours)
        finally:
            process.kill()


@pytest.mark.parametrize("kind", [LEGACY, LEGACY_VIEWS, MODERN])
def test_the_lists_are_there_before_the_sdk_and_what_follows_is_answered_after_it(kind: str) -> None:
    with starting() as server:
        methods = [method for method in LISTS if (method, kind) != ("ping", MODERN)]
        server.send(first(kind), *[INITIALIZED] * (kind != MODERN))
        assert "vidgo-mcp" in json.dumps(server.answer()["result"])
        for number, method in enumerate(methods):
            server.send(line(kind, method, number))
            answer = server.answer()
            assert (answer["id"], "result" in answer) == (number, True)
        server.send(
            line(kind, "tools/call", "call"), line(kind, "nobody/knows", "unknown"), line(kind, "tools/list", 0)
        )
        server.release()
        answers = {answer["id"]: answer for answer in (server.answer() for _ in range(3))}
        assert answers["call"]["result"]["structuredContent"]["credits"] > 0
        assert answers["unknown"]["error"]["code"] == -32601
        assert ("picture_data" in str(answers[0])) == (kind == LEGACY_VIEWS)
        assert server.end() == (0, b"", b"")


def test_whatever_else_is_written_meanwhile_waits_and_keeps_its_order() -> None:
    with starting() as server:
        server.send(first(LEGACY), INITIALIZED, line(LEGACY, "ping", 1))
        server.send(b"no json\n", line(LEGACY, "ping", 2), b"[]\n", LONG[:1000])
        assert [server.answer()["id"] for _ in range(2)] == [0, 1]
        server.release()
        assert [server.answer().get("error", {}).get("code") for _ in range(3)] == [-32700, None, -32600]
        server.send(LONG[1000:], b'{"jsonrpc": "2.0", "id": 3, "method": "ping"}')
        answers = [server.answer()]
        code, rest, stderr = server.end()
        answers += [json.loads(one) for one in rest.splitlines()]
        assert {answer["id"] for answer in answers} >= {7}
        assert (code, stderr) == (0, b"")


def test_a_call_that_is_cancelled_meanwhile_is_answered_at_most_once_and_disturbs_nothing() -> None:
    with starting() as server:
        server.send(first(LEGACY), INITIALIZED, line(LEGACY, "tools/call", 5), CANCELLED.replace(b"99", b"5"))
        server.send(CANCELLED.replace(b"99", b"0"), line(LEGACY, "ping", 6))
        server.release()
        answers = [server.answer()["id"]]
        while answers[-1] != 6:
            answers.append(server.answer()["id"])
        code, rest, stderr = server.end()
        answers += [json.loads(one)["id"] for one in rest.splitlines()]
        assert sorted(answers) in ([0, 6], [0, 5, 6])
        assert (code, stderr) == (0, b"")


@pytest.mark.parametrize(
    "lines", [[], [first(LEGACY)], [first(MODERN)], [first(LEGACY), INITIALIZED], [first(LEGACY)[:-9]]]
)
def test_input_that_ends_meanwhile_ends_the_process(lines: list[bytes]) -> None:
    with starting() as server:
        server.send(*lines)
        server.stdin.close()
        answered = bool(lines) and lines[0].endswith(b"\n")
        assert not answered or server.answer()["id"] == 0
        server.release()
        server.process.wait(PATIENCE)
        assert server.process.returncode == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == b""
        assert (b"-32700" in server.stdout.read()) == (lines == [first(LEGACY)[:-9]])


@pytest.mark.parametrize("number", ending_signals(lambda number: False))
def test_a_signal_meanwhile_ends_the_process_without_a_traceback(number: int) -> None:
    with starting() as server:
        server.send(first(LEGACY))
        server.answer()
        server.process.send_signal(number)
        assert server.end() == (128 + number, b"", b"")


def test_ctrl_c_ends_a_command_that_is_not_yet_loaded_without_a_traceback() -> None:
    with starting("price", module="click") as command:
        assert command.held.recv(4) == b"held"
        command.process.send_signal(signal.SIGINT)
        assert command.end() == (130, b"", b"")


def test_a_server_that_cannot_be_imported_ends_also_when_it_has_answered_already() -> None:
    with starting() as server:
        server.send(first(LEGACY))
        assert server.answer()["id"] == 0
        server.held.send(b"x")
        assert server.process.wait(PATIENCE) == 1
        assert server.process.stderr is not None
        assert b"ImportError: broken" in server.process.stderr.read()


def test_a_client_that_has_gone_meanwhile_ends_the_process() -> None:
    with starting() as server:
        server.stdout.close()
        server.send(first(LEGACY))
        server.release()
        assert server.process.wait(PATIENCE) == 0


def test_a_client_may_write_all_that_it_has_before_it_reads() -> None:
    lists = [line(LEGACY, "tools/list", number) for number in range(1, 7)]
    pings = [line(LEGACY, "ping", number, _meta={"progressToken": "x" * 2000}) for number in range(7, 100)]
    with starting() as server:
        server.release()
        writing = threading.Thread(target=server.send, args=[first(LEGACY), INITIALIZED, *lists, *pings], daemon=True)
        writing.start()
        writing.join(PATIENCE)
        assert not writing.is_alive()
        assert sorted(server.answer()["id"] for _ in range(100)) == [*range(100)]
        assert server.end() == (0, b"", b"")


def test_a_setting_that_cannot_be_used_still_ends_the_process_before_any_answer() -> None:
    with starting(VIDGO_WAIT_SECONDS="1000") as server:
        server.send(first(LEGACY))
        server.release(opens=False)
        code, stdout, stderr = server.end()
        assert (code, stdout) == (2, b"")
        assert b"VIDGO_WAIT_SECONDS" in stderr


def test_with_another_version_of_the_sdk_the_server_answers_itself(tmp_path: Path) -> None:
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp-9.0.0.dist-info").mkdir()
    with starting(PYTHONPATH=str(tmp_path)) as server:
        server.send(first(LEGACY))
        server.release(opens=False)
        assert server.answer()["result"]["serverInfo"]["name"] == "vidgo-mcp"
        assert server.end() == (0, b"", b"")


def test_tracing_that_is_not_installed_keeps_no_server_from_starting() -> None:
    with starting(OTEL_PROPAGATORS="nobody", OTEL_PYTHON_TRACER_PROVIDER="nobody") as server:
        server.send(first(LEGACY))
        server.release(opens=False)
        assert server.answer()["result"]["serverInfo"]["name"] == "vidgo-mcp"
        code, stdout, stderr = server.end()
        assert (code, stdout) == (0, b"")
        assert stderr.count(b"names what is not installed here, and has no effect.") == len(stderr.splitlines()) == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_server_without_stdin_or_stdout_says_so(closed: str) -> None:
    program = f"exec {sys.executable} -c 'from vidgo_mcp.start import main; main()' {closed}"
    ended = subprocess.run(["sh", "-c", program], input=b"", capture_output=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr == b"Error: An MCP server over stdio needs stdin and stdout, and one of them is closed.\n"


@pytest.mark.parametrize("home", ["/home/somebody", "nowhere"])
def test_nothing_is_answered_where_no_home_is_known_for_the_journal(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with ExitStack() as stack:
        stdin, stdout = Pipe(stack), Pipe(stack)
        monkeypatch.setattr(sys, "stdin", stdin.text[0])
        monkeypatch.setattr(sys, "stdout", stdout.text[1])
        opening = begin({}, sandbox=False)
        assert (opening is None) == (home == "nowhere")
        stdin.writing.close()
        if opening is not None:
            opening.join()
    with nullcontext() if home != "nowhere" else pytest.raises(SettingsError, match="set VIDGO_JOURNAL to"):
        journal_path(load({}))


@pytest.mark.parametrize(
    ("folders", "fits"),
    [
        ([["mcp", "mcp-{}.dist-info", "mcp_types-1.dist-info"]], True),
        ([["other"], ["mcp", "mcp-{}.dist-info"]], True),
        ([["mcp", "mcp-{}.dist-info", "mcp-9.0.0.dist-info"]], False),
        ([["mcp", "mcp-9.0.0.dist-info"], ["mcp", "mcp-{}.dist-info"]], False),
        ([["mcp"]], False),
        ([["mcp-{}.dist-info"]], False),
    ],
)
def test_the_snapshot_is_only_for_the_sdk_that_made_it(folders: list[list[str]], fits: bool, tmp_path: Path) -> None:
    for number, names in enumerate(folders):
        for name in names:
            (tmp_path / str(number) / name.format(version("mcp"))).mkdir(parents=True)
    assert Snapshot.read().is_of([str(tmp_path / str(number)) for number in range(len(folders))]) == fits


@given(st.fixed_dictionaries({}, optional={name: st.from_regex(SURE[name], fullmatch=True) for name in SURE}))
def test_with_sure_settings_the_server_starts_and_answers_the_same(environment: dict[str, str]) -> None:
    given = sure_settings(environment)
    if given is not None:
        settings = load(environment)
        assert (settings.wait_seconds, settings.prices) == (int(given.get("VIDGO_WAIT_SECONDS", DEFAULT_WAIT)), None)


@pytest.mark.parametrize(
    "environment",
    [
        {"VIDGO_PRICES": "{}"},
        {"VIDGO_API_KEY_FILE": "/nowhere"},
        {"VIDGO_API_KEY": "${KEY}"},
        {"VIDGO_API_KEY": "a key"},
        {"VIDGO_WAIT": "7"},
        {"vidgo_api_key": "a"},
        {"VIDGO_WAIT_SECONDS": "007"},
        {"VIDGO_SAVE_DIR": "pictures"},
        {"VIDGO_JOURNAL": "journal.db"},
        {"VIDGO_JOURNAL": "/a/folder/"},
        {"OTEL_PROPAGATORS": "b3"},
    ],
)
def test_of_any_other_setting_nothing_is_sure(environment: dict[str, str]) -> None:
    assert sure_settings(environment) is None


def test_what_answers_first_loads_next_to_nothing() -> None:
    program = "import sys; before = {*sys.modules}; import vidgo_mcp.start; print(*{*sys.modules} - before)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    ours = {name for name in loaded if name.startswith("vidgo_mcp")}
    assert ours == {
        "vidgo_mcp",
        *(f"vidgo_mcp.{name}" for name in ("start", "server", "server.ending", "server.opening")),
    }
    assert {name.partition(".")[0] for name in loaded} - {"vidgo_mcp"} <= sys.stdlib_module_names
    assert not {*loaded} & {"asyncio", "dataclasses", "importlib.metadata", "inspect", "logging", "pathlib"}


def test_resources_are_listed_at_once_only_where_no_task_can_be_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    key, memory = {"VIDGO_API_KEY": "a"}, {"VIDGO_JOURNAL": "memory"}
    assert not may_have_tasks(key, sandbox=False)
    journal = journal_path(load(key))
    assert journal is not None
    journal.parent.mkdir(parents=True)
    journal.touch()
    assert may_have_tasks(key, sandbox=False)
    assert may_have_tasks(key | {"VIDGO_JOURNAL": str(journal)}, sandbox=False)
    assert not may_have_tasks(key | {"VIDGO_JOURNAL": str(tmp_path / "another.db")}, sandbox=False)
    assert not may_have_tasks({}, sandbox=False)
    assert may_have_tasks({}, sandbox=True)
    assert may_have_tasks({"VIDGO_SANDBOX": "1"}, sandbox=False)
    assert not may_have_tasks(key | memory, sandbox=True)
