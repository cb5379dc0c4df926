"""A model gets a small picture whatever lies behind the URL, and a sentence when there is none."""

from __future__ import annotations

import io
import random
import struct
import zlib

import anyio
import pytest
from PIL import Image

from tests.conftest import DAY, World
from vidgo_mcp.errors import NotFoundError, UnavailableError, VidgoError
from vidgo_mcp.files.images import MOST_PIXELS
from vidgo_mcp.models.results import View
from vidgo_mcp.service.thumbnails import LARGEST_RESOURCE, LONGEST_RESOURCE_EDGE, MOST_BYTES, fitting, scaled

LOW = 2


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def opened(view: View) -> Image.Image:
    assert view.mime_type == "image/webp"
    assert len(view.content) <= MOST_BYTES
    picture = Image.open(io.BytesIO(view.content))
    assert picture.format == "WEBP"
    assert picture.size == (view.shown_width, view.shown_height)
    return picture


def claimed_png(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "max_edge", "shown"),
    [
        ((1600, 800), 768, (768, 384)),
        ((800, 1600), 256, (128, 256)),
        ((100, 50), 768, (100, 50)),
        ((1, 1), 256, (1, 1)),
    ],
)
def test_a_picture_is_scaled_down_to_its_longest_edge_and_never_up(
    size: tuple[int, int], max_edge: int, shown: tuple[int, int]
) -> None:
    view = scaled(encoded(Image.new("RGB", size, "orange")), max_edge)
    assert (view.width, view.height) == size
    assert opened(view).size == shown


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_every_kind_of_png_can_be_looked_at(mode: str) -> None:
    assert opened(scaled(encoded(Image.new(mode, (300, 200))), 256)).size == (256, 171)


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("GIF", "P")])
def test_the_formats_that_vidgo_takes_can_be_looked_at(form: str, mode: str) -> None:
    assert opened(scaled(encoded(Image.new(mode, (64, 32)), form), 256)).size == (64, 32)


def test_transparency_is_kept() -> None:
    view = scaled(encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0))), 256)
    assert opened(view).convert("RGBA").getpixel((5, 5)) == (0, 0, 0, 0) or opened(view).mode == "RGBA"


def test_a_picture_that_lies_on_its_side_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    view = scaled(encoded(Image.new("RGB", (64, 32)), "JPEG", exif=exif), 256)
    assert opened(view).size == (view.width, view.height) == (32, 64)


def test_even_noise_fits_into_the_limit() -> None:
    noise = Image.frombytes("RGB", (1024, 1024), random.Random(1).randbytes(1024 * 1024 * 3))
    view = scaled(encoded(noise), 1024)
    assert max(opened(view).size) < 1024
    assert (view.width, view.height) == (1024, 1024)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((10_000, MOST_PIXELS // 10_000 + 1), "10000 x 5001 pixels, too many"),
        ((50_000, 50_000), "not a readable picture"),
        ((1_000_000, 1_000_000), "not a readable picture"),
    ],
)
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int], said: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        scaled(claimed_png(*size), 768)
    assert said in refused.value.message
    assert (refused.value.retryable, refused.value.money) == (False, "nothing_spent")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><html></html>",
        b"\x89PNG\r\n\x1a\n",
        claimed_png(64, 64),
        encoded(Image.new("RGB", (64, 64)))[:60],
        encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:300],
        encoded(Image.new("RGB", (64, 64)), "BMP"),
        encoded(Image.new("RGB", (64, 64)), "TIFF"),
    ],
)
def test_what_is_no_whole_picture_of_a_known_format_is_refused(content: bytes) -> None:
    with pytest.raises(UnavailableError) as refused:
        scaled(content, 768)
    assert "not a readable picture" in refused.value.message


