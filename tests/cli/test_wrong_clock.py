"""The command under a clock that is wrong: nothing is forgotten on a look, and nothing is paid for again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks import wrong_clock
from tests.cli.conftest import TIMEOUT, command
from vidgo_mcp.journal.clock import boot_id

pytestmark = [
    pytest.mark.skipif(not wrong_clock.available(), reason="libfaketime is not installed"),
    pytest.mark.skipif(not boot_id(), reason="this system has no names for its boots"),
]

KINDS = pytest.mark.parametrize("monotonic", [{}, {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}], ids=["all", "wall"])


def faked(here: Any, shift: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a clock that is moved."""
    return subprocess.run(
        [*command(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        cwd=here.vidgo.folder,
        env=here.vidgo.environment | environment | wrong_clock.environment(shift),
        check=False,
    )


def test_the_clock_is_wrong() -> None:
    """Else the others would show nothing."""
    printed = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        capture_output=True,
        check=True,
        env=os.environ | wrong_clock.environment("+25h"),
    ).stdout
    assert float(printed) > time.time() + 24 * 3600


@KINDS
def test_a_look_at_the_journal_with_a_clock_91_days_ahead_keeps_everything(
    monotonic: dict[str, str], world: Callable[..., Any]
) -> None:
    here = world("submit:lose_answer*1")
    assert here.run("generate", "a red fox").exit_code == 5
    assert here.run("task", here.paid("an owl")).exit_code == 0
    before = here.run("journal", "--json").stdout
    assert [entry["state"] for entry in json.loads(before)["entries"]] == ["finished", "unknown"]
    assert faked(here, "+91d", monotonic, "journal", "--json").stdout == before
    assert here.run("journal", "--json").stdout == before


@KINDS
@pytest.mark.parametrize("rebooted", [False, True])
@pytest.mark.parametrize("shift", ["+25h", "+91d", "-25h"])
def test_a_wrong_clock_does_not_pay_again(
    shift: str, rebooted: bool, monotonic: dict[str, str], world: Callable[..., Any], tmp_path: Path
) -> None:
    here, journal = world(), str(tmp_path / "journal.db")
    here.paid("an owl", VIDGO_JOURNAL=journal)
    if rebooted:
        with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
            connection.execute("UPDATE boots SET boot = 'an earlier one'")
            connection.execute("UPDATE entries SET boot = 'an earlier one'")
    given = ("generate", "an owl", "--wait-seconds", "0")
    again = faked(here, shift, {"VIDGO_JOURNAL": journal, **monotonic}, *given)
    assert again.returncode in {0, 4}, again.stderr
    assert here.movements() == [("charge", 2)]
