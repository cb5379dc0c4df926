"""How a process is named, and how one tells that another has ended: real processes are asked about."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import NoReturn

import psutil
import pytest

from vidgo_mcp.journal.processes import current_process, is_process_dead

HOST = platform.node()


def test_this_process_keeps_its_name_and_lives() -> None:
    assert current_process() == current_process()
    assert not is_process_dead(current_process())


def test_whoever_had_this_process_id_before_is_dead() -> None:
    assert is_process_dead(f"{HOST}:{os.getpid()}:1")


def test_a_process_lives_until_it_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not is_process_dead(f"{HOST}:{child.pid}:1")
    child.communicate(b"\n", timeout=30)
    assert is_process_dead(f"{HOST}:{child.pid}:1")


@pytest.mark.skipif(sys.platform == "win32", reason="there a process that ended leaves nothing behind")
def test_a_killed_process_is_dead_before_its_parent_has_noticed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.pid_exists(child.pid)
    assert is_process_dead(f"{HOST}:{child.pid}:1")
    child.communicate(timeout=30)


@pytest.mark.parametrize("number", ["99999999", "9" * 30])
def test_an_id_that_no_process_can_have_is_dead(number: str) -> None:
    assert is_process_dead(f"{HOST}:{number}:1")


@pytest.mark.parametrize("name", ["another host:99999999:1", f"{HOST}:x:1", f"{HOST}:-1:1", HOST, ""])
def test_only_a_process_of_this_host_is_known_to_be_dead(name: str) -> None:
    assert not is_process_dead(name)


def test_a_host_may_have_colons_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "fe80::1")
    assert not is_process_dead(current_process())
    assert is_process_dead("fe80::1:99999999:1")


def test_a_process_that_may_not_be_asked_about_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(process: psutil.Process) -> NoReturn:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "status", closed)
    assert not is_process_dead(f"{HOST}:{os.getppid()}:1")


def test_the_name_of_this_process_is_made_without_loading_psutil() -> None:
    code = "import sys, vidgo_mcp.journal.processes as p; p.is_process_dead(p.current_process()); print(*sys.modules)"
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=alone, capture_output=True, text=True, timeout=60, check=True
    )
    assert "psutil" not in done.stdout.split()
