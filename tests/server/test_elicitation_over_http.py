"""Asking the person over stateless HTTP: the stateless era can, the handshake era cannot; and questions grow old."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import request_state
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult

from tests.server.conftest import MODERN, YES, Person
from tests.service.durable import Process, hasten, moved, quick_sandbox
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.elicitation import ANSWER_SECONDS
from vidgo_mcp.server.http import http_app
from vidgo_mcp.service import Limits, Principal, Service, account_of

pytestmark = pytest.mark.anyio

HIGH = 12
URL = "http://127.0.0.1/mcp"
CALL = {"prompt": "a cat", "quality": "high", "wait_seconds": 0}
KEY = b"k" * 32


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


@asynccontextmanager
async def served(process: Process, era: str, person: Person | None) -> AsyncGenerator[Client]:
    """Serve over HTTP, without a socket, and connect a client."""
    app = http_app(build_server(process.service, principal_of=lambda ctx: process.principal, state_key=KEY))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(process)
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = await stack.enter_async_context(httpx2.AsyncClient(transport=httpx2.ASGITransport(app)))
        transport = streamable_http_client(URL, http_client=http)
        yield await stack.enter_async_context(Client(transport, mode=era, elicitation_callback=person))


def structured(result: CallToolResult | InputRequiredResult) -> dict[str, object]:
    assert isinstance(result, CallToolResult), result
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_the_stateless_era_is_asked_over_http_and_pays_once(tmp_path: Path) -> None:
    person, sandbox = Person(), quick_sandbox()
    process = Process(sandbox, tmp_path / "journal.db", limits=Limits(confirm_above=5))
    async with served(process, "auto", person) as client:
        assert structured(await client.call_tool("generate_image", CALL))["credits_charged"] == HIGH
        assert structured(await client.call_tool("generate_image", CALL))["credits_charged"] == 0
    assert len(person.asked) == 1
    assert moved(sandbox) == [("charge", HIGH)]


async def test_the_handshake_era_cannot_be_asked_over_stateless_http(tmp_path: Path) -> None:
    person, sandbox = Person(), quick_sandbox()
    process = Process(sandbox, tmp_path / "journal.db", limits=Limits(confirm_above=5))
    async with served(process, "legacy", person) as client:
        with anyio.fail_after(20):
            error = structured(await client.call_tool("generate_image", CALL))
    assert (error["category"], error["money"], error["consent"]) == ("declined", "nothing_spent", "cannot_ask")
    # The client is not blamed: it said that it can ask.
    assert "over HTTP there is no way to ask a client that speaks a protocol older than 2026-07-28" in str(
        error["message"]
    )
    assert "VIDGO_CONFIRM_ABOVE" in str(error["next_step"])
    assert person.asked == []
    assert {request.path for request in sandbox.requests} == {"/api/user/balance"}  # which tells the time


async def test_a_question_of_one_process_can_be_answered_once_at_another(tmp_path: Path) -> None:
    sandbox, path, limits = quick_sandbox("task:failed*1"), tmp_path / "journal.db", Limits(confirm_above=5)
    one, two = (Process(sandbox, path, name, limits=limits) for name in "ab")
    async with served(one, "auto", Person()) as first, served(two, "auto", Person()) as second:
        asked = await first.session.call_tool("generate_image", CALL, allow_input_required=True)
        assert isinstance(asked, InputRequiredResult)

        async def answer(client: Client) -> dict[str, object]:
            return structured(
                await client.session.call_tool(
                    "generate_image",
                    CALL,
                    input_responses={"confirm": YES},
                    request_state=asked.request_state,
                    allow_input_required=True,
                )
            )

        made = await answer(second)
        assert made["credits_charged"] in {0, HIGH}
        failed = await second.call_tool("get_task", {"task_id": made["task_id"], "wait_seconds": 20})
        assert structured(failed)["refunded"] is True
        for client in (first, second):
            error = await answer(client)
            assert (error["category"], error["money"], error["consent"]) == ("declined", "nothing_spent", "no_answer")
    assert moved(sandbox) == [("charge", HIGH), ("refund", HIGH)]


async def test_an_answer_that_comes_after_its_question_has_expired_spends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = quick_sandbox()
    process = Process(sandbox, tmp_path / "journal.db", limits=Limits(confirm_above=5))
    async with served(process, "auto", Person()) as client:
        asked = await client.session.call_tool("generate_image", CALL, allow_input_required=True)
        assert isinstance(asked, InputRequiredResult)
        late = time.time() + ANSWER_SECONDS + 1
        monkeypatch.setattr(request_state, "time", SimpleNamespace(time=lambda: late))
        with pytest.raises(MCPError):
            await client.session.call_tool(
                "generate_image",
                CALL,
                input_responses={"confirm": YES},
                request_state=asked.request_state,
                allow_input_required=True,
            )
    assert {request.path for request in sandbox.requests} == {"/api/user/balance"}  # which tells the time


ASKED = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    },
    "name": "generate_image",
    "arguments": CALL,
}


NO_ANSWERS: list[Any] = [
    {"action": "maybe"},
    {"action": "ACCEPT", "content": {"confirm": True}},
    {"action": ["accept"], "content": {"confirm": True}},
    {"action": None},
    {"action": "accept"},
    {"action": "accept", "content": None},
    {"action": "accept", "content": [True]},
    {"action": "accept", "content": "true"},
    {"action": "accept", "content": {"confirm": "true"}},
    {"action": "accept", "content": {"confirm": 1}},
    {"action": "accept", "content": {"confirm": {"yes": True}}},
    {"code": -1, "message": "no"},
    {},
    [],
    5,
    "accept",
    None,
]


@pytest.mark.parametrize(
    ("answers", "consent"),
    [
        *[({"confirm": answer}, "no_answer") for answer in NO_ANSWERS],
        ([{"action": "accept"}], "no_answer"),
        (5, "no_answer"),
        ({"confirm": {"action": "decline", "content": {"confirm": True}}}, "declined"),
        ({"confirm": {"action": "cancel"}}, "dismissed"),
    ],
    ids=repr,
)
async def test_an_answer_that_is_none_spends_nothing_and_says_so(
    answers: Any, consent: str, sandbox: Sandbox, sandbox_url: str
) -> None:
    service = Service(
        journal=SqliteJournal(None), connect=lambda account: VidgoClient(SANDBOX_KEY, base_url=sandbox_url)
    )
    principal = Principal(account_of(SANDBOX_KEY, sandbox_url), limits=Limits(confirm_above=5))
    app = http_app(build_server(service, principal_of=lambda ctx: principal))
    headers = {"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": MODERN}
    headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "generate_image"}
    transport = httpx2.ASGITransport(app)
    async with service, app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport) as client:

        async def call(**more: Any) -> dict[str, Any]:
            request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**ASKED, **more}}
            result = (await client.post(URL, json=request, headers=headers)).json()["result"]
            assert isinstance(result, dict)
            return result

        state = (await call())["requestState"]
        error = (await call(requestState=state, inputResponses=answers))["structuredContent"]
    assert (error["category"], error["money"], error["consent"]) == ("declined", "nothing_spent", consent)
    assert sandbox.ledger == []
