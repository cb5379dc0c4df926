"""The balance is compared with what was paid for: what it says of lost answers and of prices, and when it is read."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import anyio
import pytest

from tests.conftest import DAY, World
from vidgo_mcp.errors import BudgetError, InvalidRequestError, OutcomeUnknownError
from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.models.requests import EstimateArguments
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PUBLISHED, PriceTable
from vidgo_mcp.service import Budget, Limits
from vidgo_mcp.wording import for_model
from vidgo_mcp.wording.balance import balance_sentence

pytestmark = pytest.mark.anyio

MINUTE = 61.0


def balance_reads(world: World) -> list[float]:
    return [seen.at for seen in world.wire.seen if seen.path == "/api/user/balance"]


async def opened(world: World) -> None:
    """Open the client, as a server does before its first paid call, and let the first reading end."""
    world.service.warm_up(world.principal())
    await anyio.sleep(MINUTE)


async def lost(world: World, **arguments: Any) -> OutcomeUnknownError:
    with pytest.raises(OutcomeUnknownError) as caught:
        await world.make(**arguments)
    return caught.value


async def said(world: World, **arguments: Any) -> str:
    """Return what the repeated call says, and check that the list says the same."""
    error = await lost(world, **arguments)
    text = balance_sentence(error.facts.finding, error.facts.price, "model")
    assert text in for_model.error_text(error)
    assert text in for_model.error_result(error).message
    listed = for_model.list_answer(await world.listed())
    assert text in for_model.list_text(listed)
    assert any(text in (task.notes or ()) for task in listed.tasks)
    return text


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        ("lose_answer", "The balance fell by 3, the price of this picture: it was very probably paid."),
        ("html", "The balance fell by 3, the price of this picture: it was very probably paid."),
        ("drop_before", "The balance did not move in 61 s: it was probably not paid."),
        ("refuse=503", "The balance did not move in 61 s: it was probably not paid."),
    ],
)
async def test_a_lost_answer_is_told_apart_by_the_balance(fault: str, finding: str) -> None:
    async with World(faults=[f"submit:{fault}*1"]) as world:
        await opened(world)
        first = await lost(world, quality="medium")
        assert first.facts.finding == BalanceFinding("pending", 1000.0, first.facts.finding.before_at)  # type: ignore[union-attr]
        text = for_model.error_text(first)
        assert "The balance was 1000 (20" in text
        assert "then get_task without task_id says" in text
        await anyio.sleep(MINUTE + 2)
        assert await said(world, quality="medium") == finding
        # Said, never acted on.
        assert len(world.submits()) == 1
        assert await world.spent() == 3


async def test_a_lost_answer_that_was_settled_needs_no_conjecture() -> None:
    async with World(faults=["submit:lose_answer*1"]) as world:
        await opened(world)
        await lost(world)
        await anyio.sleep(MINUTE + 2)
        assert "very probably paid" in await said(world)
        [entry] = await world.journal.newest(world.principal().owner, 1)
        [task_id] = world.sandbox.tasks
        await world.journal.resolve(entry.id, task=Task(task_id, "running"))
        assert "very probably" not in for_model.list_text(for_model.list_answer(await world.listed()))


async def test_a_finding_is_kept_for_the_next_process() -> None:
    async with World(faults=["submit:lose_answer*1"]) as world:
        await opened(world)
        await lost(world)
        await anyio.sleep(MINUTE + 2)
        async with World(sandbox=world.sandbox, journal=world.journal) as later:
            assert "very probably paid" in await said(later)
            assert later.opened == 0


async def test_a_lost_answer_of_the_very_first_call_is_told_where_the_balance_fell() -> None:
    async with World(faults=["submit:lose_answer*1"]) as world:
        await lost(world)
        await anyio.sleep(2 * MINUTE)
        assert await said(world) == "The balance fell by 2, the price of this picture: it was very probably paid."


async def test_other_pictures_of_the_interval_are_taken_into_account() -> None:
    async with World(faults=["submit:lose_answer*1"]) as world:
        await opened(world)
        await lost(world)
        await world.finished(prompt="a hare", quality="medium")
        await anyio.sleep(2 * MINUTE)
        assert await said(world) == (
            "The balance fell by 2, the price of this picture (5 with other pictures from here): it was very probably "
            "paid."
        )


async def test_what_cannot_be_told_is_said_with_what_is_known() -> None:
    async with World(faults=["submit:lose_answer*1", "submit:drop_before*1"]) as world:
        await opened(world)
        await lost(world, prompt="one of two")
        await lost(world, prompt="two of two")
        await anyio.sleep(2 * MINUTE)
        text = await said(world, prompt="one of two")
        assert text.startswith("Whether it was paid cannot be told. The balance went from 1000 (")
        assert "to 998 (" in text
        assert text.endswith("; its price is 2.")


async def test_a_balance_that_cannot_be_read_hinders_nothing_and_is_read_later() -> None:
    async with World(faults=["balance:refuse=500*2", "submit:lose_answer*1"]) as world:
        await opened(world)
        await lost(world)
        await anyio.sleep(3 * MINUTE)
        assert "no balance is known from before it; it was 998" in await said(world)
        assert max(balance_reads(world)) > MINUTE


async def test_a_balance_that_can_never_be_read_is_not_promised_for_ever() -> None:
    async with World(faults=["balance:refuse=500", "submit:lose_answer*1"]) as world:
        await opened(world)
        assert "The balance is compared about a minute after" in for_model.error_text(await lost(world))
        await anyio.sleep(DAY / 2)
        assert "cannot be told yet: the balance was not compared since; it cannot be read" in await said(world)
        # Ever more rarely.
        assert len(balance_reads(world)) < 30


@pytest.mark.parametrize("fault", ["hang_before", "slow=3600"])
async def test_a_reading_that_does_not_end_holds_neither_a_call_nor_the_end_of_the_process(fault: str) -> None:
    async with World(faults=[f"balance:{fault}"], seconds=5) as world:
        made = await world.finished()
        assert (made.credits_charged, world.submits()) == (2, [0.0])
        stopped = anyio.current_time()
    assert anyio.current_time() == stopped < 10


async def test_the_balance_is_read_when_all_is_quiet_and_at_most_once_a_minute() -> None:
    async with World(seconds=5) as world:
        await opened(world)
        for number in range(30):
            await world.finished(prompt=f"{number}")
            await anyio.sleep(4)
        await anyio.sleep(10 * MINUTE)
        reads = balance_reads(world)
        assert all(later - earlier >= 60 for earlier, later in pairwise(reads))
        ends = max(seen.at for seen in world.wire.seen if seen.path != "/api/user/balance")
        assert 2 < len(reads) < 8
        # Then nothing is left to compare.
        assert max(reads) <= ends + 2 * MINUTE


async def test_processes_that_share_a_journal_share_its_readings() -> None:
    async with World() as first, World(sandbox=first.sandbox, journal=first.journal, process="b") as second:
        await opened(first)
        await opened(second)
        await first.finished()
        await second.finished(prompt="a hare")
        await anyio.sleep(5 * MINUTE)
        reads = sorted(balance_reads(first) + balance_reads(second))
        assert all(later - earlier >= 60 for earlier, later in pairwise(reads))


@pytest.mark.parametrize("together", [True, False])
async def test_another_price_is_noticed_within_two_pictures_and_holds(together: bool) -> None:
    limits = Limits(Budget(per_day=12, mode="enforce"))
    async with World(faults=["task:price=low/1K/5"], limits=limits) as world:
        await opened(world)
        for prompt in ("one", "two"):
            made = await world.finished(prompt=prompt)
            assert made.credits_charged == 2
            await anyio.sleep(0 if together else 2 * MINUTE)
        await anyio.sleep(2 * MINUTE)
        assert await world.spent() == 10
        with pytest.raises(BudgetError, match="costs 5 credits; the last 24 hours cost 10 of the user's 12"):
            await world.make(prompt="three")
        with pytest.raises(BudgetError, match="costs 5 credits and max_credits is 2"):
            await world.make(prompt="three", max_credits=2)
        estimate = await world.service.estimate(world.principal(), EstimateArguments())
        said = "Vidgo charged 5 where the table says 2 (low, 1K), so 5 is its price now."
        assert estimate.credits == 5
        assert said in (estimate.notes or ())
        assert "as Vidgo charged lately" in estimate.explanation
        assert (await world.service.spending(world.principal())).notes == [said]
        assert (await world.service.estimate(world.principal(), EstimateArguments(quality="medium"))).credits == 3


async def test_another_price_is_noticed_in_two_pictures_when_the_first_call_opens_the_client() -> None:
    async with World(faults=["task:price=5"]) as world:
        for prompt in ("one", "two"):
            await world.finished(prompt=prompt)
            await anyio.sleep(2 * MINUTE)
        assert (await world.finished(prompt="three")).credits_charged == 5


async def test_one_odd_picture_is_not_a_price() -> None:
    async with World(faults=["task:price=5*1"]) as world:
        await opened(world)
        for number in range(4):
            assert (await world.finished(prompt=f"{number}")).credits == 2
            await anyio.sleep(2 * MINUTE)
        assert await world.spent() == 8


async def test_a_price_that_goes_back_is_believed_as_well() -> None:
    async with World(faults=["task:price=5*2"]) as world:
        await opened(world)
        prices = []
        for number in range(5):
            prices.append((await world.finished(prompt=f"{number}")).credits)
            await anyio.sleep(2 * MINUTE)
        assert prices == [2, 2, 5, 5, 2]
        assert await world.spent() == 5 + 5 + 2 + 2 + 2


@pytest.mark.parametrize("failed", ["task:failed*1", "submit:refuse=400*1"])
async def test_what_failed_or_was_refused_between_does_not_hide_a_price(failed: str) -> None:
    async with World(faults=["task:price=5", failed]) as world:
        await opened(world)
        for prompt in ("one", "two", "three"):
            with suppress(InvalidRequestError):
                await world.make(prompt=prompt)
        await anyio.sleep(3 * MINUTE)
        assert (await world.service.estimate(world.principal(), EstimateArguments())).credits == 5


async def test_another_table_ends_a_finding() -> None:
    async with World(faults=["task:price=5"]) as world:
        await opened(world)
        for prompt in ("one", "two"):
            await world.finished(prompt=prompt)
        await anyio.sleep(2 * MINUTE)
        account, journal = world.account or "", world.journal
        assert [one.charged for one in await journal.observed_prices(account, PUBLISHED)] == [5]
        assert await journal.observed_prices(account, PriceTable(PUBLISHED.credits, "operator")) == []


async def test_a_price_is_held_against_the_table_of_each_process_that_shares_the_journal() -> None:
    """The one whose table is right reads the balance each time."""
    right = PriceTable({**PUBLISHED.credits, "low": {**PUBLISHED.credits["low"], "1K": 5}}, "operator")
    async with World(faults=["task:price=low/1K/5"], prices=right) as first:
        await opened(first)
        async with World(sandbox=first.sandbox, journal=first.journal, process="b") as second:
            assert (await second.finished(prompt="one")).credits_charged == 2
            await first.finished(prompt="two")
            await anyio.sleep(2 * MINUTE)
            assert balance_reads(second) == []
            assert (await second.finished(prompt="three")).credits_charged == 5
            assert (await first.finished(prompt="four")).credits_charged == 5
            assert await first.spent() == 4 * 5


async def test_a_key_that_others_use_is_recognised_and_nothing_is_claimed_for_a_day() -> None:
    async with World(faults=["submit:drop_before*1"]) as world:
        await opened(world)
        world.sandbox.spend_elsewhere(7)
        async with World(sandbox=world.sandbox, journal=world.journal, process="b") as later:
            await opened(later)
            await lost(later)
            world.sandbox.spend_elsewhere(2)
            await anyio.sleep(2 * MINUTE)
            assert (await said(later)).startswith("Whether it was paid cannot be told: others use this key too.")
            await anyio.sleep(DAY)
            world.sandbox.add_fault("submit:lose_answer*1")
            await lost(later, prompt="a day later")
            await anyio.sleep(2 * MINUTE)
            assert "very probably paid" in await said(later, prompt="a day later")


async def test_a_top_up_silences_only_the_interval_in_which_it_came() -> None:
    async with World(faults=["submit:lose_answer*2"]) as world:
        await opened(world)
        await lost(world, prompt="before")
        world.sandbox.spend_elsewhere(-500)
        await anyio.sleep(2 * MINUTE)
        assert "cannot be told. The balance went from 1000" in await said(world, prompt="before")
        await lost(world, prompt="after")
        await anyio.sleep(2 * MINUTE)
        assert "very probably paid" in await said(world, prompt="after")
