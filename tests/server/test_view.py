"""Clients that show views get one for their pictures, with what it shows; for all others nothing changes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.client.extension import advertise
from mcp_types import CallToolResult, ImageContent, TextResourceContents
from PIL import Image

from tests.conftest import DAY, World
from tests.server.conftest import MODERN, client_of
from vidgo_mcp.errors import JournalError
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.models.sizes import QUALITIES, RATIOS, TIERS, parse_size
from vidgo_mcp.pricing import PUBLISHED, larger, quote
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.http import http_app
from vidgo_mcp.server.view import EXTENSION, FACTS, MIME_TYPE, URI
from vidgo_mcp.service import LocalFiles

pytestmark = pytest.mark.anyio

DECLARED = {EXTENSION: {"mimeTypes": [MIME_TYPE]}}
SHOWN = {"generate_image", "edit_image", "get_task"}


def viewer_of(world: World, era: Any, settings: dict[str, Any] | None = None) -> Client:
    """Return a client that declares the extension."""
    server = build_server(world.service, principal_of=lambda ctx: world.principal())
    declared = DECLARED[EXTENSION] if settings is None else settings
    return Client(server, mode=era, extensions=[advertise(EXTENSION, declared)])


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """Return what only the view reads of an answer."""
    assert not result.is_error, result
    assert result.meta is not None
    facts: dict[str, Any] = result.meta[FACTS]
    return facts


def picture_of(result: CallToolResult) -> Image.Image:
    """Return the picture in an answer of ``picture_data``."""
    [image] = result.content
    assert isinstance(image, ImageContent)
    return Image.open(io.BytesIO(base64.b64decode(image.data)))


async def test_a_client_that_shows_views_learns_which_tools_have_one(era: Any) -> None:
    async with World() as world, viewer_of(world, era) as viewer, client_of(world, era) as plain:
        theirs, listed = (await plain.list_tools()).tools, (await viewer.list_tools()).tools

    assert [tool.model_copy(update={"meta": None}) for tool in listed[:-1]] == theirs
    for tool in listed:
        visible_to = ["app"] if tool.name == "picture_data" else ["model", "app"]
        ui = {"ui": {"resourceUri": URI, "visibility": visible_to}, "ui/resourceUri": URI}
        assert tool.meta == (ui if tool.name in SHOWN | {"picture_data"} else None)
    assert listed[-1].name == "picture_data"


@pytest.mark.parametrize("settings", [{}, {"mimeTypes": ["text/html"]}, {"mimeTypes": None}, {"mimeTypes": True}])
async def test_a_client_that_shows_something_else_is_told_nothing(era: Any, settings: dict[str, Any]) -> None:
    async with World() as world, viewer_of(world, era, settings) as other, client_of(world, era) as plain:
        assert (await other.list_tools()).tools == (await plain.list_tools()).tools
        assert URI not in {resource.uri for resource in (await other.list_resources()).resources}


async def test_the_view_is_one_document_that_loads_nothing(era: Any) -> None:
    async with World() as world, viewer_of(world, era) as viewer:
        [listed] = [one for one in (await viewer.list_resources()).resources if one.uri == URI]
        [page] = (await viewer.read_resource(URI)).contents

    assert isinstance(page, TextResourceContents)
    assert (listed.mime_type, page.mime_type) == (MIME_TYPE, MIME_TYPE)
    assert page.text.lower().startswith("<!doctype html>")
    csp: dict[str, list[str]] = {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []}
    assert listed.meta == page.meta == {"ui": {"csp": csp, "prefersBorder": True}}


async def test_a_model_gets_the_same_words_with_a_view_as_without(era: Any) -> None:
    call = {"prompt": "a fox", "size": "16:9"}
    async with World() as world, viewer_of(world, era) as viewer, client_of(world, era) as plain:
        await viewer.call_tool("generate_image", call)
        for tool, arguments in (("generate_image", call), ("get_task", {}), ("estimate_cost", {})):
            shown, said = [await client.call_tool(tool, arguments) for client in (viewer, plain)]
            assert shown.model_copy(update={"meta": said.meta}) == said
            assert FACTS not in (said.meta or {})


async def test_a_finished_picture_brings_what_its_view_shows(era: Any) -> None:
    prompt = "a fox " * 100
    async with World() as world, viewer_of(world, era) as viewer:
        made = await viewer.call_tool("generate_image", {"prompt": prompt, "size": "16:9", "quality": "medium"})
        facts = facts_of(made)

    assert facts.pop("created_at").endswith("Z")
    assert facts == {
        "prompt": prompt,
        "usual_seconds": [15, 60],
        "spent_24h": 3,
        "another": {"variation": 2, "credits": 3},
        "larger": {"size": "16:9", "resolution": "2K", "credits": 6},
    }


async def test_a_picture_that_is_being_made_offers_no_other(era: Any) -> None:
    async with World() as world, viewer_of(world, era) as viewer:
        facts = facts_of(await viewer.call_tool("generate_image", {"prompt": "a fox", "wait_seconds": 0}))

    assert facts.keys() == {"prompt", "created_at", "usual_seconds", "spent_24h"}


async def test_a_journal_that_cannot_be_read_is_read_once_for_the_view(era: Any) -> None:
    """Each reading may wait as long as somebody holds the journal, and the picture is paid for."""
    async with World() as world, viewer_of(world, era) as viewer:
        made = await viewer.call_tool("generate_image", {"prompt": "a fox"})
        assert made.structured_content

        async def fail(owner: str) -> int:
            raise JournalError("It is held.")

        world.journal.spent = fail  # type: ignore[method-assign]
        again = await viewer.call_tool("get_task", {"task_id": made.structured_content["task_id"]})

    assert facts_of(again) == {"prompt": "a fox"}


async def test_what_such_pictures_usually_take_is_learned(era: Any) -> None:
    async with World(seconds=31) as world, viewer_of(world, era) as viewer:
        for variation in range(1, 120):
            await viewer.call_tool("generate_image", {"prompt": "a fox", "variation": variation})
        await anyio.sleep(700)
        facts = facts_of(await viewer.call_tool("estimate_cost", {}))

    assert facts["usual_seconds"][0] > 15


async def test_without_a_key_the_vendors_word_is_what_pictures_take(era: Any) -> None:
    async with World(key=None) as world, viewer_of(world, era) as viewer:
        assert facts_of(await viewer.call_tool("estimate_cost", {})) == {"usual_seconds": [15, 60]}


async def test_the_view_gets_a_picture_of_its_own_size(era: Any) -> None:
    async with World() as world, viewer_of(world, era) as viewer:
        made = await viewer.call_tool("generate_image", {"prompt": "a fox", "size": "16:9"})
        assert made.structured_content
        asked = {"task_id": made.structured_content["task_id"], "max_edge": 320}
        got = await viewer.call_tool("picture_data", asked)
        facts = facts_of(got)

    assert max(picture_of(got).size) == 320
    assert (got.structured_content, facts["width"] > 320) == (None, True)


async def test_days_later_a_saved_copy_is_shown_and_else_the_view_is_told(era: Any, tmp_path: Path) -> None:
    for folder in (tmp_path, None):
        files = LocalFiles(Folders(()), folder)
        async with World(files=files) as world, viewer_of(world, era) as viewer:
            made = await viewer.call_tool("generate_image", {"prompt": "a fox"})
            assert made.structured_content
            await anyio.sleep(3 * DAY)
            got = await viewer.call_tool("picture_data", {"task_id": made.structured_content["task_id"]})
            assert got.is_error is (folder is None)


@given(st.sampled_from(RATIOS), st.sampled_from(TIERS), st.sampled_from(QUALITIES))
def test_larger_is_the_next_tier_at_its_own_price(ratio: str, tier: Any, quality: Any) -> None:
    size = parse_size(ratio)
    now = quote(size, tier, quality)
    found = larger(size, now.tier, quality, PUBLISHED)

    if found is None:
        assert quote(size, "4K", quality).tier == now.tier
    else:
        priced = quote(parse_size(found.size), found.resolution, quality)
        assert (priced.credits, priced.tier > now.tier) == (found.credits, True)


def test_pixels_grow_into_the_nearest_ratio() -> None:
    assert str(larger(parse_size("1920x1088"), "2K", "low", PUBLISHED)).startswith("16:9 with resolution 4K costs 8")
    assert larger(parse_size("1024x1024"), "2K", "low", PUBLISHED) is None


@asynccontextmanager
async def posting() -> AsyncGenerator[httpx.AsyncClient]:
    async with World() as world:
        app = http_app(build_server(world.service, principal_of=lambda ctx: world.principal()))
        async with app.router.lifespan_context(app):
            headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as http:
                yield http


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.mark.parametrize("slash", ["/", "\\/"])
@pytest.mark.parametrize("extensions", [DECLARED, {}, None])
async def test_over_http_a_handshake_is_remembered_by_its_session_id(extensions: Any, slash: str) -> None:
    """Where no session is kept, only the id that the client sends back can say what it declared."""
    capabilities = {} if extensions is None else {"extensions": extensions}
    info = {"name": "test", "version": "1"}
    hello = message("initialize", protocolVersion="2025-11-25", clientInfo=info, capabilities=capabilities)
    async with posting() as http:
        written = json.dumps(hello).replace("/", slash)
        greeted = await http.post("/mcp", content=written, headers={"Content-Type": "application/json"})
        session = {name: value for name, value in greeted.headers.items() if name == "mcp-session-id"}
        listed = await http.post("/mcp", json=message("tools/list"), headers=session)

    assert bool(session) is (extensions is DECLARED)
    assert (URI in listed.text) is (extensions is DECLARED)


async def test_over_http_a_modern_request_says_itself_what_it_shows() -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": DECLARED},
    }
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
    async with posting() as http:
        listed = await http.post("/mcp", json=message("tools/list", _meta=meta), headers=headers)

    assert URI in listed.text
    assert '"cacheScope":"private"' in listed.text
