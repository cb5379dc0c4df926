"""Budgets hold to the credit, say when they free up, and never stand between a caller and what is already paid for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from tests.conftest import DAY, NOON, VirtualJournal, World, news
from vidgo_mcp.errors import BudgetError, VidgoError
from vidgo_mcp.journal import Exhausted, Intent, Reserved
from vidgo_mcp.models.requests import EstimateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import Budget, Limits

pytestmark = pytest.mark.anyio

LOW, HIGH = 2, 12


def limits(*, call: int | None = None, day: int | None = None, warn: bool = False) -> Limits:
    return Limits(Budget(per_call=call, per_day=day, mode="warn" if warn else "enforce"))


async def refusal(world: World, **arguments: Any) -> BudgetError:
    """Return why a call was refused, after a look that nothing left for it."""
    seen = list(world.wire.seen)
    with pytest.raises(BudgetError) as caught:
        await world.make(**arguments)
    assert (caught.value.category, caught.value.money, caught.value.retryable) == ("budget", "nothing_spent", False)
    assert world.wire.seen == seen
    assert caught.value.remedy in {"raise_call_budget", "raise_day_budget"}
    return caught.value


async def left(world: World, caller: str = "") -> int | None:
    return (await world.service.estimate(world.principal(caller), EstimateArguments())).budget_left


def clock(seconds: float) -> str:
    return (datetime.fromtimestamp(NOON, UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("warm", [False, True])
async def test_twelve_calls_at_once_spend_exactly_the_budget(warm: bool) -> None:
    async with World(limits=limits(day=10)) as world:
        if warm:
            # The client is open, so that all calls come to the gates in the same turn of the loop.
            await world.service.balance(world.principal())
        made: list[TaskResult] = []
        refused: list[VidgoError] = []

        async def call(number: int) -> None:
            try:
                made.append(await world.make(prompt=f"fox {number}"))
            except VidgoError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(call, number)
        assert world.movements() == [("charge", LOW)] * 5
        assert [result.outcome for result in made] == ["finished"] * 5
        assert {(error.category, error.money) for error in refused} == {("budget", "nothing_spent")}
        assert len(refused) == 7
        assert len(world.submits()) == 5
        assert await left(world) == 0


async def test_a_price_above_the_limit_per_call_is_refused_and_one_at_the_limit_is_not() -> None:
    async with World(limits=limits(call=HIGH - 1)) as world:
        error = await refusal(world, quality="high")
        assert f"costs {HIGH} credits and the user's limit per call is {HIGH - 1}" in error.message
        assert (error.remedy, error.facts.price, error.facts.limit) == ("raise_call_budget", HIGH, HIGH - 1)
        assert world.opened == 0
    async with World(limits=limits(call=HIGH)) as world:
        assert (await world.finished(quality="high")).credits_charged == HIGH


async def test_limits_that_only_warn_are_mentioned_and_do_not_bind() -> None:
    async with World(limits=limits(call=1, day=3, warn=True)) as world:
        first = await world.finished()
        assert first.notes == [
            "This picture costs 2 credits, more than the 1 that the user wants per call.",
            "Spent in 24 h: 2 of the user's 3 credits.",
        ]
        second = await world.finished(prompt="a hare")
        assert second.notes is not None
        assert second.notes[-1] == "Spent in 24 h: 4 of the user's 3 credits, more than the user wants."
        assert (await world.finished()).notes is None
        assert await left(world) == 0
        assert world.movements() == [("charge", LOW)] * 2


async def test_numbers_without_force_neither_bind_nor_speak() -> None:
    async with World(limits=Limits(Budget(per_call=1, per_day=1, mode="off"))) as world:
        assert (await world.finished()).notes == ["Spent in 24 h: 2 credits."]
        assert await left(world) is None


async def test_a_failed_task_gives_its_room_back() -> None:
    async with World(limits=limits(day=3), faults=["task:failed*1"]) as world:
        failed = await world.make()
        assert (failed.outcome, failed.credits_charged, failed.refunded) == ("failed", 0, True)
        assert failed.notes == ["Spent in 24 h: 0 of the user's 3 credits."]
        assert (await world.finished()).credits_charged == LOW
        await refusal(world, prompt="a hare")
        assert world.movements() == [("charge", LOW), ("refund", LOW), ("charge", LOW)]


@pytest.mark.parametrize("fault", ["refuse", "rate_limited=601"])
async def test_a_refused_submit_gives_its_room_back(fault: str) -> None:
    async with World(limits=limits(day=2), faults=[f"submit:{fault}*1"]) as world:
        with pytest.raises(VidgoError):
            await world.make()
        assert await left(world) == 2
        assert (await world.finished(prompt="a hare")).credits_charged == LOW


async def test_a_lost_answer_counts_for_its_day() -> None:
    async with World(limits=limits(day=2), faults=["submit:lose_answer*1"]) as world:
        with pytest.raises(VidgoError):
            await world.make()
        assert await left(world) == 0
        await refusal(world, prompt="a hare")
        await anyio.sleep(DAY)
        assert (await world.finished(prompt="a hare")).credits_charged == LOW


async def test_the_refusal_names_the_second_at_which_enough_for_this_picture_is_free() -> None:
    async with World(limits=limits(day=14)) as world:
        await world.finished()  # at 0 s
        await anyio.sleep(1000)
        await world.finished(quality="high")
        [_, second] = world.submits()
        full = await refusal(world, prompt="a hare")
        assert "the last 24 hours cost 14 of the user's 14, 0 are left" in full.message
        assert clock(DAY) in full.message
        assert (full.remedy, full.facts.affordable) == ("raise_day_budget", 0)
        big = await refusal(world, prompt="a hare", quality="high")
        assert clock(second + DAY) in big.message
        await anyio.sleep(DAY - anyio.current_time() - 1)
        await refusal(world, prompt="a hare")
        await anyio.sleep(1)
        assert (await world.finished(prompt="a hare")).credits_charged == LOW
        assert (await refusal(world, prompt="a hound")).message.endswith(f"at {clock(second + DAY)}. Nothing was sent.")
        await anyio.sleep(second + DAY - anyio.current_time())
        assert (await world.finished(prompt="a hound", quality="high")).credits_charged == HIGH


async def test_a_price_above_the_whole_budget_never_fits_and_says_so() -> None:
    async with World(limits=limits(day=10)) as world:
        error = await refusal(world, quality="high")
        assert "never fits" in error.message
        assert (error.facts.price, error.facts.limit, error.facts.affordable) == (HIGH, 10, 10)
        await world.finished()
        assert "the last 24 hours cost 2" in (await refusal(world, quality="high")).message


async def test_what_is_paid_for_passes_an_exhausted_budget_and_every_other_gate() -> None:
    async with World(limits=limits(call=2, day=2)) as world:
        made = await world.finished()
        again = await world.finished(max_credits=0)
        assert (again.image_urls, again.reused, again.credits_charged, news(again)) == (made.image_urls, True, 0, [])
        await refusal(world, variation=2)
        assert world.movements() == [("charge", LOW)]


async def test_identical_calls_need_room_for_one_however_close_they_are() -> None:
    class SlowToLook(VirtualJournal):
        async def exhausted(self, owner: str, price: int, budget: int) -> Exhausted | None:
            await anyio.sleep(1)
            return await super().exhausted(owner, price, budget)

    async with World(limits=limits(day=2), journal=SlowToLook()) as world:
        made: list[TaskResult] = []

        async def call() -> None:
            made.append(await world.finished())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
            # It has not found the picture, and looks at the day when the others have reserved it.
            await anyio.sleep(0.5)
            tasks.start_soon(call)
        assert sorted(result.credits_charged or 0 for result in made) == [0, 0, LOW]
        assert world.movements() == [("charge", LOW)]


async def test_estimates_and_receipts_say_what_is_left_of_the_callers_own_budget() -> None:
    async with World(limits=limits(day=5)) as world:
        assert await left(world) == 5
        made = await world.finished()
        assert made.notes == ["Spent in 24 h: 2 of the user's 5 credits."]
        assert (await left(world), await left(world, "bob")) == (3, 5)
        assert (await world.task(made.task_id or "")).notes is None
        await world.finished(prompt="a hare")
        await refusal(world, prompt="a hound")
        assert (await world.finished(prompt="a hound", caller="bob")).credits_charged == LOW
        assert (await left(world), await left(world, "bob")) == (1, 3)
        await anyio.sleep(DAY)
        assert await left(world) == 5


async def test_without_a_limit_each_receipt_still_says_what_the_day_cost() -> None:
    async with World() as world:
        assert (await world.finished()).notes == ["Spent in 24 h: 2 credits."]
        assert (await world.finished(quality="high")).notes == ["Spent in 24 h: 14 credits."]
        assert await left(world) is None


async def test_what_a_dead_process_had_reserved_does_not_hold_the_budget_of_a_living_one() -> None:
    async with World(limits=limits(day=2)) as world:
        await anyio.sleep(10)  # past the look that a service takes when it starts
        owner = world.principal().owner
        lost = Intent(owner, "f", "request key", 1, "gpt-image-2", "a boat", "1:1", "1K", "low", LOW)
        assert isinstance(await world.journal.reserve(lost, process="killed", budget=2), Reserved)
        await refusal(world)
        await anyio.sleep(31)
        assert (await world.finished()).credits_charged == LOW


async def test_a_report_has_what_the_pictures_of_three_periods_cost() -> None:
    async with World(limits=limits(day=20), faults=["task:failed*1"]) as world:
        await world.make(prompt="a failed one")
        await world.finished(quality="high")
        await anyio.sleep(2 * DAY)
        for number in range(2):
            await world.finished(prompt=f"fox {number}")
        await world.finished(size="1:1", resolution="2K")
        report = await world.service.spending(world.principal())
        day, week, month = report.periods
        assert [(line.quality, line.tier, line.pictures, line.credits) for line in day.lines] == [
            ("low", "1K", 2, 4),
            ("low", "2K", 1, 4),
        ]
        assert (day.period, day.pictures, day.credits) == ("24 h", 3, 8)
        assert [(p.period, p.pictures, p.credits) for p in (week, month)] == [("7 d", 4, 20), ("30 d", 4, 20)]
        assert (report.budget_per_day, report.budget_left) == (20, 12)


async def test_a_call_that_may_not_pay_does_not_keep_what_another_one_gave_up() -> None:
    async with World(faults=["submit:rate_limited=8*1"], seconds=5) as world:
        ended: list[VidgoError] = []

        async def first() -> None:
            with anyio.move_on_after(4):
                await world.make()

        async def joining() -> None:
            with pytest.raises(VidgoError) as caught:
                await world.make(max_credits=0)
            ended.append(caught.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await anyio.sleep(2)
            tasks.start_soon(joining)
        [error] = ended
        assert error.money == "nothing_spent"
        assert (world.movements(), await world.spent()) == ([], 0)
