"""What the tests of the journal share: a clock moved by hand, both keepers, and the steps that lead to a state.

A new keeper is one more branch of the fixture ``keeper``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from vidgo_mcp.journal import (
    Entry,
    Intent,
    Journal,
    MemoryJournal,
    Reserved,
)
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.tasks import Task

START = 1_800_000_000.0
URL = "https://storage.vidgo.ai/a.png"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """A time of day that is moved by hand."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def keeper(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal(now=clock)
        return
    kept = SqliteJournal(tmp_path / "journal.db", now=clock)
    yield kept
    await kept.aclose()


def intent(fingerprint: str = "f", **changes: Any) -> Intent:
    whole = Intent(
        owner="me",
        fingerprint=fingerprint,
        family="family",
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


async def reserved(keeper: Journal, given: Intent | None = None, *, holder: str = "p1") -> Entry:
    found = await keeper.reserve(given or intent(), holder=holder)
    assert isinstance(found, Reserved)
    return found.entry


async def sent(keeper: Journal, given: Intent | None = None, *, holder: str = "p1") -> Entry:
    return await keeper.mark_sent((await reserved(keeper, given, holder=holder)).id)


async def accepted(keeper: Journal, given: Intent | None = None, task: Task = RUNNING) -> Entry:
    return await keeper.bind((await sent(keeper, given)).id, Task(task.task_id, "not_started"))


async def ended(keeper: Journal, task: Task, given: Intent | None = None, *, empty: bool = False) -> Entry:
    return await keeper.record((await accepted(keeper, given, task)).id, task, empty=empty)


async def in_state(keeper: Journal, state: str, given: Intent | None = None) -> Entry:
    """Bring a new intent into a state by the steps that lead there."""
    if state == "reserved":
        return await reserved(keeper, given)
    if state == "sent":
        return await sent(keeper, given)
    if state == "unknown":
        return await keeper.mark_unknown((await sent(keeper, given)).id, "the answer was lost")
    if state == "accepted":
        return await accepted(keeper, given)
    if state == "empty":
        return await ended(keeper, EMPTY, given, empty=True)
    return await ended(keeper, FINISHED if state == "finished" else FAILED, given)
