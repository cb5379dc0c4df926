"""What every keeper of the journal must do: the states of an entry, and how entries are found."""

from __future__ import annotations

import dataclasses
from typing import Any

import anyio
import pytest
import trio.testing

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
    sent,
)
from vidgo_mcp.journal import WINDOW, Entry, Existing, Journal, MemoryJournal, Reserved, Standing, standing
from vidgo_mcp.journal.entries import counts
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio


async def test_a_new_intent_is_reserved_with_all_that_is_known(keeper: Journal) -> None:
    given = intent(
        model="gpt-image-2-edit", prompt="é 🚢\r\n\x01", tier="4K", quality="high", references=("a", "b"), variation=7
    )
    found = await keeper.reserve(given, holder="p1")
    assert isinstance(found, Reserved)
    assert found.entry == Entry(id=found.entry.id, intent=given, state="reserved", holder="p1", created_at=START)
    assert found.entry.dies_at is None
    assert await keeper.entry(found.entry.id) == found.entry
    assert await keeper.find("me", "f") == found.entry


async def test_the_same_intent_meets_what_is_recorded(keeper: Journal) -> None:
    first = await reserved(keeper)
    assert await keeper.reserve(intent(), holder="p2") == Existing(first)
    assert await keeper.reserve(intent(), holder="p2", budget=0) == Existing(first)
    assert await keeper.newest("me", 10) == [first]


async def test_of_a_hundred_identical_reserves_at_once_one_wins(keeper: Journal) -> None:
    results: list[Any] = []

    async def one(number: int) -> None:
        results.append(await keeper.reserve(intent(), holder=f"p{number}", budget=1000))

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
    winners = [found for found in results if isinstance(found, Reserved)]
    assert len(winners) == 1
    assert [found for found in results if found != Existing(winners[0].entry)] == winners
    assert await keeper.spent("me") == 2


async def test_a_submit_goes_from_reserved_over_sent_to_finished(keeper: Journal, clock: Clock) -> None:
    first = await reserved(keeper)
    clock.move(1)
    second = await keeper.mark_sent(first.id)
    assert second == dataclasses.replace(first, state="sent", sent_at=START + 1)
    assert second.dies_at == START + 1 + WINDOW
    clock.move(1)
    third = await keeper.bind(first.id, Task("task-1", "not_started"))
    assert third == dataclasses.replace(second, state="accepted", task_id="task-1", status="not_started")
    clock.move(1)
    fourth = await keeper.record(first.id, RUNNING)
    assert fourth == dataclasses.replace(third, status="running", progress=40)
    clock.move(1)
    fifth = await keeper.record(first.id, FINISHED)
    assert fifth == dataclasses.replace(
        fourth, state="finished", status="finished", progress=100, image_urls=(URL,), ended_at=START + 4
    )
    assert await keeper.entry(first.id) == fifth


async def test_a_refused_post_makes_the_intent_reserved_again(keeper: Journal, clock: Clock) -> None:
    first = await reserved(keeper)
    await keeper.mark_sent(first.id)
    assert await keeper.unmark_sent(first.id) == first
    clock.move(5)
    again = await keeper.mark_sent(first.id)
    assert again.sent_at == START + 5


async def test_a_released_intent_is_forgotten(keeper: Journal) -> None:
    first = await reserved(keeper)
    await keeper.release(first.id)
    await keeper.release(first.id)
    assert await keeper.entry(first.id) is None
    assert await keeper.find("me", "f") is None
    assert await keeper.newest("me", 10) == []
    assert await keeper.spent("me") == 0
    assert (await reserved(keeper)).id != first.id


async def test_a_lost_answer_keeps_its_reason_until_the_task_turns_up(keeper: Journal) -> None:
    first = await in_state(keeper, "unknown")
    assert (first.state, first.error, first.task_id) == ("unknown", "the answer was lost", None)
    found = await keeper.bind(first.id, RUNNING)
    assert (found.state, found.error, found.task_id, found.status) == ("accepted", None, "task-1", "running")
    assert found.sent_at == first.sent_at


