"""What the journal adds up: the day's budget, what was spent, and how long pictures took."""

from __future__ import annotations

import pytest

from tests.journal.conftest import (
    EMPTY,
    FAILED,
    FINISHED,
    RUNNING,
    START,
    URL,
    Clock,
    accepted,
    ended,
    in_state,
    intent,
    reserved,
)
from vidgo_mcp.journal import WINDOW, ConsentUsed, Exhausted, Existing, Journal, Reserved, Spending
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio


async def test_enough_for_this_price_frees_when_the_oldest_that_suffice_leave_the_window(
    journal: Journal, clock: Clock
) -> None:
    for fingerprint, price in (("a", 2), ("b", 4), ("c", 4)):
        await ended(journal, FINISHED, intent(fingerprint, credits=price))
        clock.move(100)

    async def frees(price: int) -> float | None:
        met = await journal.reserve(intent("new", credits=price), process="p1", budget=10)
        assert isinstance(met, Exhausted)
        assert met.spent == 10
        return met.frees_at

    assert await frees(1) == await frees(2) == START + WINDOW
    assert await frees(3) == await frees(6) == START + 100 + WINDOW
    assert await frees(7) == await frees(10) == START + 200 + WINDOW
    assert await frees(11) is None
    clock.move(WINDOW - 300)
    assert isinstance(await journal.reserve(intent("new", credits=2), process="p1", budget=10), Reserved)


@pytest.mark.parametrize("state", ["reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"])
@pytest.mark.parametrize("age", [0, WINDOW - 0.5, WINDOW])
async def test_a_budget_is_exhausted_exactly_when_it_reserves_nothing(
    state: str, age: float, journal: Journal, clock: Clock
) -> None:
    await in_state(journal, state, intent("a", credits=4))
    await in_state(journal, "finished", intent("b", owner="you", credits=4))
    clock.move(age)
    for budget in range(8):
        said = await journal.exhausted("me", 3, budget)
        met = await journal.reserve(intent("new", credits=3), process="p1", budget=budget)
        if isinstance(met, Reserved):
            assert said is None
            await journal.release(met.entry.id)
        else:
            assert said == met


async def test_what_is_not_sent_yet_frees_a_window_from_now_at_the_latest(journal: Journal, clock: Clock) -> None:
    await reserved(journal)
    clock.move(50)
    assert await journal.reserve(intent("b"), process="p1", budget=2) == Exhausted(2, START + 50 + WINDOW)


async def test_spending_is_by_quality_and_tier_in_the_order_of_the_price_table(journal: Journal, clock: Clock) -> None:
    for number, (quality, tier, price) in enumerate(
        [("high", "1K", 16), ("low", "4K", 6), ("low", "1K", 2), ("low", "1K", 2), ("medium", "2K", 9)]
    ):
        await ended(journal, FINISHED, intent(f"f{number}", quality=quality, tier=tier, credits=price))
    await ended(journal, FAILED, intent("failed", quality="medium"))
    assert list(await journal.spending("me", START - 1)) == [
        Spending("low", "1K", 2, 4),
        Spending("low", "4K", 1, 6),
        Spending("medium", "2K", 1, 9),
        Spending("high", "1K", 1, 16),
    ]
    assert list(await journal.spending("you", 0)) == []


async def test_spending_starts_after_the_given_moment_and_agrees_with_the_budget(
    journal: Journal, clock: Clock
) -> None:
    for state in ("unknown", "accepted", "finished", "empty", "failed"):
        await in_state(journal, state, intent(state))
        clock.move(WINDOW / 3)
    await reserved(journal, intent("reserved"))
    for since, total in ((0, 10), (START, 8), (START + WINDOW / 3, 6), (START + WINDOW, 2)):
        assert sum(one.credits for one in await journal.spending("me", since)) == total
    (last_day,) = await journal.spending("me", clock() - WINDOW)
    assert last_day == Spending("low", "1K", 2, 4)
    assert await journal.spent("me") == 4


