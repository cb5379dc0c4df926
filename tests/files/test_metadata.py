"""That a saved picture tells how it was made, and that nothing else in it changes."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree as ET

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from PIL import Image, PngImagePlugin

from tests.files.conftest import GIFS, JPEGS, PNGS, SEVERAL, WEBPS, after_header, frames, hostile, noise, saved
from vidgo_mcp.files.containers import LONGEST_SEGMENT, jpeg_segment, jpeg_segments, png_chunk, png_chunks
from vidgo_mcp.files.images import validate_image
from vidgo_mcp.files.metadata import GENERATED, NAMESPACE, Facts, with_facts
from vidgo_mcp.files.unusable import UnusableError

FACTS = Facts(prompt="a red fox", model="gpt-image-2", size="16:9", tier="2K", quality="high", task_id="task-17")
NAMED = {"Model": "gpt-image-2", "Size": "16:9", "Tier": "2K", "Quality": "high", "Task": "task-17"}
MARKABLE = {**JPEGS, **PNGS}
PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def in_xml(text: str) -> str:
    """Return the characters that XML 1.0 can carry: its production 2, https://www.w3.org/TR/xml/#charsets."""
    ranges = ((0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    return "".join(char for char in text if char in "\t\n\r" or any(low <= ord(char) <= high for low, high in ranges))


def read_facts(content: bytes) -> dict[str, str | None]:
    """Return what another program reads in the XMP, by qualified name; ours have none."""
    with Image.open(BytesIO(content)) as image:
        description = ET.fromstring(image.info["xmp"]).find("{*}RDF/{*}Description")
    assert description is not None
    prompt = description.findtext("{http://purl.org/dc/elements/1.1/}description/{*}Alt/{*}li")
    plain = {element.tag.removeprefix(f"{{{NAMESPACE}}}"): element.text for element in description if not len(element)}
    return {"prompt": prompt, **plain}


@pytest.mark.parametrize("name", MARKABLE)
def test_the_facts_are_read_back_and_nothing_else_changed(name: str) -> None:
    content = MARKABLE[name]
    marked = with_facts(content, FACTS)
    assert read_facts(marked) == {
        "prompt": "a red fox",
        "{http://ns.adobe.com/xap/1.0/}CreatorTool": "vidgo-mcp",
        "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType": GENERATED,
        **NAMED,
    }
    assert frames(marked) == frames(content)
    assert validate_image(marked).content == marked
    assert with_facts(marked, replace(FACTS, prompt="another")) == marked
    with Image.open(BytesIO(content)) as before, Image.open(BytesIO(marked)) as after:
        assert after.format == before.format
        assert {key: after.info[key] for key in before.info} == before.info
        if isinstance(after, PngImagePlugin.PngImageFile):
            text = {key: value for key, value in after.text.items() if not key.startswith("XML")}
            assert text == {"Description": "a red fox", "Software": "vidgo-mcp", **NAMED}


def test_an_index_of_several_pictures_stays_true() -> None:
    """It tells their lengths, the first one's too."""
    assert with_facts(SEVERAL, FACTS) == SEVERAL
    assert len(frames(SEVERAL)) == 2


@given(prompt=st.text(st.characters(exclude_categories=()), min_size=1), name=st.sampled_from(["jpeg", "png"]))
@example("<b>\"a\" & 'b'</b> ]]> <!-- &amp; -->", "jpeg")
@example("  one\r\ntwo\rthree\n\tfour  ", "png")
@example("a\0b\x01c\x0bd\x1f\x7f\x85e\ufffe\uffff \ud83eb\udd8ac", "jpeg")
@example("\U0001f98a" * 4000, "jpeg")
@example("\r" * 4000, "jpeg")
def test_every_prompt_comes_back_as_it_was(prompt: str, name: str) -> None:
    marked = with_facts(MARKABLE[name], replace(FACTS, prompt=prompt))
    # A reader cannot tell an empty description from none.
    assert (read_facts(marked)["prompt"] or "") == in_xml(prompt)
    assert with_facts(bytes(bytearray(MARKABLE[name])), replace(FACTS, prompt=prompt)) == marked


def test_the_text_stands_where_readers_look_for_it() -> None:
    names = [chunk.name for chunk in png_chunks(with_facts(PNGS["png"], FACTS))]
    assert names == [b"IHDR", *[b"iTXt"] * 8, b"IDAT", b"IEND"]
    exif = Image.Exif()
    exif[0x0112] = 6
    marked = with_facts(saved(noise(), format="JPEG", exif=exif), FACTS)
    first = [(found.name[1], marked[found.payload][:4]) for found in jpeg_segments(marked)][:3]
    assert first == [(0xE0, b"JFIF"), (0xE1, b"Exif"), (0xE1, b"http")]


@pytest.mark.parametrize(
    "content",
    [
        saved(noise(), format="JPEG", xmp=PACKET),
        after_header(PNGS["png"], png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)),
        after_header(PNGS["png"], png_chunk(b"caBX", b"\0\0\0\x20jumb")),
        JPEGS["jpeg"][:2] + jpeg_segment(b"\xff\xeb", b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb") + JPEGS["jpeg"][2:],
        *GIFS.values(),
        *WEBPS.values(),
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        PNGS["png"][:8] + png_chunk(b"IDAT", b"") + PNGS["png"][8:],
        PNGS["png"][:-3],
        JPEGS["jpeg"][:-1],
    ],
)
def test_other_xmp_credentials_other_formats_and_damage_are_left_as_they_are(content: bytes) -> None:
    assert with_facts(content, FACTS) == content


def test_a_jpeg_is_left_as_it_is_where_the_facts_do_not_fit() -> None:
    room = LONGEST_SEGMENT - len(with_facts(JPEGS["jpeg"], replace(FACTS, prompt=""))) + len(JPEGS["jpeg"]) + 4
    longest = with_facts(JPEGS["jpeg"], replace(FACTS, prompt="x" * room))
    assert read_facts(longest)["prompt"] == "x" * room
    assert with_facts(JPEGS["jpeg"], replace(FACTS, prompt="x" * (room + 1))) == JPEGS["jpeg"]


@given(hostile)
def test_any_bytes_stay_as_usable_as_they_were(content: bytes) -> None:
    marked = with_facts(content, FACTS)
    with contextlib.suppress(UnusableError):
        before = validate_image(content)
        after = validate_image(marked)
        assert (after.width, after.height, after.mime_type) == (before.width, before.height, before.mime_type)


def test_nothing_moves_where_an_index_names_the_distance_of_a_second_picture() -> None:
    assert with_facts(SEVERAL, FACTS) == SEVERAL
