"""Three pictures at once over stdio, as an MCP client makes them: priced first, under a limit, each paid for once.

Runs by itself against the sandbox: no key, no cost. With a key, drop ``--sandbox``, and pass VIDGO_API_KEY in ``env``
in place of VIDGO_JOURNAL, which makes the sandbox forget earlier runs.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

SERVER = StdioServerParameters(
    command=shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or "vidgo-mcp",
    args=["--sandbox"],
    env={"VIDGO_JOURNAL": "memory"},
)
PICTURE = {"prompt": "A lighthouse at dawn, seen from the sea", "size": "3:2", "quality": "medium"}
COUNT = 3
LIMIT = 10
"""Credits that all pictures together may cost."""


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return the structured part of its result."""
    answer: dict[str, Any] = (await client.call_tool(tool, arguments)).structured_content
    return answer


async def main() -> None:
    async with Client(stdio_client(SERVER)) as client:
        price = await ask(client, "estimate_cost", size=PICTURE["size"], quality=PICTURE["quality"], count=COUNT)
        assert price["total_credits"] <= LIMIT, f"{COUNT} pictures cost {price['total_credits']} credits"
        before = await ask(client, "get_balance")

        made: dict[int, dict[str, Any]] = {}

        async def make(variation: int) -> None:
            # This client has no time-out of its own, so it may wait longer than a chat would.
            limits = {"max_credits": price["credits"], "wait_seconds": 120}
            made[variation] = await ask(client, "generate_image", **PICTURE, variation=variation, **limits)

        async with anyio.create_task_group() as calls:
            for variation in range(1, COUNT + 1):
                calls.start_soon(make, variation)

        after = await ask(client, "get_balance")
        again = await ask(client, "generate_image", **PICTURE, variation=1, max_credits=0)
        refused = await ask(client, "generate_image", **PICTURE, variation=COUNT + 1, max_credits=1)

    for variation, answer in sorted(made.items()):
        print(f"{variation}: {answer['credits_charged']} credits, {answer['image_urls'][0]}")
    assert [answer["outcome"] for answer in made.values()] == ["finished"] * COUNT
    assert len({answer["image_urls"][0] for answer in made.values()}) == COUNT
    assert sum(answer["credits_charged"] for answer in made.values()) == price["total_credits"]
    assert before["credits"] - after["credits"] == price["total_credits"]
    assert again["reused"] is True
    assert again["credits_charged"] == 0
    assert again["image_urls"] == made[1]["image_urls"]
    assert (refused["category"], refused["money"]) == ("budget", "nothing_spent")


if __name__ == "__main__":
    anyio.run(main)
