"""Asking over stdio, with real processes that share one journal: a yes pays once, also for the next process."""

from __future__ import annotations

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
