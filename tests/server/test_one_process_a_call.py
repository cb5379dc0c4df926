"""Clients that start a process for each call try the sandbox inside it: what one process made, the next one knows."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.server.conftest import COMMAND, PATIENCE
from vidgo_mcp.app import build_service, journal_path, principal_of
from vidgo_mcp.models.requests import GenerateArguments
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running
from vidgo_mcp.settings import load


@pytest.fixture
def anyio_backend() -> str:
    """Return asyncio: what is tested here are processes and sockets."""
    return "asyncio"


async def call(tool: str, **arguments: Any) -> Any:
    """Call a tool of a process that is started for this call, and ends after it."""
    environment = {name: os.environ[name] for name in ("HOME", "TMPDIR", "PATH")} | {
        "PYTHONPATH": os.environ.get("PYTHONPATH", "")
    }
    server = StdioServerParameters(command=COMMAND, args=["--sandbox"], env=environment)
    with anyio.fail_after(PATIENCE):
        async with Client(stdio_client(server), mode="legacy") as client:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            urls = (result.structured_content or {}).get("image_urls") or []
            async with httpx.AsyncClient(trust_env=False) as http:
                assert [(await http.get(url)).status_code for url in urls] == [200] * len(urls)
            return result


@pytest.mark.anyio
async def test_each_process_goes_on_where_the_one_before_stopped() -> None:
    pending = (await call("generate_image", prompt="a fox", wait_seconds=0)).structured_content
    assert (pending["outcome"], pending["credits_charged"]) == ("pending", 2)
    found = (await call("get_task", task_id=pending["task_id"])).structured_content
    assert found["outcome"] == "finished"
    again = (await call("generate_image", prompt="a fox")).structured_content
    assert (again["reused"], again["credits_charged"]) == (True, 0)
    seen = await call("view_image", task_id=pending["task_id"])
    assert seen.content[0].type == "image"
    edited = (await call("edit_image", prompt="at night", image_urls=[f"task:{pending['task_id']}"])).structured_content
    assert edited["outcome"] == "finished"
    listed = (await call("get_task")).structured_content["tasks"]
    assert [task["task_id"] for task in listed] == [edited["task_id"], pending["task_id"]]
    assert (await call("get_balance")).structured_content["credits"] == 996


def test_the_real_journal_is_another_one(tmp_path: Path) -> None:
    real = str(tmp_path / "journal.db")
    sandbox = load({"VIDGO_SANDBOX": "1", "VIDGO_JOURNAL": real})
    assert journal_path(sandbox) not in {None, Path(real), journal_path(load({}))}
    assert journal_path(load({"VIDGO_SANDBOX": "1", "VIDGO_JOURNAL": "memory"})) is None


@pytest.mark.anyio
async def test_a_sandbox_started_anew_at_the_same_port_makes_the_picture_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "VIDGO_BASE_URL": f"http://127.0.0.1:{port}",
        "VIDGO_API_KEY": SANDBOX_KEY,
        "VIDGO_JOURNAL": str(tmp_path / "journal.db"),
        "VIDGO_SAVE_DIR": "off",
    }
    settings, fox, made = load(environment), GenerateArguments(prompt="a fox", wait_seconds=30), []
    for _ in range(2):
        with running(Sandbox(seconds=(0, 0)), port=port):
            for reused in (False, True):
                async with build_service(settings) as service, httpx.AsyncClient(trust_env=False) as http:
                    result = await service.make(principal_of(settings), fox)
                    assert (result.outcome, result.reused) == ("finished", reused)
                    assert [(await http.get(url)).status_code for url in result.image_urls or ()] == [200]
                    made.append(result.task_id)
    assert len(set(made)) == 2
