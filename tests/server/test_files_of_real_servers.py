"""Files with servers as they are installed: over stdio they are the person's own, over HTTP they are left alone."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import TextResourceContents
from PIL import Image

from tests.cli.conftest import Process, Vidgo
from tests.server.conftest import COMMAND, ERAS, PATIENCE, Caller, inline, png, text_of
from tests.service.durable import moved
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

pytestmark = pytest.mark.anyio

LOW = 2
FOX = {"prompt": "a fox", "wait_seconds": 30}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(seconds=(0.2, 0.2))


@pytest.fixture
def environment(sandbox: Sandbox) -> Iterator[dict[str, str]]:
    """The environment of a server without settings about files, for a person who has moved no folder of theirs."""
    kept = {name: value for name, value in os.environ.items() if name != "XDG_PICTURES_DIR"}
    with running(sandbox) as url:
        yield {**kept, "VIDGO_API_KEY": SANDBOX_KEY, "VIDGO_BASE_URL": url}


@pytest.fixture
def home() -> Path:
    return Path(os.environ["HOME"])


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """Return a picture in a folder of its own."""
    path = tmp_path / "mine" / "cat.png"
    path.parent.mkdir()
    path.write_bytes(png())
    return path


@asynccontextmanager
async def connected(server: StdioServerParameters | str, era: str = "auto") -> AsyncGenerator[Caller]:
    with anyio.fail_after(PATIENCE):
        async with Client(server, mode=era) as client:
            yield await Caller.of(client)


def stdio(environment: dict[str, str], **more: str) -> StdioServerParameters:
    return StdioServerParameters(command=COMMAND, env={**environment, **more})


async def saved_paths(caller: Caller, made: dict[str, Any]) -> list[str]:
    """Return where a picture is saved; a busy machine may take longer than one call waits for it."""
    while "saved_paths" not in made:
        made = await caller.data("get_task", task_id=made["task_id"])
    paths: list[str] = made["saved_paths"]
    return paths


def pictures(folder: Path) -> list[Path]:
    """Return what is in a folder, unfinished files too."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def downloads(sandbox: Sandbox) -> int:
    return sum(record.method == "GET" and record.path.startswith("/files/") for record in sandbox.requests)


def references(sandbox: Sandbox) -> list[list[str]]:
    """Return the references of each edit that Vidgo was asked for."""
    inputs = [(record.body or {}).get("input", {}) for record in sandbox.requests if isinstance(record.body, dict)]
    return [given["image_urls"] for given in inputs if "image_urls" in given]


async def test_a_local_file_is_edited_and_the_result_is_saved_and_edited_again(
    sandbox: Sandbox, environment: dict[str, str], cat: Path, tmp_path: Path
) -> None:
    save_dir = tmp_path / "results"
    server = stdio(environment, VIDGO_INPUT_DIRS=str(cat.parent), VIDGO_SAVE_DIR=str(save_dir))

    async def edit_twice(era: Any) -> None:
        async with connected(server, era) as caller:
            made = await caller.data("edit_image", prompt=f"a fox for {era}", wait_seconds=30, image_urls="cat.png")
            [saved] = await saved_paths(caller, made)
            assert (made["outcome"], Path(saved) in pictures(save_dir)) == ("finished", True)
            with Image.open(saved) as picture:
                assert picture.size == (1024, 1024)
            again = {"prompt": "in snow", "wait_seconds": 30, "image_urls": f"task:{made['task_id']}"}
            edited = await caller.data("edit_image", **again)
            assert (edited["outcome"], len(await saved_paths(caller, edited))) == ("finished", 1)
            given = references(sandbox)
            assert made["image_urls"] in given
            assert edited["image_urls"] not in given
            above = await caller.error("edit_image", **{**again, "image_urls": str(tmp_path / "cat.png")})
            assert (above["field"], above["money"]) == ("image_urls", "nothing_spent")

    async with anyio.create_task_group() as tasks:
        for era in ERAS:
            tasks.start_soon(edit_twice, era)
    assert (len(pictures(save_dir)), len(references(sandbox))) == (4, 4)
    assert moved(sandbox) == [("charge", LOW)] * 4


