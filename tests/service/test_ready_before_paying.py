"""References are made ready before anything is reserved: until then a call can end in any way, and nothing is left."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import anyio
import httpx
import pytest

from tests.conftest import UPLOAD, World
from tests.service.pictures import many
from vidgo_mcp.errors import BudgetError, DeclinedError, UnavailableError, VidgoError
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import Budget, Limits, LocalFiles
from vidgo_mcp.service.limits import Answer, Question

pytestmark = pytest.mark.anyio

LOW = 2
ROOM_FOR_ONE = Limits(Budget(per_day=LOW, mode="enforce"))


class Person:
    """Agrees to everything after a while, and remembers when they were asked."""

    def __init__(self, *, seconds: float = 0.0, verdict: Literal["accepted", "declined"] = "accepted") -> None:
        self.asked: list[float] = []
        self._seconds = seconds
        self._verdict = verdict

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(anyio.current_time())
        await anyio.sleep(self._seconds)
        return Answer(self._verdict, ticket=f"ticket {len(self.asked)}")


async def assert_nothing_left(world: World) -> None:
    assert (world.submits(), world.movements()) == ([], [])
    assert ((await world.listed()).tasks, await world.spent()) == ([], 0)


async def test_two_identical_calls_whose_references_are_uploaded_pay_once(disk: LocalFiles, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(files=disk, seconds=5, limits=ROOM_FOR_ONE) as world:
        made: list[TaskResult] = []

        async def call() -> None:
            made.append(await world.finished(image_urls=paths))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(30)
            tasks.start_soon(call)
            tasks.start_soon(call)
            await anyio.sleep(30)
            await assert_nothing_left(world)
        assert sorted((one.reused, one.credits_charged) for one in made) == [(False, LOW), (True, 0), (True, 0)]
        assert len({one.task_id for one in made}) == 1
        assert (len(world.uploads()), world.movements()) == (7, [("charge", LOW)])


async def test_a_call_whose_time_ends_says_how_far_it_is_and_its_repeat_pays_once(
    disk: LocalFiles, folder: Path
) -> None:
    paths = many(folder, 7)
    async with World(files=disk, seconds=5, limits=ROOM_FOR_ONE) as world:
        for until in (40, 60):
            answered = await world.make(image_urls=paths, wait_seconds=until - anyio.current_time())
            assert anyio.current_time() == until
            assert (answered.outcome, answered.task_id, answered.reused) == ("pending", None, False)
            assert (answered.credits_charged, answered.remedy) == (0, "repeat_with_time")
            assert answered.notes == ["5 of 7 references are ready; nothing is reserved or spent. The uploads go on."]
            await assert_nothing_left(world)
        await anyio.sleep(60)
        assert len(world.uploads()) == 7, "they go on when nobody waits"
        await assert_nothing_left(world)
        made = await world.finished(image_urls=paths)
        again = await world.finished(image_urls=paths)
        assert (made.credits_charged, made.reused, again.credits_charged, again.reused) == (LOW, False, 0, True)
        assert (len(world.uploads()), world.movements()) == (7, [("charge", LOW)])


async def test_a_call_that_is_cancelled_while_it_uploads_leaves_nothing(disk: LocalFiles, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(files=disk, seconds=5, limits=ROOM_FOR_ONE) as world:
        with anyio.move_on_after(30):
            await world.make(image_urls=paths)
        await anyio.sleep(300)
        await assert_nothing_left(world)
        await world.finished(image_urls=paths)
        assert (len(world.uploads()), world.movements()) == (7, [("charge", LOW)])


async def test_a_cancelled_call_takes_no_upload_from_another_that_waits_for_it(disk: LocalFiles, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(files=disk, seconds=5) as world:
        async with anyio.create_task_group() as tasks:
            with anyio.move_on_after(30):
                tasks.start_soon(partial(world.finished, image_urls=paths))
                await world.make(image_urls=paths)
        assert (len(world.uploads()), world.movements()) == (7, [("charge", LOW)])


async def test_a_service_that_stops_while_a_call_uploads_leaves_nothing(disk: LocalFiles, folder: Path) -> None:
    world = World(files=disk, seconds=5, limits=ROOM_FOR_ONE)
    paths = many(folder, 7)
    errors: list[VidgoError] = []

    async def call() -> None:
        with pytest.raises(UnavailableError) as caught:
            await world.make(image_urls=paths)
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        async with world:
            tasks.start_soon(call)
            await anyio.sleep(30)
        assert anyio.current_time() == 30
    [error] = errors
    assert (error.money, error.remedy, error.field) == ("nothing_spent", "repeat", "image_urls")
    await assert_nothing_left(world)
    async with World(files=disk, sandbox=world.sandbox, journal=world.journal, limits=ROOM_FOR_ONE) as restarted:
        await restarted.finished(image_urls=paths)
        assert (len(restarted.uploads()), world.movements()) == (2, [("charge", LOW)])


async def test_a_stopping_service_sends_nothing_that_gets_ready_meanwhile(disk: LocalFiles, folder: Path) -> None:
    """It waits for a submit that hangs; within these ten seconds the upload of another call ends."""
    [path] = many(folder, 1)
    errors: list[VidgoError] = []

    async def slow(request: httpx.Request) -> None:
        if request.url.path == UPLOAD:
            await anyio.sleep(6)

    async def call() -> None:
        with pytest.raises(UnavailableError) as caught:
            await world.make(image_urls=[path])
        errors.append(caught.value)

    world = World(files=disk, faults=["submit:hang"])
    world.wire.before = slow
    async with anyio.create_task_group() as tasks, world:
        tasks.start_soon(call)
        with anyio.move_on_after(1):
            await world.make(prompt="a hare")
    assert anyio.current_time() == 11
    assert [(error.money, error.remedy) for error in errors] == [("nothing_spent", "repeat")]
    assert (len(world.submits()), world.movements()) == (1, [("charge", LOW)])
    assert [task.prompt for task in (await world.listed()).tasks] == ["a hare"]


async def test_a_process_that_dies_between_upload_and_reserve_leaves_nothing(disk: LocalFiles, folder: Path) -> None:
    """It ends where it asks the person: all is uploaded, and it never writes another word."""
    limits = Limits(ROOM_FOR_ONE.budget, confirm_above=0)
    paths, dies = many(folder, 3), Person(seconds=10_000)
    async with World(files=disk, limits=limits, process="dead") as dead, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(dead.make, image_urls=paths, ask=dies))
        await anyio.sleep(100)
        assert (len(dies.asked), len(dead.uploads())) == (1, 3)
        await assert_nothing_left(dead)
        async with World(files=disk, limits=limits, sandbox=dead.sandbox, journal=dead.journal) as living:
            made = await living.finished(image_urls=paths, ask=Person())
            assert (made.credits_charged, made.reused, living.uploads()) == (LOW, False, [])
        assert dead.movements() == [("charge", LOW)]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("limits", "remedy"),
    [
        (Limits(Budget(per_call=1, mode="enforce"), confirm_above=0), "raise_call_budget"),
        (Limits(Budget(per_day=1, mode="enforce"), confirm_above=0), "raise_day_budget"),
    ],
)
async def test_a_budget_refuses_before_anything_is_uploaded_and_anybody_is_asked(
    disk: LocalFiles, folder: Path, limits: Limits, remedy: str
) -> None:
    person = Person()
    async with World(files=disk, limits=limits) as world:
        with pytest.raises(BudgetError) as caught:
            await world.make(image_urls=many(folder, 1), ask=person)
        assert (caught.value.remedy, person.asked, world.wire.seen) == (remedy, [], [])
        await assert_nothing_left(world)


async def test_the_person_is_asked_once_when_all_references_are_ready(disk: LocalFiles, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(files=disk, seconds=5, limits=Limits(confirm_above=1)) as world:
        no, yes = Person(verdict="declined"), Person(seconds=100)
        assert (await world.make(image_urls=paths, wait_seconds=40, ask=no)).outcome == "pending"
        assert no.asked == []
        with pytest.raises(DeclinedError):
            await world.make(image_urls=paths, ask=no)
        assert (len(no.asked), len(world.uploads())) == (1, 7)
        await assert_nothing_left(world)
        made = await world.make(image_urls=paths, ask=yes, wait_seconds=0)
        assert (made.credits_charged, len(yes.asked), len(world.uploads())) == (LOW, 1, 7)
        assert made.task_id is not None, "it holds out for the id from the moment at which the person agreed"


async def test_room_that_is_taken_while_a_call_uploads_is_refused_where_it_is_reserved(
    disk: LocalFiles, folder: Path
) -> None:
    async with World(files=disk, seconds=5, limits=ROOM_FOR_ONE) as world, anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(BudgetError) as caught:
                await world.make(image_urls=many(folder, 7))
            assert caught.value.remedy == "raise_day_budget"

        tasks.start_soon(call)
        await anyio.sleep(10)
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        await anyio.sleep(100)
        assert (len(world.uploads()), len(world.submits()), world.movements()) == (7, 1, [("charge", LOW)])
