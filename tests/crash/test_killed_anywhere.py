"""A process is killed at each step of the paid workflow; a fresh one repeats the call: nothing lost, nothing twice."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vidgo_mcp.sandbox import Sandbox, running

LOW = 2
WAIT = 30.0
SPARES = 2
"""Processes that are being started while others work."""

ANEW, UNKNOWN, FOUND = "anew", "unknown", "found"
FATES = {
    "before reserve": ANEW,
    "inside reserve": ANEW,
    "after reserve": ANEW,
    "inside sent": ANEW,
    "after sent": UNKNOWN,
    "charged": UNKNOWN,
    "after answer": UNKNOWN,
    "before bind": UNKNOWN,
    "inside bind": UNKNOWN,
    "after bind": FOUND,
    "waiting": FOUND,
    "before record": FOUND,
    "inside record": FOUND,
    "after record": FOUND,
    "answered": FOUND,
}
"""What the next process makes of a request whose process was killed there."""


class Payer:
    """A process that pays, see ``paying.py``."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("paying.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def told(self) -> Any:
        return json.loads(self._lines.get(timeout=WAIT))

    def silent(self) -> bool:
        return self._lines.empty()

    def ask(self, path: Path, base: str, stop: str = "") -> None:
        assert self.told() == "ready"
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"path": str(path), "base": base, "stop": stop}) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Kill it with SIGKILL, if it is still there."""
        self.process.kill()
        self.process.wait(timeout=WAIT)
        self._reader.join(timeout=WAIT)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Payers:
    """Hands out fresh processes; the next ones start meanwhile."""

    def __init__(self) -> None:
        self._spares = deque(Payer() for _ in range(SPARES))
        self._taken: list[Payer] = []

    def take(self) -> Payer:
        self._spares.append(Payer())
        self._taken.append(self._spares.popleft())
        return self._taken[-1]

    def close_taken(self) -> None:
        while self._taken:
            self._taken.pop().close()

    def close(self) -> None:
        self.close_taken()
        for spare in self._spares:
            spare.close()


@pytest.fixture(scope="module")
def all_payers() -> Iterator[Payers]:
    payers = Payers()
    try:
        yield payers
    finally:
        payers.close()


@pytest.fixture
def payers(all_payers: Payers) -> Iterator[Payers]:
    try:
        yield all_payers
    finally:
        all_payers.close_taken()


def until(met: Callable[[], object]) -> None:
    """Wait for what another process does, for a bounded time."""
    deadline = time.monotonic() + WAIT
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def charges(sandbox: Sandbox) -> list[tuple[str, int]]:
    return [(entry.kind, entry.credits) for entry in sandbox.ledger]


def check(fate: str, answer: dict[str, Any], sandbox: Sandbox, *, paid_before: bool) -> None:
    """Hold the next process's answer against the vendor's ledger."""
    if fate == UNKNOWN:
        assert (answer["category"], answer["money"], answer["listed"]) == ("outcome_unknown", "unknown", ["unknown"])
        assert charges(sandbox) == [("charge", LOW)] * paid_before
        return
    assert paid_before == (fate == FOUND)
    assert (answer["outcome"], answer["listed"]) == ("finished", ["finished"])
    assert (answer["reused"], answer["credits_charged"]) == ((True, 0) if fate == FOUND else (False, LOW))
    assert [answer["task_id"]] == list(sandbox.tasks)
    assert charges(sandbox) == [("charge", LOW)]


@pytest.mark.parametrize("point", FATES)
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
            assert victim.told()["credits_charged"] == LOW
        else:
            assert victim.told() == "stopped"
        paid = bool(sandbox.ledger)
        victim.close()
        heir.ask(path, base)
        check(FATES[point], heir.told(), sandbox, paid_before=paid)


@pytest.mark.parametrize("point", ["after reserve", "after sent", "after answer", "after bind"])
def test_a_process_that_waits_for_another_sees_its_death(point: str, payers: Payers, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    sandbox = Sandbox(seconds=(0.3, 0.3))
    with running(sandbox) as base:
        victim, waiting = payers.take(), payers.take()
        victim.ask(path, base, point)
        assert victim.told() == "stopped"
        paid = bool(sandbox.ledger)
        waiting.ask(path, base)
        if point != "after bind":
            time.sleep(0.5)
            assert waiting.silent()
        victim.close()
        check(FATES[point], waiting.told(), sandbox, paid_before=paid)
