"""A journal that cannot write, on a full disk for instance: nothing is lost, paid for twice, or in others' way."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.conftest import Telling, VirtualJournal, World
from vidgo_mcp.errors import InternalError, JournalError, NotFoundError, OutcomeUnknownError
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.requests import EstimateArguments
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.service import Budget, Limits

pytestmark = pytest.mark.anyio

LOW = 2


class Unreadable(VirtualJournal):
    """Cannot be read at times, as a file that another program has locked."""

    locked = False

    async def _step(self, *args: Any, **how: Any) -> Any:
        if self.locked:
            raise JournalError("The journal is locked.")
        return await super()._step(*args, **how)


class Full(VirtualJournal):
    """Fails at one step, as often as it is told."""

    def __init__(self, step: str, times: int = 1) -> None:
        super().__init__()
        self._failing = step
        self._times = times

    def _fail(self, step: str) -> None:
        if step == self._failing and self._times > 0:
            self._times -= 1
            raise OSError(28, "No space left on device")

    async def mark_sent(self, entry_id: str) -> Entry:
        self._fail("mark_sent")
        return await super().mark_sent(entry_id)

    async def bind(self, entry_id: str, task: Task) -> Entry:
        self._fail("bind")
        return await super().bind(entry_id, task)

    async def mark_unknown(self, entry_id: str, reason: str, **named: str | None) -> Entry:
        self._fail("mark_unknown")
        return await super().mark_unknown(entry_id, reason, **named)

    async def release(self, entry_id: str) -> None:
        self._fail("release")
        await super().release(entry_id)

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        self._fail("record")
        return await super().record(entry_id, task, empty=empty)


async def test_a_task_that_cannot_be_recorded_is_handed_to_the_caller_and_paid_once() -> None:
    async with World(journal=Full("bind", times=4)) as world:
        with pytest.raises(InternalError) as caught:
            await world.make()
        assert (caught.value.money, caught.value.remedy) == ("accepted", "wait_for_task")
        assert [caught.value.task_id] == list(world.sandbox.tasks)
        with pytest.raises(OutcomeUnknownError):
            await world.make()
        found = await world.task(caught.value.task_id or "")
        assert found.outcome == "finished"
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        assert world.movements() == [("charge", LOW)] * 2


async def test_what_cannot_be_marked_as_sent_is_not_sent() -> None:
    async with World(journal=Full("mark_sent")) as world:
        with pytest.raises(InternalError) as caught:
            await world.make()
        assert caught.value.money == "nothing_spent"
        assert world.submits() == []
        assert (await world.finished()).credits_charged == LOW
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("error", [JournalError("The mark may be there."), RuntimeError("a bug"), OSError(5, "Input")])
async def test_a_mark_that_was_made_although_it_failed_is_taken_back(error: Exception) -> None:
    class Marked(VirtualJournal):
        failing = True

        async def mark_sent(self, entry_id: str) -> Entry:
            entry = await super().mark_sent(entry_id)
            if self.failing:
                raise error
            return entry

    journal = Marked()
    async with World(journal=journal) as world:
        with pytest.raises((JournalError, InternalError)) as caught:
            await world.make()
        assert (caught.value.money, await world.spent(), world.submits()) == ("nothing_spent", 0, [])
        journal.failing = False
        assert (await world.finished()).credits_charged == LOW


async def test_a_lost_answer_that_cannot_be_recorded_is_still_never_sent_again() -> None:
    async with World(faults=["submit:lose_answer*1"], journal=Full("mark_unknown")) as world:
        with pytest.raises(OutcomeUnknownError):
            await world.make()
        again = await world.make(wait_seconds=0)
        assert (again.outcome, again.task_id, again.credits_charged) == ("pending", None, 0)
        assert len(world.submits()) == 1
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_refusal_that_cannot_be_recorded_does_not_end_other_calls() -> None:
    async with World(faults=["submit:refuse*1"], journal=Full("release")) as world:
        with pytest.raises(Exception, match="Vidgo refused"):
            await world.make()
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        assert world.movements() == [("charge", LOW)]


async def test_a_reading_that_cannot_be_recorded_is_read_again_by_the_next_look() -> None:
    async with World(journal=Full("record")) as world:
        made = await world.make()
        assert (made.outcome, made.credits_charged) == ("pending", LOW)
        assert made.task_id is not None
        other = await world.finished(prompt="a hare", variation=2)
        assert other.credits_charged == LOW
        await anyio.sleep(5)
        assert (await world.task(made.task_id, wait_seconds=60)).outcome == "finished"
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_journal_that_is_locked_meanwhile_hides_no_picture_that_is_paid_for() -> None:
    journal = Unreadable()
    async with World(journal=journal, seconds=20) as world, anyio.create_task_group() as tasks:

        async def lock() -> None:
            await anyio.sleep(10)
            journal.locked = True

        tasks.start_soon(lock)
        made = await world.finished()
        assert (made.credits_charged, made.notes) == (LOW, ["The journal is locked."])
        found = await world.task(made.task_id or "")
        assert (found.outcome, found.image_urls, found.credits) == ("finished", made.image_urls, None)
        with pytest.raises(NotFoundError, match="No task nobodys-task belongs to this key") as caught:
            await world.task("nobodys-task")
        assert caught.value.remedy == "list_tasks"
        with pytest.raises(JournalError):
            await world.make(prompt="a hare")
        journal.locked = False
        assert (await world.finished()).task_id == made.task_id
        assert world.movements() == [("charge", LOW)]


async def test_a_price_is_told_without_the_budget_that_cannot_be_read() -> None:
    journal = Unreadable()
    async with World(journal=journal, limits=Limits(Budget(per_day=10, mode="enforce"))) as world:
        assert (await world.service.estimate(world.principal(), EstimateArguments())).budget_left == 10
        journal.locked = True
        estimate = await world.service.estimate(world.principal(), EstimateArguments())
        assert (estimate.credits, estimate.budget_left) == (LOW, None)


async def test_a_locked_journal_does_not_tell_a_joining_process_that_nothing_was_spent() -> None:
    journal = Unreadable()
    async with World(journal=journal, faults=["submit:slow=60"]) as first, anyio.create_task_group() as tasks:
        tasks.start_soon(first.finished)
        await anyio.sleep(1)
        async with World(sandbox=first.sandbox, journal=journal, process="another") as second:
            telling = Telling()

            async def lock() -> None:
                await anyio.sleep(5)
                journal.locked = True
                await anyio.sleep(20)
                journal.locked = False

            tasks.start_soon(lock)
            joined = await second.make(wait_seconds=20, progress=telling)
        assert (joined.outcome, joined.task_id, joined.credits_charged) == ("pending", None, 0)
        assert telling.messages[0] == "another process of yours is submitting it"
        assert "Another process of yours is submitting it." in (joined.notes or ())
        assert second.submits() == []
    assert first.movements() == [("charge", LOW)]
