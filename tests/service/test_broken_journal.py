"""A journal that cannot write, on a full disk for instance: nothing is lost, paid for twice, or in others' way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.conftest import Telling, VirtualJournal, World
from vidgo_mcp.errors import (
    BudgetError,
    Facts,
    InternalError,
    InvalidRequestError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
)
from vidgo_mcp.journal import Entry, Intent, Reservation
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
        self.times = times

    def _fail(self, step: str) -> None:
        if step == self._failing and self.times > 0:
            self.times -= 1
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


async def locked(journal: VirtualJournal, entry: Entry) -> None:
    raise JournalError("Another process has held it for 10 s.", facts=Facts(reason="locked"))


async def full(journal: VirtualJournal, entry: Entry) -> None:
    raise OSError(28, "No space left on device")


async def settled_as_not_charged(journal: VirtualJournal, entry: Entry) -> None:
    if await journal.entry(entry.id) is not None:
        await journal.mark_unknown(entry.id, "silence")
        await journal.resolve(entry.id, task=None)
    raise OSError(28, "No space left on device")


async def settled_with_another_task(journal: VirtualJournal, entry: Entry) -> None:
    if entry.state == "sent":
        await journal.mark_unknown(entry.id, "silence")
        await journal.resolve(entry.id, task=Task("of-somebody-else", "running"))
    raise OSError(28, "No space left on device")


class Unbinding(VirtualJournal):
    """Records no task for the first minute, while something happens to the entry of it."""

    entry_before: Entry

    def __init__(self, trouble: Callable[[VirtualJournal, Entry], Awaitable[None]]) -> None:
        super().__init__()
        self._trouble = trouble
        self.healed = False

    async def bind(self, entry_id: str, task: Task) -> Entry:
        if not self.healed:
            self.entry_before = await self.entry(entry_id) or self.entry_before
            await self._trouble(self, self.entry_before)
        return await super().bind(entry_id, task)


TROUBLES = [locked, full, settled_as_not_charged, settled_with_another_task]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_task_that_cannot_be_recorded_is_kept_and_answers_its_request_until_it_can(
    trouble: Callable[[VirtualJournal, Entry], Awaitable[None]],
) -> None:
    journal = Unbinding(trouble)
    async with World(journal=journal, seconds=20) as world:
        made = await world.make(wait_seconds=0)
        assert (made.outcome, made.credits_charged, [made.task_id]) == ("pending", LOW, list(world.sandbox.tasks))
        assert "the journal could not record it yet" in " ".join(made.notes or ())
        assert "Spent in 24 h" not in " ".join(made.notes or ())
        again = await world.make(wait_seconds=0)
        assert (again.task_id, again.credits_charged, again.reused) == (made.task_id, 0, True)
        assert "is submitting it" not in " ".join(again.notes or ())
        [listed] = [one for one in (await world.listed()).tasks if one.task_id == made.task_id]
        assert "the journal could not record it yet" in " ".join(listed.notes or ())
        finished = await world.finished()
        assert finished.task_id == made.task_id
        assert (await world.task(made.task_id or "")).outcome == "finished"
        await anyio.sleep(60)
        journal.healed = True
        await anyio.sleep(10)
        bound = await journal.by_task(world.principal().owner, made.task_id or "")
        assert bound is not None
        assert bound.state == "finished"
        assert (await world.finished()).notes is None
        assert world.movements() == [("charge", LOW)]
    # Another process knows it from the journal alone.
    async with World(sandbox=world.sandbox, journal=journal, process="another") as other:
        assert (await other.finished()).task_id == made.task_id
    assert world.movements() == [("charge", LOW)]


async def test_a_task_that_was_not_recorded_counts_in_the_day() -> None:
    journal = Unbinding(settled_as_not_charged)
    async with World(journal=journal, limits=Limits(Budget(per_day=3, mode="enforce"))) as world:
        await world.make(wait_seconds=0)
        journal.healed = True
        with pytest.raises(BudgetError):
            await world.make(prompt="a hare")
        assert world.movements() == [("charge", LOW)]


async def test_a_task_that_was_never_recorded_is_named_in_the_log_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with World(journal=Unbinding(full)) as world:
        made = await world.make(wait_seconds=0)
        caplog.clear()
    assert f"task {made.task_id} is paid for, and the journal has no record of it" in caplog.text


async def test_a_task_that_the_last_moment_records_is_not_said_to_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(Unbinding):
        async def bind(self, entry_id: str, task: Task) -> Entry:
            if self.healed:
                trying.set()
                await anyio.sleep(1)
            return await super().bind(entry_id, task)

    trying, journal = anyio.Event(), Slow(full)
    async with World(journal=journal) as world:
        await world.make(wait_seconds=0)
        journal.healed = True
        await trying.wait()
    assert "has no record" not in caplog.text


async def test_a_task_that_was_not_recorded_is_known_by_vidgos_own_id(caplog: pytest.LogCaptureFixture) -> None:
    journal = Unbinding(settled_as_not_charged)
    async with World(faults=["task:called=a b/c"], journal=journal) as world:
        assert (await world.finished()).credits_charged == LOW
        assert "task a b/c was accepted by Vidgo" in caplog.text
        journal.healed = True
        await anyio.sleep(10)
        [bound] = await journal.newest(world.principal().owner, 2)
        assert (bound.state, bound.vendor_id) == ("finished", "a b/c")


async def test_an_end_that_cannot_be_recorded_is_recorded_as_soon_as_it_can_though_nobody_asks() -> None:
    class Unrecording(VirtualJournal):
        failing = True

        async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
            if self.failing and task.phase != "pending":
                raise JournalError("The disk is full.", facts=Facts(reason="disk_full"))
            return await super().record(entry_id, task, empty=empty)

    journal = Unrecording()
    async with World(journal=journal) as world:
        made = await world.finished()
        await anyio.sleep(60)
        journal.failing = False
        await anyio.sleep(10)
        kept = await journal.by_task(world.principal().owner, made.task_id or "")
        assert kept is not None
        assert kept.state == "finished"


async def test_a_last_try_at_the_end_records_it() -> None:
    journal = Unbinding(full)
    async with World(journal=journal) as world:
        made = await world.make(wait_seconds=0)
        journal.healed = True
    bound = await journal.by_task(world.principal().owner, made.task_id or "")
    assert bound is not None


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


async def test_a_reservation_that_was_made_although_it_failed_does_not_keep_its_request_waiting() -> None:
    class Unsure(VirtualJournal):
        async def reserve(self, intent: Intent, **how: Any) -> Reservation:
            await super().reserve(intent, **how)
            del self.__class__.reserve
            raise JournalError("The journal cannot be used.", facts=Facts(reason="unwritable"))

    journal = Unsure()
    journal._fate_of = lambda name: "alive"  # as of a process that runs
    async with World(journal=journal) as world:
        with pytest.raises(JournalError):
            await world.make()
        made: list[int | None] = []

        async def again() -> None:
            made.append((await world.finished()).credits_charged)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(again)
        assert sorted(one or 0 for one in made) == [0, 0, LOW]
        assert (world.movements(), await world.spent()) == ([("charge", LOW)], LOW)


async def test_a_lost_answer_that_cannot_be_recorded_is_still_never_sent_again() -> None:
    async with World(faults=["submit:lose_answer*1"], journal=Full("mark_unknown", times=7)) as world:
        with pytest.raises(OutcomeUnknownError):
            await world.make()
        # Recorded as soon as the journal can: as long as this process lives, no other one does it.
        for _ in range(3):
            with pytest.raises(OutcomeUnknownError):
                await world.make(wait_seconds=0)
            await anyio.sleep(20)
        assert len(world.submits()) == 1
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_refusal_that_cannot_be_recorded_does_not_end_other_calls() -> None:
    async with World(faults=["submit:refuse*1"], journal=Full("release")) as world:
        with pytest.raises(Exception, match="Vidgo refused"):
            await world.make()
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        assert world.movements() == [("charge", LOW)]


async def test_a_refusal_that_can_never_be_recorded_is_given_up_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Settling(Full):
        async def unsend(self, entry_id: str) -> Entry:
            entry = await self.entry(entry_id)
            if entry is not None and entry.state == "sent":
                await super().mark_unknown(entry_id, "silence")
                await self.resolve(entry_id, task=Task("of-somebody-else", "running"))
            return await super().unsend(entry_id)

    journal = Settling("mark_unknown", times=0)
    async with World(faults=["submit:refuse*1", "submit:lose_answer*1"], journal=journal) as world:
        with pytest.raises(JournalError):
            await world.make()
        journal.times = 2
        with pytest.raises(OutcomeUnknownError):
            await world.make(prompt="a hare")
        await anyio.sleep(30)
        assert [entry.state for entry in await journal.newest(world.principal().owner, 3)] == ["unknown", "accepted"]
        caplog.clear()
        await anyio.sleep(60)
        assert caplog.text == ""


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


async def test_a_price_and_the_balance_are_told_without_the_budget_that_cannot_be_read() -> None:
    journal = Unreadable()
    async with World(journal=journal, limits=Limits(Budget(per_day=10, mode="enforce"))) as world:
        assert (await world.service.estimate(world.principal(), EstimateArguments())).budget_left == 10
        journal.locked = True
        estimate = await world.service.estimate(world.principal(), EstimateArguments())
        assert (estimate.credits, estimate.budget_left) == (LOW, None)
        left = await world.service.balance(world.principal())
        assert (left.credits, left.pictures_low, left.notes) == (1000, 500, None)


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


async def test_a_refusal_that_cannot_be_recorded_is_not_told_as_a_picture_under_way() -> None:
    async with World(faults=["submit:refuse*1"], journal=Full("release", times=9)) as world:
        for _ in range(2):
            with pytest.raises(InvalidRequestError, match="Vidgo refused") as caught:
                await world.make(wait_seconds=0)
            assert caught.value.money == "nothing_spent"
        await anyio.sleep(60)
        assert (await world.finished()).credits_charged == LOW
        assert world.movements() == [("charge", LOW)]
