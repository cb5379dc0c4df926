"""What the tests of the journal share: clocks moved by hand, both kinds of journal, and the steps to each state.

A new store is one more branch of the fixture ``journal``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from vidgo_mcp.journal import Clock as SystemClock
from vidgo_mcp.journal import Entry, Intent, Journal, Reserved, SqliteJournal
from vidgo_mcp.models.tasks import Task

START = 1_800_000_000.0
BOOTED = 1000.0
"""Seconds since the boot when a test starts."""
URL = "https://storage.vidgo.ai/a.png"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """The clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        self.at = START
        self.since_boot = BOOTED
        self.boots = 1

    def __call__(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.since_boot

    def move(self, seconds: float) -> None:
        self.at += seconds
        self.since_boot += seconds

    def set(self, seconds: float) -> None:
        """Set the time of day forward, or back, as a person or a time server does."""
        self.at += seconds

    def reboot(self, *, after: float = 60, wrong: float = 0) -> None:
        """Start anew so many seconds later, with a time of day that is so many seconds ahead of the right one."""
        self.at += after + wrong
        self.since_boot = 1.0
        self.boots += 1

    def of_machine(self, *, named: bool = True) -> SystemClock:
        """Return them as a journal takes them; some systems have no names for their boots."""
        return SystemClock(self, self.monotonic, lambda: f"boot {self.boots}" if named else "")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dead() -> set[str]:
    """Return the names of processes that provably ended, for a test to add to."""
    return set()


def opened(
    path: Path | None, clock: Clock, dead: set[str] | frozenset[str] = frozenset(), **given: Any
) -> SqliteJournal:
    return SqliteJournal(
        path,
        clock=clock.of_machine(),
        fate_of=lambda name: "dead" if name in dead else "unknown",
        **given,
    )


@pytest.fixture(params=["memory", "file"])
async def journal(
    request: pytest.FixtureRequest, clock: Clock, dead: set[str], tmp_path: Path
) -> AsyncIterator[Journal]:
    made = opened(None if request.param == "memory" else tmp_path / "journal.db", clock, dead)
    yield made
    await made.aclose()


def intent(fingerprint: str = "f", **changes: Any) -> Intent:
    whole = Intent(
        owner="me",
        fingerprint=fingerprint,
        request_key="request",
        variation=1,
        model="gpt-image-2",
        prompt="a boat",
        size="1:1",
        tier="1K",
        quality="low",
        credits=2,
    )
    return dataclasses.replace(whole, **changes)


RUNNING = Task("task-1", "running", 40)
FINISHED = Task("task-1", "finished", 100, (URL,))
EMPTY = Task("task-1", "finished", 100)
FAILED = Task("task-1", "failed", 0, (), "content policy")


async def reserved(journal: Journal, given: Intent | None = None, *, process: str = "p1") -> Entry:
    found = await journal.reserve(given or intent(), process=process)
    assert isinstance(found, Reserved)
    return found.entry


async def sent(journal: Journal, given: Intent | None = None, *, process: str = "p1") -> Entry:
    return await journal.mark_sent((await reserved(journal, given, process=process)).id)


async def accepted(journal: Journal, given: Intent | None = None, task: Task = RUNNING) -> Entry:
    return await journal.bind((await sent(journal, given)).id, Task(task.task_id, "not_started"))


async def ended(journal: Journal, task: Task, given: Intent | None = None, *, empty: bool = False) -> Entry:
    return await journal.record((await accepted(journal, given, task)).id, task, empty=empty)


async def in_state(journal: Journal, state: str, given: Intent | None = None) -> Entry:
    """Bring a new intent into a state by the steps that lead there."""
    if state == "reserved":
        return await reserved(journal, given)
    if state == "sent":
        return await sent(journal, given)
    if state == "unknown":
        return await journal.mark_unknown((await sent(journal, given)).id, "the answer was lost")
    if state == "accepted":
        return await accepted(journal, given)
    if state == "empty":
        return await ended(journal, EMPTY, given, empty=True)
    return await ended(journal, FINISHED if state == "finished" else FAILED, given)
