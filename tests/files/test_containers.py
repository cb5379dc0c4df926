"""Where pictures end, whatever follows them, and whatever they hold."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tests.files.conftest import JPEGS, PICTURES, PNGS, WEBPS, hostile, mime_type, riff_chunk
from vidgo_mcp.files.containers import (
    LONGEST_SEGMENT,
    MOST_PARTS,
    PNG_SIGNATURE,
    end_of,
    jpeg_segment,
    jpeg_segments,
    png_chunk,
    png_chunks,
    webp_canvas,
)

ENDING = sorted(name for name in PICTURES if not name.startswith("gif"))
FOLLOWING = (b"PK\x03\x04\x14\0\0\0", b"<html></html>", JPEGS["jpeg"], bytes(3), b"\xff\xd9;IEND\xaeB`\x82")


@pytest.mark.parametrize("name", ENDING)
def test_a_picture_ends_where_it_ended_and_a_cut_one_has_no_end(name: str) -> None:
    content = PICTURES[name]
    assert {end_of(content + following, mime_type(name)) for following in FOLLOWING} == {len(content)}
    assert {end_of(content[:length], mime_type(name)) for length in range(len(content))} == {None}


def test_only_markers_end_a_jpeg() -> None:
    """Neither fill bytes, nor escaped ones, nor what a segment holds, such as the end of a thumbnail."""
    data = b"\x01\xff\x00\xd9\xff\xff\x00\xd9\xff\xd0\xd9\xff\xff\xd7\xd9\xff\x01"
    head = jpeg_segment(b"\xff\xe0", b"") + jpeg_segment(b"\xff\xda", b"\xff\xd9")
    picture = b"\xff\xd8" + head + data + b"\xff\xff\xff\xd9"
    assert end_of(picture + b"\xff\xd9more", "image/jpeg") == len(picture)
    assert end_of(b"\xff\xd8\xff\xe0\0\x01\xff\xd9more", "image/jpeg") is None


def test_a_webp_of_an_odd_length_keeps_its_padding() -> None:
    body = b"WEBP" + riff_chunk(b"VP8 ", b"odd")
    picture = b"RIFF" + (len(body) - 1).to_bytes(4, "little") + body
    assert end_of(picture + b"more", "image/webp") == len(picture)
    assert end_of(picture[:-1], "image/webp") == len(picture) - 1


def test_more_parts_than_any_encoder_writes_are_not_walked_over() -> None:
    empty, end = jpeg_segment(b"\xff\xfe", b""), b"\xff\xd9"
    assert end_of(b"\xff\xd8" + empty * (MOST_PARTS - 1) + end, "image/jpeg") is not None
    assert end_of(b"\xff\xd8" + empty * MOST_PARTS + end, "image/jpeg") is None
    assert end_of(PNG_SIGNATURE + png_chunk(b"tEXt", b"") * MOST_PARTS + png_chunk(b"IEND", b""), "image/png") is None


def test_parts_are_found_in_order() -> None:
    assert [chunk.name for chunk in png_chunks(PNGS["png"])] == [b"IHDR", b"IDAT", b"IEND"]
    markers = [found.name[1] for found in jpeg_segments(JPEGS["jpeg_progressive"])]
    assert (markers[0], markers.count(0xDA) > 5, markers[-1]) == (0xE0, True, 0xD9)
    longest = jpeg_segment(b"\xff\xfe", bytes(LONGEST_SEGMENT))
    assert [found.end for found in jpeg_segments(b"\xff\xd8" + longest)] == [2 + len(longest)]


@pytest.mark.parametrize("name", WEBPS)
def test_the_canvas_of_a_webp_is_read_without_a_decoder(name: str) -> None:
    assert webp_canvas(WEBPS[name]) == (40, 24)
    assert webp_canvas(WEBPS[name][:20]) is None


@example(b"\xff\xd8\xff\xe0\xff\xff", "image/jpeg")
@example(b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff", "image/webp")
@example(b"RIFF\x00\x00\x00\x00WEBP", "image/webp")
@given(content=hostile, mime=st.sampled_from(("image/jpeg", "image/png", "image/gif", "image/webp")))
def test_no_bytes_upset_the_parsers(content: bytes, mime: str) -> None:
    end = end_of(content, mime)
    assert end is None or 0 <= end <= len(content)
    webp_canvas(content)
    for parts in (list(jpeg_segments(content)), list(png_chunks(content))):
        assert all(part.start < part.end <= len(content) for part in parts)
        assert all(earlier.end <= later.start for earlier, later in pairwise(parts))
