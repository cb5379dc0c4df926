"""Prices, spending, tasks and pictures can be read without a tool, and what is not there says so."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import BlobResourceContents, ErrorData, ReadResourceResult, TextResourceContents
from PIL import Image

from tests.conftest import DAY, VIRTUAL_CLOCK, World
from tests.server.conftest import MODERN, client_of
from vidgo_mcp.errors import JournalError, NotFoundError, OutcomeUnknownError
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import Entry
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.sizes import FEWEST_PIXELS, GREATEST_ASPECT, LONGEST_EDGE, MOST_PIXELS, RATIOS, TIERS, parse_size
from vidgo_mcp.pricing import PUBLISHED, UnpriceableError, quote
from vidgo_mcp.server import resources
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.price_page import price_page
from vidgo_mcp.server.resources import IMAGE, TASK, _parse_uri, _uri
from vidgo_mcp.service import LocalFiles
from vidgo_mcp.service.thumbnails import LARGEST_RESOURCE
from vidgo_mcp.wording import for_model

pytestmark = pytest.mark.anyio

FIXED = ["vidgo://pricing", "vidgo://spending"]
INTERNAL = -32603


class Unreadable(SqliteJournal):
    """Fails where tasks are looked up, in the way that it is told."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(None, clock=VIRTUAL_CLOCK)
        self._failure = failure

    async def newest(self, owner: str, limit: int) -> Sequence[Entry]:
        raise self._failure


async def uris(client: Client) -> list[str]:
    return [resource.uri for resource in (await client.list_resources(cache_mode="bypass")).resources]


async def text_of(client: Client, uri: str) -> str:
    [found] = (await client.read_resource(uri, cache_mode="bypass")).contents
    assert isinstance(found, TextResourceContents)
    assert found.uri == uri
    return found.text


async def data_of(client: Client, uri: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(await text_of(client, uri))
    return data


async def refused(client: Client, uri: str) -> ErrorData:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri, cache_mode="bypass")
    return caught.value.error


def not_found(client: Client) -> int:
    return -32602 if client.protocol_version >= MODERN else -32002


def bytes_of(found: ReadResourceResult) -> bytes:
    [blob] = [content for content in found.contents if isinstance(content, BlobResourceContents)]
    return base64.b64decode(blob.blob)


async def test_spending_is_listed_by_period_quality_and_tier_without_what_was_refunded() -> None:
    async with World(faults=["task:failed*1"]) as world, client_of(world) as client:
        assert (await world.make(prompt="a storm")).refunded
        await world.finished(prompt="a fox")
        await world.finished(prompt="a hare", size="16:9", resolution="2K", quality="high")
        day, week, month = (await data_of(client, "vidgo://spending"))["periods"]
        assert day == {
            "period": "24 h",
            "credits": 26,
            "pictures": 2,
            "lines": [
                {"quality": "low", "tier": "1K", "pictures": 1, "credits": 2},
                {"quality": "high", "tier": "2K", "pictures": 1, "credits": 24},
            ],
        }
        assert [week["credits"], month["credits"]] == [26, 26]


@pytest.mark.parametrize("uri", ["vidgo://spending", "vidgo://tasks/task-1", "vidgo://images/task-1"])
async def test_without_a_key_a_resource_says_what_to_set(uri: str) -> None:
    async with World(key=None) as world, client_of(world) as client:
        error = await refused(client, uri)
        assert (error.code, "VIDGO_API_KEY" in error.message) == (INTERNAL, True)


async def test_the_newest_twenty_tasks_are_listed_without_those_that_have_no_id(era: Any) -> None:
    async with World(seconds=5) as world, client_of(world, era) as client:
        made = [await world.pending(prompt=f"picture {number}") for number in range(21)]
        for number in range(5):
            world.sandbox.add_fault("submit:missing_task_id*1")
            with pytest.raises(OutcomeUnknownError):
                await world.make(prompt=f"lost {number}")
        assert await uris(client) == [*FIXED, *(f"vidgo://tasks/{task_id}" for task_id in reversed(made[1:]))]
        assert (await data_of(client, f"vidgo://tasks/{made[0]}"))["prompt"] == "picture 0"


