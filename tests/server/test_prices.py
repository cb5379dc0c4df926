"""Every tool, page and brief shows the table in force, dated, and says which price Vidgo contradicts."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.conftest import World
from tests.server.conftest import YES, Person, client_of, text_of
from vidgo_mcp.models.sizes import QUALITIES, TIERS
from vidgo_mcp.pricing import PUBLISHED, PriceTable
from vidgo_mcp.service import Limits

pytestmark = pytest.mark.anyio

DEAR = PriceTable({q: {t: 100 + 10 * i + j for j, t in enumerate(TIERS)} for i, q in enumerate(QUALITIES)}, "operator")
LINE = "Credits at 1K/2K/4K (as VIDGO_PRICES says): low 100/101/102, medium 110/111/112, high 120/121/122"
OLD = ("2/4/8", "3/6/12", "12/24/48", "| 2 | 4 | 8 |")


async def read(client: Any, uri: str) -> str:
    [content] = (await client.read_resource(uri)).contents
    return str(content.text)


async def everything_said(client: Any) -> list[str]:
    """Return whatever shows a price before anything is paid for."""
    tools = (await client.list_tools()).tools
    page = await read(client, "vidgo://pricing")
    [brief] = (await client.get_prompt("picture_brief", {"idea": "a fox"})).messages
    estimate = await client.call_tool("estimate_cost", {"quality": "medium", "resolution": "2K", "size": "1:1"})
    return [*(tool.model_dump_json() for tool in tools), page, brief.content.text, text_of(estimate)]


async def test_the_operators_table_is_shown_in_place_of_the_published_one() -> None:
    async with World(key=None, prices=DEAR) as world, client_of(world) as client:
        said = await everything_said(client)
        assert sum("low (default) 100/101/102, medium 110/111/112, high 120/121/122" in text for text in said) == 2
        assert sum(LINE in text for text in said) == 1
        assert "111 credits a picture" in said[-1]
        assert "(VIDGO_PRICES)" in said[-1]
        assert not [old for old in OLD for text in said if old in text]


async def test_the_published_table_is_dated_wherever_it_is_shown() -> None:
    async with World(key=None) as world, client_of(world) as client:
        for text in await everything_said(client):
            shows = [old for old in OLD if old in text] or "credits a picture" in text
            assert not shows or "summer 2026" in text or "summer of 2026" in text, text


async def test_limits_and_corrections_use_the_operators_table() -> None:
    async with World(prices=DEAR) as world, client_of(world) as client:
        refused = await client.call_tool("generate_image", {"prompt": "a fox", "quality": "high", "max_credits": 99})
        assert "costs 120 credits and max_credits is 99" in text_of(refused)
        assert "quality low at 1K costs 100" in text_of(refused)
        wrong = await client.call_tool("generate_image", {"prompt": "a fox", "size": "1000x1000", "resolution": "2K"})
        assert "costs 101" in text_of(wrong)
        assert world.submits() == []
        made = await client.call_tool("generate_image", {"prompt": "a fox", "max_credits": 100})
        assert made.structured_content["credits"] == 100


async def test_a_price_that_vidgo_contradicts_is_said_in_each_place() -> None:
    contradiction = "Vidgo charged 5 where the table says 2 (low, 1K), so 5 is its price now."
    async with World(faults=["task:price=5"]) as world, client_of(world) as client:
        await client.list_tools()
        await anyio.sleep(61)
        for prompt in ("one", "two"):
            await client.call_tool("generate_image", {"prompt": prompt, "wait_seconds": 60})
        await anyio.sleep(122)
        made = await client.call_tool("generate_image", {"prompt": "three", "wait_seconds": 60})
        assert contradiction in text_of(made)
        assert contradiction in made.structured_content["notes"]
        assert (made.structured_content["credits"], made.structured_content["credits_charged"]) == (5, 5)
        estimate = await client.call_tool("estimate_cost", {})
        assert contradiction in text_of(estimate)
        report = json.loads(await read(client, "vidgo://spending"))
        assert report["notes"] == [contradiction]
        assert report["periods"][0]["credits"] == 15
        page = await read(client, "vidgo://pricing")
        assert "| low | 5 | 4 | 8 |" in page
        assert contradiction in page
        assert PUBLISHED.origin in page


async def test_a_person_who_agreed_to_a_price_is_asked_again_when_another_is_in_force_by_then() -> None:
    async def send(number: int, state: str | None = None) -> Any:
        arguments = {"prompt": "a fox", "variation": number}
        answers: Any = None if state is None else {"confirm": YES}
        return await client.session.call_tool(
            "generate_image", arguments, input_responses=answers, request_state=state, allow_input_required=True
        )

    world = World(faults=["task:price=5"], limits=Limits(confirm_above=1))
    async with world, client_of(world, person=Person()) as client:
        asked = await send(1)
        for number in (2, 3):
            await send(number, (await send(number)).request_state)
            await anyio.sleep(120)
        asked_again = await send(1, asked.request_state)
        assert asked_again.input_requests["confirm"].params.message.startswith("Spend 5 credits")
        assert len(world.submits()) == 2
        made = await send(1, asked_again.request_state)
        assert made.structured_content["credits_charged"] == 5
