"""What the journal does about copies on the person's disk: which process makes one, and where it is."""

from __future__ import annotations

import dataclasses

import pytest

from tests.journal.conftest import FAILED, FINISHED, RUNNING, Clock, accepted, ended, in_state, intent
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import WINDOW, Entry, Journal
from vidgo_mcp.journal.processes import SAVING
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

COPY = "/pictures/ä boat.png"
DIGEST = "ab" * 32


async def claimed(journal: Journal, entry: Entry, process: str = "p1") -> bool:
    return await journal.claim_saving(entry.id, process=process)


async def test_one_process_at_a_time_saves_a_picture(journal: Journal, clock: Clock, dead: set[str]) -> None:
    assert SAVING == 180
    entry, other = await ended(journal, FINISHED), await ended(journal, FINISHED, intent("g"))
    assert await claimed(journal, entry, "p1")
    assert not await claimed(journal, entry, "p2")
    assert await claimed(journal, entry, "p1")
    assert await claimed(journal, other, "p2")
    await journal.release_saving(entry.id, process="p2")
    assert not await claimed(journal, entry, "p2"), "only its own process gives a claim up"
    await journal.release_saving(entry.id, process="p1")
    assert await claimed(journal, entry, "p2")
    clock.move(SAVING - 1)
    assert not await claimed(journal, entry, "p1")
    clock.move(1)
    assert await claimed(journal, entry, "p1"), "a claim ends by itself"
    dead.add("p1")
    assert await claimed(journal, entry, "p2"), "a claim ends with its process"
    clock.move(WINDOW)
    assert not await claimed(journal, entry, "p2"), "its URL is dead"


@pytest.mark.parametrize("state", ["reserved", "sent", "unknown", "accepted", "empty", "failed"])
async def test_what_is_no_finished_picture_is_not_saved(state: str, journal: Journal) -> None:
    entry = await in_state(journal, state)
    assert not await claimed(journal, entry)
    assert list(await journal.unsaved("me")) == []
    with pytest.raises(JournalError, match=f"copy of the picture .* in the journal it is {state}"):
        await journal.mark_saved(entry.id, [COPY], DIGEST)
    assert await journal.entry(entry.id) == entry


async def test_an_entry_that_was_deleted_is_not_claimed(journal: Journal) -> None:
    assert not await journal.claim_saving("no such id", process="p1")
    await journal.release_saving("no such id", process="p1")
    with pytest.raises(JournalError, match="no longer in the journal"):
        await journal.mark_saved("no such id", [COPY], DIGEST)


async def test_a_copy_is_recorded_and_never_made_again(journal: Journal) -> None:
    entry = await ended(journal, FINISHED)
    assert await claimed(journal, entry)
    saved = await journal.mark_saved(entry.id, [COPY, f"{COPY}.2"], DIGEST)
    assert saved == dataclasses.replace(entry, saved_paths=(COPY, f"{COPY}.2"), saved_digest=DIGEST)
    assert await journal.entry(entry.id) == saved
    assert await journal.find("me", "f") == saved
    for process in ("p1", "p2"):
        assert not await claimed(journal, entry, process)
    assert await journal.mark_saved(entry.id, ["/elsewhere.png"], "cd" * 32) == saved, "the first copy stays"


async def test_a_copy_that_was_ready_after_the_url_died_is_recorded(journal: Journal, clock: Clock) -> None:
    entry = await ended(journal, FINISHED)
    clock.move(WINDOW + 1)
    saved = await journal.mark_saved(entry.id, [COPY], DIGEST)
    assert (saved.saved_paths, saved.saved_digest) == ((COPY,), DIGEST)


@pytest.mark.parametrize("later", [RUNNING, FINISHED, FAILED])
async def test_a_later_reading_keeps_the_copy(later: Task, journal: Journal) -> None:
    entry = await ended(journal, FINISHED)
    saved = await journal.mark_saved(entry.id, [COPY], DIGEST)
    assert await journal.record(entry.id, later) == saved
    await journal.mark_delivered([entry.id])
    assert await journal.entry(entry.id) == dataclasses.replace(saved, delivered=True)


async def test_pictures_without_a_copy_are_listed_oldest_first(journal: Journal, clock: Clock) -> None:
    first = await ended(journal, FINISHED)
    clock.move(10)
    second = await ended(journal, FINISHED, intent("g"))
    third = await ended(journal, FINISHED, intent("h"))
    await accepted(journal, intent("i"))
    theirs = await ended(journal, FINISHED, intent(owner="you"))
    await journal.mark_saved(second.id, [COPY], DIGEST)
    await journal.mark_delivered([third.id])
    assert await claimed(journal, third)
    third = dataclasses.replace(third, delivered=True)
    assert list(await journal.unsaved("me")) == [first, third]
    assert list(await journal.unsaved("you")) == [theirs]
    clock.move(WINDOW - 10)
    assert list(await journal.unsaved("me")) == [third]
    clock.move(10)
    assert list(await journal.unsaved("me")) == []
