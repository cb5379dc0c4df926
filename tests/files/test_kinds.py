"""Which bytes are a picture that is kept, and which are half of one, told without a decoder."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.conftest import GIFS, PICTURES, SEVERAL, hostile, mime_type, noise, riff_chunk, saved
from vidgo_mcp.files import kinds
from vidgo_mcp.files.kinds import DAMAGED, Kind, kind_of, kind_of_name, whole_picture
from vidgo_mcp.files.unusable import UnusableError


def box(name: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload) + 8) + name + payload


def ftyp(major: bytes, *others: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(others))


DATA = box(b"meta", bytes(20)) + box(b"mdat", bytes(50))
PSD = b"8BPS\0\1" + bytes(20) + bytes(4) + struct.pack(">I", 10) + bytes(10) + struct.pack(">I", 4) + bytes(4 + 30)
LARGE_SIZES = ftyp(b"avif") + box(b"meta") + struct.pack(">I4sQ", 1, b"mdat", 66) + bytes(50)

WHOLE: dict[str, tuple[bytes, Kind]] = {
    "avif": (saved(noise(), format="AVIF"), kinds.AVIF),
    "avif_animated": (saved(noise(), format="AVIF", save_all=True, append_images=[noise(seed=2)]), kinds.AVIF),
    "avif with large sizes": (LARGE_SIZES, kinds.AVIF),
    "avif that leads with a general brand": (ftyp(b"mif1", b"miaf", b"avif") + DATA, kinds.AVIF),
    "heic": (ftyp(b"heic", b"mif1") + DATA, kinds.HEIC),
    "heif": (ftyp(b"mif1") + DATA, kinds.HEIF),
    "jxl": (box(b"JXL ", b"\r\n\x87\n") + ftyp(b"jxl ") + box(b"jxlc", bytes(30)), kinds.JXL),
    "jp2": (saved(noise(), format="JPEG2000"), kinds.JP2),
    "tiff": (saved(noise(), format="TIFF"), kinds.TIFF),
    "tiff_compressed": (saved(noise(), format="TIFF", compression="tiff_lzw"), kinds.TIFF),
    "tiff_16_bit": (saved(noise("L").convert("I;16"), format="TIFF"), kinds.TIFF),
    "bmp": (saved(noise(), format="BMP"), kinds.BMP),
    "qoi": (saved(noise(), format="QOI"), kinds.QOI),
    "mpo": (SEVERAL, kinds.JPEG),
}
ENDLESS = {
    "jxl": (b"\xff\x0a" + bytes(30), kinds.JXL),
    "j2k": (saved(noise(), format="JPEG2000", no_jp2=True), kinds.J2K),
    "psd": (PSD, kinds.PSD),
    "exr": (b"v/1\x01\2\0\0\0" + bytes(30), kinds.EXR),
    "big tiff": (saved(noise(), format="TIFF", big_tiff=True), kinds.TIFF),
}
"""Formats whose end is not looked for."""


def refusal(content: bytes) -> str:
    with pytest.raises(UnusableError) as refused:
        whole_picture(content)
    return refused.value.reason


@pytest.mark.parametrize(("content", "kind"), [*WHOLE.values(), *ENDLESS.values()], ids=[*WHOLE, *ENDLESS])
def test_a_whole_picture_of_any_known_format_is_recognised(content: bytes, kind: Kind) -> None:
    assert whole_picture(content) is kind
    assert kind_of_name(f"a.fox{kind.extension.upper()}") is kind


@pytest.mark.parametrize("name", PICTURES)
def test_so_is_what_can_be_a_reference(name: str) -> None:
    assert whole_picture(PICTURES[name]).mime_type == mime_type(name)


@pytest.mark.parametrize("content", [*(content for content, _ in WHOLE.values()), *PICTURES.values()])
def test_half_a_picture_is_refused(content: bytes) -> None:
    # What is behind the first picture of several is not looked at.
    whole = SEVERAL.index(b"\xff\xd9\xff\xd8") + 2 if content == SEVERAL else len(content)
    for share in (0.3, 0.5, 0.9):
        assert refusal(content[: int(whole * share)]) in {DAMAGED, "it is something else, not a picture"}
    assert refusal(content[: whole - 1]) == DAMAGED


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"BMW makes cars and motorcycles.", "it is text, not a picture"),
        (b"<!doctype html>", "it is text, not a picture"),
        (ftyp(b"mp42", b"isom") + DATA, "it is a film, not a picture"),
        (b"GIF89a=1;/*" + b"x" * 50 + b"*/=1;alert(1);//;", DAMAGED),
        (b"\xff\xd8\xff<?php system('ls'); ?>", DAMAGED),
        (b"RIFF\x0c\0\0\0WEBP" + riff_chunk(b"EXIF", b""), DAMAGED),
        (GIFS["gif"][:13] + b";", DAMAGED),
        (ftyp(b"avif") + box(b"free", bytes(90)), DAMAGED),
        (PSD[:40], DAMAGED),
        (b"II*\0\xff\xff\xff\xff", DAMAGED),
    ],
)
def test_what_is_no_picture_is_refused_for_what_it_is(content: bytes, reason: str) -> None:
    assert refusal(content) == reason


starts = st.sampled_from([content[:40] for content, _ in {**WHOLE, **ENDLESS}.values()])


@given(hostile | st.builds(bytes.__add__, starts, st.binary(max_size=300)))
def test_any_bytes_are_a_known_picture_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(UnusableError):
        assert whole_picture(content) is kind_of(content)
