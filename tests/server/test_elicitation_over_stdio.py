"""Asking over stdio, with real processes that share one journal: a yes pays once, also for the next process."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import ElicitResult

from tests.server.conftest import COMMAND, PATIENCE, Person
from tests.server.test_over_stdio import INITIALIZE, started
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox

pytestmark = pytest.mark.anyio

LOW = 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def server(url: str, era: Any, person: Person) -> AsyncGenerator[Client]:
    env = {**os.environ, "VIDGO_API_KEY": SANDBOX_KEY, "VIDGO_BASE_URL": url, "VIDGO_CONFIRM_ABOVE": "1"}
    parameters = StdioServerParameters(command=COMMAND, env=env)
    with anyio.fail_after(PATIENCE):
        async with Client(stdio_client(parameters), mode=era, elicitation_callback=person) as client:
            yield client


async def made(client: Client) -> dict[str, Any]:
    result = await client.call_tool("generate_image", {"prompt": "a fox", "wait_seconds": 0})
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_a_yes_pays_once_and_the_next_process_neither_asks_nor_pays(
    era: Any, sandbox: Sandbox, sandbox_url: str
) -> None:
    person = Person()
    async with server(sandbox_url, era, person) as client:
        first = await made(client)
    async with server(sandbox_url, era, person) as client:
        again = await made(client)
    assert len(person.asked) == 1
    assert "2 credits" in person.asked[0]
    assert (first["credits_charged"], again["credits_charged"], again["reused"]) == (LOW, 0, True)
    assert again["task_id"] == first["task_id"]
    assert [(entry.kind, entry.credits) for entry in sandbox.ledger] == [("charge", LOW)]


async def test_a_no_spends_nothing(era: Any, sandbox: Sandbox, sandbox_url: str) -> None:
    person = Person(ElicitResult(action="decline"))
    async with server(sandbox_url, era, person) as client:
        error = await made(client)
    assert (error["category"], error["consent"], error["money"]) == ("declined", "declined", "nothing_spent")
    assert (len(person.asked), sandbox.ledger) == (1, [])


@pytest.mark.parametrize(
    ("answer", "consent"),
    [
        ({"action": "maybe"}, "no_answer"),
        ({}, "no_answer"),
        ({"action": "accept", "content": "true"}, "no_answer"),
        ({"action": "accept", "content": {"confirm": {"yes": True}}}, "no_answer"),
        (None, "cannot_ask"),
        ([True], "cannot_ask"),
    ],
)
async def test_an_answer_that_is_none_spends_nothing(
    answer: Any, consent: str, sandbox: Sandbox, sandbox_url: str
) -> None:
    async with started(sandbox_url, VIDGO_CONFIRM_ABOVE="1") as server:
        await server.send("initialize", {**INITIALIZE, "capabilities": {"elicitation": {}}}, 1)
        await server.answer(1)
        await server.send("tools/call", {"name": "generate_image", "arguments": {"prompt": "a fox"}}, 2)
        while (question := await server.line()).get("method") != "elicitation/create":
            pass
        assert server.process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": answer})
        await server.process.stdin.send(line.encode() + b"\n")
        error = (await server.answer(2))["structuredContent"]
    assert (error["category"], error["consent"], error["money"]) == ("declined", consent, "nothing_spent")
    assert sandbox.ledger == []
