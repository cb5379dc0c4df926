"""The balance is read at most every 30 s, and again after everything that changes it."""

from __future__ import annotations

import anyio
import pytest

from tests.conftest import World
from vidgo_mcp.errors import VidgoError

pytestmark = pytest.mark.anyio


async def test_a_balance_is_believed_for_thirty_seconds() -> None:
    async with World() as world:
        for pause in (0, 10, 19):
            await anyio.sleep(pause)
            balance = await world.service.balance(world.principal())
            assert (balance.credits, balance.pictures_low, balance.pictures_medium, balance.pictures_high) == (
                1000,
                500,
                333,
                83,
            )
        # One for whoever asked, one to begin the comparison with the journal.
        assert len(world.wire.seen) == 2
        await anyio.sleep(2)
        await world.service.balance(world.principal())
        assert len(world.wire.seen) == 3


async def test_a_submit_and_a_refund_are_seen_at_once() -> None:
    async with World(faults=["task:failed*1"], seconds=10) as world:
        assert (await world.service.balance(world.principal())).credits == 1000
        await world.pending()
        assert (await world.service.balance(world.principal())).credits == 998
        await anyio.sleep(12)
        assert (await world.service.balance(world.principal())).credits == 1000


async def test_a_balance_that_was_read_while_a_submit_was_under_way_is_not_kept() -> None:
    async with World(faults=["balance:slow=5*1"]) as world, anyio.create_task_group() as tasks:
        tasks.start_soon(world.service.balance, world.principal())
        await anyio.sleep(1)
        await world.pending()
        await anyio.sleep(5)
        assert (await world.service.balance(world.principal())).credits == 998


async def test_a_lost_submit_drops_the_balance_too() -> None:
    async with World(faults=["submit:lose_answer"]) as world:
        await world.service.balance(world.principal())
        with pytest.raises(VidgoError):
            await world.make()
        assert (await world.service.balance(world.principal())).credits == 998


@pytest.mark.parametrize("fault", ["refuse=500", "refuse=401", "rate_limited", "broken_json", "drop_before"])
async def test_a_balance_that_cannot_be_read_is_an_error_and_asked_again(fault: str) -> None:
    async with World(faults=[f"balance:{fault}*1"]) as world:
        with pytest.raises(VidgoError) as caught:
            await world.service.balance(world.principal())
        assert caught.value.money == "nothing_spent"
        assert (await world.service.balance(world.principal())).credits == 1000
