"""How long a call waits, when the status is read, and what is told meanwhile."""

from __future__ import annotations

import itertools
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import anyio
import httpx
import pytest

from tests.conftest import Telling, World
from vidgo_mcp.errors import AuthenticationError, VidgoError
from vidgo_mcp.models.results import TaskResult

pytestmark = pytest.mark.anyio

LOW = 2


def gaps(times: list[float]) -> list[float]:
    return [round(later - earlier, 6) for earlier, later in itertools.pairwise(times)]


async def timed(world: World, **arguments: Any) -> tuple[TaskResult, float]:
    started = anyio.current_time()
    result = await world.make(**arguments)
    return result, anyio.current_time() - started


@pytest.mark.parametrize("wait", [5, 40, 600])
async def test_wait_seconds_runs_from_the_start_of_the_call_and_its_end_is_no_error(wait: int) -> None:
    async with World(faults=["task:stuck", "submit:slow=3"]) as world:
        result, seconds = await timed(world, wait_seconds=wait)
        assert (result.outcome, seconds, result.remedy) == ("pending", wait, "wait_for_task")
        assert result.task_id is not None
        started = anyio.current_time()
        looked = await world.task(result.task_id, wait_seconds=wait)
        assert (looked.outcome, anyio.current_time() - started) == ("pending", wait)
        assert world.movements() == [("charge", LOW)]


async def test_a_call_that_does_not_say_waits_for_forty_seconds() -> None:
    async with World(faults=["task:stuck"]) as world:
        result, seconds = await timed(world, wait_seconds=None)
        assert (result.outcome, seconds) == ("pending", 40)
        assert result.task_id is not None
        await world.task(result.task_id)
        assert anyio.current_time() == 80


@pytest.mark.parametrize("slow", [0, 3, 19])
async def test_a_call_that_does_not_wait_still_holds_out_for_the_task_id(slow: int) -> None:
    async with World(faults=[f"submit:slow={slow}"]) as world:
        result, seconds = await timed(world, wait_seconds=0)
        assert (result.outcome, result.credits_charged, seconds) == ("pending", LOW, slow)
        assert result.task_id is not None


@pytest.mark.parametrize("wait", [0, 15, 30])
async def test_a_submit_that_is_slower_than_the_call_is_found_by_the_repeat(wait: int) -> None:
    async with World(faults=["submit:slow=60"]) as world:
        result, seconds = await timed(world, wait_seconds=wait)
        assert (result.outcome, result.task_id, seconds) == ("pending", None, max(wait, 20))
        assert (result.reused, result.credits_charged, result.remedy) == (False, LOW, "repeat")
        found, _ = await timed(world, wait_seconds=600)
        assert (found.outcome, found.reused, found.credits_charged) == ("finished", True, 0)
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("slow", [0, 1, 3])
async def test_the_first_read_comes_four_seconds_after_the_submit(slow: int) -> None:
    async with World(faults=[f"submit:slow={slow}"]) as world:
        result = await world.make()
        assert result.task_id is not None
        assert world.reads()[0] == 4
        assert min(gaps(world.reads())) >= 2


@pytest.mark.parametrize("fault", ["status:slow=10", "status:refuse=503", "status:rate_limited=5", "status:hang=3"])
async def test_reads_keep_their_distance_whatever_the_answers_are(fault: str) -> None:
    async with World(faults=[fault, "task:stuck"]) as world:
        task_id = await world.pending()
        async with anyio.create_task_group() as tasks:

            async def look() -> None:
                with suppress(VidgoError):
                    await world.task(task_id, wait_seconds=0)

            for _ in range(30):
                tasks.start_soon(look)
                await anyio.sleep(1)
        assert min(gaps(world.reads())) >= (5 if "limited=5" in fault else 2)


async def test_a_look_reads_at_once_unless_the_last_read_is_younger_than_two_seconds() -> None:
    async with World(faults=["task:stuck"]) as world:
        task_id = await world.pending()
        await anyio.sleep(300)
        await world.task(task_id, wait_seconds=0)
        last = world.reads()[-1]
        assert anyio.current_time() - last <= 2
        await anyio.sleep_until(world.reads()[-1] + 2)
        reads = len(world.reads())
        now = anyio.current_time()
        await world.task(task_id, wait_seconds=0)
        assert world.reads()[reads:] == [now]
        await anyio.sleep(1)
        await world.task(task_id, wait_seconds=0)
        assert len(world.reads()) == reads + 1, "the answer is younger than two seconds"
        assert min(gaps(world.reads())) >= 2


async def test_one_watch_serves_all_who_wait() -> None:
    async with World(faults=["task:stuck"]) as alone:
        await alone.make(wait_seconds=100)
        expected = alone.reads()
    async with World(faults=["task:stuck"]) as world:
        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(lambda: world.make(wait_seconds=100))
            await anyio.sleep(0.5)
            [listed] = (await world.listed()).tasks
            for _ in range(10):
                tasks.start_soon(lambda: world.task(listed.task_id or "", wait_seconds=99))
        assert [at - started for at in world.reads()] == pytest.approx(expected)