async def test_how_long_the_newest_pictures_took_is_known_for_each_quality_and_tier(
    journal: Journal, clock: Clock
) -> None:
    for number, seconds in enumerate([20, 30, 0, 25]):
        given = intent(f"f{number}", owner=f"owner {number}")
        entry = await accepted(journal, given)
        clock.move(seconds)
        await journal.record(entry.id, FINISHED)
    await ended(journal, FAILED, intent("failed"))
    await ended(journal, EMPTY, intent("empty"), empty=True)
    await ended(journal, FINISHED, intent("other", quality="high"))
    assert list(await journal.durations("low", "1K", 10)) == [25, 0, 30, 20]
    assert list(await journal.durations("low", "1K", 2)) == [25, 0]
    assert list(await journal.durations("low", "2K", 10)) == []


async def test_a_time_of_day_that_is_set_changes_neither_times_nor_order(journal: Journal, clock: Clock) -> None:
    first = await accepted(journal, intent("a"))
    clock.set(-3600)
    first = await journal.record(first.id, FINISHED)
    second = await ended(journal, Task("task-2", "finished", 100, (URL,)), intent("b"))
    assert (first.created_at, first.sent_at, first.ended_at) == (START, START, START)
    assert second.created_at == second.sent_at == START
    assert list(await journal.newest("me", 5)) == [second, first]
    assert list(await journal.undelivered("me")) == [first, second]


async def test_what_is_paid_for_and_has_no_end_yet_is_listed_for_all_owners(journal: Journal, clock: Clock) -> None:
    old = await accepted(journal, intent("a", owner="you"))
    clock.move(10)
    for state in ("reserved", "sent", "unknown", "finished", "empty", "failed"):
        await in_state(journal, state, intent(state))
    young = await accepted(journal, intent("b"))
    assert list(await journal.unfinished()) == [old, young]
    clock.move(WINDOW - 10)
    assert list(await journal.unfinished()) == [young]


async def test_an_answer_of_the_person_lets_one_intent_through(journal: Journal, clock: Clock) -> None:
    assert isinstance(await journal.reserve(intent("a"), process="p1", consent="yes-1"), Reserved)
    clock.move(5)
    assert await journal.reserve(intent("b"), process="p2", consent="yes-1") == ConsentUsed(START)
    assert isinstance(await journal.reserve(intent("b"), process="p2", consent="yes-2"), Reserved)
    assert isinstance(await journal.reserve(intent("c"), process="p2"), Reserved)
    assert isinstance(await journal.reserve(intent("a", owner="you"), process="p1", consent="yes-1"), Reserved)


@pytest.mark.parametrize("end", ["released", "failed", "not charged"])
async def test_an_answer_is_used_up_even_when_nothing_was_spent_in_the_end(
    end: str, journal: Journal, clock: Clock
) -> None:
    met = await journal.reserve(intent(), process="p1", consent="yes")
    assert isinstance(met, Reserved)
    if end == "released":
        await journal.release(met.entry.id)
    else:
        await journal.mark_sent(met.entry.id)
    if end == "failed":
        await journal.bind(met.entry.id, RUNNING)
        await journal.record(met.entry.id, FAILED)
    if end == "not charged":
        await journal.mark_unknown(met.entry.id, "lost")
        await journal.resolve(met.entry.id, task=None)
    clock.move(WINDOW - 1)
    await journal.expire()
    assert await journal.reserve(intent(), process="p1", consent="yes") == ConsentUsed(START)
    clock.move(1)
    assert isinstance(await journal.reserve(intent(), process="p1", consent="yes"), Reserved)


async def test_an_answer_is_not_used_up_by_a_reuse_or_a_refusal(journal: Journal) -> None:
    first = await reserved(journal)
    assert await journal.reserve(intent(), process="p1", consent="yes") == Existing(first)
    assert isinstance(await journal.reserve(intent("b"), process="p1", consent="yes", budget=3), Exhausted)
    assert isinstance(await journal.reserve(intent("b"), process="p1", consent="yes"), Reserved)
    assert await journal.reserve(intent(), process="p1", consent="yes") == Existing(first)
