"""How a process is named, and how one tells that it ended; what differs by system is injected."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidgo_mcp.journal.processes import current_holder, is_gone, process_exists, started_at

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process started")


def test_this_process_is_not_gone() -> None:
    assert not is_gone(current_holder())


def test_a_process_that_ended_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait(timeout=30)
    assert is_gone(f"here:{child.pid}:123", host="here") is (os.name == "posix")


@LINUX
def test_a_killed_process_is_gone_before_its_parent_looks_after_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = started_at(child.pid)
    assert start is not None
    assert not is_gone(f"here:{child.pid}:{start}", host="here")
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(f"here:{child.pid}:{start}", host="here")
    child.communicate(timeout=30)


@pytest.mark.parametrize(
    ("holder", "exists", "started", "gone"),
    [
        ("here:7:100", False, None, True),
        ("here:7:100", True, "100", False),
        ("here:7:100", True, "200", True),  # the id was given to another process
        ("here:7:100", True, None, False),  # a system that does not tell: the lease decides
        ("here:7:", True, "200", False),
        ("here:7:", False, None, True),
        ("there:7:100", False, None, False),
        ("here:x:100", False, None, False),
        ("here", False, None, False),
        ("", False, None, False),
    ],
)
def test_only_a_process_of_this_host_is_known_to_be_gone(
    holder: str, exists: bool, started: str | None, gone: bool
) -> None:
    assert is_gone(holder, host="here", exists=lambda pid: exists, started=lambda pid: started) is gone


def test_a_host_may_have_colons_in_its_name() -> None:
    assert is_gone("fe80::1:7:100", host="fe80::1", exists=lambda pid: pid != 7)


def test_on_windows_no_process_is_asked_because_that_would_end_it() -> None:
    def kill(pid: int, signal: int) -> None:
        raise AssertionError("asked")

    assert process_exists(7, system="nt", kill=kill)


@pytest.mark.parametrize(
    ("error", "exists"), [(ProcessLookupError, False), (OverflowError, False), (PermissionError, True)]
)
def test_what_the_system_says_of_a_process_is_understood(error: type[Exception], exists: bool) -> None:
    def kill(pid: int, signal: int) -> None:
        raise error

    assert process_exists(7, system="posix", kill=kill) is exists


def test_the_start_is_read_after_a_name_that_holds_blanks_and_brackets(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(str(number) for number in range(4, 60))
    (tmp_path / "7" / "stat").write_text(f"7 (a) b (c)) S {fields}\n", encoding="utf-8")
    assert started_at(7, tmp_path) == "22"  # proc(5) counts from 1
    (tmp_path / "7" / "stat").write_text("7 (a) S 1", encoding="utf-8")
    assert started_at(7, tmp_path) is None
    assert started_at(8, tmp_path) is None


@pytest.mark.parametrize(("letter", "exists"), [("S", True), ("Z", False), ("X", False)])
def test_a_process_that_only_waits_to_be_looked_after_has_ended(letter: str, exists: bool, tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(f"7 (a) {letter} 1", encoding="utf-8")
    assert process_exists(7, system="posix", kill=lambda pid, signal: None, proc=tmp_path) is exists
    assert process_exists(8, system="posix", kill=lambda pid, signal: None, proc=tmp_path)
