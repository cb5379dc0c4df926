"""A cancelled call stops waiting, never the bookkeeping; a service that stops lets what it has sent be answered."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.conftest import World, news
from vidgo_mcp.errors import OutcomeUnknownError, UnavailableError, VidgoError
from vidgo_mcp.models.results import TaskResult

pytestmark = pytest.mark.anyio

LOW = 2


async def cancelled_at(world: World, seconds: float) -> None:
    with anyio.move_on_after(seconds) as scope:
        await world.make()
    assert scope.cancelled_caught


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0, 4.999, 5.0, 5.001, 8.0, 9.0, 12.0, 19.9, 20.0, 20.5])
async def test_a_call_cancelled_at_any_time_is_paid_for_once_announced_and_found(at: float) -> None:
    async with World(faults=["submit:slow=5*1"]) as world:
        await cancelled_at(world, at)
        await anyio.sleep(60)
        sent = at > 0
        assert world.movements() == ([("charge", LOW)] if sent else [])
        other = await world.finished(prompt="a hare")
        if sent:
            assert other.notes is not None
            assert "never shown" in other.notes[0]
            [unseen] = [task for task in world.sandbox.tasks if task in other.notes[0]]
            again = await world.finished()
            assert (again.task_id, again.reused, again.credits_charged) == (unseen, True, 0)
            assert not news(again)
            assert len(world.submits()) == 2
        else:
            assert not news(other)


@pytest.mark.parametrize("count", range(40))
async def test_a_call_cancelled_at_any_await_never_pays_twice_and_never_forgets(count: int) -> None:
    """The loop's turns before the first second are as many places to be cancelled at, which no clock tells apart."""
    async with World(seconds=5) as world:
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                await world.make()

            tasks.start_soon(call)
            for _ in range(count):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await anyio.sleep(30)
        charged = world.movements()
        assert charged in ([], [("charge", LOW)])
        listed = (await world.journal.newest(world.principal().owner, 10)) if charged else []
        assert [entry.state for entry in listed] == ["finished"] * len(charged)
        made = await world.finished()
        assert made.reused == bool(charged)
        assert world.movements() == [("charge", LOW)]


async def test_a_picture_is_announced_in_every_answer_until_somebody_has_it() -> None:
    async with World(seconds=5) as world:
        await cancelled_at(world, 2)
        await anyio.sleep(30)
        [unseen] = list(world.sandbox.tasks)
        for prompt in ("a hare", "a hound"):
            other = await world.finished(prompt=prompt)
            assert other.notes is not None
            assert f'{unseen} ("a fox")' in other.notes[0]
        assert not news(await world.finished(prompt="somebody else's", caller="bob"))
        looked = await world.task(unseen)
        assert not news(looked)
        assert not news(await world.finished(prompt="a horse"))


async def test_a_list_delivers_what_it_shows() -> None:
    async with World(seconds=5) as world:
        await cancelled_at(world, 2)
        await anyio.sleep(30)
        [listed] = (await world.listed()).tasks
        assert listed.image_urls
        assert not news(await world.finished(prompt="a hare"))


async def test_at_most_three_are_announced_at_once() -> None:
    async with World(seconds=5) as world:
        for number in range(5):
            await world.pending(prompt=f"fox {number}")
        await anyio.sleep(60)
        other = await world.finished(prompt="a hare")
        assert other.notes is not None
        assert ["fox 0" in other.notes[0], "fox 1" in other.notes[1], "fox 2" in other.notes[2]] == [True] * 3
        assert len(news(other)) == 3


async def test_a_picture_that_a_living_call_waits_for_is_not_announced_to_others() -> None:
    async with World(seconds=5) as world, anyio.create_task_group() as tasks:
        results: list[TaskResult] = []

        async def slow_listener(progress: float, message: str) -> None:
            await anyio.sleep(30)

        async def call() -> None:
            results.append(await world.make(progress=slow_listener))

        tasks.start_soon(call)
        await anyio.sleep(20)
        [entry] = await world.journal.undelivered(world.principal().owner)
        assert (entry.state, results) == ("finished", [])
        assert not news(await world.finished(prompt="a hare"))
        await anyio.sleep(60)
        [result] = results
        assert (result.outcome, news(result)) == ("finished", [])


