"""The gates stand in their order: a bad call costs nothing, and what is already paid for passes every one of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import World, news
from vidgo_mcp.errors import AuthenticationError, BudgetError, InvalidRequestError
from vidgo_mcp.models.requests import EstimateArguments

pytestmark = pytest.mark.anyio


async def test_a_picture_that_is_paid_for_passes_max_credits_zero() -> None:
    async with World(seconds=1) as world:
        with pytest.raises(BudgetError) as refused:
            await world.make(max_credits=0)
        assert "would cost 2 credits" in refused.value.message
        assert world.wire.seen == []
        made = await world.finished()
        assert (await world.finished(max_credits=0)).image_urls == made.image_urls


@pytest.mark.parametrize(("arguments", "limit", "price"), [({}, 1, 2), ({"quality": "high", "size": "1:1"}, 11, 12)])
async def test_a_price_above_max_credits_is_refused_before_anything_is_sent(
    arguments: dict[str, Any], limit: int, price: int
) -> None:
    async with World() as world:
        with pytest.raises(BudgetError) as refused:
            await world.make(**arguments, max_credits=limit)
        error = refused.value
        assert (error.category, error.money, error.field) == ("budget", "nothing_spent", "max_credits")
        assert f"costs {price} credits" in error.message
        assert (error.remedy, error.facts.price, error.facts.limit) == ("raise_max_credits", price, limit)
        assert (world.wire.seen, world.opened) == ([], 0)
        assert (await world.listed()).tasks == []
        assert (await world.finished(**arguments, max_credits=price)).credits_charged == price


async def test_a_picture_that_is_being_made_for_somebody_passes_max_credits_zero() -> None:
    async with World() as world:
        task_id = await world.pending()
        assert (await world.finished(max_credits=0)).task_id == task_id


async def test_without_a_key_prices_are_told_and_everything_else_says_what_to_set() -> None:
    async with World(key=None) as world:
        estimate = await world.service.estimate(
            world.principal(), EstimateArguments(size="16:9", resolution="4K", quality="high", count=3)
        )
        assert (estimate.credits, estimate.total_credits, estimate.tier) == (48, 144, "4K")
        for call in (
            world.make(),
            world.task("task-1"),
            world.listed(),
            world.service.balance(world.principal()),
            world.service.spending(world.principal()),
        ):
            with pytest.raises(AuthenticationError) as refused:
                await call
            assert (refused.value.money, refused.value.remedy) == ("nothing_spent", "set_key")
            assert "VIDGO_API_KEY" in refused.value.message
        with pytest.raises(AuthenticationError):
            world.tasks()
        world.service.warm_up(world.principal())
        assert (world.opened, world.wire.seen) == (0, [])


async def test_an_estimate_says_which_rule_decided_and_what_to_ask_instead() -> None:
    async with World(key=None) as world:
        estimate = await world.service.estimate(world.principal(), EstimateArguments(size="1:1", resolution="4K"))
        assert (estimate.credits, estimate.tier) == (4, "2K")
        assert estimate.notes == ["4K is billed as 2K at 1:1; ask 2K for the same picture"]
        with pytest.raises(InvalidRequestError):
            await world.service.estimate(world.principal(), EstimateArguments(size="1024x1024"))
        assert world.opened == 0


async def test_the_notes_of_the_price_come_with_the_picture() -> None:
    async with World(seconds=1) as world:
        made = await world.finished(size="auto", resolution="4K")
        assert news(made) == ["auto ignores resolution 4K: it is 1K"]