def test_a_resource_is_the_picture_as_it_is_unless_it_is_too_large() -> None:
    small = encoded(Image.new("RGB", (64, 32)))
    assert fitting(small) == View(small, "image/png", 64, 32, 64, 32, original=True)
    large = encoded(Image.frombytes("RGB", (800, 400), random.Random(1).randbytes(800 * 400 * 3)))
    view = fitting(large)
    assert len(large) > LARGEST_RESOURCE >= len(view.content)
    assert (view.mime_type, view.width, view.height, view.original) == ("image/webp", 800, 400, False)
    assert max(view.shown_width, view.shown_height) <= LONGEST_RESOURCE_EDGE
    with pytest.raises(UnavailableError, match="cannot be shown") as refused:
        fitting(small[:60])
    assert refused.value.remedy == "show_picture"


@pytest.mark.anyio
@pytest.mark.parametrize("max_edge", [256, 768, 1024])
async def test_a_finished_picture_can_be_looked_at(max_edge: int) -> None:
    async with World(seconds=5) as world:
        made = await world.finished(size="1536x1024", resolution="2K")
        assert made.task_id is not None
        result, view = await world.tasks().view(made.task_id, max_edge)
        assert (view.width, view.height) == (1536, 1024)
        assert max(opened(view).size) == max_edge
        assert result.task_id == made.task_id
        assert world.movements() == [("charge", 4)]


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize(
    ("fault", "category"),
    [
        ("html", "unavailable"),
        ("truncated", "unavailable"),
        ("huge=65", "unavailable"),
        ("redirect_loop", "unavailable"),
        ("refuse=404", "not_found"),
        ("refuse=403", "not_found"),
        ("refuse=500", "unavailable"),
        ("rate_limited", "unavailable"),
        ("drop_before", "unavailable"),
        ("hang_before", "unavailable"),
    ],
)
async def test_a_file_that_cannot_be_fetched_is_an_error_and_the_next_look_may_work(fault: str, category: str) -> None:
    async with World(faults=[f"file:{fault}*4"], seconds=5) as world:
        made = await world.finished()
        assert made.task_id is not None
        with pytest.raises(VidgoError) as caught:
            await world.tasks().view(made.task_id, 768)
        assert caught.value.category == category
        world.sandbox.clear_faults()
        _, view = await world.tasks().view(made.task_id, 768)
        assert max(opened(view).size) == 768


@pytest.mark.anyio
async def test_a_picture_that_is_not_there_yet_is_to_be_waited_for() -> None:
    async with World(seconds=60) as world:
        task_id = await world.pending()
        with pytest.raises(UnavailableError) as caught:
            await world.tasks().view(task_id, 768)
        assert (caught.value.money, caught.value.task_id) == ("accepted", task_id)
        assert caught.value.remedy == "wait_for_task"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "why", "remedy"),
    [
        ("failed", "it failed, and was refunded", "make_again"),
        ("no_files", "It was paid for and not refunded", "contact_support"),
    ],
)
async def test_a_failed_task_has_nothing_to_look_at(fault: str, why: str, remedy: str) -> None:
    async with World(faults=[f"task:{fault}"], seconds=5) as world:
        made = await world.make()
        assert made.task_id is not None
        with pytest.raises(NotFoundError) as caught:
            await world.tasks().view(made.task_id, 768)
        assert caught.value.task_id == made.task_id
        assert why in caught.value.message
        assert (caught.value.remedy, caught.value.facts.price) == (remedy, None)


@pytest.mark.anyio
async def test_a_picture_whose_url_died_is_not_fetched() -> None:
    async with World(seconds=5) as world:
        made = await world.finished()
        assert made.task_id is not None
        await anyio.sleep(DAY)
        requests = len(world.wire.seen)
        with pytest.raises(NotFoundError) as caught:
            await world.tasks().view(made.task_id, 768)
        assert "24 hours" in caught.value.message
        assert (caught.value.remedy, caught.value.facts.price) == ("make_again", 2)
        assert len(world.wire.seen) == requests


@pytest.mark.anyio
async def test_the_picture_of_an_unknown_task_is_not_found() -> None:
    async with World() as world:
        with pytest.raises(NotFoundError):
            await world.tasks().view("task-1", 768)
