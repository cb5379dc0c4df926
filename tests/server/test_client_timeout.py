"""A client that gives up early is learned from: its later calls answer pending in time."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

from tests.conftest import World
from tests.server.conftest import COMMAND, PATIENCE, client_of, text_of
from tests.server.test_over_stdio import environment
from tests.service.durable import moved
from vidgo_mcp.sandbox import Sandbox
from vidgo_mcp.server.client_timeout import ClientTimeout
from vidgo_mcp.service.watches import Deadline

NOTE = "This client gives up on calls early"
pytestmark = pytest.mark.anyio


async def heard(patience: ClientTimeout, method: str, number: Any, **params: Any) -> None:
    async def answer(ctx: Any) -> None:
        return None

    context: Any = SimpleNamespace(request=None, request_id=number, method=method, params=params)
    await patience(context, answer)


@pytest.mark.parametrize(
    ("reason", "after", "learned"),
    [
        ("timed out after 5.0s", 5, 4),  # the Python SDK
        ("McpError: MCP error -32001: Request timed out", 60, 48),  # the TypeScript SDK
        ("request timeout", 10, 8),  # the Rust SDK
        ("TimeoutError: The operation was aborted due to timeout", 30, 24),
        ("context deadline exceeded", 30, 24),
        ("Exceeded the time limit", 10, 8),
        ("timed out", 0.5, 2),
        ("caller cancelled", 5, None),
        ("AbortError: This operation was aborted", 5, None),
        (None, 5, None),
        (7, 5, None),
    ],
)
async def test_only_a_time_out_is_learned_from(reason: Any, after: float, learned: float | None) -> None:
    patience = ClientTimeout()
    await heard(patience, "tools/call", 1)
    await anyio.sleep(after)
    given = {} if reason is None else {"reason": reason}
    await heard(patience, "notifications/cancelled", None, requestId="1", **given)
    assert patience.seconds == (None if learned is None else pytest.approx(learned))


async def test_the_smallest_time_wins_and_unknown_calls_teach_nothing() -> None:
    patience = ClientTimeout()
    for number, after in enumerate((30, 10, 60)):
        await heard(patience, "tools/call", number)
        await anyio.sleep(after)
        await heard(patience, "notifications/cancelled", None, requestId=number, reason="timed out")
    await heard(patience, "notifications/cancelled", None, requestId=99, reason="timed out")
    assert patience.seconds == pytest.approx(8)


async def test_later_calls_answer_in_time_whatever_they_ask_for() -> None:
    # In memory only the older era sends cancellations.
    async with World(seconds=600) as world, client_of(world, "legacy") as client:
        with pytest.raises(MCPError):
            await client.call_tool("generate_image", {"prompt": "a fox"}, read_timeout_seconds=5)
        for arguments in ({}, {"wait_seconds": 600}, {"wait_seconds": 30, "variation": 2}):
            start = anyio.current_time()
            made = await client.call_tool("generate_image", {"prompt": "a fox", **arguments}, read_timeout_seconds=5)
            assert made.structured_content is not None
            assert made.structured_content["outcome"] == "pending"
            assert NOTE in text_of(made)
            assert anyio.current_time() - start <= 4.5
        [task_id, _] = world.sandbox.tasks
        found = await client.call_tool("get_task", {"task_id": task_id}, read_timeout_seconds=5)
        assert NOTE in text_of(found)
        short = await client.call_tool("get_task", {"task_id": task_id, "wait_seconds": 1})
        assert NOTE not in text_of(short)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_real_client_over_stdio_times_out_once(era: Any, sandbox: Sandbox, sandbox_url: str) -> None:
    sandbox.set_faults(["task:stuck"])
    parameters = StdioServerParameters(command=COMMAND, env=environment(sandbox_url))
    with anyio.fail_after(PATIENCE):
        async with Client(parameters, mode=era) as client:
            await client.list_tools()
            with pytest.raises(MCPError):
                await client.call_tool("generate_image", {"prompt": "a fox"}, read_timeout_seconds=4)
            result = await client.call_tool("generate_image", {"prompt": "a fox"}, read_timeout_seconds=4)
            assert NOTE in text_of(result)
    assert moved(sandbox) == [("charge", 2)]


async def test_every_wait_of_a_call_keeps_to_what_the_client_allows() -> None:
    patient, short, hasty = Deadline(600), Deadline(1, 4), Deadline(600, 4)
    assert (hasty.left(), hasty.left_for_id(), hasty.left_for_answer(), hasty.shortened) == (4, 4, 4, 4)
    assert (short.left(), short.left_for_id(), short.shortened) == (1, 4, None)
    assert (patient.left_for_id(), patient.left_for_answer(), patient.shortened) == (600, math.inf, None)
    await anyio.sleep(10)
    # The person took all of the time to agree: a task_id is still waited for, or nothing would be sent.
    hasty.restart_for_id()
    assert hasty.left_for_id() == pytest.approx(2)
