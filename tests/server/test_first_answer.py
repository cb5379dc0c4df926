"""The first answers over stdio come from a snapshot: they are the server's own, byte for byte, and nothing is lost."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.stdio import stdio_server
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION

from vidgo_mcp import __version__
from vidgo_mcp.app import build_service, principal_of
from vidgo_mcp.server import view
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.opening import CAPABILITIES, FILE, PAGE, PAGE_MARK, VERSION, VIEW, VIEW_TYPE, Snapshot
from vidgo_mcp.settings import Settings

pytestmark = pytest.mark.anyio

METHODS = (
    *("server/discover", "initialize", "ping"),
    *("tools/list", "prompts/list", "resources/list", "resources/templates/list"),
    f"resources/read {view.URI}",
)
KINDS = [
    f"{one}{views}" for one in (*HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION) for views in ("", " with views")
]
CLIENT = {"name": "test", "version": "1"}
MARKED_WAIT = 599
"""Stands in the snapshot for how long a call waits; no other number there is the same."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(kind: str, method: str, number: Any = 1) -> dict[str, Any]:
    """Return a request as a kind of client writes it."""
    protocol, _, views = kind.partition(" ")
    capabilities = {"extensions": {VIEW: {"mimeTypes": [VIEW_TYPE]}}} if views else {}
    method, _, uri = method.partition(" ")
    params: dict[str, Any] = {"uri": uri} if uri else {}
    if method == "initialize":
        params = {"protocolVersion": protocol, "capabilities": capabilities, "clientInfo": CLIENT}
    elif protocol == LATEST_MODERN_VERSION:
        params["_meta"] = {VERSION: protocol, CAPABILITIES: capabilities}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


class Wire:
    """Both files of the SDK's transport, in memory; what is read ends when there are as many answers as requests."""

    def __init__(self, messages: Iterable[Mapping[str, Any]]) -> None:
        self._messages = list(messages)
        self.written = ""
        self._flushed = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[str]:
        for message in self._messages:
            yield json.dumps(message)
        while self.written.count("\n") < len(self._messages):
            await self._flushed.wait()

    async def write(self, text: str) -> None:
        self.written += text

    async def flush(self) -> None:
        self._flushed.set()
        self._flushed = anyio.Event()


async def answered(settings: Settings, messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what the SDK's server writes."""
    service, principal, wire = build_service(settings), principal_of(settings), Wire(messages)
    server = build_server(service, principal_of=lambda ctx: principal)
    async with service, stdio_server(stdin=wire, stdout=wire) as (read_stream, write_stream):  # type: ignore[arg-type]
        await server.run(read_stream, write_stream, server.create_initialization_options())
    return wire.written.splitlines()


async def results(settings: Settings) -> dict[str, dict[str, str]]:
    """Return what the SDK's server answers to each kind of client by method, as it stands on the wire."""
    found: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        found[kind] = {}
        for line in await answered(settings, [request(kind, method, method) for method in METHODS]):
            answer = json.loads(line)
            if "result" in answer:
                head = f'{{"jsonrpc":"2.0","id":{json.dumps(answer["id"])},"result":'
                assert line.startswith(head)
                found[kind][answer["id"]] = line[len(head) : -1]
    return found


async def made_anew() -> str:
    """Return what the file of the snapshot should be."""
    html = json.dumps(Path(PAGE).read_text("utf-8"), ensure_ascii=False)
    lines: list[str] = []
    answers: dict[str, dict[str, int]] = {}
    for kind, by_method in (await results(Settings(wait_seconds=MARKED_WAIT, journal="memory"))).items():
        for method in (method for method in METHODS if method in by_method):
            line = by_method[method].replace(html, PAGE_MARK)
            if line not in lines:
                lines.append(line)
            answers.setdefault(kind, {})[method] = lines.index(line) + 1
    made = {
        "by": {"vidgo-mcp": __version__, "mcp": version("mcp")},
        "handshakes": HANDSHAKE_PROTOCOL_VERSIONS,
        "modern": LATEST_MODERN_VERSION,
        "wait_seconds": str(MARKED_WAIT),
        "default_wait": str(Settings().wait_seconds),
        "answers": answers,
    }
    return "\n".join((json.dumps(made), *lines))


async def test_the_snapshot_is_what_the_sdk_answers() -> None:
    made = await made_anew()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        Path(FILE).write_text(made, "utf-8")
    assert Path(FILE).read_text("utf-8") == made


@pytest.mark.parametrize("wait", [None, "0", "7", "300"])
async def test_however_long_calls_wait_each_answer_is_the_sdks(wait: str | None) -> None:
    settings = Settings(journal="memory") if wait is None else Settings(wait_seconds=int(wait), journal="memory")
    snapshot = Snapshot.read(wait)
    for kind, by_method in (await results(settings)).items():
        assert {method: snapshot.result(kind, method) for method in METHODS if method in by_method} == by_method
