"""A model gets a small picture whatever lies behind the URL, and a sentence when there is none."""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from PIL import ExifTags, Image

from tests.conftest import DAY, World
from tests.service.pictures import HEIC, claimed_png, png_of
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
    assert len(view.content) <= MOST_BYTES
    picture = Image.open(io.BytesIO(view.content))
    assert view.mime_type == f"image/{picture.format}".lower()
    assert picture.format == ("PNG" if picture.has_transparency_data else "JPEG")
    assert picture.size == (view.shown_width, view.shown_height)
    return picture


RAMP = range(256)
TALL = 16
"""Rows of a ramp."""


def ramp(form: tuple[int, int], row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    return png_of(len(RAMP), TALL, form, (b"\0" + row) * TALL, *chunks)


def wide(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def pillow(mode: str, values: Sequence[Any], form: str = "TIFF", **options: Any) -> bytes:
    picture = Image.new(mode, (len(RAMP), TALL))
    picture.putdata(list(values) * TALL)
    return encoded(picture, form, **options)


GREYS = [(x, x, x, 255) for x in RAMP]
COLOURS = [(x, 255 - x, 90, 255) for x in RAMP]
FADING = [(x, x, x, 255 - x) for x in RAMP]
PALETTE = (b"PLTE", b"".join(bytes((x, 255 - x, 90)) for x in RAMP))
CMYK = [(255 - x, x, 165, 0) for x in RAMP]
RAMPS: dict[str, tuple[bytes, list[tuple[int, int, int, int]]]] = {
    "grey": (ramp((8, 0), bytes(RAMP)), GREYS),
    "grey with a transparent level": (
        ramp((8, 0), bytes(RAMP), (b"tRNS", wide(64))),
        [(x, x, x, 0 if x == 64 else 255) for x in RAMP],
    ),
    "grey of 16 bits": (ramp((16, 0), wide(*(257 * x for x in RAMP))), GREYS),
    "grey of 16 bits with a transparent level": (
        ramp((16, 0), wide(*(257 * x for x in RAMP)), (b"tRNS", wide(257 * 64))),
        [(x, x, x, 0 if x == 64 else 255) for x in RAMP],
    ),
    "grey of 4 bits": (ramp((4, 0), bytes(16 * (x // 16) + x // 16 for x in RAMP[::2])), [
        (y, y, y, 255) for y in (17 * (x // 16) for x in RAMP)
    ]),
    "grey of 1 bit": (ramp((1, 0), bytes(16) + b"\xff" * 16), [(y, y, y, 255) for y in (x // 128 * 255 for x in RAMP)]),
    "grey with alpha": (ramp((8, 4), b"".join(bytes((x, 255 - x)) for x in RAMP)), FADING),
    "grey with alpha of 16 bits": (ramp((16, 4), wide(*(257 * y for x in RAMP for y in (x, 255 - x)))), FADING),
    "grey with alpha that hides nothing": (ramp((8, 4), b"".join(bytes((x, 255)) for x in RAMP)), GREYS),
    "colours": (ramp((8, 2), b"".join(bytes((x, 255 - x, 90)) for x in RAMP)), COLOURS),
    "colours of 16 bits": (ramp((16, 2), wide(*(257 * y for x in RAMP for y in (x, 255 - x, 90)))), COLOURS),
    "palette": (ramp((8, 3), bytes(RAMP), PALETTE), COLOURS),
    "palette with alpha": (
        ramp((8, 3), bytes(RAMP), PALETTE, (b"tRNS", bytes(RAMP))), [(x, 255 - x, 90, x) for x in RAMP],
    ),
    "TIFF of 16 bits": (pillow("I;16", [257 * x for x in RAMP]), GREYS),
    "TIFF of 32 bits that uses 16": (pillow("I", [257 * x for x in RAMP]), GREYS),
    "TIFF of 32 bits": (pillow("I", [x << 23 for x in RAMP]), GREYS),
    "TIFF of floats to 1": (pillow("F", [x / 255 for x in RAMP]), GREYS),
    "TIFF of floats to 255": (pillow("F", [float(x) for x in RAMP]), GREYS),
    "TIFF in CMYK": (pillow("CMYK", CMYK), COLOURS),
    "JPEG in CMYK, inverted as Adobe does": (pillow("CMYK", CMYK, "JPEG", quality=95), COLOURS),
    "AVIF": (pillow("RGB", [colour[:3] for colour in COLOURS], "AVIF", quality=100), COLOURS),
    "BMP": (pillow("RGB", [colour[:3] for colour in COLOURS], "BMP"), COLOURS),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), RAMPS.values(), ids=RAMPS)
def test_a_ramp_looks_as_it_was_meant_to(content: bytes, expected: list[tuple[int, int, int, int]]) -> None:
    shown = opened(scaled(content, 1024)).convert("RGBA")
    seen = [shown.getpixel((x, TALL // 2)) for x in RAMP]
    for found, meant in zip(seen, expected, strict=True):
        assert isinstance(found, tuple)
        assert found[3] == meant[3]
        assert not meant[3] or max(abs(one - other) for one, other in zip(found, meant, strict=True)) <= 8


def test_of_what_is_no_pixel_only_a_colour_profile_that_fits_goes_along() -> None:
    srgb, foreign = (bytes(16) + space + bytes(108) for space in (b"RGB ", b"CMYK"))
    for mode, profile, kept in (("RGB", srgb, srgb), ("RGBA", srgb, srgb), ("L", srgb, None), ("CMYK", foreign, None)):
        picture = Image.new(mode, (64, 64))
        content = encoded(picture, "JPEG" if mode == "CMYK" else "PNG", icc_profile=profile)
        assert opened(scaled(content, 256)).info.get("icc_profile") == kept
    assert b"private" not in scaled(encoded(Image.new("RGB", (64, 64)), "JPEG", comment=b"private"), 256).content
    huge = encoded(Image.new("RGB", (64, 64)), icc_profile=srgb + bytes(400_000))
    assert len(scaled(huge, 256).content) < MOST_BYTES


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
    assert opened(view).convert("RGBA").getpixel((5, 5)) == (255, 0, 0, 0)


def test_a_picture_that_lies_on_its_side_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    view = scaled(encoded(Image.new("RGB", (64, 32)), "JPEG", exif=exif), 256)
    assert opened(view).size == (view.width, view.height) == (32, 64)


def test_exif_of_many_fractions_is_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = encoded(Image.new("RGB", (40, 20)), "PNG", exif=exif)
    long = encoded(Image.new("RGB", (40, 20)), "PNG", exif=exif.tobytes() + bytes(2_000_000))
    monkeypatch.setattr(Image.Exif, "tobytes", lambda *given: pytest.fail("it was written anew"))
    assert opened(scaled(content, 768)).size == (20, 40)
    assert opened(scaled(long, 768)).size == (40, 20)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_even_noise_fits_into_the_limit(mode: str) -> None:
    noise = Image.frombytes(mode, (1024, 1024), random.Random(1).randbytes(1024 * 1024 * len(mode)))
    view = scaled(encoded(noise), 1024, 50_000)
    assert len(view.content) <= 50_000
    assert max(opened(view).size) < 1024
    assert (view.width, view.height) == (1024, 1024)


@pytest.mark.parametrize("size", [(10_000, MOST_PIXELS // 10_000 + 1), (50_000, 50_000), (1_000_000, 1_000_000)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(UnavailableError) as refused:
        scaled(claimed_png(*size), 768)
    assert "cannot be shown" in refused.value.message
    assert (refused.value.retryable, refused.value.money) == (False, "nothing_spent")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"<!doctype html><html></html>", "it is text, not a picture"),
        (b"\x89PNG\r\n\x1a\n", "it is damaged"),
        (encoded(Image.new("RGB", (64, 64)))[:60], "it is damaged"),
        (encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:300], "it is damaged"),
        (claimed_png(64, 64), "it is a PNG picture, which cannot be decoded here"),
        (HEIC, "it is a HEIC picture, which cannot be decoded here"),
        (claimed_png(10_000, 5_001), "it has 10000×5001 pixels, more than 50,000,000"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_plain_words(content: bytes, said: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        scaled(content, 768)
    assert refused.value.message.startswith(f"The picture cannot be shown: {said}")
    with pytest.raises(UnavailableError, match=re.escape(refused.value.message)):
        fitting(content)


def test_a_resource_is_the_picture_as_it_is_unless_it_is_too_large() -> None:
    small = encoded(Image.new("RGB", (64, 32)))
    assert fitting(small) == View(small, "image/png", 64, 32, 64, 32, original=True)
    large = encoded(Image.frombytes("RGB", (800, 400), random.Random(1).randbytes(800 * 400 * 3)))
    view = fitting(large)
    assert len(large) > LARGEST_RESOURCE >= len(view.content)
    assert (view.mime_type, view.width, view.height, view.original) == ("image/jpeg", 800, 400, False)
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


def tiff(*entries: tuple[int, int, int, int], rest: bytes = b"") -> bytes:
    """Return a TIFF of these tags, types, counts and values; ``rest`` begins at byte 1000."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    return head + bytes(1000 - len(head)) + rest


def scans(jpeg: bytes, number: int) -> bytes:
    """Return a progressive JPEG with its last scan so many times more."""
    start = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[start:-2] * number + jpeg[-2:]


PROGRESSIVE = encoded(Image.new("RGB", (512, 512)), "JPEG", progressive=True)
MANY_SCANS = scans(PROGRESSIVE, 90)
SHAPE = ((256, 4, 1, 512), (257, 4, 1, 512 * 40), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1))
EXIF = b"\xff\xe1\0\x10Exif\0\0" + bytes(8)
STRIPS = struct.pack("<I", 1320) * 40 + struct.pack("<I", len(MANY_SCANS)) * 40 + MANY_SCANS
HARMFUL = {
    "a JPEG of 20,000 scans": scans(PROGRESSIVE, 20_000),
    "a TIFF of many JPEGs with many scans": tiff(
        *(*SHAPE, (259, 3, 1, 7), (273, 4, 40, 1000), (278, 4, 1, 512), (279, 4, 40, 1160)), rest=STRIPS
    ),
    "a TIFF with a tile of a gigabyte": tiff(
        *(*SHAPE, (259, 3, 1, 8), (322, 4, 1, 32_768), (323, 4, 1, 32_768), (324, 4, 1, 1000), (325, 4, 1, 16)),
        rest=bytes(16),
    ),
    "a TIFF with a list of 200,000 strips": tiff(
        *(*SHAPE, (259, 3, 1, 1), (273, 4, 200_000, 1000), (278, 4, 1, 1), (279, 4, 1, 1)), rest=bytes(800_000)
    ),
    "a TIFF with a list that it names again and again": tiff(
        *(*SHAPE, (259, 3, 1, 1), *[(273, 4, 20_000, 1000)] * 50, (278, 4, 1, 1), (279, 4, 1, 1)), rest=bytes(80_000)
    ),
    "a TIFF whose directory leads back to itself": b"II*\0"
    + struct.pack("<IH", 8, 1509)
    + b"".join(
        struct.pack("<HHII", *entry)
        for entry in (
            *(*SHAPE, (259, 3, 1, 1), (273, 4, 1, 8), (278, 4, 1, 1), (279, 4, 1, 1)),
            *[(700, 3, 1, 0)] * 1500,
        )
    )
    + struct.pack("<I", 8),
    "a BigTIFF, whose lists are not looked at": encoded(Image.new("L", (8, 8)), "TIFF", big_tiff=True),
    "a JPEG with its Exif in 17 parts": b"\xff\xd8" + EXIF * 17 + PROGRESSIVE[2:],
    "a JPEG with Exif where only Pillow looks": b"\xff\xd8\xff\xd8" + EXIF * 17 + bytes(65_600) + PROGRESSIVE[2:],
    "a JPEG 2000": pillow("RGB", [colour[:3] for colour in COLOURS], "JPEG2000"),
    "a QOI": pillow("RGB", [colour[:3] for colour in COLOURS], "QOI"),
    "a WebP of 268 megapixels": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0",
    "a JPEG of 65,535x65,535": PROGRESSIVE.replace(
        b"\xff\xc2\0\x11\x08\x02\0\x02\0", b"\xff\xc2\0\x11\x08" + b"\xff" * 4
    ),
    "a PNG whose colour profile is a bomb": ramp(
        (8, 0), bytes(RAMP), (b"iCCP", b"x\0\0" + zlib.compress(bytes(3_000_000)))
    ),
    "a PNG whose comments are bombs": ramp(
        (8, 0), bytes(RAMP), *((b"zTXt", b"x%d\0\0" % i + zlib.compress(bytes(1_000_000))) for i in range(80))
    ),
}


@pytest.mark.parametrize("look", [fitting, lambda content: scaled(content, 768)], ids=["whole", "scaled"])
@pytest.mark.parametrize("what", HARMFUL)
def test_what_would_keep_a_decoder_busy_never_reaches_it(
    what: str, look: Callable[[bytes], View], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: decoded.append(image))
    with pytest.raises(UnavailableError, match="cannot be shown"):
        look(HARMFUL[what])
    assert decoded == []