async def test_a_picture_that_could_not_be_looked_at_is_still_announced() -> None:
    async with World(seconds=5, faults=["file:refuse=500"]) as world:
        task_id = await world.pending()
        await anyio.sleep(30)
        with pytest.raises(UnavailableError):
            await world.tasks().view(task_id, 768)
        other = await world.finished(prompt="a hare")
        assert other.notes is not None
        assert task_id in other.notes[0]


@pytest.mark.parametrize("stopped_from_outside", [False, True])
async def test_stopping_lets_a_submit_under_way_get_its_answer(stopped_from_outside: bool) -> None:
    with anyio.move_on_after(1 if stopped_from_outside else 100):
        async with World(faults=["submit:slow=9"]) as world:
            await cancelled_at(world, 1)
    assert anyio.current_time() == 9
    async with World(journal=world.journal, sandbox=world.sandbox) as next_process:
        found = await next_process.finished()
        assert (found.reused, found.credits_charged) == (True, 0)
        assert world.movements() == [("charge", LOW)]


async def test_stopping_gives_up_on_a_hanging_submit_after_ten_seconds() -> None:
    errors: list[VidgoError] = []

    async def call() -> None:
        with pytest.raises(OutcomeUnknownError) as caught:
            await world.make()
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks, World(faults=["submit:hang"]) as world:
        tasks.start_soon(call)
        await anyio.sleep(1)
    assert anyio.current_time() == 11
    async with World(journal=world.journal, sandbox=world.sandbox) as next_process:
        [listed] = (await next_process.listed()).tasks
        assert listed.outcome == "unknown"
        with pytest.raises(OutcomeUnknownError) as caught:
            await next_process.make()
        assert [error.money for error in (*errors, caught.value)] == ["unknown"] * 2
        assert "stopped before Vidgo answered" in caught.value.message
        assert next_process.submits() == []
        assert world.movements() == [("charge", LOW)]


async def test_stopping_while_a_call_waits_for_its_reference_sends_nothing() -> None:
    async with anyio.create_task_group() as tasks, World(faults=["task:stuck"]) as world:
        task_id = await world.pending()

        async def call() -> None:
            with pytest.raises(UnavailableError) as caught:
                await world.make(image_urls=[f"task:{task_id}"])
            assert (caught.value.money, caught.value.remedy) == ("nothing_spent", "wait_for_reference")

        tasks.start_soon(call)
        await anyio.sleep(5)
    assert world.movements() == [("charge", LOW)]
    async with World(journal=world.journal, sandbox=world.sandbox) as next_process:
        assert [task.task_id for task in (await next_process.listed()).tasks] == [task_id]


async def test_stopping_does_not_say_that_a_picture_goes_on_which_nobody_has_accepted() -> None:
    results: list[TaskResult] = []
    async with anyio.create_task_group() as tasks, World(faults=["submit:slow=60"]) as other:
        tasks.start_soon(other.make)
        await anyio.sleep(1)
        async with World(journal=other.journal, sandbox=other.sandbox, process="another") as world:

            async def call() -> None:
                results.append(await world.make())

            tasks.start_soon(call)
            await anyio.sleep(1)
            world.service.begin_end()
            await anyio.sleep(1)
        [result] = results
        assert (result.outcome, result.task_id) == ("pending", None)
        assert any("being stopped" in note for note in result.notes or ())
        assert not any("at Vidgo" in note for note in result.notes or ())
        tasks.cancel_scope.cancel()


async def test_an_error_inside_the_service_stays_itself() -> None:
    with pytest.raises(LookupError):
        async with World():
            raise LookupError("of the caller")
