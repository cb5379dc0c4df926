"""What the tests of the server share: clients of both eras in memory on a virtual clock, and what all answers keep."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self, get_args

import anyio
import jsonschema
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import (
    CallToolResult,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    ImageContent,
    ResourceLink,
    TextContent,
)
from PIL import Image

from tests.conftest import World, virtual_backend
from vidgo_mcp.errors import Remedy
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, every_fault, running
from vidgo_mcp.server.build import build_server

MODERN = "2026-07-28"
ERAS = ("auto", "legacy")
PATIENCE = 60
"""Seconds of real time for which tests with sockets or processes wait."""
COMMAND = shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or "vidgo-mcp"
MONEY_WORDS = {
    "accepted": "A task exists",
    "unknown": "not known whether credits were spent",
    "nothing_spent": "othing was spent",
}
ALWAYS_IN_ERRORS = {"category", "message", "retryable", "money", "remedy", "next_step"}
FOREIGN_WORDS = re.compile(
    r"[A-Za-z](Error|Exception|Result|Arguments)\b|[Pp]ydantic|Traceback|errors\.pydantic|input_value|NoneType"
)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_backend()


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> Any:
    return request.param


def faults_of(endpoint: str, *, hangs: int = 130) -> list[str]:
    """Return every fault that fits an endpoint, as it is written."""
    # Without a socket nothing ends a hanging answer but its own time.
    timed = {"hang": f"hang={hangs}", "hang_before": f"hang_before={hangs}", "slow": "slow=3"}
    return [f"{endpoint}:{timed.get(fault, fault)}" for fault in every_fault(endpoint)]


def png(shade: int = 0) -> bytes:
    """Return a small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), (shade, 0, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def inline(content: bytes) -> str:
    """Return a picture as a model pastes it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


@pytest.fixture
def sandbox() -> Sandbox:
    """Vidgo, for tests in real time."""
    return Sandbox(seconds=(0.5, 0.5))


@pytest.fixture
def sandbox_url(sandbox: Sandbox) -> Iterator[str]:
    with running(sandbox) as url:
        yield url


YES = ElicitResult(action="accept", content={"confirm": True})


class Person:
    """Whoever sits before a client: answers each question alike, and remembers what was asked."""

    def __init__(self, answer: ElicitResult | ErrorData = YES, *, thinks: float = 0.0) -> None:
        self.answer = answer
        self.thinks = thinks
        self.asked: list[str] = []
        self.forms: list[Any] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        self.asked.append(params.message)
        self.forms.append(params.model_dump().get("requested_schema"))
        await anyio.sleep(self.thinks)
        return self.answer


async def until(met: Callable[[], Any]) -> None:
    """Wait for what another process or thread does, for a bounded time."""
    with anyio.fail_after(PATIENCE):
        while not met():  # noqa: ASYNC110 - nobody could set an event
            await anyio.sleep(0.01)


def client_of(world: World, era: Any = "auto", *, caller: str = "", person: Person | None = None) -> Client:
    """Return a client of an era for a server in memory; ``caller`` is who it is, ``person`` who sits before it."""
    server = build_server(world.service, principal_of=lambda ctx: world.principal(caller))
    return Client(server, mode=era, elicitation_callback=person)


@asynccontextmanager
async def calling(world: World, era: Any = "auto", person: Person | None = None) -> AsyncGenerator[Caller]:
    """Connect a client of an era to a server in memory."""
    async with client_of(world, era, person=person) as client:
        yield await Caller.of(client)


class Caller:
    """A client that holds each answer against what all answers keep."""

    def __init__(self, client: Client, schemas: dict[str, Any]) -> None:
        self.client = client
        self.schemas = schemas
        self.modern = client.protocol_version >= MODERN

    @classmethod
    async def of(cls, client: Client) -> Self:
        """Return a caller that knows the schemas that the server lists."""
        return cls(client, {tool.name: tool.output_schema for tool in (await client.list_tools()).tools})

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool and check its answer."""
        result = await self.client.call_tool(tool, arguments)
        check_answer(result, tool, self.schemas.get(tool), modern=self.modern)
        return result

    async def data(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the structured content of a result that is no error."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, result
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def error(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the structured content of an error."""
        result = await self.call(tool, **arguments)
        assert result.is_error, result
        assert isinstance(result.structured_content, dict)
        return result.structured_content


def text_of(result: CallToolResult) -> str:
    """Return the text of an answer, which is one block."""
    [block] = [block for block in result.content if isinstance(block, TextContent)]
    return block.text


def assert_valid(structured: dict[str, Any], schema: dict[str, Any]) -> None:
    """Hold a structure against a schema; the schema itself is checked once, which takes longer than all answers."""
    _validator(json.dumps(schema)).validate(structured)


@cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema))
    return jsonschema.Draft202012Validator(json.loads(schema))


def check_answer(result: CallToolResult, tool: str, schema: dict[str, Any] | None, *, modern: bool) -> None:
    """Hold an answer against the rules of "What comes back"."""
    wire = json.loads(result.model_dump_json(by_alias=True, exclude_unset=True))
    everything = json.dumps(wire, ensure_ascii=False)
    assert SANDBOX_KEY not in everything
    assert not FOREIGN_WORDS.search(everything.replace('"isError"', "")), everything
    text = text_of(result)
    structured = result.structured_content
    if structured is not None:
        assert_no_null(structured)
    links = [block for block in result.content if isinstance(block, ResourceLink)]
    images = [block for block in result.content if isinstance(block, ImageContent)]
    if result.is_error:
        assert isinstance(structured, dict)
        assert set(structured) >= ALWAYS_IN_ERRORS
        assert set(structured) <= ALWAYS_IN_ERRORS | {"task_id", "field", "consent"}
        assert structured["remedy"] in get_args(Remedy)
        if schema is not None:
            assert_valid(structured, schema)
        assert structured["message"] in text
        assert structured["category"] in text
        assert structured["next_step"] in text
        assert MONEY_WORDS[structured["money"]] in text
        assert structured.get("task_id", "") in text
        assert (links, images) == ([], [])
        return
    if tool == "view_image":
        assert (structured, schema, links, len(images)) == (None, None, [], 1)
        return
    assert isinstance(structured, dict)
    assert schema is not None
    assert_valid(structured, schema)
    assert images == []
    assert structured.get("next_step", "") in text
    for note in structured.get("notes", ()):
        assert note in text
    tasks = structured.get("tasks", [structured] if "outcome" in structured else [])
    for task in tasks:
        check_task_text(task, text)
    urls = structured.get("image_urls", []) if modern else []
    assert [link.uri for link in links] == urls


def check_task_text(task: dict[str, Any], text: str) -> None:
    """The text alone says what the structure says."""
    words = {"finished": "Finished", "pending": "Pending", "failed": "Failed", "unknown": "Unknown"}
    assert words[task["outcome"]] in text
    assert (task["outcome"] == "finished" and "image_urls" in task) <= (len(task.get("image_urls", ())) == 1)
    for url in task.get("image_urls", ()):
        assert url in text.splitlines()
    assert task.get("task_id", "") in text
    for path in task.get("saved_paths", ()):
        assert path in text
    if "credits" in task and not task.get("refunded"):
        assert f"{task['credits']} credits" in text
    assert task.get("error", "") in text
    assert task.get("reused", True)


def assert_no_null(value: Any) -> None:
    """Nothing that is unknown may be there as null."""
    if isinstance(value, dict):
        assert None not in value.values()
        for item in value.values():
            assert_no_null(item)
    if isinstance(value, list):
        assert None not in value
        for item in value:
            assert_no_null(item)