async def test_a_task_is_listed_with_its_first_words_outcome_and_price() -> None:
    async with World(seconds=5) as world, client_of(world) as client:
        made = await world.finished(prompt="a fox\nin the snow, " + "and further " * 20, size="16:9", quality="high")
        *_, task, picture = (await client.list_resources()).resources
        assert (task.name, task.mime_type) == (made.task_id, "application/json")
        assert task.title is not None
        assert task.title.startswith("Task: a fox in the snow, and further")
        assert len(task.title) <= 70
        assert task.description == "Finished, 12 credits: 16:9, 1K, high."
        assert picture.uri == f"vidgo://images/{made.task_id}"
        assert picture.title == task.title.replace("Task", "Picture")
        assert picture.description == f"The picture; its URL dies at {made.expires_at}."


@pytest.mark.parametrize(
    ("fault", "said"), [("failed", "Failed, refunded: auto, 1K, low."), ("no_files", "Failed, 2 credits: auto, 1K")]
)
async def test_a_picture_is_listed_only_while_it_can_be_had(fault: str, said: str) -> None:
    async with World(faults=[f"task:{fault}*1"], seconds=5) as world, client_of(world) as client:
        failed = await world.make(prompt="a storm")
        finished = await world.finished(prompt="a fox")
        pending = await world.pending(prompt="an owl")
        task, image = (f"vidgo://tasks/{finished.task_id}", f"vidgo://images/{finished.task_id}")
        others = (f"vidgo://tasks/{pending}", f"vidgo://tasks/{failed.task_id}")
        assert await uris(client) == [*FIXED, others[0], task, image, others[1]]
        described = {resource.uri: resource.description for resource in (await client.list_resources()).resources}
        assert described[others[0]] == "Pending, 2 credits: auto, 1K, low."
        assert (described[others[1]] or "").startswith(said)
        await anyio.sleep(DAY)
        assert await uris(client) == [*FIXED, others[0], task, others[1]]


async def test_a_saved_picture_is_listed_and_read_after_its_url_has_died(tmp_path: Path) -> None:
    folder = tmp_path.resolve() / "pictures"
    disk = LocalFiles(Folders((folder,)), folder)
    async with World(files=disk, seconds=5) as world, client_of(world) as client:
        made = await world.finished()
        assert made.saved_paths is not None
        await anyio.sleep(DAY)
        uri = f"vidgo://images/{made.task_id}"
        assert await uris(client) == [*FIXED, f"vidgo://tasks/{made.task_id}", uri]
        assert (await client.list_resources()).resources[-1].description == "The picture; a copy is saved."
        assert bytes_of(await client.read_resource(uri)) == Path(made.saved_paths[0]).read_bytes()


async def test_each_caller_has_a_list_of_their_own() -> None:
    async with World(seconds=5) as world:
        anns = await world.pending(caller="ann")
        async with client_of(world, caller="ann") as client:
            assert await uris(client) == [*FIXED, f"vidgo://tasks/{anns}"]
        async with client_of(world, caller="bob") as client:
            assert await uris(client) == FIXED


async def test_the_list_never_fails() -> None:
    broken = Unreadable(JournalError("The journal cannot be read."))
    for world in (World(key=None), World(journal=broken)):
        async with world, client_of(world) as client:
            assert await uris(client) == FIXED


async def test_two_templates_name_a_task_and_its_picture(era: Any) -> None:
    async with World(key=None) as world, client_of(world, era) as client:
        task, image = (await client.list_resource_templates()).resource_templates
        assert (task.uri_template, task.mime_type) == ("vidgo://tasks/{task_id}", "application/json")
        assert (image.uri_template, image.mime_type) == ("vidgo://images/{task_id}", None)
        assert f"at most {LARGEST_RESOURCE // 1000} KB" in (image.description or "")


