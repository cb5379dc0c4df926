"""What a model reads about files: where a picture is saved or why not, what an upload waits for, what is refused."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ResourceLink
from PIL import Image

from tests.conftest import BASE, DAY, World
from tests.server.conftest import calling, inline, png, text_of
from tests.service.pictures import HEIC
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.service import LocalFiles

pytestmark = pytest.mark.anyio

LOW = 2
FOX = {"prompt": "a fox", "wait_seconds": 600}
PHOTO = "https://example.com/photo.png"
SECRET = "what nobody may repeat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that may be read, with a picture, a folder, and what is no picture; another lies beside it."""
    pictures = tmp_path / "pictures"
    (pictures / "cats").mkdir(parents=True)
    (pictures / "cat.png").write_bytes(png())
    (pictures / "half.png").write_bytes(png()[:60])
    (pictures / "notes.txt").write_text(SECRET)
    (tmp_path / "beside.png").write_bytes(png())
    return pictures


@pytest.fixture
def save_dir(tmp_path: Path) -> Path:
    return tmp_path / "Pictures" / "vidgo"


@pytest.fixture
def disk(folder: Path, save_dir: Path) -> LocalFiles:
    return LocalFiles(Folders((folder, save_dir)), save_dir)


REFUSED = [
    pytest.param("{outside}", ("outside", "VIDGO_INPUT_DIRS"), id="outside"),
    pytest.param("../beside.png", ("outside", "VIDGO_INPUT_DIRS"), id="above"),
    pytest.param("cta.png", ("no such file", "did you mean", "cat.png"), id="missing, with a near name"),
    pytest.param("zebra.png", ("no such file",), id="missing"),
    pytest.param("cats", ("a folder", "name a picture"), id="folder"),
    pytest.param("notes.txt", ("text", "not a JPEG, PNG, GIF or WebP"), id="no picture"),
    pytest.param("half.png", ("damaged",), id="half a picture"),
    pytest.param("file://elsewhere/cat.png", ("file:///", "other machines"), id="another machine"),
    pytest.param(r"\\elsewhere\cat.png", ("network",), id="network"),
    pytest.param("data:image/png;base64,AAAA", ("not a JPEG, PNG, GIF or WebP",), id="data that is no picture"),
    pytest.param("data:image/png,AAAA", ("base64",), id="data in another encoding"),
    pytest.param("data:image/png;base64,~~~~", ("not base64",), id="broken data"),
    pytest.param(inline(png())[:-40], ("damaged",), id="half of the data"),
]


@pytest.mark.parametrize(("reference", "words"), REFUSED)
async def test_a_reference_that_cannot_be_used_is_named_with_the_reason(
    disk: LocalFiles, tmp_path: Path, reference: str, words: tuple[str, ...]
) -> None:
    reference = reference.format(outside=tmp_path / "beside.png")
    async with World(files=disk) as world, calling(world) as caller:
        result = await caller.call("edit_image", **FOX, image_urls=[PHOTO, "cat.png", reference])
        error = result.structured_content
        assert isinstance(error, dict)
        assert {name: error[name] for name in ("category", "money", "field", "retryable")} == {
            "category": "invalid_request",
            "money": "nothing_spent",
            "field": "image_urls",
            "retryable": False,
        }
        text = text_of(result)
        for word in ("image_urls[2]", reference.replace("\\", r"\\")[:30], *words):
            assert word in text
        assert "image_urls[1]" not in text
        assert SECRET not in text
        # Data may be megabytes long; nobody needs to read them again.
        assert len(text) < 600
        assert (world.opened, world.wire.seen) == (0, [])


async def test_all_references_that_cannot_be_used_are_named_in_one_answer(disk: LocalFiles) -> None:
    async with World(files=disk) as world, calling(world) as caller:
        error = await caller.error("edit_image", **FOX, image_urls=["cta.png", PHOTO, "/etc/passwd", "cat.png", "cats"])
        lines = error["message"].splitlines()
        assert [line.split()[1] for line in lines] == ["image_urls[0]", "image_urls[2]", "image_urls[4]"]


