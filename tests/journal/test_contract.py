"""What the journal must do, in memory and in a file: the states of an entry, and how entries are found."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable
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
    opened,
    reserved,
    sent,
)
from vidgo_mcp.journal import WINDOW, Entry, Existing, Journal, Reserved, SqliteJournal
from vidgo_mcp.journal.entries import ReuseDecision, reuse_decision
from vidgo_mcp.journal.processes import UPLOAD_TURN
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio


async def test_a_new_intent_is_reserved_with_all_that_is_known(journal: Journal) -> None:
    given = intent(
        model="gpt-image-2-edit", prompt="é 🚢\r\n\x01", tier="4K", quality="high", references=("a", "b"), variation=7
    )
    found = await journal.reserve(given, process="p1")
    assert isinstance(found, Reserved)
    assert found.entry == Entry(found.entry.id, given, "reserved", process="p1", created_at=START, boot="boot 1")
    assert found.entry.dies_at is None
    assert await journal.entry(found.entry.id) == found.entry
    assert await journal.find("me", "f") == found.entry


async def test_of_a_hundred_steps_at_once_only_what_is_allowed_goes_through(journal: Journal, dead: set[str]) -> None:
    async def at_once(step: Callable[[int], Awaitable[object]]) -> Counter[object]:
        answers: Counter[object] = Counter()

        async def take(number: int) -> None:
            answers[await step(number)] += 1

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(take, number)
        return answers

    async def reserve(owner: str, number: int, **given: Any) -> str:
        met = await journal.reserve(intent(f"f{number}", owner=owner), process=f"p{number}", **given)
        return type(met).__name__

    async def claim(number: int) -> bool:
        return await journal.claim_saving(picture.id, process=f"p{number}")

    assert await at_once(lambda number: reserve("same", 0)) == {"Reserved": 1, "Existing": 99}
    assert await at_once(lambda number: reserve("budget", number, budget=10)) == {"Reserved": 5, "Exhausted": 95}
    assert await at_once(lambda number: reserve("consent", number, consent="y")) == {"Reserved": 1, "ConsentUsed": 99}
    picture = await ended(journal, FINISHED)
    assert await journal.claim_saving(picture.id, process="ended")
    assert await at_once(claim) == {False: 100}
    dead.add("ended")
    assert await at_once(claim) == {True: 1, False: 99}
    assert await at_once(lambda number: journal.upload_turn("me")) == {0.0: 5, UPLOAD_TURN: 95}


async def test_a_submit_goes_from_reserved_over_sent_to_finished(journal: Journal, clock: Clock) -> None:
    first = await reserved(journal)
    clock.move(1)
    second = await journal.mark_sent(first.id)
    assert second == dataclasses.replace(first, state="sent", sent_at=START + 1)
    assert second.dies_at == START + 1 + WINDOW
    clock.move(1)
    third = await journal.bind(first.id, Task("task-1", "not_started"))
    assert third == dataclasses.replace(second, state="accepted", task_id="task-1", status="not_started")
    clock.move(1)
    fourth = await journal.record(first.id, RUNNING)
    assert fourth == dataclasses.replace(third, status="running", progress=40)
    clock.move(1)
    fifth = await journal.record(first.id, FINISHED)
    assert fifth == dataclasses.replace(
        fourth, state="finished", status="finished", progress=100, image_urls=(URL,), ended_at=START + 4
    )
    assert await journal.entry(first.id) == fifth


async def test_a_refused_post_makes_the_intent_reserved_again(journal: Journal, clock: Clock) -> None:
    first = await reserved(journal)
    await journal.mark_sent(first.id)
    assert await journal.unsend(first.id) == first
    clock.move(5)
    again = await journal.mark_sent(first.id)
    assert again.sent_at == START + 5


async def test_a_released_intent_is_forgotten(journal: Journal) -> None:
    first = await reserved(journal)
    await journal.release(first.id)
    await journal.release(first.id)
    assert await journal.entry(first.id) is None
    assert await journal.find("me", "f") is None
    assert await journal.newest("me", 10) == []
    assert await journal.spent("me") == 0
    assert (await reserved(journal)).id != first.id


async def test_a_lost_answer_keeps_its_reason_until_the_task_turns_up(journal: Journal) -> None:
    first = await in_state(journal, "unknown")
    assert (first.state, first.error, first.task_id) == ("unknown", "the answer was lost", None)
    found = await journal.bind(first.id, RUNNING)
    assert (found.state, found.error, found.task_id, found.status) == ("accepted", None, "task-1", "running")
    assert found.sent_at == first.sent_at


READINGS: list[tuple[Task, bool, str]] = [
    (FAILED, False, "failed"),
    (EMPTY, False, "accepted"),  # its files may come later
    (EMPTY, True, "empty"),
    (FINISHED, True, "finished"),
    (Task("task-1", "reviewing"), True, "accepted"),
]


@pytest.mark.parametrize(("task", "empty", "state"), READINGS)
async def test_a_reading_ends_a_task_when_it_says_so(task: Task, empty: bool, state: str, journal: Journal) -> None:
    entry = await ended(journal, task, empty=empty)
    assert (entry.state, entry.status, entry.error) == (state, task.status, task.error_message)
    assert (entry.progress, entry.ended_at) == (task.progress, None if state == "accepted" else START)


@pytest.mark.parametrize("state", ["finished", "empty", "failed"])
@pytest.mark.parametrize("later", [RUNNING, FINISHED, EMPTY, FAILED])
async def test_an_end_is_final(state: str, later: Task, journal: Journal, clock: Clock) -> None:
    entry = await in_state(journal, state)
    clock.move(60)
    changed = dataclasses.replace(later, file_urls=("https://else.example/b.png",) if later.file_urls else ())
    for empty in (False, True):
        assert await journal.record(entry.id, changed, empty=empty) == entry
    assert await journal.entry(entry.id) == entry


TABLE: list[tuple[str, bool, ReuseDecision, bool]] = [
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
    state: str, young: bool, stands: ReuseDecision, in_budget: bool, journal: Journal, clock: Clock
) -> None:
    entry = await in_state(journal, state)
    clock.move(WINDOW - 0.5 if young else WINDOW)
    assert reuse_decision(entry, clock()) == stands
    assert await journal.spent("me") == (2 if in_budget else 0)
    found = None if stands == "again" else entry
    assert await journal.find("me", "f") == found
    assert await journal.variations("me", "request") == (frozenset({1}) if found else frozenset())
    assert await journal.newest("me", 5) == [entry]
    assert await journal.undelivered("me") == await journal.unsaved("me") == ([entry] if stands == "reuse" else [])
    met = await journal.reserve(intent(), process="p2")
    if found is None:
        assert isinstance(met, Reserved)
        assert met.entry.id != entry.id
        assert await journal.newest("me", 5) == [met.entry, entry]
        assert await journal.find("me", "f") == met.entry
    else:
        assert met == Existing(entry)


async def test_owners_see_nothing_of_each_other(journal: Journal) -> None:
    mine = await ended(journal, FINISHED)
    assert await journal.find("you", "f") is None
    assert await journal.by_task("you", "task-1") is None
    assert await journal.by_url("you", URL) is None
    assert list(await journal.newest("you", 10)) == []
    assert list(await journal.undelivered("you")) == []
    assert list(await journal.unsaved("you")) == []
    assert await journal.variations("you", "request") == frozenset()
    assert await journal.spent("you") == 0
    yours = await journal.reserve(intent(owner="you"), process="p1", budget=2)
    assert isinstance(yours, Reserved)
    assert await journal.find("me", "f") == mine
    assert await journal.find("you", "f") == yours.entry
    assert await journal.spent("me") == await journal.spent("you") == 2


async def test_a_task_and_a_url_lead_to_their_entry(journal: Journal, clock: Clock) -> None:
    entry = await ended(journal, dataclasses.replace(FINISHED, file_urls=(URL, f"{URL}?2")))
    await accepted(journal, intent("g"), Task("task-2", "running"))
    clock.move(2 * WINDOW)
    assert await journal.by_task("me", "task-1") == entry
    assert await journal.by_url("me", URL) == await journal.by_url("me", f"{URL}?2") == entry
    assert await journal.by_task("me", "task-3") is None
    assert await journal.by_task("me", "") is None
    assert await journal.by_url("me", "https://storage.vidgo.ai/") is None
    assert await journal.entry("no such id") is None


async def test_the_newest_come_first_up_to_the_limit(journal: Journal, clock: Clock) -> None:
    entries = []
    for number in range(6):
        entries.append(await reserved(journal, intent(f"f{number}")))
        if number % 2:
            clock.move(1)  # two of each pair have the same time: the order of reserving decides
    entries[0] = await journal.mark_sent(entries[0].id)
    assert list(await journal.newest("me", 10)) == entries[::-1]
    assert list(await journal.newest("me", 2)) == [entries[5], entries[4]]


async def test_a_finished_picture_is_undelivered_until_somebody_received_it(journal: Journal, clock: Clock) -> None:
    first = await ended(journal, FINISHED)
    clock.move(10)
    second = await ended(journal, Task("task-2", "finished", 100, (URL,)), intent("g"))
    await ended(journal, FAILED, intent("h"))
    await accepted(journal, intent("i"))
    assert list(await journal.undelivered("me")) == [first, second]
    await journal.mark_delivered([first.id, "no such id"])
    assert list(await journal.undelivered("me")) == [second]
    assert await journal.entry(first.id) == dataclasses.replace(first, delivered=True)
    await journal.mark_delivered([])
    clock.move(WINDOW - 10)
    assert list(await journal.undelivered("me")) == [second]
    clock.move(10)
    assert list(await journal.undelivered("me")) == []


async def test_the_variations_of_a_request_are_those_that_are_not_made_again(journal: Journal) -> None:
    for variation, state in enumerate(["reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"], 1):
        await in_state(journal, state, intent(f"f{variation}", variation=variation))
    await reserved(journal, intent("other", request_key="another", variation=9))
    assert await journal.variations("me", "request") == frozenset({1, 2, 3, 4, 5, 6})


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})])
async def test_in_memory_it_needs_neither_asyncio_nor_a_thread(clock: Clock) -> None:
    journal = opened(None, clock)
    entry = await ended(journal, FINISHED)
    await journal.aclose()
    assert await journal.newest("me", 5) == [entry]


async def test_the_clocks_of_a_journal_that_is_given_none_are_the_systems() -> None:
    journal = SqliteJournal(None)
    entry = await sent(journal)
    assert entry.sent_at is not None
    assert entry.created_at <= entry.sent_at
    assert entry.sent_at > 1_600_000_000
    assert list(await journal.expire()) == []
    assert await journal.entry(entry.id) == entry