async def test_a_task_is_read_as_it_stands_and_is_still_announced() -> None:
    async with World(seconds=60) as world, client_of(world) as client:
        task_id = await world.pending(prompt="a fox, 狐")
        before = anyio.current_time()
        assert (await data_of(client, f"vidgo://tasks/{task_id}"))["outcome"] == "pending"
        assert anyio.current_time() - before < 1, "reading does not wait for the picture"
        await anyio.sleep(100)
        text = await text_of(client, f"vidgo://tasks/{task_id}")
        assert json.loads(text) == for_model.task_answer(await world.tasks().peek_task(task_id)).to_json()
        assert text.startswith('{\n  "outcome": "finished"')
        assert "狐" in text
        # Whoever makes the next picture is told of this one, which nobody has received.
        assert task_id in str((await world.finished(prompt="a hare")).notes)


async def test_each_answer_says_how_long_it_may_be_kept() -> None:
    async with World(faults=["task:failed*1"], seconds=5) as world, client_of(world) as client:
        failed, finished = await world.make(prompt="a storm"), await world.finished()
        pending = await world.pending(prompt="an owl")
        for uri, kept in (
            ("vidgo://pricing", (3_600_000, "public")),
            ("vidgo://spending", (0, "private")),
            (f"vidgo://tasks/{failed.task_id}", (60_000, "private")),
            (f"vidgo://tasks/{finished.task_id}", (0, "private")),
            (f"vidgo://tasks/{pending}", (0, "private")),
            (f"vidgo://images/{finished.task_id}", (3_600_000, "private")),
        ):
            found = await client.read_resource(uri)
            assert (uri, found.ttl_ms, found.cache_scope) == (uri, *kept)
        listed, addresses = await client.list_resources(), await client.list_resource_templates()
        assert (listed.ttl_ms, listed.cache_scope) == (0, "private")
        assert (addresses.ttl_ms, addresses.cache_scope) == (3_600_000, "public")


async def test_a_small_picture_is_read_byte_for_byte(era: Any) -> None:
    async with World(seconds=5, files=LocalFiles(embed_metadata=False)) as world, client_of(world, era) as client:
        made = await world.finished()
        assert made.task_id is not None
        uri = f"vidgo://images/{made.task_id}"
        found = await client.read_resource(uri)
        [content] = found.contents
        assert (content.uri, content.mime_type) == (uri, "image/png")
        _, file = await world.tasks().file(made.task_id)
        assert bytes_of(found) == file


async def test_a_large_picture_is_scaled_and_the_note_says_where_the_original_is() -> None:
    async with World(seconds=5) as world, client_of(world) as client:
        made = await world.finished()
        assert made.task_id is not None
        assert made.image_urls is not None
        noise = io.BytesIO()
        Image.frombytes("RGB", (2400, 300), random.Random(1).randbytes(2400 * 300 * 3)).save(noise, "PNG")
        assert noise.tell() > LARGEST_RESOURCE
        world.sandbox.storage.keep(replace(world.sandbox.tasks[made.task_id].result, content=noise.getvalue()))
        uri = f"vidgo://images/{made.task_id}"
        found = await client.read_resource(uri)
        assert len(bytes_of(found)) <= LARGEST_RESOURCE
        blob, note = found.contents
        assert (blob.mime_type, note.uri, note.mime_type) == ("image/jpeg", uri, "text/plain")
        with Image.open(io.BytesIO(bytes_of(found))) as picture:
            shown = f"{picture.width}x{picture.height}"
        assert isinstance(note, TextResourceContents)
        assert note.text == f"Scaled from 2400x300 to {shown}; the original: {made.image_urls[0]}"


@pytest.mark.parametrize("edges", [(600, 700), (12000, 12000)])
async def test_a_broken_or_oversized_picture_is_not_handed_on_as_whole(edges: tuple[int, int]) -> None:
    async with World(seconds=5) as world, client_of(world) as client:
        made = await world.finished()
        assert made.task_id is not None
        file = io.BytesIO()
        Image.new("1", edges).save(file, "PNG")
        content = file.getvalue() if edges[0] > 600 else file.getvalue()[:-20]
        assert len(content) < LARGEST_RESOURCE
        world.sandbox.storage.keep(replace(world.sandbox.tasks[made.task_id].result, content=content))
        error = await refused(client, f"vidgo://images/{made.task_id}")
        assert (error.code, "Give the user its URL" in error.message) == (INTERNAL, True)


