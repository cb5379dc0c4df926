"""Which bytes are a picture that may be used, and which are refused before they do harm."""

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
    WEBPS,
    after_header,
    hostile,
    mime_type,
    noise,
    riff_chunk,
    saved,
)
from vidgo_mcp.files import images
from vidgo_mcp.files.containers import jpeg_segment, png_chunk
from vidgo_mcp.files.images import MOST_PIXELS, MOST_SCANS, ReferencePicture, pixels_of, validate_image
from vidgo_mcp.files.kinds import kind_of
from vidgo_mcp.files.unusable import UnusableError

ARCHIVE = b"PK\x03\x04\x14\0\0\0\0\0hidden"
DAMAGED = "it is damaged, or a part of it is missing"


def refusal(content: bytes) -> str:
    with pytest.raises(UnusableError) as refused:
        validate_image(content)
    return refused.value.reason


def memory_of_refusing(content: bytes) -> tuple[str, int]:
    """Return why bytes are refused, and how many bytes of memory that took."""
    validate_image(PNGS["png"])  # What is imported takes memory too.
    tracemalloc.start()
    try:
        return refusal(content), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
def test_a_picture_is_kept_as_it_is_and_what_follows_it_is_cut_off(name: str) -> None:
    content = PICTURES[name]
    extension = "." + name.partition("_")[0].replace("jpeg", "jpg")
    digest = hashlib.sha256(content).hexdigest()
    picture = validate_image(content)
    assert picture == ReferencePicture(content, mime_type(name), extension, 40, 24, digest)
    assert (validate_image(content + ARCHIVE) == picture) == (picture.mime_type != "image/gif")


@pytest.mark.parametrize("name", sorted({*PICTURES} - {"gif_animated"}))
def test_a_cut_picture_is_refused_wherever_it_was_cut(name: str) -> None:
    content = PICTURES[name]
    # The data of a GIF is whole without its last bytes, which only end it.
    end = len(content) - 4 * name.startswith("gif")
    for length in sorted({*range(12, end, 7), *range(end - 9, end)}):
        assert refusal(content[:length]) == DAMAGED


@pytest.mark.parametrize("name", sorted(PNGS))
def test_a_png_with_a_flipped_bit_is_refused(name: str) -> None:
    content = bytearray(PNGS[name])
    for place in range(30, len(content), 41):
        content[place] ^= 1
        assert refusal(bytes(content)) == DAMAGED
        content[place] ^= 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (saved(noise(), format="BMP"), "a BMP picture"),
        (saved(noise(), format="TIFF"), "a TIFF picture"),
        (saved(noise(), format="AVIF"), "an AVIF picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a film"),
        (b'<?xml version="1.0"?>\n<SVG xmlns="...">', "an SVG drawing"),
        (b"%PDF-1.7\n" + JPEGS["jpeg"], "a PDF document"),
        (ARCHIVE + PNGS["png"], "a ZIP archive, or a document that is one"),
        ("Ein Fuchs im Schnee, für mich ".encode() + "ü".encode() * 999, "text"),
        (b"\x7fELF\2\1\1\0" + bytes(99), "something else"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "something else"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_usable_picture_is_called_by_its_name(content: bytes, what: str) -> None:
    assert refusal(content) == f"it is {what}, not a JPEG, PNG, GIF or WebP"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a=1;/*" + b"x" * 50 + b"*/=1;alert(1);//;",
        b"\xff\xd8\xff<?php system('ls'); ?>",
        b"\x89PNG\r\n\x1a\n#!/bin/sh\nls\n",
        b"RIFF\x20\0\0\0WEBP<html></html>" + b" " * 30,
        png_of(0, 8, b""),
        b"GIF89a\0\0\0\0\0\0\0,\0\0\0\0\0\0\0\0\0\x02\x02\x4c\x01\0;",
        JPEGS["jpeg"].replace(struct.pack(">HH", 24, 40), bytes(4), 1),
    ],
)
def test_nothing_a_program_and_a_picture_without_pixels_are_refused(content: bytes) -> None:
    refusal(content)


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
    reason, memory = memory_of_refusing(content)
    assert reason == f"it has {size} pixels, more than {MOST_PIXELS:,}"
    assert memory < 500_000


