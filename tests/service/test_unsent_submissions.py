"""A submission that Vidgo has provably not accepted ends with its last caller: nothing is paid after they have left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import VirtualJournal, World
from tests.service.pictures import many
from vidgo_mcp.errors import Facts, InvalidRequestError, JournalError, RateLimitedError, VidgoError
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import LocalFiles, Progress
from vidgo_mcp.service.watches import silence

pytestmark = pytest.mark.anyio

LOW = 2


class Calls:
    """Identical calls, whose reference is ready after 15 s, and whose submit is then refused at 15 s and at 23 s.

    The first one pays, and has time to try again until 35 s. Others join it at 16 s, and have time until 20 s.
    """

    def __init__(self, world: World, folder: Path) -> None:
        self.ended: list[tuple[float, TaskResult | VidgoError]] = []
        self._world = world
        self._paths = many(folder, 1)

    async def first(self, cancelled_at: float = 1000.0) -> None:
        with anyio.move_on_after(cancelled_at):
            await self._call(600, silence)

    async def joining(self) -> None:
        async def listen_slowly(value: float, message: str) -> None:
            await anyio.sleep_until(16)

        await self._call(0, listen_slowly)

    async def _call(self, wait_seconds: int, progress: Progress) -> None:
        try:
            answer: Any = await self._world.make(image_urls=self._paths, wait_seconds=wait_seconds, progress=progress)
        except VidgoError as error:
            answer = error
        self.ended.append((anyio.current_time(), answer))


def refusing_world(disk: LocalFiles) -> World:
    return World(files=disk, seconds=5, faults=["upload:slow=15", "submit:rate_limited=8*2"])


def assert_given_up(answer: object) -> None:
    """The answer says why it was never accepted."""
    assert isinstance(answer, RateLimitedError)
    assert (answer.money, answer.remedy, answer.task_id) == ("nothing_spent", "repeat_with_time", None)


async def assert_a_repeat_pays_once(world: World, calls: Calls) -> None:
    await anyio.sleep(100)
    assert (world.submits(), world.movements(), await world.spent()) == ([15], [], 0)
    assert (await world.listed()).tasks == []
    world.sandbox.clear_faults()
    await calls.first()
    [*_, (_, made)] = calls.ended
    assert isinstance(made, TaskResult)
    assert (made.outcome, made.credits_charged, made.reused) == ("finished", LOW, False)
    assert world.movements() == [("charge", LOW)]


async def test_it_is_given_up_when_the_time_of_its_last_caller_ends(disk: LocalFiles, folder: Path) -> None:
    async with refusing_world(disk) as world:
        calls = Calls(world, folder)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.first, 17)
            tasks.start_soon(calls.joining)
        [(at, answer)] = calls.ended
        assert at == 20
        assert_given_up(answer)
        await assert_a_repeat_pays_once(world, calls)


async def test_it_is_given_up_when_the_last_two_callers_leave_at_the_same_moment(
    disk: LocalFiles, folder: Path
) -> None:
    async with refusing_world(disk) as world:
        calls = Calls(world, folder)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.first, 17)
            tasks.start_soon(calls.joining)
            tasks.start_soon(calls.joining)
        assert [at for at, _ in calls.ended] == [20, 20]
        assert_given_up(next(answer for _, answer in calls.ended if isinstance(answer, VidgoError)))
        await assert_a_repeat_pays_once(world, calls)


async def test_it_is_given_up_when_its_last_caller_is_cancelled_after_others_ended(
    disk: LocalFiles, folder: Path
) -> None:
    async with refusing_world(disk) as world:
        calls = Calls(world, folder)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.first, 21)
            tasks.start_soon(calls.joining)
        [(at, answer)] = calls.ended
        assert isinstance(answer, TaskResult)
        assert (at, answer.outcome, answer.task_id, answer.credits_charged) == (20, "pending", None, 0)
        await assert_a_repeat_pays_once(world, calls)


async def test_it_goes_on_for_a_caller_who_has_more_time(disk: LocalFiles, folder: Path) -> None:
    async with refusing_world(disk) as world:
        calls = Calls(world, folder)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.first)
            tasks.start_soon(calls.joining)
        (early, hasty), (_, patient) = calls.ended
        assert isinstance(hasty, TaskResult)
        assert isinstance(patient, TaskResult)
        assert (early, hasty.outcome, hasty.task_id, hasty.credits_charged) == (20, "pending", None, 0)
        assert hasty.remedy == "repeat"
        assert (patient.outcome, patient.credits_charged) == ("finished", LOW)
        assert (world.submits(), world.movements()) == ([15, 23, 31], [("charge", LOW)])


async def test_one_that_is_given_up_while_the_journal_marks_it_as_sent_is_not_posted() -> None:
    class Slow(VirtualJournal):
        async def mark_sent(self, entry_id: str) -> Entry:
            marked = await super().mark_sent(entry_id)
            with anyio.CancelScope(shield=True):  # as a worker thread, which goes on until its end
                await anyio.sleep(5)
            return marked

    async with World(journal=Slow()) as world:
        with anyio.move_on_after(2):
            await world.make()
        await anyio.sleep(60)
        assert (world.submits(), (await world.listed()).tasks, await world.spent()) == ([], [], 0)
        assert (await world.finished()).credits_charged == LOW


async def test_one_that_is_refused_after_its_last_caller_has_left_is_not_sent_again() -> None:
    async with World(faults=["submit:slow=5", "submit:rate_limited=3*1"]) as world:
        with anyio.move_on_after(2):
            await world.make()
        await anyio.sleep(60)
        assert (world.submits(), world.movements(), await world.spent()) == ([0], [], 0)


async def test_one_that_is_refused_while_the_service_stops_is_not_sent_again() -> None:
    async with (
        anyio.create_task_group() as tasks,
        World(faults=["submit:slow=5", "submit:rate_limited=3*1"]) as world,
    ):

        async def call() -> None:
            with pytest.raises(RateLimitedError):
                await world.make()

        tasks.start_soon(call)
        await anyio.sleep(2)
    assert (anyio.current_time(), world.submits(), await world.spent()) == (5, [0], 0)


async def test_a_stopping_service_releases_it_at_once_and_tells_who_waits() -> None:
    errors: list[VidgoError] = []
    async with anyio.create_task_group() as tasks, World(faults=["submit:rate_limited=19"]) as world:

        async def call() -> None:
            with pytest.raises(RateLimitedError) as caught:
                await world.make()
            errors.append(caught.value)

        tasks.start_soon(call)
        await anyio.sleep(1)
    assert anyio.current_time() == 1
    [error] = errors
    assert_given_up(error)
    assert (world.movements(), await world.spent()) == ([], 0)
    world.sandbox.clear_faults()
    async with World(journal=world.journal, sandbox=world.sandbox) as next_process:
        assert (await next_process.listed()).tasks == []
        assert (await next_process.finished()).credits_charged == LOW


async def test_one_that_the_journal_cannot_release_is_released_when_it_can() -> None:
    class Stiff(VirtualJournal):
        stiff = True

        async def release(self, entry_id: str) -> None:
            if self.stiff:
                raise JournalError("The journal is locked.", facts=Facts(reason="locked"))
            await super().release(entry_id)

        async def renew(self, process: str) -> None:
            if self.stiff:
                raise JournalError("The journal is locked.", facts=Facts(reason="locked"))
            await super().renew(process)

    journal = Stiff()
    async with World(journal=journal, faults=["submit:refuse*1"]) as world:
        with pytest.raises(InvalidRequestError):
            await world.make()
        await anyio.sleep(20)
        assert (await world.spent(), len((await world.listed()).tasks)) == (LOW, 1)
        journal.stiff = False
        await anyio.sleep(6)
        assert (await world.spent(), (await world.listed()).tasks) == (0, [])
        assert (await world.finished()).credits_charged == LOW
