"""A journal that takes its time, on a busy disk for instance, is waited for."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from tests.conftest import VIRTUAL_CLOCK, World
from vidgo_mcp.journal import Entry, SqliteJournal

pytestmark = pytest.mark.anyio


class SlowJournal(SqliteJournal):
    """Takes so long to settle what dead processes left that a look at it ends after the time for it."""

    async def expire(self) -> Sequence[Entry]:
        await anyio.sleep(0.7)
        return await super().expire()


async def test_a_call_that_waits_for_another_process_outlasts_a_slow_journal() -> None:
    journal = SlowJournal(None, clock=VIRTUAL_CLOCK)
    async with (
        World(journal=journal, faults=["submit:slow=10"], process="a") as submitting,
        World(journal=journal, sandbox=submitting.sandbox, process="b") as waiting,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(submitting.finished)
        await anyio.sleep(1)
        result = await waiting.finished()
        assert (result.reused, result.credits_charged) == (True, 0)
        assert submitting.movements() == [("charge", 2)]
