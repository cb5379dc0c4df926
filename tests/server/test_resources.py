"""What the pictures cost is a resource, true to the credit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from tests.conftest import World
from vidgo_mcp.server import build_server

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Any:
    return request.param


async def spending(client: Client) -> dict[str, Any]:
    [found] = (await client.read_resource("vidgo://spending")).contents
    assert isinstance(found, TextResourceContents)
    report: dict[str, Any] = json.loads(found.text)
    return report


async def test_spending_is_told_by_period_quality_and_tier(era: str) -> None:
    async with World() as world, Client(build_server(world.service), mode=era) as client:
        await world.finished(prompt="a fox")
        await world.finished(prompt="a hare", size="16:9", resolution="2K", quality="high")
        day, week, month = (await spending(client))["periods"]
        assert day == {
            "period": "24 h",
            "credits": 26,
            "pictures": 2,
            "lines": [
                {"quality": "low", "tier": "1K", "pictures": 1, "credits": 2},
                {"quality": "high", "tier": "2K", "pictures": 1, "credits": 24},
            ],
        }
        assert [week["credits"], month["credits"]] == [26, 26]
        assert sum(entry.credits for entry in world.sandbox.ledger) == 26


async def test_refunded_pictures_are_left_out(era: str) -> None:
    async with World(faults=["task:failed*1"]) as world, Client(build_server(world.service), mode=era) as client:
        await world.make()
        assert (await spending(client))["periods"][0]["credits"] == 0


async def test_without_a_key_the_resource_says_what_to_set(era: str) -> None:
    async with World(key=None) as world, Client(build_server(world.service), mode=era) as client:
        with pytest.raises(MCPError, match="VIDGO_API_KEY"):
            await client.read_resource("vidgo://spending")
