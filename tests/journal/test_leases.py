"""What every keeper of the journal does about processes that died, and about what is too old to matter."""

from __future__ import annotations

import pytest

from tests.journal.conftest import RUNNING, START, Clock, intent, reserved, sent
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import LEASE, RENEWAL, WINDOW, Entry, Existing, Journal, Reserved

pytestmark = pytest.mark.anyio


async def test_a_lease_runs_out_after_thirty_seconds_without_renewal(keeper: Journal, clock: Clock) -> None:
    assert (LEASE, RENEWAL) == (30, 5)
    waiting = await reserved(keeper, intent("a"), holder="p1")
    lost = await sent(keeper, intent("b"), holder="p1")
    alive = await sent(keeper, intent("c"), holder="p2")
    bound = await keeper.bind((await sent(keeper, intent("d"), holder="p1")).id, RUNNING)
    clock.move(LEASE - 1)
    await keeper.renew("p2")
    assert list(await keeper.expire(lambda _: False)) == []
    clock.move(1)
    expired = await keeper.expire(lambda _: False)
    assert [entry.id for entry in expired] == [lost.id]
    assert (expired[0].state, expired[0].sent_at, bool(expired[0].error)) == ("unknown", START, True)
    assert await keeper.entry(lost.id) == expired[0]
    assert await keeper.entry(waiting.id) is None
    assert await keeper.entry(alive.id) == alive
    assert await keeper.entry(bound.id) == bound
    assert list(await keeper.expire(lambda _: False)) == []
    assert await keeper.spent("me") == 6


async def test_a_holder_that_is_gone_is_dead_at_once(keeper: Journal) -> None:
    await reserved(keeper, intent("a"), holder="gone")
    lost = await sent(keeper, intent("b"), holder="gone")
    alive = await sent(keeper, intent("c"), holder="here")
    expired = await keeper.expire(lambda holder: holder == "gone")
    assert [entry.id for entry in expired] == [lost.id]
    assert await keeper.entry(alive.id) == alive
    assert isinstance(await keeper.reserve(intent("a"), holder="here"), Reserved)
    assert isinstance(await keeper.reserve(intent("b"), holder="here"), Existing)


async def test_renewal_keeps_a_lease_for_as_long_as_it_goes_on(keeper: Journal, clock: Clock) -> None:
    entry = await sent(keeper)
    for _ in range(20):
        clock.move(RENEWAL)
        await keeper.renew("p1")
        assert list(await keeper.expire(lambda _: False)) == []
    assert await keeper.entry(entry.id) == entry


async def test_a_new_reserve_renews_the_lease_of_its_holder(keeper: Journal, clock: Clock) -> None:
    first = await sent(keeper, intent("a"))
    clock.move(LEASE - 1)
    await reserved(keeper, intent("b"))
    clock.move(LEASE - 1)
    assert list(await keeper.expire(lambda _: False)) == []
    assert await keeper.entry(first.id) == first


async def test_an_answer_that_comes_after_its_process_was_given_up_is_still_recorded(
    keeper: Journal, clock: Clock
) -> None:
    entry = await sent(keeper)
    clock.move(LEASE)
    await keeper.expire(lambda _: False)
    late = await keeper.bind(entry.id, RUNNING)
    assert (late.state, late.task_id, late.error) == ("accepted", "task-1", None)


async def test_expiry_settles_the_entries_of_every_owner(keeper: Journal) -> None:
    await sent(keeper, intent(owner="me"))
    await sent(keeper, intent(owner="you"))
    assert {entry.intent.owner for entry in await keeper.expire(lambda _: True)} == {"me", "you"}


async def test_of_what_expires_the_oldest_comes_first(keeper: Journal) -> None:
    first, second = await sent(keeper, intent("a")), await sent(keeper, intent("b"))
    assert [entry.id for entry in await keeper.expire(lambda _: True)] == [first.id, second.id]


async def test_a_clock_that_was_set_back_keeps_no_dead_process_alive(keeper: Journal, clock: Clock) -> None:
    dead, alive = await sent(keeper, intent("a"), holder="dead"), await sent(keeper, intent("b"), holder="alive")
    clock.move(-10 * WINDOW)
    assert list(await keeper.expire(lambda _: False)) == []
    for _ in range(int(LEASE / RENEWAL)):
        clock.move(RENEWAL)
        await keeper.renew("alive")
    assert [entry.id for entry in await keeper.expire(lambda _: False)] == [dead.id]
    assert await keeper.entry(alive.id) == alive


async def test_a_process_that_was_given_up_may_renew_and_go_on_with_new_intents(keeper: Journal, clock: Clock) -> None:
    await reserved(keeper, intent("a"))
    clock.move(LEASE)
    await keeper.expire(lambda _: False)
    await keeper.renew("p1")
    fresh = await reserved(keeper, intent("a"))
    assert list(await keeper.expire(lambda _: False)) == []
    assert await keeper.entry(fresh.id) == fresh


async def lapsed(keeper: Journal, clock: Clock, entry: Entry) -> str:
    """Let the lease of an entry's holder run out, and settle what it left."""
    clock.move(LEASE)
    await keeper.expire(lambda _: False)
    return entry.id


async def test_a_reservation_that_lapsed_is_not_sent(keeper: Journal, clock: Clock) -> None:
    gone = await lapsed(keeper, clock, await reserved(keeper))
    with pytest.raises(JournalError, match="was not sent: it is no longer in the journal") as caught:
        await keeper.mark_sent(gone)
    assert (caught.value.money, caught.value.retryable, caught.value.task_id) == ("nothing_spent", True, None)
    assert await keeper.newest("me", 5) == []
    await keeper.release(gone)


async def test_a_reservation_that_somebody_took_over_is_not_sent_by_the_first(keeper: Journal, clock: Clock) -> None:
    gone = await lapsed(keeper, clock, await reserved(keeper, holder="slow"))
    taken = await reserved(keeper, holder="quick")
    with pytest.raises(JournalError, match="no longer in the journal"):
        await keeper.mark_sent(gone)
    await keeper.release(gone)
    assert await keeper.newest("me", 5) == [taken]


async def test_a_submit_that_lapsed_is_reserved_again_when_its_post_was_refused_after_all(
    keeper: Journal, clock: Clock
) -> None:
    late = await lapsed(keeper, clock, await sent(keeper))
    again = await keeper.unmark_sent(late)
    assert (again.state, again.sent_at, again.error) == ("reserved", None, None)
    assert (await keeper.mark_sent(late)).sent_at == START + LEASE


async def test_a_loss_that_comes_after_the_lapse_tells_the_better_reason(keeper: Journal, clock: Clock) -> None:
    late = await lapsed(keeper, clock, await sent(keeper))
    told = await keeper.mark_unknown(late, "no answer within 120 s")
    assert (told.state, told.error, told.sent_at) == ("unknown", "no answer within 120 s", START)
