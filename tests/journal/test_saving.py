"""What every keeper of the journal does about copies on the person's disk: who makes one, and where it is."""

from __future__ import annotations

import dataclasses

import anyio
import pytest

from tests.journal.conftest import FAILED, FINISHED, RUNNING, Clock, accepted, ended, in_state, intent
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import SAVING, WINDOW, Entry, Journal
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

COPY = "/pictures/ä boat.png"
DIGEST = "ab" * 32


async def claimed(keeper: Journal, entry: Entry, holder: str = "p1", *, gone: str = "") -> bool:
    return await keeper.claim_saving(entry.id, holder=holder, gone=lambda one: one == gone)


async def test_one_process_at_a_time_saves_a_picture(keeper: Journal) -> None:
    entry, other = await ended(keeper, FINISHED), await ended(keeper, FINISHED, intent("g"))
    assert await claimed(keeper, entry, "p1")
    assert not await claimed(keeper, entry, "p2")
    assert await claimed(keeper, entry, "p1")
    assert await claimed(keeper, other, "p2")
    assert await keeper.entry(entry.id) == entry


async def test_of_a_hundred_claims_at_once_one_wins(keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    won: list[bool] = []

    async def one(number: int) -> None:
        won.append(await claimed(keeper, entry, f"p{number}"))

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
    assert (len(won), sum(won)) == (100, 1)


async def test_a_claim_ends_by_itself_after_three_minutes(keeper: Journal, clock: Clock) -> None:
    assert SAVING == 180
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry, "p1")
    clock.move(SAVING - 1)
    assert not await claimed(keeper, entry, "p2")
    clock.move(1)
    assert await claimed(keeper, entry, "p2")
    assert not await claimed(keeper, entry, "p1")


async def test_who_claims_again_has_three_minutes_anew(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry)
    clock.move(SAVING - 1)
    assert await claimed(keeper, entry)
    clock.move(SAVING - 1)
    assert not await claimed(keeper, entry, "p2")


async def test_a_claim_ends_at_once_when_its_process_is_gone(keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry, "gone")
    assert not await claimed(keeper, entry, "p2", gone="p2")
    assert await claimed(keeper, entry, "p2", gone="gone")
    assert not await claimed(keeper, entry, "p3", gone="gone")


async def test_a_clock_that_was_set_back_keeps_no_claim_for_long(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry, "p1")
    clock.move(-10 * WINDOW)
    assert not await claimed(keeper, entry, "p2")
    clock.move(SAVING)
    assert await claimed(keeper, entry, "p2")


async def test_expiry_ends_no_claim_before_its_time(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry, "p1")
    clock.move(SAVING - 1)
    await keeper.expire(lambda _: False)
    assert not await claimed(keeper, entry, "p2")
    clock.move(-WINDOW)
    await keeper.expire(lambda _: False)
    clock.move(SAVING)
    assert await claimed(keeper, entry, "p2")


@pytest.mark.parametrize("state", ["reserved", "sent", "unknown", "accepted", "empty", "failed"])
async def test_what_is_no_finished_picture_is_not_saved(state: str, keeper: Journal) -> None:
    entry = await in_state(keeper, state)
    assert not await claimed(keeper, entry)
    assert list(await keeper.unsaved("me")) == []
    with pytest.raises(JournalError, match=f"copy of the picture .* in the journal it is {state}"):
        await keeper.mark_saved(entry.id, [COPY], DIGEST)
    assert await keeper.entry(entry.id) == entry


async def test_a_picture_whose_url_is_dead_is_not_claimed(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, FINISHED)
    clock.move(WINDOW - 0.5)
    assert await claimed(keeper, entry)
    clock.move(0.5)
    assert not await claimed(keeper, entry)


async def test_an_entry_that_is_gone_is_not_claimed(keeper: Journal) -> None:
    assert not await keeper.claim_saving("no such id", holder="p1", gone=lambda _: True)
    await keeper.release_saving("no such id", holder="p1")
    with pytest.raises(JournalError, match="no longer in the journal"):
        await keeper.mark_saved("no such id", [COPY], DIGEST)


async def test_a_copy_is_recorded_and_never_made_again(keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry)
    saved = await keeper.mark_saved(entry.id, [COPY, f"{COPY}.2"], DIGEST)
    assert saved == dataclasses.replace(entry, saved_paths=(COPY, f"{COPY}.2"), saved_digest=DIGEST)
    assert await keeper.entry(entry.id) == saved
    assert await keeper.find("me", "f") == saved
    for holder in ("p1", "p2"):
        assert not await claimed(keeper, entry, holder, gone="p1")


async def test_the_first_copy_stays(keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    saved = await keeper.mark_saved(entry.id, [COPY], DIGEST)
    assert await keeper.mark_saved(entry.id, ["/elsewhere.png"], "cd" * 32) == saved
    assert await keeper.entry(entry.id) == saved


async def test_a_copy_that_was_ready_after_the_url_died_is_recorded(keeper: Journal, clock: Clock) -> None:
    entry = await ended(keeper, FINISHED)
    clock.move(WINDOW + 1)
    saved = await keeper.mark_saved(entry.id, [COPY], DIGEST)
    assert (saved.saved_paths, saved.saved_digest) == ((COPY,), DIGEST)


@pytest.mark.parametrize("later", [RUNNING, FINISHED, FAILED])
async def test_a_later_reading_keeps_the_copy(later: Task, keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    saved = await keeper.mark_saved(entry.id, [COPY], DIGEST)
    assert await keeper.record(entry.id, later) == saved
    await keeper.mark_delivered([entry.id])
    assert await keeper.entry(entry.id) == dataclasses.replace(saved, delivered=True)


async def test_after_a_failed_attempt_others_may_try_at_once(keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    assert await claimed(keeper, entry, "p1")
    await keeper.release_saving(entry.id, holder="p2")
    assert not await claimed(keeper, entry, "p2")
    await keeper.release_saving(entry.id, holder="p1")
    await keeper.release_saving(entry.id, holder="p1")
    assert await claimed(keeper, entry, "p2")


async def test_pictures_without_a_copy_are_listed_oldest_first(keeper: Journal, clock: Clock) -> None:
    first = await ended(keeper, FINISHED)
    clock.move(10)
    second = await ended(keeper, FINISHED, intent("g"))
    third = await ended(keeper, FINISHED, intent("h"))
    await accepted(keeper, intent("i"))
    theirs = await ended(keeper, FINISHED, intent(owner="you"))
    await keeper.mark_saved(second.id, [COPY], DIGEST)
    assert await claimed(keeper, third)
    assert list(await keeper.unsaved("me")) == [first, third]
    assert list(await keeper.unsaved("you")) == [theirs]
    clock.move(WINDOW - 10)
    assert list(await keeper.unsaved("me")) == [third]
    clock.move(10)
    assert list(await keeper.unsaved("me")) == []


async def test_pictures_are_unsaved_whether_or_not_somebody_received_them(keeper: Journal) -> None:
    entry = await ended(keeper, FINISHED)
    await keeper.mark_delivered([entry.id])
    assert [one.id for one in await keeper.unsaved("me")] == [entry.id]
    await keeper.mark_saved(entry.id, [COPY], DIGEST)
    assert list(await keeper.unsaved("me")) == []