async def test_all_watches_of_a_key_share_one_rate() -> None:
    async with World(seconds=30) as world:
        for number in range(10):
            await world.pending(prompt=f"fox {number}")
        await anyio.sleep(100)
        assert min(gaps(world.reads())) >= 0.05
        assert all(task.outcome == "finished" for task in (await world.listed()).tasks)


async def test_vidgo_asking_one_watch_to_slow_down_holds_all_of_them() -> None:
    async with World(faults=["status:rate_limited=30*1"], seconds=5) as world:
        for number in range(3):
            await world.pending(prompt=f"fox {number}")
        await anyio.sleep(60)
        assert world.reads()[0] == 4
        assert all(at >= 34 for at in world.reads()[1:])


async def test_a_finish_without_files_is_read_again_until_the_files_come() -> None:
    async with World(faults=["task:late_files=4"]) as world:
        made = await world.finished()
        assert made.credits_charged == LOW
        assert sum(at >= 20 for at in world.reads()) == 5


async def test_a_finish_without_files_yet_says_so() -> None:
    async with World(faults=["task:no_files"]) as world:
        made = await world.make(wait_seconds=40)
        assert (made.outcome, made.status) == ("pending", "finished")
        assert made.notes
        assert "no picture yet" in made.notes[0]


@pytest.mark.parametrize("fault", ["no_progress", "null_progress", "extra_fields", "strange_status"])
async def test_what_vidgo_leaves_out_or_adds_is_tolerated(fault: str) -> None:
    async with World(faults=[f"task:{fault}"]) as world:
        made = await world.finished()
        assert made.progress == 100


@pytest.mark.parametrize(
    "faults",
    [
        (),
        ("task:no_progress",),
        ("task:null_progress",),
        ("submit:slow=7",),
        ("status:slow=9",),
        ("status:refuse=500",),
    ],
    ids=str,
)
async def test_progress_is_told_at_once_then_every_five_seconds_and_always_rises(faults: tuple[str, ...]) -> None:
    async with World(faults=faults, seconds=120) as world:
        telling = Telling()
        await world.make(progress=telling, wait_seconds=100)
        assert telling.at[0] == (4 if "submit:slow=7" in faults else 0)
        assert max(gaps([*telling.at, 100.0])) <= 5
        assert min(gaps(telling.values)) > 0
        assert telling.values[0] > 0
        assert telling.values[-1] < 100
        task_id = (await world.listed()).tasks[0].task_id
        sent = [message for message in telling.messages if message != "waiting for Vidgo's answer to the submit"]
        assert all(str(task_id) in message for message in sent)


@pytest.mark.parametrize("faults", [("task:stuck",), ("task:stuck", "task:no_progress")], ids=str)
async def test_progress_still_rises_at_the_end_of_ten_minutes_with_many_waiting(faults: tuple[str, ...]) -> None:
    async with World(faults=faults) as world:
        tellings = [Telling() for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for telling in tellings:
                tasks.start_soon(partial(world.make, progress=telling, wait_seconds=600))
            for _ in range(100):
                await anyio.sleep(5)
                [listed] = (await world.listed()).tasks
                await world.task(listed.task_id or "", wait_seconds=0)
        for telling in tellings:
            assert min(gaps(telling.values)) >= 0
            assert len(set(telling.values)) == len(telling.values)
            assert telling.values[-1] < 100


async def test_a_late_look_tells_its_progress_even_while_the_read_is_slow() -> None:
    async with World(faults=["task:stuck"]) as world:
        task_id = await world.pending()
        await anyio.sleep(300)
        world.sandbox.add_fault("status:slow=15")
        telling = Telling()
        started = anyio.current_time()
        await world.task(task_id, wait_seconds=40, progress=telling)
        assert max(gaps([*telling.at, started + 40])) <= 5


async def test_a_read_that_hangs_does_not_hold_a_call_beyond_its_time() -> None:
    async with World(faults=["task:stuck", "submit:slow=35"]) as world:
        world.sandbox.add_fault("status:hang")
        result, seconds = await timed(world, wait_seconds=40)
        assert (result.outcome, seconds) == ("pending", 40)


async def test_the_client_is_opened_soon_after_the_first_answer_and_only_once() -> None:
    async with World() as world:
        world.service.warm_up(world.principal())
        assert world.opened == 0
        await anyio.sleep(1)
        world.service.warm_up(world.principal())
        await world.pending()
        assert world.opened == 1


async def test_a_client_that_cannot_be_opened_early_is_reported_by_the_call_that_needs_it() -> None:
    async with World() as world:

        def refuse(key: str) -> NoReturn:
            raise AuthenticationError("the key is gone")

        world.connect = refuse  # type: ignore[method-assign]
        world.service.warm_up(world.principal())
        await anyio.sleep(1)
        with pytest.raises(AuthenticationError):
            await world.make()
        assert world.submits() == []
        assert (await world.listed()).tasks == []


async def test_a_transport_that_stumbles_on_one_read_does_not_end_the_watch() -> None:
    async with World() as world:
        missed: list[float] = []

        async def stumble(request: httpx.Request) -> None:
            if "status" in request.url.path and not missed:
                missed.append(anyio.current_time())
                raise httpx.ReadError("dropped", request=request)

        world.wire.before = stumble
        assert (await world.finished()).credits_charged == LOW
        assert missed == [4]
