"""Which step the journal allows from which state, and what it says where it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from tests.journal.conftest import FINISHED, RUNNING, START, Clock, accepted, in_state, reserved
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import WINDOW, Journal
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

STATES = ["reserved", "sent", "unknown", "accepted", "finished", "empty", "failed"]
FOUND = Task("found", "running", 50)

Step = Callable[[Journal, str], Awaitable[object]]
STEPS: dict[str, Step] = {
    "mark_sent": lambda journal, key: journal.mark_sent(key),
    "unsend": lambda journal, key: journal.unsend(key),
    "release": lambda journal, key: journal.release(key),
    "mark_unknown": lambda journal, key: journal.mark_unknown(key, "lost again"),
    "bind": lambda journal, key: journal.bind(key, FOUND),
    "record": lambda journal, key: journal.record(key, FOUND),
    "mark_saved": lambda journal, key: journal.mark_saved(key, ["/a.png"], "ab"),
    "resolve": lambda journal, key: journal.resolve(key, task=FOUND),
    "resolve as not charged": lambda journal, key: journal.resolve(key, task=None),
}
BOUND = {"accepted", "finished", "empty", "failed"}
# From which state a step leads where: "same" changes nothing, and what is not named is refused.
ALLOWED: dict[str, dict[str, str]] = {
    "mark_sent": {"reserved": "sent"},
    "unsend": {"sent": "reserved", "unknown": "reserved"},
    "release": {"reserved": "deleted"},
    "mark_unknown": {"reserved": "unknown", "sent": "unknown", "unknown": "unknown"} | dict.fromkeys(BOUND, "same"),
    "bind": {"sent": "accepted", "unknown": "accepted"},
    "record": {"accepted": "accepted", "finished": "same", "empty": "same", "failed": "same"},
    "mark_saved": {"finished": "finished"},
    "resolve": {"unknown": "accepted"},
    "resolve as not charged": {"unknown": "deleted"},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", STEPS)
async def test_a_step_is_taken_only_from_where_it_is_true(name: str, state: str, journal: Journal) -> None:
    before = await in_state(journal, state)
    leads = ALLOWED[name].get(state)
    if leads is None:
        with pytest.raises(JournalError, match=f"in the journal it is {state}\\.$") as caught:
            await STEPS[name](journal, before.id)
        bound = state in BOUND or name in {"bind", "record"}
        remedy = "tell_user" if name.startswith("resolve") else "keep_task_id" if bound else "repeat"
        assert (caught.value.remedy, caught.value.facts.reason) == (remedy, None)
        assert await journal.entry(before.id) == before
        return
    await STEPS[name](journal, before.id)
    after = await journal.entry(before.id)
    if leads == "deleted":
        assert after is None
    elif leads == "same":
        assert after == before
    else:
        assert after is not None
        assert after.state == leads


@pytest.mark.parametrize(
    ("name", "money", "task_id"),
    [
        ("mark_sent", "nothing_spent", None),
        ("unsend", "nothing_spent", None),
        ("mark_unknown", "unknown", None),
        ("bind", "accepted", "found"),
        ("record", "accepted", "found"),
        ("mark_saved", "nothing_spent", None),
        ("resolve", "nothing_spent", None),
        ("resolve as not charged", "nothing_spent", None),
    ],
)
async def test_a_step_on_an_entry_that_was_deleted_says_what_is_at_stake(
    name: str, money: str, task_id: str | None, journal: Journal
) -> None:
    entry = await reserved(journal)
    await journal.release(entry.id)
    with pytest.raises(JournalError, match=r"it is no longer in the journal\.$") as caught:
        await STEPS[name](journal, entry.id)
    assert (caught.value.money, caught.value.task_id) == (money, task_id)
    assert task_id is None or task_id in caught.value.message
    assert await journal.newest("me", 5) == []


@pytest.mark.parametrize("state", ["accepted", "finished", "empty", "failed"])
async def test_a_refusal_names_the_task_that_exists(state: str, journal: Journal) -> None:
    entry = await in_state(journal, state)
    with pytest.raises(JournalError) as caught:
        await journal.mark_sent(entry.id)
    assert (caught.value.money, caught.value.task_id) == ("accepted", "task-1")


async def test_the_same_answer_may_come_twice(journal: Journal) -> None:
    entry = await accepted(journal)
    assert await journal.bind(entry.id, RUNNING) == entry
    done = await journal.record(entry.id, FINISHED)
    assert await journal.bind(entry.id, RUNNING) == done


async def test_an_intent_whose_loss_is_told_without_a_mark_is_unknown_for_one_window(
    journal: Journal, clock: Clock
) -> None:
    entry = await reserved(journal)
    lost = await journal.mark_unknown(entry.id, "lost")
    assert (lost.state, lost.sent_at) == ("unknown", START)
    clock.move(WINDOW)
    assert await journal.find("me", "f") is None


async def test_a_lost_submit_that_a_person_found_is_accepted(journal: Journal) -> None:
    unknown = await in_state(journal, "unknown")
    found = await journal.resolve(unknown.id, task=FOUND)
    assert found == dataclasses.replace(unknown, state="accepted", task_id="found", status="running", error=None)
    assert await journal.by_task("me", "found") == found
    assert await journal.unfinished() == [found]
