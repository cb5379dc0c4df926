"""What is said of making a picture again, or another one, names the price in force, not what the first one cost."""

from __future__ import annotations

import anyio
import pytest
from mcp_types import TextResourceContents

from tests.conftest import DAY, World
from vidgo_mcp.errors import NotFoundError
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.pricing import PUBLISHED, PriceTable
from vidgo_mcp.server import resources
from vidgo_mcp.wording import for_model

pytestmark = pytest.mark.anyio

DEARER = PriceTable({**PUBLISHED.credits, "low": {"1K": 7, "2K": 9, "4K": 11}}, "operator")


def step(result: TaskResult) -> str:
    return for_model.task_answer(result).next_step or ""


async def test_the_price_that_is_in_force_is_said_of_the_next_picture() -> None:
    async with World(seconds=1) as old:
        made = await old.finished()
    assert made.task_id is not None
    async with World(journal=old.journal, sandbox=old.sandbox, prices=DEARER) as world:
        reused = await world.finished()
        assert (reused.credits, reused.credits_charged, reused.next_variation) == (2, 0, 2)
        assert "variation 2, 7 credits" in step(reused)
        await anyio.sleep(DAY)
        assert "costs 7 credits again" in step(await world.task(made.task_id))
        with pytest.raises(NotFoundError) as caught:
            await world.tasks().view(made.task_id, 256)
        assert caught.value.facts.price == 7


async def test_a_picture_that_left_its_address_early_is_not_said_to_be_made_again_by_the_same_call() -> None:
    async with World(seconds=1, faults=["file:refuse=404"]) as world:
        made = await world.finished()
        assert made.task_id is not None
        with pytest.raises(NotFoundError, match="no longer at its address") as caught:
            await world.tasks().view(made.task_id, 256)
        assert (caught.value.remedy, caught.value.task_id) == ("contact_support", made.task_id)
        assert (await world.finished()).reused
        assert world.movements() == [("charge", 2)]


async def test_a_process_that_has_just_begun_names_the_prices_that_others_found() -> None:
    async with World(seconds=1, faults=["task:price=5"], funds=110) as old:
        for prompt in ("one", "two"):
            await old.finished(prompt=prompt)
            await anyio.sleep(120)
    async with World(journal=old.journal, sandbox=old.sandbox) as world:
        left = await world.service.balance(world.principal())
        assert (left.credits, left.pictures_low) == (100, 20)
        page = (await resources.read(world.service, resources.PRICING, world.principal())).contents[0]
        assert isinstance(page, TextResourceContents)
        assert "| low | 5 |" in page.text
    async with World(journal=old.journal, sandbox=old.sandbox) as world:
        await anyio.sleep(2)
        assert world.service.prices(world.principal()).price("low", "1K") == 5
