"""What the journal does about processes that died, and how leases end: by one clock that nobody sets."""

from __future__ import annotations

import pytest

from tests.journal.conftest import BOOTED, RUNNING, START, Clock, intent, reserved, sent
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import RENEWAL, WINDOW, Entry, Existing, Journal, Reserved
from vidgo_mcp.journal.processes import LEASE

pytestmark = pytest.mark.anyio


async def test_a_lease_runs_out_after_thirty_seconds_without_renewal(journal: Journal, clock: Clock) -> None:
    assert (LEASE, RENEWAL) == (30, 5)
    waiting = await reserved(journal, intent("a"), process="p1")
    lost = await sent(journal, intent("b"), process="p1")
    alive = await sent(journal, intent("c"), process="p2")
    bound = await journal.bind((await sent(journal, intent("d"), process="p1")).id, RUNNING)
    clock.move(LEASE - 1)
    await journal.renew("p2")
    assert list(await journal.expire()) == []
    clock.move(1)
    expired = await journal.expire()
    assert [entry.id for entry in expired] == [lost.id]
    assert (expired[0].state, expired[0].sent_at, bool(expired[0].error)) == ("unknown", START, True)
    assert await journal.entry(lost.id) == expired[0]
    assert await journal.entry(waiting.id) is None
    assert await journal.entry(alive.id) == alive
    assert await journal.entry(bound.id) == bound
    assert list(await journal.expire()) == []
    assert await journal.spent("me") == 6


async def test_a_process_that_ended_is_dead_at_once(journal: Journal, dead: set[str]) -> None:
    waiting = await reserved(journal, intent("a"), process="ended")
    lost = await sent(journal, intent("b"), process="ended")
    alive = await sent(journal, intent("c"), process="here")
    dead.add("ended")
    assert [entry.id for entry in await journal.expire()] == [lost.id]
    assert await journal.entry(waiting.id) is None
    assert await journal.entry(alive.id) == alive
    assert isinstance(await journal.reserve(intent("a"), process="here"), Reserved)
    assert isinstance(await journal.reserve(intent("b"), process="here"), Existing)


async def test_expiry_settles_the_entries_of_every_owner_oldest_first(journal: Journal, dead: set[str]) -> None:
    mine = await sent(journal, intent("a", owner="me"))
    yours = await sent(journal, intent("b", owner="you"))
    again = await sent(journal, intent("c", owner="me"))
    dead.add("p1")
    assert [entry.id for entry in await journal.expire()] == [mine.id, yours.id, again.id]


@pytest.mark.parametrize("seconds", [-10 * WINDOW, 10 * WINDOW])
async def test_setting_the_time_of_day_neither_ends_a_lease_nor_prolongs_it(
    seconds: float, journal: Journal, clock: Clock
) -> None:
    stopped, alive = await sent(journal, intent("a"), process="p1"), await sent(journal, intent("b"), process="p2")
    clock.set(seconds)
    clock.move(LEASE - RENEWAL)
    assert list(await journal.expire()) == []
    await journal.renew("p2")
    clock.move(RENEWAL)
    assert [entry.id for entry in await journal.expire()] == [stopped.id]
    assert await journal.entry(alive.id) == alive


@pytest.mark.parametrize("since_boot", [0.0, BOOTED - 1, BOOTED - LEASE])
async def test_a_lease_that_an_earlier_boot_left_is_free(since_boot: float, journal: Journal, clock: Clock) -> None:
    lost = await sent(journal)
    clock.since_boot = since_boot
    assert [entry.id for entry in await journal.expire()] == [lost.id]


async def lapsed(journal: Journal, clock: Clock, entry: Entry) -> str:
    """Let the lease of an entry's process run out, and settle what it left."""
    clock.move(LEASE)
    await journal.expire()
    return entry.id


async def test_a_reservation_whose_lease_ran_out_is_not_sent(journal: Journal, clock: Clock) -> None:
    late = await lapsed(journal, clock, await reserved(journal))
    with pytest.raises(JournalError, match="was not sent: it is no longer in the journal") as caught:
        await journal.mark_sent(late)
    assert (caught.value.money, caught.value.retryable, caught.value.task_id) == ("nothing_spent", True, None)
    await journal.release(late)
    taken = await reserved(journal, process="quick")
    with pytest.raises(JournalError, match="no longer in the journal"):
        await journal.mark_sent(late)
    await journal.release(late)
    assert await journal.newest("me", 5) == [taken]
    await journal.expire()
    assert await journal.entry(taken.id) == taken


async def test_what_came_of_a_post_is_recorded_after_its_lease_ran_out(journal: Journal, clock: Clock) -> None:
    bound, refused, lost = [await sent(journal, intent(fingerprint)) for fingerprint in "abc"]
    await lapsed(journal, clock, lost)
    late = await journal.bind(bound.id, RUNNING)
    assert (late.state, late.task_id, late.error) == ("accepted", "task-1", None)
    again = await journal.unsend(refused.id)
    assert (again.state, again.sent_at, again.error) == ("reserved", None, None)
    assert (await journal.mark_sent(refused.id)).sent_at == START + LEASE
    later = await journal.mark_unknown(lost.id, "no answer within 120 s")
    assert (later.state, later.error, later.sent_at) == ("unknown", "no answer within 120 s", START)