async def test_a_failed_task_keeps_the_words_of_the_vendor(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, FAILED)
    assert (entry.state, entry.error, entry.status, entry.progress) == ("failed", "content policy", "failed", 0)
    assert entry.ended_at == START


async def test_a_finish_without_files_is_believed_only_when_it_is_said(keeper: Journal) -> None:
    first = await accepted(keeper)
    waiting = await keeper.record(first.id, EMPTY)
    assert (waiting.state, waiting.status, waiting.ended_at) == ("accepted", "finished", None)
    assert (await keeper.record(first.id, EMPTY, empty=True)).state == "empty"


async def test_files_that_came_late_are_a_finished_picture_even_if_emptiness_was_expected(keeper: Journal) -> None:
    first = await accepted(keeper)
    assert (await keeper.record(first.id, FINISHED, empty=True)).state == "finished"


async def test_an_unknown_word_of_the_vendor_ends_nothing(keeper: Journal) -> None:
    entry = await ended(keeper, Task("task-1", "reviewing"), empty=True)
    assert (entry.state, entry.status, entry.progress) == ("accepted", "reviewing", None)


@pytest.mark.parametrize("state", ["finished", "empty", "failed"])
@pytest.mark.parametrize("later", [RUNNING, FINISHED, EMPTY, FAILED])
async def test_an_end_is_final(state: str, later: Task, keeper: Journal, clock: Clock) -> None:
    entry = await in_state(keeper, state)
    clock.move(60)
    changed = dataclasses.replace(later, file_urls=("https://else.example/b.png",) if later.file_urls else ())
    for empty in (False, True):
        assert await keeper.record(entry.id, changed, empty=empty) == entry
    assert await keeper.entry(entry.id) == entry


TABLE: list[tuple[str, bool, Standing, bool]] = [
    ("reserved", True, "join", True),
    ("reserved", False, "join", True),  # it was not sent, so no window runs
    ("sent", True, "join", True),
    ("unknown", True, "unknown", True),
    ("unknown", False, "again", False),
    ("accepted", True, "join", True),
    ("accepted", False, "again", False),
    ("finished", True, "reuse", True),
    ("finished", False, "again", False),
    ("empty", True, "empty", True),
    ("empty", False, "again", False),
    ("failed", True, "again", False),
    ("failed", False, "again", False),
]


@pytest.mark.parametrize(("state", "young", "stands", "in_budget"), TABLE)
async def test_the_state_table_holds(
    state: str, young: bool, stands: Standing, in_budget: bool, keeper: Journal, clock: Clock
) -> None:
    entry = await in_state(keeper, state)
    clock.move(WINDOW - 0.5 if young else WINDOW)
    assert standing(entry, clock()) == stands
    assert counts(entry, clock()) is in_budget
    assert await keeper.spent("me") == (2 if in_budget else 0)
    found = None if stands == "again" else entry
    assert await keeper.find("me", "f") == found
    assert await keeper.variations("me", "family") == (frozenset({1}) if found else frozenset())
    assert await keeper.newest("me", 5) == [entry]
    assert await keeper.undelivered("me") == await keeper.unsaved("me") == ([entry] if stands == "reuse" else [])
    met = await keeper.reserve(intent(), holder="p2")
    if found is None:
        assert isinstance(met, Reserved)
        assert met.entry.id != entry.id
        assert await keeper.newest("me", 5) == [met.entry, entry]
        assert await keeper.find("me", "f") == met.entry
    else:
        assert met == Existing(entry)


async def test_the_newest_that_stands_is_found(keeper: Journal) -> None:
    failed = await ended(keeper, FAILED)
    second = await accepted(keeper, task=Task("task-2", "running"))
    assert await keeper.find("me", "f") == second
    await keeper.record(second.id, Task("task-2", "failed"))
    assert await keeper.find("me", "f") is None
    assert [entry.id for entry in await keeper.newest("me", 5)] == [second.id, failed.id]