async def test_a_long_path_is_shown_by_its_end_which_names_the_file(disk: LocalFiles, folder: Path) -> None:
    long = f"{'a/' * 40}the-lighthouse-at-dawn.png"
    async with World(files=disk) as world, calling(world) as caller:
        message = (await caller.error("edit_image", **FOX, image_urls=[str(folder / long)]))["message"]
        named = message.partition(": ")[0]
        assert named.startswith('image_urls[0] "...')
        assert named.endswith('/the-lighthouse-at-dawn.png"')
        assert len(named) < 80


async def test_an_error_never_reveals_whether_a_path_outside_exists(disk: LocalFiles, tmp_path: Path) -> None:
    async with World(files=disk) as world, calling(world) as caller:
        there, missing = [
            (await caller.error("edit_image", **FOX, image_urls=[str(tmp_path / name)]))["message"].replace(name, "")
            for name in ("beside.png", "nobody.png")
        ]
        assert there == missing


@pytest.mark.parametrize("reference", ["cat.png", inline(png())])
async def test_a_picture_with_too_many_bytes_is_refused_with_the_limit(folder: Path, reference: str) -> None:
    limit = 1024 * 1024
    (folder / "cat.png").write_bytes(png() + bytes(limit))
    large = reference if reference == "cat.png" else inline(png() + bytes(limit))
    async with (
        World(files=LocalFiles(Folders((folder,)), largest=limit)) as world,
        calling(world) as caller,
    ):
        result = await caller.call("edit_image", **FOX, image_urls=[large])
        assert result.is_error
        assert "more than 1 MB" in text_of(result)
        assert len(text_of(result)) < 600
        assert world.wire.seen == []


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        pytest.param(LocalFiles(Folders(())), ("VIDGO_INPUT_DIRS and restart",), id="nothing may be read"),
        pytest.param(LocalFiles(), ("reads no local files", "http(s) URL", "task:<task_id>"), id="not their disk"),
    ],
)
@pytest.mark.parametrize("reference", ["cat.png", "/etc/passwd", "~/cat.png", "file:///etc/passwd"])
async def test_where_no_file_may_be_read_the_answer_says_what_works_instead(
    elsewhere: LocalFiles, words: tuple[str, ...], reference: str
) -> None:
    async with World(files=elsewhere, seconds=5) as world, calling(world) as caller:
        text = text_of(await caller.call("edit_image", **FOX, image_urls=reference))
        for word in ("Error (invalid_request): ", *words):
            assert word in text
        assert world.wire.seen == []
        assert (await caller.data("edit_image", **FOX, image_urls=inline(png())))["outcome"] == "finished"


UNREACHABLE = [
    "http://localhost:8188/a.png",
    "http://192.168.1.20/a.png",
    "http://nas.local/a.png",
    "http://[fe80::1]/a",
]


async def test_addresses_that_vidgo_cannot_reach_are_refused_together_before_the_price(disk: LocalFiles) -> None:
    async with World(files=disk, local_api=False) as world, calling(world) as caller:
        references = [UNREACHABLE[0], PHOTO, *UNREACHABLE[1:], "task:"]
        error = await caller.error("edit_image", **FOX, image_urls=references, quality="best")
        assert (error["category"], error["money"], error["field"]) == ("invalid_request", "nothing_spent", "quality")
        lines = error["message"].splitlines()
        why = "Vidgo cannot reach this address: give a public one, or the picture itself"
        assert lines[1:-1] == [f'- image_urls[{place}] "{references[place]}": {why}' for place in (0, 2, 3, 4)]
        assert "task:<task_id>" in lines[-1]
        assert '"image_urls": ["task:<task_id>"]' in error["next_step"]
        assert (world.opened, world.wire.seen) == (0, [])


