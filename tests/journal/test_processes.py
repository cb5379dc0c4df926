"""How a process is named, and what can be proven of it by its name: real processes are asked about."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.journal.conftest import Clock, intent, reserved, sent
from vidgo_mcp.journal import Reserved, SqliteJournal
from vidgo_mcp.journal.processes import LEASE, Fate, Identity, current_process, fate_of, judge, running_since

HERE = Identity("here", 20, "boot", "4026531836", "100", "a1")
THERE = HERE._replace(pid=30, nonce="b2")
LINUX = sys.platform.startswith("linux")
NAME_ITSELF = "import vidgo_mcp.journal.processes as p; print(p.current_process(), flush=True); input()"


class Child:
    """A process that says its name, and waits."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NAME_ITSELF], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.name = self.process.stdout.readline().strip()


@pytest.fixture
def child() -> Iterator[Child]:
    started = Child()
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("named", "since", "fate"),
    [
        pytest.param(THERE, "100", "alive", id="it runs"),
        pytest.param(THERE, None, "dead", id="nobody has its id"),
        pytest.param(THERE, "101", "dead", id="another has its id"),
        pytest.param(THERE, "", "unknown", id="nobody may ask"),
        pytest.param(HERE, "100", "unknown", id="this process knows by its lease"),
        pytest.param(HERE._replace(nonce="b2"), "100", "dead", id="this process has its id"),
        pytest.param(THERE._replace(host="there"), None, "unknown", id="another host"),
        pytest.param(THERE._replace(machine="another boot"), None, "unknown", id="another boot or machine"),
        pytest.param(THERE._replace(namespace="4026532000"), None, "unknown", id="another container of that name"),
        pytest.param(HERE._replace(namespace="4026532000", nonce="b2"), "100", "unknown", id="with the same id"),
        pytest.param(THERE._replace(start=""), None, "unknown", id="its start is not known"),
        pytest.param(None, None, "unknown", id="no name"),
    ],
)
def test_only_a_process_of_this_boot_and_namespace_is_judged_by_its_id(
    named: Identity | None, since: str | None, fate: Fate
) -> None:
    assert judge(named, HERE, lambda _: since) == fate


def test_where_processes_are_hidden_nothing_is_proven() -> None:
    assert judge(THERE, HERE._replace(start=""), lambda _: None) == "unknown"


def test_another_start_proves_nothing_where_setting_the_clock_moves_it() -> None:
    here, there = HERE._replace(namespace=""), THERE._replace(namespace="")
    assert judge(there, here, lambda _: "100") == "alive"
    assert judge(there, here, lambda _: "101") == "unknown"
    assert judge(there, here, lambda _: None) == "dead"


@pytest.mark.parametrize("host", ["desk", "fe80::1", ""])
def test_a_name_says_all_of_a_process_whatever_its_host_is_called(host: str) -> None:
    named = HERE._replace(host=host)
    assert Identity.read(str(named)) == named


@pytest.mark.parametrize("name", ["{}:99999999:1", "{}:x:1", "{}:-1:1", "{}", "", "{}:99999999:b/4026531836/1"])
def test_a_name_of_an_earlier_version_or_of_nobody_proves_nothing(name: str) -> None:
    assert fate_of(name.format(platform.node())) == "unknown"


def test_this_process_keeps_its_name() -> None:
    assert current_process() == current_process()
    assert Identity.read(current_process()) is not None


def test_a_process_is_alive_until_it_ended(child: Child) -> None:
    assert fate_of(child.name) == "alive"
    child.process.communicate("\n", timeout=30)
    assert fate_of(child.name) == "dead"


@pytest.mark.skipif(sys.platform == "win32", reason="there a process that ended leaves nothing behind")
def test_a_killed_process_is_dead_before_its_parent_has_noticed(child: Child) -> None:
    child.process.kill()
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.pid_exists(child.process.pid)
    assert fate_of(child.name) == "dead"


@pytest.mark.parametrize("proc", [["--mount-proc"], []], ids=["with a /proc of its own", "with that of its host"])
def test_a_process_in_another_container_is_not_judged_by_its_id(proc: list[str]) -> None:
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", *proc, sys.executable]
    try:
        done = subprocess.run(
            [*inside, "-c", NAME_ITSELF], input="\n", capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        pytest.skip("namespaces are made by unshare, of Linux")
    if done.returncode:
        pytest.skip("this machine lets nobody make namespaces")
    assert ":1:" in done.stdout
    assert fate_of(done.stdout.strip()) == "unknown"


@pytest.mark.parametrize("pid", [99999999, 10**30])
def test_an_id_that_no_process_can_have_is_dead(pid: int) -> None:
    own = Identity.read(current_process())
    assert own is not None
    assert fate_of(str(own._replace(pid=pid))) == "dead"


@pytest.mark.skipif(not LINUX, reason="elsewhere psutil is asked")
def test_a_process_that_proc_hides_is_not_called_dead(monkeypatch: pytest.MonkeyPatch, child: Child) -> None:
    def hidden(_: Path) -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_bytes", hidden)
    assert running_since(child.process.pid) == ""
    assert running_since(99999999) is None


@pytest.mark.skipif(not LINUX, reason="elsewhere psutil says when a process began")
def test_processes_are_told_apart_without_loading_psutil() -> None:
    code = "import sys, vidgo_mcp.journal.processes as p; p.running_since(1); p.current_process(); print(*sys.modules)"
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=alone, capture_output=True, text=True, timeout=60, check=True
    )
    assert "psutil" not in done.stdout.split()


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32", reason="no process is frozen by a signal there")
@pytest.mark.parametrize("seconds", [0, LEASE + 10, 100 * LEASE])
async def test_what_a_frozen_process_has_under_way_stays_its_own(
    seconds: float, child: Child, clock: Clock, tmp_path: Path
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", clock=clock.of_machine())
    waiting = await reserved(journal, intent("a"), process=child.name)
    asking = await sent(journal, intent("b"), process=child.name)
    os.kill(child.process.pid, signal.SIGSTOP)
    clock.move(seconds)
    for _ in range(2):
        assert await journal.expire() == []
    assert await journal.newest("me", 5) == [asking, waiting]
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait(timeout=30)
    [lost] = await journal.expire()
    assert (lost.id, lost.error) == (asking.id, "the process that sent it ended before the answer came")
    assert isinstance(await journal.reserve(intent("a"), process="next"), Reserved)
    await journal.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "silence"),
    [
        pytest.param(
            {"namespace": "1"}, "for 40 s", id="another container", marks=pytest.mark.skipif(not LINUX, reason="")
        ),
        pytest.param({}, "for 40 s", id="this process", marks=pytest.mark.skipif(not LINUX, reason="")),
        pytest.param({"host": "there", "machine": "another"}, "lately", id="another machine"),
    ],
)
async def test_a_process_that_is_no_longer_heard_of_is_not_said_to_have_ended(
    changes: dict[str, Any], silence: str, clock: Clock, tmp_path: Path
) -> None:
    own = Identity.read(current_process())
    assert own is not None
    name = str(own._replace(**changes))
    journal = SqliteJournal(tmp_path / "journal.db", clock=clock.of_machine())
    await sent(journal, process=name)
    clock.move(LEASE - 1)
    assert await journal.expire() == []
    clock.move(11)
    [lost] = await journal.expire()
    assert lost.error == f"the process that sent it has not been heard of {silence}"
    await journal.aclose()
