"""Which bytes are a picture that may be used, and that nothing but the picture is kept of them."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import tracemalloc
import warnings
import zlib
from io import BytesIO

import pytest
from hypothesis import given
from PIL import Image, PngImagePlugin

from tests.files.conftest import (
    GIFS,
    JPEGS,
    PICTURES,
    PNGS,
    SEVERAL,
    WEBPS,
    after_header,
    hostile,
    mime_type,
    noise,
    png_chunk,
    riff_chunk,
    saved,
    segment,
)
from vidgo_mcp.files.images import MOST_PIXELS, MOST_SCANS, Kind, ReferencePicture, checked, kind_of
from vidgo_mcp.files.unusable import UnusableError

ARCHIVE = b"PK\x03\x04\x14\0\0\0\0\0hidden"
ANIMATED = ("png_animated", "gif_animated", "webp_animated")


def refusal(content: bytes) -> str:
    with pytest.raises(UnusableError) as refused:
        checked(content)
    return str(refused.value)


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG of one bit per pixel."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = png_chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + data + png_chunk(b"IEND", b"")


def webp_of(width: int, height: int) -> bytes:
    """Return a WebP whose canvas is said to be so large."""
    edges = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + riff_chunk(b"VP8X", bytes(4) + edges) + WEBPS["webp"][12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_kept_as_it_is(name: str) -> None:
    content = PICTURES[name]
    extension = "." + name.partition("_")[0].replace("jpeg", "jpg")
    digest = hashlib.sha256(content).hexdigest()
    assert checked(content) == ReferencePicture(content, mime_type(name), extension, 40, 24, digest)


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_hidden_behind_a_picture_is_not_kept(name: str) -> None:
    assert checked(PICTURES[name] + ARCHIVE) == checked(PICTURES[name])


def test_a_phones_jpeg_with_several_pictures_is_its_first_one() -> None:
    picture = checked(SEVERAL)
    assert picture.mime_type == "image/jpeg"
    assert len(picture.content) < len(SEVERAL) / 2 + 200
    assert checked(picture.content) == picture
    with Image.open(BytesIO(SEVERAL)) as several, Image.open(BytesIO(picture.content)) as first:
        assert several.format == "MPO"
        assert first.tobytes() == several.tobytes()


@pytest.mark.parametrize("name", PICTURES)
def test_a_truncated_picture_is_refused_wherever_it_was_cut(name: str) -> None:
    content = PICTURES[name]
    for length in sorted({*range(12, len(content), 7), *range(len(content) - 9, len(content))}):
        assert refusal(content[:length]) == "it is damaged, or a part of it is missing: it cannot be decoded"


@pytest.mark.parametrize("name", sorted(PNGS))
def test_a_png_with_a_flipped_bit_is_refused(name: str) -> None:
    content = bytearray(PNGS[name])
    for place in range(30, len(content), 41):
        content[place] ^= 1
        assert refusal(bytes(content)) == "it is damaged, or a part of it is missing: it cannot be decoded"
        content[place] ^= 1


def test_nothing_is_not_a_picture() -> None:
    assert refusal(b"") == "it is empty"


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (saved(noise(), format="BMP"), "a BMP picture", "convert it to a JPEG or PNG"),
        (saved(noise(), format="TIFF"), "a TIFF picture", "convert it to a JPEG or PNG"),
        (saved(noise(), format="AVIF"), "an AVIF picture", "convert it to a JPEG or PNG"),
        (saved(noise(), format="JPEG2000"), "a JPEG 2000 picture", "convert it to a JPEG or PNG"),
        (saved(noise(), format="ICO"), "an icon", "convert it to a JPEG or PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture", "convert it to a JPEG or PNG"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a film", "take a picture out of it"),
        (b'<?xml version="1.0"?>\n<SVG xmlns="...">', "an SVG drawing", "export it as a PNG"),
        (b"%PDF-1.7\n" + JPEGS["jpeg"], "a PDF document", "export the page as a JPEG or PNG"),
        (ARCHIVE + PNGS["png"], "a ZIP archive, or a document that is one", "take the picture out of it"),
        ("Ein Fuchs im Schnee, für mich ".encode() + "ü".encode() * 999, "text", "name a picture"),
        (b"VIDGO_API_KEY=secret\n", "text", "name a picture"),
        (b"\x7fELF\2\1\1\0" + bytes(99), "something else", "name a picture in one of these formats"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "something else", "name a picture in one of these formats"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_usable_picture_is_called_by_its_name(content: bytes, what: str, remedy: str) -> None:
    assert refusal(content) == f"it is {what}, not a JPEG, PNG, GIF or WebP: {remedy}"


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a=1;/*" + b"x" * 50 + b"*/=1;alert(1);//;",
        b"GIF89a<script>alert(1)</script>" + b" " * 50,
        b"\xff\xd8\xff<?php system('ls'); ?>",
        b"\x89PNG\r\n\x1a\n#!/bin/sh\nls\n",
        b"RIFF\x20\0\0\0WEBP<html></html>" + b" " * 30,
    ],
)
def test_a_program_with_the_first_bytes_of_a_picture_is_refused(content: bytes) -> None:
    refusal(content)


def test_a_picture_may_have_the_most_pixels_and_no_more() -> None:
    content = PNGS["png"]
    assert checked(content, most_pixels=40 * 24).width == 40
    with pytest.raises(UnusableError, match=r"^it has 40×24 pixels, more than 959: make it smaller$"):
        checked(content, most_pixels=40 * 24 - 1)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (png_of(30_000, 30_000, (b"\0" + bytes(3750)) * 30_000), "30000×30000"),
        (png_of(12_000, 9000, bytes(1501) * 9000), "12000×9000"),
        (webp_of(16_384, 16_384), "16384×16384"),
        (b"GIF89a" + struct.pack("<HH", 12_000, 9000) + GIFS["gif"][10:], "12000×9000"),
    ],
    ids=["png", "png that pillow only warns of", "webp", "gif that pillow only warns of"],
)
def test_too_many_pixels_are_refused_before_they_are_decoded(content: bytes, size: str) -> None:
    checked(PNGS["png"])  # What is imported takes memory too.
    tracemalloc.start()
    try:
        assert refusal(content) == f"it has {size} pixels, more than {MOST_PIXELS:,}: make it smaller"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 500_000


def test_no_decoder_meets_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: PngImagePlugin.PngImageFile) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", load)
    assert "it has 30000×30000 pixels" in refusal(png_of(30_000, 30_000, b""))
    # The assertion counts as damage: it shows that the way to the decoder is the one that was closed.
    assert "it is damaged" in refusal(PNGS["png"])


def test_a_gif_with_a_frame_of_more_pixels_than_pillow_bears_is_refused_for_them() -> None:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\0;"
    assert refusal(b"GIF89a\x01\0\x01\0\0\0\0" + frame) == "it has more than 50,000,000 pixels: make it smaller"


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000))),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(20_000_000))),
        png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(20_000_000))),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
def test_metadata_that_grows_out_of_all_proportion_is_refused(chunk: bytes) -> None:
    checked(PNGS["png"])
    tracemalloc.start()
    try:
        refusal(after_header(PNGS["png"], chunk))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5_000_000


@pytest.mark.parametrize(
    "content",
    [
        png_of(0, 8, b""),
        png_of(8, 0, b""),
        b"GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\x02\x02\x4c\x01\0;",
        JPEGS["jpeg"].replace(struct.pack(">HH", 24, 40), bytes(4), 1),
    ],
    ids=["png without width", "png without height", "gif", "jpeg"],
)
def test_a_picture_without_pixels_is_refused(content: bytes) -> None:
    refusal(content)


def test_a_jpeg_that_would_keep_a_decoder_busy_for_hours_is_refused() -> None:
    content = JPEGS["jpeg_progressive"]
    last = content[content.rindex(b"\xff\xda") : -2]
    assert checked(content[:-2] + last * 20 + b"\xff\xd9").width == 40
    assert f"more than {MOST_SCANS} scans" in refusal(content[:-2] + last * MOST_SCANS + b"\xff\xd9")


@pytest.mark.parametrize(
    "content",
    [
        saved(noise(), format="JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0" + bytes(12)),
        after_header(PNGS["png"], png_chunk(b"acTL", bytes(8))),
    ],
    ids=["exif that is cut off", "an animation without frames"],
)
def test_what_pillow_only_warns_of_can_be_used(content: bytes) -> None:
    with (
        pytest.warns(UserWarning, match="corrupt|Corrupt|Truncated|Invalid APNG"),
        Image.open(BytesIO(content)) as image,
    ):
        image.getexif()
    before = list(warnings.filters)
    assert checked(content).width == 40
    assert list(warnings.filters) == before


def test_a_damaged_index_of_several_pictures_does_not_matter() -> None:
    content = JPEGS["jpeg"]
    assert checked(content[:2] + segment(0xE2, b"MPF\0II*\0nonsense") + content[2:]).mime_type == "image/jpeg"


@pytest.mark.parametrize("failure", [MemoryError, RecursionError, NotImplementedError, OverflowError, KeyError])
def test_whatever_a_decoder_raises_is_a_refusal(failure: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: PngImagePlugin.PngImageFile) -> None:
        raise failure

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", load)
    assert ("memory" in refusal(PNGS["png"])) == (failure is MemoryError)


@given(hostile)
def test_any_bytes_are_a_picture_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(UnusableError):
        picture = checked(content)
        assert content.startswith(picture.content)
        assert kind_of(content) == Kind(picture.mime_type, picture.extension)
        assert checked(picture.content) == picture