def test_as_many_pixels_as_are_allowed_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 40 * 24)
    assert validate_image(PNGS["png"]).width == 40
    monkeypatch.setattr(images, "MOST_PIXELS", 40 * 24 - 1)
    with pytest.raises(UnusableError, match="more than 959: make it smaller"):
        validate_image(PNGS["png"])


def test_no_decoder_meets_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: PngImagePlugin.PngImageFile) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", load)
    assert "it has 30000×30000 pixels" in refusal(png_of(30_000, 30_000, b""))
    # The assertion counts as damage: it shows that the way to the decoder is the one that was closed.
    assert refusal(PNGS["png"]) == DAMAGED


def test_a_picture_of_millions_of_tiny_rows_is_refused_without_memory_for_them() -> None:
    reason, memory = memory_of_refusing(png_of(1, 50_000_000, b""))
    assert (reason, memory < 5_000_000) == ("it has 1×50000000 pixels, more than 65,535 on one edge", True)


def test_a_gif_frame_with_more_pixels_than_pillow_bears_is_refused() -> None:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\0;"
    content = b"GIF89a\x01\0\x01\0\0\0\0" + frame
    assert refusal(content) == "it has more than 50,000,000 pixels"
    # It is paid for and saved all the same, without its size.
    assert pixels_of(content) is None


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_metadata_that_grows_out_of_all_proportion_is_refused(name: bytes) -> None:
    flags = b"\1\0\0\0" if name == b"iTXt" else b"\0"
    bomb = png_chunk(name, b"Comment\0" + flags + zlib.compress(bytes(20_000_000)))
    assert memory_of_refusing(after_header(PNGS["png"], bomb))[1] < 5_000_000


def test_exif_that_names_the_same_bytes_again_and_again_takes_no_memory(recwarn: pytest.WarningsRecorder) -> None:
    entries = b"".join(struct.pack("<HHII", 0x8800 + one, 1, 32_000, 30_014) for one in range(2500))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2500) + entries + bytes(4 + 32_000)
    content = JPEGS["jpeg"][:2] + jpeg_segment(b"\xff\xe1", exif) + JPEGS["jpeg"][2:]
    tracemalloc.start()
    try:
        assert validate_image(content).width == 40
        assert pixels_of(content) == "40x24"
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    # Of each of them Pillow would warn in two lines on stderr.
    assert not recwarn.list


def test_a_jpeg_that_would_keep_a_decoder_busy_for_hours_is_refused() -> None:
    content = JPEGS["jpeg_progressive"]
    last = content[content.rindex(b"\xff\xda") : -2]
    assert validate_image(content[:-2] + last * 20 + b"\xff\xd9").width == 40
    assert f"more than {MOST_SCANS} scans" in refusal(content[:-2] + last * MOST_SCANS + b"\xff\xd9")


def test_what_pillow_only_warns_of_can_be_used() -> None:
    content = after_header(PNGS["png"], png_chunk(b"acTL", bytes(8)))
    with pytest.warns(UserWarning, match="Invalid APNG"), Image.open(BytesIO(content)):
        pass
    before = list(warnings.filters)
    assert validate_image(content).width == 40
    assert list(warnings.filters) == before


@pytest.mark.parametrize("failure", [MemoryError, RecursionError, NotImplementedError, OverflowError, KeyError])
def test_whatever_a_decoder_raises_is_a_refusal(failure: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: PngImagePlugin.PngImageFile) -> None:
        raise failure

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", load)
    assert ("memory" in refusal(PNGS["png"])) == (failure is MemoryError)


@given(hostile)
def test_any_bytes_are_a_picture_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(UnusableError):
        picture = validate_image(content)
        assert content.startswith(picture.content)
        kind = kind_of(content)
        assert kind is not None
        assert (kind.mime_type, kind.extension) == (picture.mime_type, picture.extension)
        assert validate_image(picture.content) == picture