NONSENSE = [
    "",
    "vidgo:",
    "vidgo://",
    "vidgo://nothing",
    "vidgo://pricing/",
    "VIDGO://pricing",
    "vidgo://Tasks/task-1",
    "vidgo://tasks",
    "vidgo://tasks/",
    "vidgo://images/",
    "vidgo://tasks/a/b",
    "vidgo://tasks/a%2Fb",
    "vidgo://tasks/../pricing",
    "vidgo://tasks/..",
    "vidgo://tasks/a b",
    "vidgo://tasks/a%20b",
    "vidgo://tasks/%00",
    "vidgo://tasks/a%0Ab",
    "vidgo://images/%ff%fe",
    "vidgo://images/task-1?size=1",
    "vidgo://images/task-1#top",
    "vidgo://images/" + "a" * 201,
    "vidgo://tasks/{task_id}/",
    "file:///etc/passwd",
    "https://vidgo.ai",
]


@pytest.mark.parametrize("uri", NONSENSE)
async def test_an_address_that_names_nothing_is_the_protocols_error(uri: str) -> None:
    async with World() as world, client_of(world) as client:
        error = await refused(client, uri)
        assert (error.code, error.data) == (not_found(client), {"uri": uri})
        assert error.message.startswith("Resource not found. The resources are vidgo://pricing, ")
        assert world.wire.seen == []


@given(
    st.from_regex(r"[A-Za-z0-9._:-]{1,200}", fullmatch=True).filter(
        lambda task_id: task_id.strip(".") and task_id != "null" and not task_id.lower().startswith("task:")
    )
)
@example("a:b")
def test_every_task_id_has_an_address_that_is_decoded_once(task_id: str) -> None:
    for template, kind in ((TASK, "tasks"), (IMAGE, "images")):
        assert _parse_uri(_uri(template, task_id)) == (kind, task_id)


@given(st.one_of(st.text(), st.text().map("vidgo://tasks/{}".format), st.text().map("vidgo://images/{}".format)))
def test_any_text_is_an_address_of_a_task_or_unknown(uri: str) -> None:
    with contextlib.suppress(NotFoundError):
        kind, task_id = _parse_uri(uri)
        assert kind in {"tasks", "images"}
        assert task_id.isprintable()
        assert not {" ", "/"} & set(task_id)
        assert 0 < len(task_id) <= 200


@pytest.mark.parametrize("kind", ["tasks", "images"])
def test_megabytes_are_not_decoded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def unquoted(text: str, **_: str) -> str:
        decoded.append(text)
        return "one"

    monkeypatch.setattr(resources, "unquote", unquoted)
    assert _parse_uri(f"vidgo://{kind}/" + "%41" * 200) == (kind, "one")
    with pytest.raises(NotFoundError):
        _parse_uri(f"vidgo://{kind}/" + "%41" * 201)
    assert len(decoded) == 1


@pytest.mark.parametrize("kind", ["tasks", "images"])
async def test_an_unknown_task_is_not_found_and_the_nearest_is_named(era: Any, kind: str) -> None:
    async with World(seconds=5) as world, client_of(world, era) as client:
        task_id = await world.pending()
        error = await refused(client, f"vidgo://{kind}/{task_id}x")
        assert (error.code, error.data) == (not_found(client), {"uri": f"vidgo://{kind}/{task_id}x"})
        assert error.message == (
            f"Resource not found. No task {task_id}x belongs to this key. The nearest known task_id is {task_id}. "
            f"If that task was meant, repeat this call with task_id {task_id}."
        )


async def test_a_prompt_is_shown_only_to_the_caller_who_sent_it() -> None:
    """Vidgo shows a task to everybody who has the key; its prompt is in the journal, under the caller's name."""
    async with World(seconds=5) as world:
        task_id = await world.pending(caller="ann")
        await anyio.sleep(10)
        callers = iter(["ann", "bob"])
        server = build_server(world.service, principal_of=lambda ctx: world.principal(next(callers)))
        async with Client(server) as client:
            assert (await data_of(client, f"vidgo://tasks/{task_id}"))["prompt"] == "a fox"
            assert "prompt" not in await data_of(client, f"vidgo://tasks/{task_id}")