async def test_owners_see_nothing_of_each_other(keeper: Journal) -> None:
    mine = await ended(keeper, FINISHED)
    assert await keeper.find("you", "f") is None
    assert await keeper.by_task("you", "task-1") is None
    assert await keeper.by_url("you", URL) is None
    assert list(await keeper.newest("you", 10)) == []
    assert list(await keeper.undelivered("you")) == []
    assert list(await keeper.unsaved("you")) == []
    assert await keeper.variations("you", "family") == frozenset()
    assert await keeper.spent("you") == 0
    yours = await keeper.reserve(intent(owner="you"), holder="p1", budget=2)
    assert isinstance(yours, Reserved)
    assert await keeper.find("me", "f") == mine
    assert await keeper.find("you", "f") == yours.entry
    assert await keeper.spent("me") == await keeper.spent("you") == 2


async def test_a_task_and_a_url_lead_to_their_entry(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, dataclasses.replace(FINISHED, file_urls=(URL, f"{URL}?2")))
    await accepted(keeper, intent("g"), Task("task-2", "running"))
    clock.move(2 * WINDOW)
    assert await keeper.by_task("me", "task-1") == entry
    assert await keeper.by_url("me", URL) == await keeper.by_url("me", f"{URL}?2") == entry
    assert await keeper.by_task("me", "task-3") is None
    assert await keeper.by_task("me", "") is None
    assert await keeper.by_url("me", "https://storage.vidgo.ai/") is None
    assert await keeper.entry("no such id") is None


async def test_the_newest_come_first_up_to_the_limit(keeper: Journal, clock: Clock) -> None:
    entries = []
    for number in range(6):
        entries.append(await reserved(keeper, intent(f"f{number}")))
        if number % 2:
            clock.move(1)  # two of each pair have the same time: the order of reserving decides
    entries[0] = await keeper.mark_sent(entries[0].id)
    assert list(await keeper.newest("me", 10)) == entries[::-1]
    assert list(await keeper.newest("me", 2)) == [entries[5], entries[4]]


async def test_a_finished_picture_is_undelivered_until_somebody_received_it(keeper: Journal, clock: Clock) -> None:
    first = await ended(keeper, FINISHED)
    clock.move(10)
    second = await ended(keeper, Task("task-2", "finished", 100, (URL,)), intent("g"))
    await ended(keeper, FAILED, intent("h"))
    await accepted(keeper, intent("i"))
    assert list(await keeper.undelivered("me")) == [first, second]
    await keeper.mark_delivered([first.id, "no such id"])
    assert list(await keeper.undelivered("me")) == [second]
    assert await keeper.entry(first.id) == dataclasses.replace(first, delivered=True)
    await keeper.mark_delivered([])
    clock.move(WINDOW - 10)
    assert list(await keeper.undelivered("me")) == [second]
    clock.move(10)
    assert list(await keeper.undelivered("me")) == []


async def test_a_delivery_survives_later_readings(keeper: Journal) -> None:
    first = await accepted(keeper)
    await keeper.mark_delivered([first.id])
    assert (await keeper.record(first.id, FINISHED)).delivered is True
    assert list(await keeper.undelivered("me")) == []


async def test_the_variations_of_a_family_are_those_that_stand(keeper: Journal) -> None:
    for variation, state in enumerate(["reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"], 1):
        await in_state(keeper, state, intent(f"f{variation}", variation=variation))
    await reserved(keeper, intent("other", family="another", variation=9))
    assert await keeper.variations("me", "family") == frozenset({1, 2, 3, 4, 5, 6})


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})])
async def test_the_memory_keeper_does_not_need_asyncio(keeper: Journal) -> None:
    assert (await ended(keeper, FINISHED)).state == "finished"


async def test_the_time_of_day_is_the_clock_of_a_keeper_that_is_given_none() -> None:
    entry = await sent(MemoryJournal())
    assert entry.sent_at is not None
    assert entry.created_at <= entry.sent_at
    assert entry.sent_at > 1_600_000_000
