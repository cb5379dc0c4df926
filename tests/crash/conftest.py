"""What the tests of killed processes share: real processes at hand, and looks at what they left."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks.interrupted import entries_of
from vidgo_mcp.journal import Entry
from vidgo_mcp.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
LOW = 2
ANEW, UNKNOWN, FOUND = "anew", "unknown", "found"
"""What the next process makes of a request whose process was killed."""
WAIT = 30.0
SPARES = 2
"""Processes that are being started while others work."""


class Child:
    """A process that is spoken to in lines of JSON."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def receive(self) -> Any:
        return json.loads(self._lines.get(timeout=WAIT))

    def silent(self) -> bool:
        return self._lines.empty()

    def send(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(message)}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Kill it with SIGKILL, if it is still there."""
        self.process.kill()
        self.process.wait(timeout=WAIT)
        self._reader.join(timeout=WAIT)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Payer(Child):
    """A process that pays, see ``paying.py``."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-m", "tests.crash.paying"])

    def ask(self, path: Path, base: str, point: str = "", **more: Any) -> None:
        """Hand it its order; ``more`` are the parts that not every order has."""
        assert self.receive() == "ready"
        self.send({"journal": str(path), "base": base, "point": point, **more})


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


def journal_of(path: Path, base: str) -> Sequence[Entry]:
    """Return the entries of a journal that other processes use, newest first."""
    return anyio.run(entries_of, path, base)
