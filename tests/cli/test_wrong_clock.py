"""The command under a clock that is wrong: nothing is forgotten on a look, and nothing is paid for again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TIMEOUT, command
from vidgo_mcp.journal.clock import boot_id

pytestmark = [
    pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed"),
    pytest.mark.skipif(not boot_id(), reason="this system has no names for its boots"),
]

KINDS = pytest.mark.parametrize("monotonic", [{}, {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}], ids=["all", "wall"])


def faked(here: Any, shift: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a clock that is moved."""
    return subprocess.run(
        ["faketime", "-f", shift, *command(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        cwd=here.vidgo.folder,
        env=here.vidgo.environment | environment,
        check=False,
    )


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