async def test_a_picture_that_is_not_there_says_why_and_whether_to_wait() -> None:
    async with World(faults=["task:failed*1"], seconds=5) as world, client_of(world) as client:
        failed, finished = await world.make(prompt="a storm"), await world.finished()
        await anyio.sleep(DAY)
        for made, why in ((failed, "it failed"), (finished, "24 hours")):
            error = await refused(client, f"vidgo://images/{made.task_id}")
            assert (error.code, why in error.message) == (not_found(client), True)
        error = await refused(client, f"vidgo://images/{await world.pending(prompt='an owl')}")
        assert (error.code, "has no picture yet. Call get_task" in error.message) == (INTERNAL, True)


async def test_a_bug_reaches_the_log_and_not_the_client(era: Any, caplog: pytest.LogCaptureFixture) -> None:
    broken = Unreadable(RuntimeError("/secret/path"))
    async with World(journal=broken) as world, client_of(world, era) as client:
        with caplog.at_level(logging.ERROR), pytest.raises(MCPError) as caught:
            await client.list_resources()
        assert caught.value.error.code == INTERNAL
        assert caught.value.error.message == (
            "The list of resources failed inside vidgo-mcp; the server's log on stderr has the details."
        )
        assert "/secret/path" in caplog.text


def tables(page: str) -> list[list[list[str]]]:
    """Return the tables of a Markdown page as rows of cells, without the line below the header."""
    found: list[list[list[str]]] = [[]]
    for line in page.splitlines():
        if line.startswith("| ---"):
            continue
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


async def test_the_page_of_prices_needs_neither_key_nor_network() -> None:
    async with World(key=None) as world, client_of(world) as client:
        page = await text_of(client, "vidgo://pricing")
        assert page == price_page(PUBLISHED)
        assert page.isascii()
        assert (world.opened, world.wire.seen) == (0, [])
        [content] = (await client.read_resource("vidgo://pricing")).contents
        assert content.mime_type == "text/markdown"


def test_the_page_of_prices_says_what_the_calls_cost() -> None:
    prices, _ = tables(price_page(PUBLISHED))
    assert prices == [
        ["quality", *TIERS],
        *([q, *(str(row[t]) for t in TIERS)] for q, row in PUBLISHED.credits.items()),
    ]


def test_the_page_of_prices_says_of_every_size_which_tier_it_gets() -> None:
    _, (header, *rows) = tables(price_page(PUBLISHED))
    asked = (None, *TIERS)
    assert header[1:] == ["no resolution", *(f"resolution {tier}" for tier in TIERS)]
    examples = {"below 3840": ["1536x1024", "2048x2048"], "longest edge 3840": ["3840x2160", "1280x3840"]}
    covered = []
    for label, *cells in rows:
        sizes = [word.strip(",") for word in label.split() if word.strip(",") in {*RATIOS, "auto"}]
        sizes = sizes or next(sizes for end, sizes in examples.items() if label.endswith(end))
        covered += sizes
        for size in sizes:
            for resolution, cell in zip(asked, cells, strict=True):
                try:
                    assert quote(parse_size(size), resolution, "low").tier == cell
                except UnpriceableError:
                    assert cell == "refused", (size, resolution)
    assert {"auto", *RATIOS} <= set(covered)
    assert len(covered) == len(RATIOS) + 1 + 4


def test_the_page_of_prices_says_the_rules_of_exact_sizes() -> None:
    page = price_page(PUBLISHED)
    for number in (f"{LONGEST_EDGE}", f"{GREATEST_ASPECT} times", f"{FEWEST_PIXELS:,} to {MOST_PIXELS:,} pixels"):
        assert number in page
    for rule in ("An edit costs the same", "A failed task is refunded", "The same arguments again within 24 hours"):
        assert rule in page
