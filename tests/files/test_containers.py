"""Where pictures end, whatever follows them, and whatever they hold."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tests.files.conftest import GIFS, JPEGS, PICTURES, PNGS, SEVERAL, WEBPS, hostile, mime_type, riff_chunk, segment
from vidgo_mcp.files.containers import (
    MOST_PARTS,
    PNG_SIGNATURE,
    end_of,
    jpeg_segments,
    png_chunks,
    webp_canvas,
    webp_chunks,
)

MIME_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
FOLLOWING = {
    "an archive": b"PK\x03\x04\x14\0\0\0\0\0",
    "a page": b"<html><script>alert(1)</script></html>",
    "a picture": JPEGS["jpeg"],
    "a film": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "zeros": bytes(3),
    "its own last bytes": b"\xff\xd9;IEND\xaeB`\x82",
}


@pytest.mark.parametrize("following", FOLLOWING.values(), ids=FOLLOWING)
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_ends_where_it_ended_before_something_was_added(name: str, following: bytes) -> None:
    content = PICTURES[name]
    assert end_of(content + following, mime_type(name)) == len(content)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_was_cut_off_has_no_end_of_its_own(name: str) -> None:
    content = PICTURES[name]
    for length in range(len(content)):
        assert end_of(content[:length], mime_type(name)) is None


def test_of_several_pictures_in_one_jpeg_only_the_first_is_kept() -> None:
    end = end_of(SEVERAL, "image/jpeg")
    assert end is not None
    assert SEVERAL[end - 2 : end + 3] == b"\xff\xd9\xff\xd8\xff"


def test_a_thumbnail_does_not_end_its_photo() -> None:
    photo = JPEGS["jpeg_thumbnail"]
    assert photo.index(b"\xff\xd9") < 2000 < len(photo)
    assert end_of(photo, "image/jpeg") == len(photo)


def test_fill_bytes_and_escaped_bytes_are_not_markers() -> None:
    data = b"\x01\xff\x00\xd9\xff\xff\x00\xd9\xff\xd0\xd9\xff\xff\xd7\xd9"
    picture = b"\xff\xd8" + segment(0xE0, b"") + segment(0xDA, b"\xff\xd9") + data + b"\xff\xff\xff\xd9"
    assert end_of(picture + b"\xff\xd9more", "image/jpeg") == len(picture)


def test_a_segment_without_room_for_its_own_length_is_not_walked_over() -> None:
    assert end_of(b"\xff\xd8\xff\xe0\0\x01\xff\xd9more", "image/jpeg") is None


def test_more_parts_than_any_encoder_writes_are_not_walked_over() -> None:
    end = b"\xff\xd9"
    assert end_of(b"\xff\xd8" + segment(0xFE, b"") * (MOST_PARTS - 1) + end, "image/jpeg") is not None
    assert end_of(b"\xff\xd8" + segment(0xFE, b"") * MOST_PARTS + end, "image/jpeg") is None
    chunk, last = b"\0\0\0\0tEXt" + bytes(4), b"\0\0\0\0IEND" + bytes(4)
    assert end_of(PNG_SIGNATURE + chunk * (MOST_PARTS - 1) + last, "image/png") is not None
    assert end_of(PNG_SIGNATURE + chunk * MOST_PARTS + last, "image/png") is None


def test_a_webp_of_an_odd_size_keeps_its_padding() -> None:
    body = b"WEBP" + riff_chunk(b"VP8 ", b"odd")
    picture = b"RIFF" + (len(body) - 1).to_bytes(4, "little") + body
    assert end_of(picture + b"more", "image/webp") == len(picture)
    assert end_of(picture[:-1], "image/webp") == len(picture) - 1


def test_bytes_between_the_blocks_of_a_gif_are_passed_over() -> None:
    content = GIFS["gif"]
    assert end_of(content[:-1] + b"\0\0;more", "image/gif") == len(content) + 2


def test_parts_are_found_in_order() -> None:
    assert [chunk.name for chunk in png_chunks(PNGS["png"])] == [b"IHDR", b"IDAT", b"IEND"]
    assert [chunk.name for chunk in webp_chunks(WEBPS["webp_alpha"])] == [b"VP8X", b"ALPH", b"VP8 "]
    markers = [found.name[1] for found in jpeg_segments(JPEGS["jpeg_progressive"])]
    assert markers[0] == 0xE0
    assert markers.count(0xDA) > 5
    assert markers[-1] == 0xD9


@pytest.mark.parametrize("name", WEBPS)
def test_the_canvas_of_a_webp_is_read_without_a_decoder(name: str) -> None:
    assert webp_canvas(WEBPS[name]) == (40, 24)


def test_a_webp_that_does_not_tell_its_canvas_has_none() -> None:
    assert webp_canvas(WEBPS["webp"][:29]) is None
    assert webp_canvas(b"RIFF\0\0\0\0WEBPVP8 " + bytes(20)) is None
    assert webp_canvas(b"RIFF\0\0\0\0WEBPJUNK" + bytes(20)) is None


@example(b"\xff\xd8\xff\xe0\xff\xff", "image/jpeg")
@example(b"\xff\xd8\xff\xe0\x00\x01\xff\xd9", "image/jpeg")
@example(b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff", "image/webp")
@example(b"RIFF\x00\x00\x00\x00WEBP", "image/webp")
@example(b"GIF89a" + b"\xff" * 7 + b",", "image/gif")
@example(b"GIF89a" + bytes(7) + b"!", "image/gif")
@given(content=hostile, mime=st.sampled_from(MIME_TYPES))
def test_no_bytes_upset_the_parsers(content: bytes, mime: str) -> None:
    end = end_of(content, mime)
    assert end is None or 0 <= end <= len(content)
    webp_canvas(content)
    for parts in (jpeg_segments(content), png_chunks(content), webp_chunks(content)):
        found = list(parts)
        assert all(part.start < part.end <= len(content) for part in found)
        assert all(earlier.end <= later.start for earlier, later in pairwise(found))
