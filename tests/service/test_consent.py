"""Above a price the person is asked: once for each picture, and only a ticked answer lets it through."""

from __future__ import annotations

from typing import Any, get_args

import anyio
import pytest

from tests.conftest import DAY, World
from vidgo_mcp.errors import Consent, DeclinedError, Remedy, VidgoError
from vidgo_mcp.journal import Existing, Intent, Reservation, Reserved
from vidgo_mcp.service import Budget, Limits
from vidgo_mcp.service.limits import Answer, Ask, Question

pytestmark = pytest.mark.anyio

LOW = 2
ASK_ALWAYS = Limits(confirm_above=1)
REMEDIES: dict[Consent, Remedy] = {
    "declined": "respect_refusal",
    "dismissed": "ask_user",
    "no_answer": "ask_user",
    "cannot_ask": "raise_confirm_above",
}


@pytest.mark.parametrize("verdict", get_args(Consent))
async def test_whatever_is_not_an_acceptance_costs_nothing(verdict: Consent) -> None:
    async def ask(question: Question) -> Answer:
        return Answer(verdict)

    async with World(limits=ASK_ALWAYS) as world:
        with pytest.raises(DeclinedError) as caught:
            await (world.make() if verdict == "cannot_ask" else world.make(ask=ask))
        error = caught.value
        assert (error.consent, error.money, error.remedy) == (verdict, "nothing_spent", REMEDIES[verdict])
        assert (error.facts.price, error.facts.limit) == (LOW, 1)
        assert (world.wire.seen, (await world.listed()).tasks, await world.spent()) == ([], [], 0)


async def test_nobody_is_asked_about_a_price_at_the_threshold_or_what_is_paid_for() -> None:
    asked: list[Question] = []

    async def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer("accepted", ticket="ticket")

    limits = Limits(Budget(per_day=20, mode="enforce"), confirm_above=LOW)
    async with World(limits=limits, seconds=5) as world:
        await world.finished(ask=ask)
        assert asked == []
        await world.finished(ask=ask, quality="high", size="1:1")
        [question] = asked
        assert question == Question(12, "a fox", "1:1, 1K, high", spent=LOW, left=18)
        assert (await world.finished(ask=ask, quality="high", size="1:1")).reused
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("left", "day"), [(18, "18 credits are left of the day's budget"), (None, "there is no daily limit")]
)
def test_a_question_has_the_price_the_day_and_one_line_of_the_prompt(left: int | None, day: str) -> None:
    asked = Question(12, "a fox\n\nin " + "snow " * 100, "1:1, 1K, high", 2, left).text()
    price, shown, spent = asked.split("\n")
    assert price == "Spend 12 credits on one picture (1:1, 1K, high)?"
    assert shown.startswith('Prompt: "a fox in snow snow ')
    assert shown.endswith('..." (510 characters)')
    assert spent == f"Price: 12 credits. The last 24 hours cost 2 credits; {day}."


async def test_one_acceptance_lets_one_picture_through() -> None:
    async def ask(question: Question) -> Answer:
        return Answer("accepted", ticket="the same form, sent twice")

    async with World(limits=ASK_ALWAYS, seconds=5) as world:
        await world.finished(ask=ask)
        with pytest.raises(DeclinedError) as caught:
            await world.make(ask=ask, prompt="a hare")
        assert (caught.value.consent, caught.value.money, caught.value.remedy) == (
            "no_answer",
            "nothing_spent",
            "repeat",
        )
        assert world.movements() == [("charge", LOW)]
        await anyio.sleep(DAY)
        assert (await world.finished(ask=ask, prompt="a hare")).credits_charged == LOW


async def test_a_call_asks_once_although_another_call_reserves_in_between_and_gives_up() -> None:
    asked: list[int] = []

    async def slow_yes(question: Question) -> Answer:
        asked.append(question.credits)
        await anyio.sleep(5)
        return Answer("accepted", ticket=f"ticket {len(asked)}")

    async with World(limits=ASK_ALWAYS, seconds=5) as world:
        reserve = world.journal.reserve
        met: list[Reserved] = []

        async def crossed(intent: Intent, **how: Any) -> Reservation:
            # Somebody else's reservation of the same picture, which is released before anything is sent.
            if not met:
                first = await reserve(intent, process="somebody else")
                assert isinstance(first, Reserved)
                met.append(first)
                await world.journal.release(first.entry.id)
                return Existing(first.entry)
            return await reserve(intent, **how)

        world.journal.reserve = crossed  # type: ignore[method-assign]
        made = await world.finished(ask=slow_yes)
        assert (made.credits_charged, asked) == (LOW, [LOW])
        assert world.movements() == [("charge", LOW)]


def agreeing() -> tuple[list[int], Ask]:
    """Return somebody who agrees to every price, and the prices of a fox that they were asked about."""
    asked: list[int] = []

    async def agree(question: Question) -> Answer:
        if question.prompt == "a fox":
            asked.append(question.credits)
        return Answer("accepted", ticket=f"{question.prompt} {question.credits}")

    return asked, agree


async def another_price(world: World, agree: Ask) -> None:
    """Let two pictures show what Vidgo really takes, which puts that price in force."""
    for prompt in ("one", "two"):
        await world.finished(prompt=prompt, ask=agree)
        await anyio.sleep(120)


async def test_a_price_that_changes_while_the_person_thinks_is_asked_about_again() -> None:
    asked, agree = agreeing()

    async def think(question: Question) -> Answer:
        answer = await agree(question)
        if len(asked) == 1:
            await another_price(world, agree)
        return answer

    async with World(faults=["task:price=5"], limits=ASK_ALWAYS) as world:
        made = await world.finished(ask=think)
        assert (asked, made.credits_charged) == ([2, 5], 5)
        assert len(world.submits()) == 3


async def test_a_yes_to_an_old_price_is_not_used_when_the_call_begins_anew_after_somebody_elses_reservation() -> None:
    asked, agree = agreeing()
    async with World(faults=["task:price=5"], limits=ASK_ALWAYS, seconds=5) as world:
        reserve = world.journal.reserve
        met: list[Intent] = []

        async def crossed(intent: Intent, **how: Any) -> Reservation:
            if met:
                return await reserve(intent, **how)
            met.append(intent)
            first = await reserve(intent, process="somebody else")
            assert isinstance(first, Reserved)
            await world.journal.release(first.entry.id)
            await another_price(world, agree)
            return Existing(first.entry)

        world.journal.reserve = crossed  # type: ignore[method-assign]
        made = await world.finished(ask=agree)
        assert (asked, made.credits_charged) == ([2, 5], 5)


async def test_a_price_that_changes_while_the_journal_keeps_a_reservation_waiting_is_asked_about_again() -> None:
    asked, agree = agreeing()
    async with World(faults=["task:price=5"], limits=ASK_ALWAYS, seconds=5) as world:
        reserve = world.journal.reserve

        async def held_up(intent: Intent, **how: Any) -> Reservation:
            world.journal.reserve = reserve  # type: ignore[method-assign]
            await another_price(world, agree)
            return await reserve(intent, **how)

        world.journal.reserve = held_up  # type: ignore[method-assign]
        with pytest.raises(VidgoError, match="Another price") as caught:
            await world.make(ask=agree, max_credits=4)
        assert (caught.value.money, caught.value.remedy) == ("nothing_spent", "repeat")
        assert (len(world.submits()), await world.spent()) == (2, 10)
        assert (await world.finished(ask=agree)).credits_charged == 5
        assert asked == [2, 5]