async def test_pictures_are_saved_in_the_persons_pictures_folder_by_default(
    environment: dict[str, str], home: Path
) -> None:
    async with connected(stdio(environment)) as caller:
        made = await caller.data("generate_image", **FOX)
        saved = await saved_paths(caller, made)
        assert [Path(path).parent for path in saved] == [home / "Pictures" / "vidgo"]
        # What is saved may be read, and nothing else of this person.
        (home / "private.png").write_bytes(png())
        refused = await caller.error("edit_image", **FOX, image_urls="~/private.png")
        assert "outside" in refused["message"]
        # With max_credits 0 an edit that could be made ends at its price.
        priced = await caller.error("edit_image", **FOX, image_urls=saved, max_credits=0)
        assert priced["category"] == "budget"


async def test_nothing_is_saved_where_that_is_off(sandbox: Sandbox, environment: dict[str, str], home: Path) -> None:
    async with connected(stdio(environment, VIDGO_SAVE_DIR="off")) as caller:
        made = await caller.data("generate_image", **FOX)
        assert ("saved_paths" in made, [note for note in made["notes"] if "saved" in note]) == (False, [])
        refused = await caller.error("edit_image", **FOX, image_urls="cat.png")
        assert (refused["remedy"], "these folders" in refused["next_step"]) == ("add_input_dir", False)
    assert not (home / "Pictures").exists()
    assert downloads(sandbox) == 0


async def test_two_servers_that_wait_for_the_same_task_save_it_once(
    sandbox: Sandbox, environment: dict[str, str], tmp_path: Path
) -> None:
    save_dir = tmp_path / "results"
    sandbox.seconds = (2.0, 2.0)
    server = stdio(environment, VIDGO_SAVE_DIR=str(save_dir))
    found: list[list[str]] = []
    async with connected(server) as first, connected(server) as second:
        pending = await first.data("generate_image", prompt="a fox", wait_seconds=0)
        assert pending["outcome"] == "pending"

        async def wait(caller: Caller) -> None:
            answer = await caller.data("get_task", task_id=pending["task_id"], wait_seconds=30)
            found.append(await saved_paths(caller, answer))

        async with anyio.create_task_group() as tasks:
            for caller in (first, second):
                tasks.start_soon(wait, caller)
    [saved] = pictures(save_dir)
    assert found == [[str(saved)]] * 2
    assert downloads(sandbox) == 1
    assert moved(sandbox) == [("charge", LOW)]


