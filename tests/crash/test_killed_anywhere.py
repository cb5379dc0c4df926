"""A process is killed at each step of the paid workflow; a fresh one repeats the call: nothing lost, nothing twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.crash.conftest import ANEW, FOUND, LOW, UNKNOWN, Payers, check, until
from vidgo_mcp.sandbox import Sandbox, running

DELIVERY = {
    "before reserve": ANEW,
    "inside reserve": ANEW,
    "after reserve": ANEW,
    "inside mark_sent": ANEW,
    "after mark_sent": UNKNOWN,
    "charged": UNKNOWN,
    "after submit_once": UNKNOWN,
    "before bind": UNKNOWN,
    "inside bind": UNKNOWN,
    "after bind": FOUND,
    "after status": FOUND,
    "before record": FOUND,
    "inside record": FOUND,
    "after record": FOUND,
    "answered": FOUND,
}
"""What the next process makes of a request whose process was killed there."""


@pytest.mark.parametrize("point", DELIVERY)
def test_a_killed_process_loses_nothing_and_the_next_one_pays_nothing_twice(
    point: str, payers: Payers, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    sandbox = Sandbox(seconds=(0.3, 0.3), faults=["submit:hang*1"] if point == "charged" else [])
    with running(sandbox) as base:
        victim, heir = payers.take(), payers.take()
        victim.ask(path, base, point)
        if point == "charged":
            until(lambda: sandbox.ledger)
        elif point == "answered":
            assert victim.receive()["credits_charged"] == LOW
        else:
            assert victim.receive() == "stopped"
        paid = bool(sandbox.ledger)
        victim.close()
        heir.ask(path, base)
        check(DELIVERY[point], heir.receive(), sandbox, paid_before=paid)


@pytest.mark.parametrize("point", ["after reserve", "after mark_sent", "after submit_once", "after bind"])
def test_a_process_that_waits_for_another_sees_its_death(point: str, payers: Payers, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    sandbox = Sandbox(seconds=(0.3, 0.3))
    with running(sandbox) as base:
        victim, waiting = payers.take(), payers.take()
        victim.ask(path, base, point)
        assert victim.receive() == "stopped"
        paid = bool(sandbox.ledger)
        waiting.ask(path, base)
        if point != "after bind":
            time.sleep(0.5)
            assert waiting.silent()
        victim.close()
        check(DELIVERY[point], waiting.receive(), sandbox, paid_before=paid)
