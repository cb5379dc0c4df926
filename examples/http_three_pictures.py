"""Three pictures at once over HTTP: starts a server on a free port, reads its URL, and makes them under a limit.

Runs by itself against the sandbox: no key, no cost. With a key, drop ``--sandbox`` and set VIDGO_API_KEY.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream
from mcp import Client

COMMAND = shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or "vidgo-mcp"
PICTURE = {"prompt": "A tram climbing a steep street at night", "size": "16:9"}
COUNT = 3
LIMIT = 6  # credits that all pictures together may cost


@asynccontextmanager
async def serving() -> AsyncGenerator[str]:
    """Start the server and yield its URL, which it says on stderr once it accepts connections."""
    async with await anyio.open_process([COMMAND, "serve", "--http", "--port", "0", "--sandbox"]) as process:
        try:
            yield await url_of(process)
        finally:
            process.terminate()


async def url_of(process: anyio.abc.Process) -> str:
    assert process.stderr is not None
    said = ""
    with anyio.fail_after(30):
        async for text in TextReceiveStream(process.stderr):
            said += text
            if said.endswith("\n") and (found := re.search(r"Serving MCP at (http://[\w.:/\[\]]+)", said)):
                return found[1]
    raise RuntimeError(f"the server ended: {said}")


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return the structured part of its result."""
    answer: dict[str, Any] = (await client.call_tool(tool, arguments)).structured_content
    return answer


async def main() -> None:
    async with serving() as url, Client(url) as client:
        price = await ask(client, "estimate_cost", size=PICTURE["size"], count=COUNT)
        assert price["total_credits"] <= LIMIT, f"{COUNT} pictures cost {price['total_credits']} credits"

        made: list[dict[str, Any]] = []

        async def make(variation: int) -> None:
            # This client has no time-out of its own, so it may wait longer than a chat would.
            limits = {"max_credits": price["credits"], "wait_seconds": 120}
            made.append(await ask(client, "generate_image", **PICTURE, variation=variation, **limits))

        async with anyio.create_task_group() as calls:
            for variation in range(1, COUNT + 1):
                calls.start_soon(make, variation)
        listed = await ask(client, "get_task")

    for answer in made:
        print(f"{answer['task_id']}: {answer['credits_charged']} credits, {answer['image_urls'][0]}")
    assert {answer["outcome"] for answer in made} == {"finished"}
    assert len({answer["image_urls"][0] for answer in made}) == COUNT
    assert sum(answer["credits"] for answer in made) == price["total_credits"]
    assert {task["task_id"] for task in listed["tasks"]} >= {answer["task_id"] for answer in made}


if __name__ == "__main__":
    anyio.run(main)