async def test_where_vidgo_is_imitated_on_this_machine_it_reaches_what_is_here(disk: LocalFiles) -> None:
    async with World(files=disk, seconds=5) as world, calling(world) as caller:
        made = await caller.data("edit_image", **FOX, image_urls=UNREACHABLE)
        assert made["outcome"] == "finished"


@pytest.mark.parametrize(
    ("written", "count"),
    [
        pytest.param(f"{PHOTO}, {PHOTO}?2\n{PHOTO}?3", 3, id="addresses in one text"),
        pytest.param('"{folder}/cat.png"', 1, id="a path in quotes"),
        pytest.param("'{uri}'", 1, id="a file address in quotes"),
        pytest.param(inline(png()).partition(",")[2], 1, id="bare base64"),
        pytest.param([f"{PHOTO};{PHOTO}?2", "`cat.png`"], 3, id="all of it in a list"),
    ],
)
async def test_references_are_read_as_people_and_models_write_them(
    disk: LocalFiles, folder: Path, written: Any, count: int
) -> None:
    if isinstance(written, str):
        written = written.replace("{folder}", str(folder)).replace("{uri}", (folder / "cat.png").as_uri())
    async with World(files=disk, seconds=5) as world, calling(world) as caller:
        await caller.data("edit_image", **FOX, image_urls=written)
        [body] = [
            request.body["input"] for request in world.sandbox.requests if request.body and "input" in request.body
        ]
        assert len(body["image_urls"]) == count


async def test_a_finished_picture_says_where_it_is_saved_on_every_path(disk: LocalFiles, save_dir: Path) -> None:
    async with World(files=disk, seconds=5) as world, calling(world) as caller:
        made = await caller.data("generate_image", **FOX)
        [saved] = [str(path) for path in save_dir.iterdir()]
        again = await caller.data("generate_image", **FOX)
        found = await caller.data("get_task", task_id=made["task_id"])
        [listed] = (await caller.data("get_task"))["tasks"]
        assert [answer["saved_paths"] for answer in (made, again, found, listed)] == [[saved]] * 4
        assert "the URL and path" in made["next_step"]
        edited = await caller.data("edit_image", **FOX, image_urls=saved)
        assert (edited["sources"], len(edited["saved_paths"])) == (["a file"], 1)
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_picture_whose_url_has_died_is_found_by_its_copy(disk: LocalFiles, save_dir: Path) -> None:
    async with World(files=disk, seconds=5) as world, calling(world) as caller:
        task_id = (await caller.data("generate_image", **FOX))["task_id"]
        [saved] = save_dir.iterdir()
        await anyio.sleep(DAY)
        result = await caller.call("get_task", task_id=task_id)
        late = result.structured_content
        assert isinstance(late, dict)
        assert (late["outcome"], late["saved_paths"], "image_urls" in late) == ("finished", [str(saved)], False)
        assert text_of(result).startswith("Finished, but its URL has died.")
        assert late["next_step"].startswith("Show the user the path.")
        assert not (await caller.call("view_image", task_id=task_id)).is_error
        edited = await caller.data("edit_image", **FOX, image_urls=f"task:{task_id}")
        assert (edited["outcome"], edited["credits_charged"]) == ("finished", LOW)
        saved.unlink()
        late = await caller.data("get_task", task_id=task_id)
        assert "saved_paths" not in late
        assert late["remedy"] == "make_again"


