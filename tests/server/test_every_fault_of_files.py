"""Every fault of an upload and of a download, through the tools: none costs a credit, loses a picture, or lasts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from tests.conftest import World
from tests.server.conftest import calling, faults_of, inline, png
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.service import LocalFiles

pytestmark = [
    pytest.mark.anyio,
    # httpx's generators are left half-read when an answer is too large; only trio minds.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

LOW = 2
FOX = {"prompt": "a fox", "wait_seconds": 600}
PHOTO = "https://example.com/photo.png"
HARMLESS = ("upload:slow=3", "file:slow=3", "file:huge", "file:bytes")
"""Megabytes that follow it make no picture worse, and neither does another format."""
UPLOADS = faults_of("upload", hangs=30)
"""All attempts at an upload that hangs have an end within one call."""


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "pictures" / "cat.png"
    path.parent.mkdir()
    path.write_bytes(png())
    return path


def reading(cat: Path, fault: str) -> World:
    return World(files=LocalFiles(Folders((cat.parent,))), faults=[fault], seconds=5)


def submits(world: World) -> int:
    return sum(seen.path == "/api/generate/submit" for seen in world.wire.seen)


@pytest.mark.parametrize("given", ["file", "data"])
@pytest.mark.parametrize("fault", UPLOADS)
async def test_a_failing_upload_costs_nothing_and_the_same_call_works_later(fault: str, given: str, cat: Path) -> None:
    reference = cat.name if given == "file" else inline(png())
    edit: dict[str, Any] = {**FOX, "image_urls": [PHOTO, reference]}
    async with reading(cat, fault) as world, calling(world) as caller:
        works = fault in HARMLESS
        if works:
            assert (await caller.data("edit_image", **edit))["credits_charged"] == LOW
        else:
            error = await caller.error("edit_image", **edit)
            assert (error["money"], error["field"]) == ("nothing_spent", "image_urls")
            assert "image_urls[1]" in error["message"]
            assert "task_id" not in error
            assert (await caller.data("get_task"))["tasks"] == []
            assert (submits(world), world.movements()) == (0, [])
        world.sandbox.clear_faults()
        made = await caller.data("edit_image", **edit)
        assert (made["outcome"], made["credits_charged"], "reused" in made) == ("finished", 0 if works else LOW, works)
        assert (submits(world), world.movements()) == (1, [("charge", LOW)])


@pytest.mark.parametrize("fault", UPLOADS)
async def test_a_call_that_does_not_wait_for_a_failing_upload_is_paid_once(fault: str, cat: Path) -> None:
    edit: dict[str, Any] = {**FOX, "image_urls": [str(cat)]}
    async with reading(cat, fault) as world, calling(world) as caller:
        told = (await caller.call("edit_image", **{**edit, "wait_seconds": 0})).structured_content
        assert isinstance(told, dict)
        if fault not in HARMLESS:
            assert (told.get("outcome"), told.get("money")) in {("pending", None), (None, "nothing_spent")}
            assert "task_id" not in told
            assert world.movements() == []
        world.sandbox.clear_faults()
        made = await caller.data("edit_image", **edit)
        assert made["outcome"] == "finished"
        # No credit is told twice.
        assert told.get("credits_charged", 0) + made["credits_charged"] <= LOW
        assert (submits(world), world.movements()) == (1, [("charge", LOW)])


@pytest.mark.parametrize("fault", UPLOADS)
async def test_calls_at_the_same_time_pay_once_though_an_upload_fails_once(fault: str, cat: Path) -> None:
    edit: dict[str, Any] = {**FOX, "image_urls": [str(cat)]}
    async with reading(cat, f"{fault}*1") as world, calling(world) as caller:
        told: list[dict[str, Any]] = []

        async def one() -> None:
            found = (await caller.call("edit_image", **edit)).structured_content
            assert isinstance(found, dict)
            assert found.get("outcome", found.get("money")) in {"finished", "nothing_spent"}
            told.append(found)

        async with anyio.create_task_group() as calls:
            for _ in range(3):
                calls.start_soon(one)
        await one()
        assert told[-1]["outcome"] == "finished"
        assert sum(found.get("credits_charged", 0) for found in told) == LOW
        assert (submits(world), world.movements()) == (1, [("charge", LOW)])


@pytest.mark.parametrize("fault", faults_of("file"))
async def test_a_picture_that_cannot_be_fetched_is_saved_when_the_fault_is_over(fault: str, tmp_path: Path) -> None:
    save_dir = tmp_path / "vidgo"
    disk = LocalFiles(Folders((save_dir,)), save_dir)
    async with World(files=disk, faults=[fault], seconds=5) as world, calling(world) as caller:
        made = await caller.data("generate_image", **FOX)
        assert (made["outcome"], made["credits_charged"], len(made["image_urls"])) == ("finished", LOW, 1)
        unsaved = [note for note in made.get("notes", ()) if "Not saved" in note]
        if fault in HARMLESS:
            assert (len(made["saved_paths"]), unsaved) == (1, [])
        else:
            assert "saved_paths" not in made
            assert str(save_dir) in unsaved[0]
            again = await caller.data("generate_image", **FOX)
            assert (again["reused"], again["credits_charged"], "saved_paths" in again) == (True, 0, False)
            assert (list(save_dir.iterdir()) if save_dir.exists() else []) == []
        world.sandbox.clear_faults()
        # As long as the longest pause between attempts.
        await anyio.sleep(3600)
        [saved] = save_dir.iterdir()
        found = await caller.data("get_task", task_id=made["task_id"])
        assert found["saved_paths"] == [str(saved)]
        with Image.open(io.BytesIO(saved.read_bytes())) as picture:
            picture.load()
        assert (submits(world), world.movements()) == (1, [("charge", LOW)])


@pytest.mark.parametrize("fault", faults_of("file"))
async def test_a_picture_that_cannot_be_fetched_is_saved_when_asked_for_again(fault: str, tmp_path: Path) -> None:
    save_dir = tmp_path / "vidgo"
    disk = LocalFiles(Folders((save_dir,)), save_dir)
    async with World(files=disk, faults=[f"{fault}*1"], seconds=5) as world, calling(world) as caller:
        made = await caller.data("generate_image", **FOX)
        # What hangs is given up by itself; nobody waits so long for it.
        await anyio.sleep(130 if "hang" in fault else 0)
        found = await caller.data("get_task", task_id=made["task_id"])
        [saved] = save_dir.iterdir()
        assert found["saved_paths"] == [str(saved)]
        assert [note for note in found.get("notes", ()) if "Not saved" in note] == []
        assert world.movements() == [("charge", LOW)]