HUNG_DISK = """
import os, threading

def hanging(step):
    real = getattr(os, step)
    def work(what, *given, **named):
        if f"hung-{step}" in str(what):
            threading.Event().wait()
        return real(what, *given, **named)
    return work

for step in ("lstat", "stat", "open"):
    setattr(os, step, hanging(step))
from vidgo_mcp.cli.main import main
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="it looks at files in other ways on Windows")
async def test_a_disk_that_hangs_is_named_in_time_and_holds_neither_other_calls_nor_the_end(
    sandbox: Sandbox, environment: dict[str, str], cat: Path
) -> None:
    """As a network folder does whose server is gone, at whatever step."""
    variables = {**environment, "VIDGO_INPUT_DIRS": str(cat.parent)}
    server = StdioServerParameters(command=sys.executable, args=["-c", HUNG_DISK], env=variables)
    messages: list[str] = []
    async with connected(server) as caller:

        async def edit(name: str) -> None:
            error = await caller.error("edit_image", prompt="a fox", wait_seconds=1, image_urls=[name])
            assert (error["category"], error["money"]) == ("unavailable", "nothing_spent")
            messages.append(error["message"])

        names = [f"hung-{step}.png" for step in ("lstat", "stat", "open")]
        async with anyio.create_task_group() as tasks:
            for name in names:
                (cat.parent / name).write_bytes(png())
                tasks.start_soon(edit, name)
            made = await caller.data("edit_image", **FOX, image_urls="cat.png")
        assert made["outcome"] == "finished"
    assert sorted(messages) == [
        f'image_urls[0] "{name}" could not be read in time: its disk, network or cloud folder does not answer. '
        "Nothing was sent and nothing was spent."
        for name in sorted(names)
    ]
    assert moved(sandbox) == [("charge", LOW)]


@pytest.fixture
def folders(cat: Path, tmp_path: Path) -> dict[str, str]:
    return {"VIDGO_INPUT_DIRS": str(cat.parent), "VIDGO_SAVE_DIR": str(tmp_path / "results")}


@pytest.fixture
def http(environment: dict[str, str], folders: dict[str, str], tmp_path: Path) -> Iterator[Process]:
    with Vidgo(tmp_path, {**environment, **folders}).start("serve", "--http", "--port", "0") as process:
        yield process


def address(process: Process) -> str:
    return process.until("Serving MCP at ").split()[3].rstrip(";")


async def test_over_http_no_file_is_read_or_saved_and_the_person_is_told_so(
    http: Process, sandbox: Sandbox, cat: Path, tmp_path: Path
) -> None:
    url = address(http)

    async def edit(era: Any) -> None:
        async with connected(url, era) as caller:
            for reference in ("cat.png", str(cat), cat.as_uri(), "~/cat.png", "/etc/hostname"):
                error = await caller.error("edit_image", **FOX, image_urls=reference)
                assert (error["category"], error["money"]) == ("invalid_request", "nothing_spent")
                assert "reads no local files" in error["message"]
                assert str(tmp_path / "results") not in error["message"]
            given = {"prompt": f"a fox for {era}", "wait_seconds": 30, "image_urls": inline(cat.read_bytes())}
            made = await caller.data("edit_image", **given)
            assert (made["outcome"], "saved_paths" in made) == ("finished", False)
            assert [note for note in made["notes"] if "saved" in note] == []

    async with anyio.create_task_group() as tasks:
        for era in ERAS:
            tasks.start_soon(edit, era)
    assert pictures(tmp_path / "results") == []
    assert downloads(sandbox) == 0
    assert moved(sandbox) == [("charge", LOW)] * 2
    _, said = http.stop()
    [line] = [line for line in said.splitlines() if "VIDGO_SAVE_DIR" in line]
    assert "VIDGO_INPUT_DIRS" in line
    assert "no effect over HTTP" in line


async def test_over_http_inline_data_may_be_as_large_as_a_file(http: Process, sandbox: Sandbox) -> None:
    # Zeros after its end are no part of a picture; over the wire they are.
    large = inline(png() + bytes(5_000_000))
    async with connected(address(http)) as caller:
        made = await caller.data("edit_image", prompt="a fox", wait_seconds=0, image_urls=large)
        assert "task_id" in made
    assert moved(sandbox) == [("charge", LOW)]


async def test_over_http_nobody_learns_where_a_shared_journal_knows_copies(
    http: Process, sandbox: Sandbox, environment: dict[str, str], folders: dict[str, str], tmp_path: Path
) -> None:
    async with connected(stdio(environment, **folders)) as caller:
        task_id = (await caller.data("generate_image", **FOX))["task_id"]
    [saved] = pictures(tmp_path / "results")
    url = address(http)
    for era in ERAS:
        async with connected(url, era) as caller:
            answers = [
                await caller.call("get_task", task_id=task_id),
                await caller.call("get_task"),
                await caller.call("generate_image", **FOX),
            ]
            for answer in answers:
                assert task_id in text_of(answer)
                assert "results" not in answer.model_dump_json()
            [told] = (await caller.client.read_resource(f"vidgo://tasks/{task_id}")).contents
            assert isinstance(told, TextResourceContents)
            assert task_id in told.text
            assert saved.name not in told.text
            # The copy is nobody's but the person's: what is shown is fetched.
            fetched = downloads(sandbox)
            assert not (await caller.call("view_image", task_id=task_id)).is_error
            assert downloads(sandbox) == fetched + 1
    assert pictures(tmp_path / "results") == [saved]
    assert moved(sandbox) == [("charge", LOW)]