async def test_a_call_that_waits_for_the_upload_limit_says_so(disk: LocalFiles, folder: Path) -> None:
    names = [f"{number}.png" for number in range(7)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(png(number + 1))
    edit: dict[str, Any] = {"prompt": "a collage", "image_urls": names}
    told: list[tuple[float, str]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message or ""))

    async with World(files=disk, seconds=5) as world, calling(world) as caller:
        await caller.client.call_tool("edit_image", {**edit, "wait_seconds": 30}, progress_callback=listen)
        late = [words for _, words in told[5:]]
        assert set(late) == {"waiting for the upload limit (Vidgo takes 5 a minute): 5 of 7 references are ready"}
        result = await caller.call("edit_image", **edit, wait_seconds=0)
        text, waiting = text_of(result), result.structured_content
        assert isinstance(waiting, dict)
        assert (waiting["outcome"], "task_id" in waiting, waiting["credits_charged"]) == ("pending", False, 0)
        assert waiting["remedy"] == "repeat_with_time"
        assert waiting["notes"] == ["5 of 7 references are ready; nothing is reserved or spent. The uploads go on."]
        assert text.startswith("Pending (not sent: its references are not ready). It will cost 2 credits.\n")
        assert "Spent in 24 h" not in text
        assert (await caller.data("get_task"))["tasks"] == []
        assert world.movements() == []
        made = await caller.client.call_tool("edit_image", {**edit, "wait_seconds": 600}, progress_callback=listen)
        assert "Finished." in text_of(made)
        values = [progress for progress, _ in told]
        last = values.index(min(values), 1)
        for calls in (values[:last], values[last:]):
            assert calls == sorted(set(calls))
            assert 0 < calls[0] <= calls[-1] < 100
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize(("fault", "mime_type"), [(None, "image/png"), ("file:bytes", "image/bmp")])
async def test_a_link_names_the_format_of_the_bytes_that_were_saved(
    fault: str | None, mime_type: str, tmp_path: Path
) -> None:
    disk = LocalFiles(Folders((tmp_path,)), tmp_path)
    async with World(files=disk, faults=[fault] if fault else [], seconds=5) as world, calling(world) as caller:
        made = await caller.call("generate_image", prompt="a fox", wait_seconds=60)
        [link] = [block for block in made.content if isinstance(block, ResourceLink)]
        assert (link.mime_type, link.uri.endswith(".png?") or ".png?" in link.uri) == (mime_type, True)


async def test_a_picture_that_cannot_be_decoded_is_an_error_with_its_places(tmp_path: Path) -> None:
    heic = base64.b64encode(HEIC).decode()
    disk = LocalFiles(Folders((tmp_path,)), tmp_path)
    async with World(files=disk, faults=[f"file:bytes={heic}"], seconds=5) as world, calling(world) as caller:
        made = await caller.data("generate_image", prompt="a fox", wait_seconds=60)
        error = await caller.error("view_image", task_id=made["task_id"])
        assert "a HEIC picture, which cannot be decoded here" in error["message"]
        assert made["saved_paths"][0] in error["message"]
        assert made["image_urls"][0] in error["message"]
        assert (error["retryable"], error["money"], error["remedy"]) == (False, "nothing_spent", "show_picture")


async def test_pictures_that_would_keep_a_decoder_busy_are_refused_and_the_next_one_is_shown() -> None:
    async with World(seconds=5) as world, calling(world) as caller:
        made = await caller.data("generate_image", **FOX)
        (url,) = made["image_urls"]
        drawn = world.sandbox.storage.own(url, BASE, 0)
        assert drawn is not None
        buffer = io.BytesIO()
        Image.new("RGB", (512, 512)).save(buffer, "JPEG", progressive=True)
        scan = buffer.getvalue()[buffer.getvalue().rindex(b"\xff\xda") : -2]
        bomb = buffer.getvalue()[:-2] + scan * 20_000 + b"\xff\xd9"
        world.sandbox.storage.keep(replace(drawn, content=bomb))
        refused: list[dict[str, Any]] = []

        async def look() -> None:
            refused.append(await caller.error("view_image", task_id=made["task_id"]))

        async with anyio.create_task_group() as six:
            for _ in range(6):
                six.start_soon(look)
        assert len(refused) == 6
        assert all("more than 100 scans" in error["message"] for error in refused)
        world.sandbox.storage.keep(drawn)
        assert not (await caller.call("view_image", task_id=made["task_id"])).is_error
