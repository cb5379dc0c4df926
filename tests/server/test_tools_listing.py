"""The list of tools is small, the same as the committed one, and made only of what every client can read."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from tests.conftest import World
from tests.server.conftest import client_of
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.models.results import ErrorResult
from vidgo_mcp.server.build import build_server, instructions
from vidgo_mcp.server.http import http_app
from vidgo_mcp.server.schemas import output_schema
from vidgo_mcp.service import LocalFiles

SNAPSHOT = Path(__file__).with_name("tools_list.json")
KB = 1024
SCHEMA_WORDS = {
    *("type", "properties", "required", "description", "enum", "default", "items"),
    *("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"),
}
PLAIN_TYPES = {"string", "integer", "number", "boolean", "array", "object"}
HINTS = {
    "generate_image": (False, False, True, True),
    "edit_image": (False, False, True, True),
    "get_task": (True, False, True, True),
    "estimate_cost": (True, False, True, False),
    "get_balance": (True, False, True, True),
    "view_image": (True, False, True, True),
}
ARGUMENTS = {
    "generate_image": "prompt size resolution quality variation max_credits wait_seconds",
    "edit_image": "prompt size resolution quality variation max_credits wait_seconds image_urls",
    "get_task": "task_id wait_seconds limit",
    "estimate_cost": "size resolution quality count",
    "get_balance": "",
    "view_image": "task_id max_edge",
}
REQUIRED = {"generate_image": {"prompt"}, "edit_image": {"prompt", "image_urls"}, "view_image": {"task_id"}}
SPENDING = {"generate_image", "edit_image"}

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def posting() -> AsyncGenerator[httpx.AsyncClient]:
    # The longer words are those of a server that reads files.
    async with World(key=None, files=LocalFiles(Folders(()))) as world:
        app = http_app(build_server(world.service, principal_of=lambda ctx: world.principal()))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                yield http


async def wire_bytes(era: Any) -> bytes:
    """Return the answer to tools/list as it goes over HTTP to a client of an era."""
    version = "2025-11-25" if era == "legacy" else "2026-07-28"
    params: dict[str, Any] = {}
    if era != "legacy":
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    async with posting() as http:
        answer = await http.post(
            "/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params},
            headers={
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": version,
                "MCP-Method": "tools/list",
            },
        )
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        [data] = [line[6:] for line in answer.content.splitlines() if line.startswith(b"data: {")]
        return data
    return answer.content


async def listed(era: Any) -> dict[str, Any]:
    result = json.loads(await wire_bytes(era))["result"]
    assert isinstance(result, dict)
    return result


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


async def test_both_eras_see_the_same_tools_in_the_same_order() -> None:
    modern, legacy = await listed("auto"), await listed("legacy")
    assert modern["tools"] == legacy["tools"]
    assert [tool["name"] for tool in modern["tools"]] == list(HINTS)


async def test_the_list_is_the_committed_one() -> None:
    """Set UPDATE_SNAPSHOTS=1 to write it anew, and read the difference before committing it."""
    tools = (await listed("auto"))["tools"]
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(tools, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert tools == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


async def test_the_list_is_small(era: Any) -> None:
    body = await wire_bytes(era)
    result = json.loads(body)["result"]
    assert len(body) <= 12 * KB
    told = [
        {name: tool[name] for name in ("name", "title", "description", "annotations", "inputSchema")}
        for tool in result["tools"]
    ]
    assert size(told) <= 8 * KB
    for tool in result["tools"]:
        assert len(tool["description"].encode()) < KB
        assert body.isascii()


async def test_descriptions_say_first_what_the_tool_does_and_whether_it_spends() -> None:
    for tool in (await listed("auto"))["tools"]:
        said = "Spends credits." if tool["name"] in SPENDING else "Free."
        assert said in tool["description"]
        assert tool["description"].index(said) < 160
        shouted = {word.strip(".,;:()") for word in tool["description"].split() if word.isupper()} - {"URL", "URI", "A"}
        assert not {word for word in shouted if word.isalpha()}


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (
            "generate_image",
            "generate create draw make image picture photo drawing illustration logo icon poster artwork",
        ),
        ("edit_image", "edit change retouch combine image picture photo drawing illustration logo icon poster artwork"),
        ("get_task", "generate_image edit_image image time-out"),
        ("estimate_cost", "generate_image edit_image image price credits"),
    ],
)
async def test_a_search_for_the_users_own_words_finds_the_tool(tool: str, words: str) -> None:
    """Some clients load a tool only after a search for such words in its description."""
    described = {listed["name"]: listed["description"].lower() for listed in (await listed("auto"))["tools"]}
    assert [word for word in words.split() if word not in described[tool]] == []


async def test_all_four_hints_and_a_title_are_set() -> None:
    for tool in (await listed("auto"))["tools"]:
        hints = tool["annotations"]
        assert HINTS[tool["name"]] == (
            hints["readOnlyHint"],
            hints["destructiveHint"],
            hints["idempotentHint"],
            hints["openWorldHint"],
        )
        assert tool["title"]
        assert hints["title"] == tool["title"]


async def test_the_arguments_are_those_of_the_design() -> None:
    for tool in (await listed("auto"))["tools"]:
        schema = tool["inputSchema"]
        assert set(schema["properties"]) == set(ARGUMENTS[tool["name"]].split())
        assert set(schema.get("required", ())) == REQUIRED.get(tool["name"], set())


def lint_schema(schema: Any, where: str) -> None:
    assert isinstance(schema, dict), where
    assert set(schema) <= SCHEMA_WORDS, f"{where}: {set(schema) - SCHEMA_WORDS}"
    assert isinstance(schema.get("type"), str), f"{where} has no one plain type"
    assert schema["type"] in PLAIN_TYPES, where
    if "enum" in schema:
        assert schema["type"] == "string", where
        assert all(isinstance(value, str) for value in schema["enum"]), where
    assert schema.get("default", 0) is not None, where
    if schema["type"] == "array":
        assert set(schema["items"]) == {"type"}, where
        assert schema["items"]["type"] in PLAIN_TYPES, where
    for name, field in schema.get("properties", {}).items():
        lint_schema(field, f"{where}.{name}")


async def test_every_schema_is_flat_and_plain(era: Any) -> None:
    for tool in (await listed(era))["tools"]:
        for kind in ("inputSchema", "outputSchema"):
            if kind not in tool:
                assert (tool["name"], kind) == ("view_image", "outputSchema")
                continue
            schema = tool[kind]
            where = f"{tool['name']}.{kind}"
            assert schema["type"] == "object", where
            assert set(schema) <= {"type", "properties", "required"}, where
            lint_schema(schema, where)
        assert "required" not in tool.get("outputSchema", {})
        for name, field in tool["inputSchema"]["properties"].items():
            assert field.get("description"), f"{tool['name']}.{name} has no description"
            if "default" in field:
                assert str(field["default"]) in field["description"], f"{tool['name']}.{name}: the default is not said"


async def test_a_field_that_results_and_errors_share_has_one_type() -> None:
    error = output_schema(ErrorResult)["properties"]
    for tool in (await listed("auto"))["tools"]:
        for name, field in tool.get("outputSchema", {}).get("properties", {}).items():
            assert field["type"] == error.get(name, field)["type"]


@pytest.mark.parametrize("reads_files", [True, False])
def test_the_instructions_are_short_and_begin_with_the_essentials(reads_files: bool) -> None:
    said = instructions(reads_files=reads_files)
    assert said.isascii()
    assert len(said) < 2 * KB
    for essential in (
        "images",
        "After a time-out call get_task without task_id",
        "the same arguments are never paid twice",
        "Never reword a prompt",
    ):
        # All that some clients show.
        assert essential in said[:250]
    assert "a small wait_seconds" in said[:512]
    for further in ("task:<task_id>", "pasted into the chat", "outcome_unknown", "wait for a yes", "estimate_cost"):
        assert further in said
    assert ("a URL or a file path" in said) == reads_files


async def test_what_the_server_says_of_itself(era: Any) -> None:
    async with World(key=None) as world, client_of(world, era) as client:
        assert client.instructions == instructions(reads_files=False)
        assert client.server_info is not None
        assert client.server_info.name == "vidgo-mcp"
        offered = client.server_capabilities
        assert None not in (offered.tools, offered.prompts, offered.resources, offered.completions)


async def test_a_server_that_reads_no_files_does_not_ask_for_paths(era: Any) -> None:
    for disk, promised in ((LocalFiles(Folders(())), True), (LocalFiles(), False)):
        async with World(key=None, files=disk) as world, client_of(world, era) as client:
            [edit] = [tool for tool in (await client.list_tools()).tools if tool.name == "edit_image"]
            references = edit.input_schema["properties"]["image_urls"]["description"]
            [_, brief] = (await client.list_prompts()).prompts
            picture = (brief.arguments or [])[0]
            with pytest.raises(MCPError) as missing:
                await client.get_prompt(brief.name, {"change": "night"})
            for told in (
                client.instructions,
                edit.description,
                references,
                picture.description,
                missing.value.error.message,
            ):
                assert (" path" in (told or "")) == promised, told


async def test_the_operators_waiting_time_is_the_default_that_is_listed() -> None:
    async with World(key=None) as world:
        world.service.default_wait = 25
        async with client_of(world) as client:
            for tool in (await client.list_tools()).tools:
                wait = tool.input_schema["properties"].get("wait_seconds")
                if wait is not None:
                    assert wait["default"] == 25
                    assert "Default 25." in wait["description"]


async def test_caching_is_hinted_where_the_answer_is_the_same_for_everybody() -> None:
    result = await listed("auto")
    assert (result["ttlMs"], result["cacheScope"]) == (3_600_000, "public")
