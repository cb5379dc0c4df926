"""As a client meets it behind proxies that break, and with variables that cannot be used: nothing is spent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.proxies import BROKEN, proxy
from tests.server.conftest import PATIENCE, Caller
from vidgo_mcp.app import build_service, principal_of
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.server.build import build_server
from vidgo_mcp.settings import load

FOX = {"prompt": "a fox", "wait_seconds": 0}

pytestmark = [
    pytest.mark.anyio,
    # httpcore leaves a connection to a SOCKS proxy that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def served(tmp_path: Path, base_url: str = "https://api.vidgo.example") -> AsyncGenerator[Caller]:
    """Yield a client of a whole server, with a journal on the disk."""
    journal = str(tmp_path / "journal.db")
    settings = load({}, api_key=SANDBOX_KEY, base_url=base_url, journal=journal, budget_per_day=10)
    service, principal = build_service(settings), principal_of(settings)
    server = build_server(service, principal_of=lambda ctx: principal)
    with anyio.fail_after(PATIENCE):
        async with service, Client(server) as client:
            yield await Caller.of(client)


async def assert_nothing_is_left(caller: Caller) -> None:
    price = await caller.client.call_tool("estimate_cost", {})
    listed = await caller.client.call_tool("get_task", {})
    assert price.structured_content is not None
    assert listed.structured_content is not None
    assert (price.structured_content["budget_left"], listed.structured_content["tasks"]) == (10, [])


@pytest.mark.parametrize("what", [name for name in BROKEN if "stalls" not in name])
async def test_a_submit_that_no_proxy_let_out_is_not_spent_and_not_counted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidgo_mcp.service.watches.SHORTEST_WAIT_FOR_ID", 2.0)
    scheme, talk = BROKEN[what]
    with proxy(talk) as server:
        monkeypatch.setenv("https_proxy", f"{scheme}://127.0.0.1:{server.port}")
        async with served(tmp_path) as caller:
            error = await caller.error("generate_image", **FOX)
            assert (error["category"], error["money"], error["retryable"]) == ("unavailable", "nothing_spent", True)
            assert "https_proxy" in error["message"]
            await assert_nothing_is_left(caller)
    assert server.asked


@pytest.mark.parametrize("what", ["stalls", "stalls in the tunnel", "SOCKS stalls"])
async def test_a_call_that_is_cancelled_while_a_proxy_stalls_leaves_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme, talk = BROKEN[what]
    with proxy(talk) as server:
        monkeypatch.setenv("https_proxy", f"{scheme}://127.0.0.1:{server.port}")
        async with served(tmp_path) as caller:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(caller.client.call_tool, "generate_image", FOX)
                while not server.asked:  # noqa: ASYNC110 - a thread of the proxy sets it
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            await anyio.sleep(0.2)
            await assert_nothing_is_left(caller)


VARIABLES = {
    "HTTPS_PROXY": "http://user:s3cret@127.0.0.1:abc",
    "https_proxy": "http://127.0.0.1:99999",
    "ALL_PROXY": "gopher://127.0.0.1:9",
    "SSL_CERT_FILE": "/gone.pem",
    "SSL_CERT_DIR": "/gone",
    "SSLKEYLOGFILE": "/gone/keys",
}


@pytest.mark.parametrize("variable", VARIABLES)
async def test_a_variable_that_cannot_be_used_is_named_by_every_tool_that_needs_vidgo(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, VARIABLES[variable])
    async with served(tmp_path) as caller:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("generate_image", FOX),
            ("edit_image", {**FOX, "image_urls": ["https://a.example/b.png"]}),
            ("get_balance", {}),
            ("get_task", {"task_id": "task-1"}),
            ("view_image", {"task_id": "task-1"}),
        ]
        for tool, arguments in calls:
            error = await caller.error(tool, **arguments)
            assert error["message"].startswith(f"{variable} cannot be used: ")
            assert (error["category"], error["remedy"]) == ("unavailable", "fix_network")
            assert (error["money"], error["retryable"]) == ("nothing_spent", False)
            assert "s3cret" not in str(error)
        await assert_nothing_is_left(caller)


async def test_loopback_needs_neither_proxy_nor_certificates(
    tmp_path: Path, sandbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value)
    async with served(tmp_path, sandbox_url) as caller:
        made = await caller.client.call_tool("generate_image", {"prompt": "a fox"})
        assert made.structured_content is not None
        assert made.structured_content["outcome"] == "finished"
        seen = await caller.client.call_tool("view_image", {"task_id": made.structured_content["task_id"]})
        assert not seen.is_error
