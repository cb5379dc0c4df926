"""That a saved picture tells how it was made, and that nothing else in it changes."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree as ET

import hypothesis.strategies as st
import pytest
from hypothesis import given
from PIL import Image, PngImagePlugin

from tests.files.conftest import (
    GIFS,
    JPEGS,
    PNGS,
    SEVERAL,
    WEBPS,
    after_header,
    frames,
    hostile,
    noise,
    png_chunk,
    riff_chunk,
    saved,
    segment,
)
from vidgo_mcp.files.containers import jpeg_segments, png_chunks, webp_chunks
from vidgo_mcp.files.images import checked
from vidgo_mcp.files.metadata import GENERATED, NAMESPACE, Facts, with_facts, without_facts
from vidgo_mcp.files.unusable import UnusableError

FACTS = Facts(prompt="a red fox", model="gpt-image-2", size="16:9", tier="2K", quality="high", task_id="task-17")
MARKABLE = {**JPEGS, **PNGS, **WEBPS}
ONE_OF_EACH = ("jpeg", "png", "webp", "webp_exif")

X_DEFAULT = "{http://purl.org/dc/elements/1.1/}description/{*}Alt/{*}li"
PROMPTS = {
    "markup": "<b>\"a\" & 'b'</b> ]]> <!-- &amp; -->",
    "languages": "Füchse 狐 ثعلب 🦊\u200d❄️",
    "lines": "  one\r\ntwo\rthree\n\tfour  ",
    "control characters": "a\0b\x01c\x0bd\x1f\x7f\x85e\ufffe\uffffe",
    "half a character": "a\ud83eb\udd8ac",
    "the longest in marks": "&" * 4000,
    "the longest in emoji": "🦊" * 4000,
    "the longest in returns": "\r" * 4000,
}


def in_xml(text: str) -> str:
    """Return the characters that XML 1.0 can carry: its production 2, https://www.w3.org/TR/xml/#charsets."""
    ranges = ((0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    return "".join(char for char in text if char in "\t\n\r" or any(low <= ord(char) <= high for low, high in ranges))


def xmp(content: bytes) -> ET.Element | None:
    """Return the description that another program's reader finds."""
    with Image.open(BytesIO(content)) as image:
        packet = image.info.get("xmp")
    return None if packet is None else ET.fromstring(packet).find("{*}RDF/{*}Description")


def told(content: bytes) -> dict[str, str | None]:
    """Return what the XMP tells, by name without the namespace."""
    description = xmp(content)
    assert description is not None
    tags: dict[str, str | None] = {"prompt": description.findtext(X_DEFAULT)}
    return {**tags, **{element.tag.partition("}")[2]: element.text for element in description if not len(element)}}


def text_chunks(content: bytes) -> dict[str, str]:
    """Return the text of a PNG."""
    with Image.open(BytesIO(content)) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        return dict(image.text)


@pytest.mark.parametrize("name", MARKABLE)
def test_the_facts_are_read_back_and_nothing_else_changed(name: str) -> None:
    content = MARKABLE[name]
    marked = with_facts(content, FACTS)
    assert told(marked) == {
        "prompt": "a red fox",
        "CreatorTool": "vidgo-mcp",
        "DigitalSourceType": GENERATED,
        "Model": "gpt-image-2",
        "Size": "16:9",
        "Tier": "2K",
        "Quality": "high",
        "Task": "task-17",
    }
    assert frames(marked) == frames(content)
    assert checked(marked).content == marked
    with Image.open(BytesIO(content)) as before, Image.open(BytesIO(marked)) as after:
        assert after.format == before.format
        assert {name: after.info[name] for name in before.info} == before.info


@pytest.mark.parametrize("name", PNGS)
def test_a_png_tells_them_in_its_own_way_too(name: str) -> None:
    text = text_chunks(with_facts(PNGS[name], FACTS))
    assert ET.fromstring(text.pop("XML:com.adobe.xmp")).tag == "{adobe:ns:meta/}xmpmeta"
    assert text == {
        "Description": "a red fox",
        "Software": "vidgo-mcp",
        "Model": "gpt-image-2",
        "Size": "16:9",
        "Tier": "2K",
        "Quality": "high",
        "Task": "task-17",
    }


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_any_prompt_comes_back_as_it_was(name: str, prompt: str) -> None:
    marked = with_facts(MARKABLE[name], replace(FACTS, prompt=prompt))
    assert told(marked)["prompt"] == in_xml(prompt)
    assert frames(marked) == frames(MARKABLE[name])


@given(prompt=st.text(st.characters(exclude_categories=()), min_size=1), name=st.sampled_from(ONE_OF_EACH))
def test_every_prompt_comes_back_as_it_was(prompt: str, name: str) -> None:
    marked = with_facts(MARKABLE[name], replace(FACTS, prompt=prompt))
    # A reader cannot tell an empty description from none.
    assert (told(marked)["prompt"] or "") == in_xml(prompt)
    if name == "png":
        assert text_chunks(marked).get("Description", "") == in_xml(prompt)


@given(prompt=st.text(), name=st.sampled_from(sorted(MARKABLE)))
def test_the_same_facts_are_the_same_bytes(prompt: str, name: str) -> None:
    facts = replace(FACTS, prompt=prompt)
    assert with_facts(MARKABLE[name], facts) == with_facts(bytes(bytearray(MARKABLE[name])), replace(facts))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_what_is_not_known_is_left_out(name: str) -> None:
    marked = with_facts(MARKABLE[name], Facts("", "gpt-image-2", "", "", "", ""))
    description = xmp(marked)
    assert description is not None
    assert [element.tag.partition("}")[2] for element in description] == ["CreatorTool", "DigitalSourceType", "Model"]
    if name == "png":
        assert set(text_chunks(marked)) == {"Software", "Model", "XML:com.adobe.xmp"}


def test_the_words_of_this_project_are_in_its_own_namespace() -> None:
    description = xmp(with_facts(PNGS["png"], FACTS))
    assert description is not None
    own = [element.tag for element in description if element.tag.startswith(f"{{{NAMESPACE}}}")]
    assert [tag.removeprefix(f"{{{NAMESPACE}}}") for tag in own] == ["Model", "Size", "Tier", "Quality", "Task"]
    source = description.find("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert source is not None
    assert source.text == GENERATED


def test_the_text_of_a_png_stands_before_its_pixels() -> None:
    names = [chunk.name for chunk in png_chunks(with_facts(PNGS["png"], FACTS))]
    assert names == [b"IHDR", *[b"iTXt"] * 8, b"IDAT", b"IEND"]


def test_the_packet_of_a_jpeg_stands_behind_what_must_be_first() -> None:
    marked = with_facts(JPEGS["jpeg_thumbnail"], FACTS)
    first = [(found.name[1], marked[found.payload][:4]) for found in jpeg_segments(marked)][:4]
    assert first[:3] == [(0xE0, b"JFIF"), (0xE1, b"Exif"), (0xE1, b"http")]
    assert first[3][0] == 0xDB


@pytest.mark.parametrize("name", WEBPS)
def test_a_webp_becomes_an_extended_one_that_is_right(name: str) -> None:
    before, after = WEBPS[name], with_facts(WEBPS[name], FACTS)
    chunks = list(webp_chunks(after))
    assert struct.unpack_from("<I", after, 4)[0] == len(after) - 8 == chunks[-1].end - 8
    assert [chunk.name for chunk in chunks].count(b"VP8X") == 1
    assert [chunk.name for chunk in chunks][:: len(chunks) - 1] == [b"VP8X", b"XMP "]
    assert len(after) % 2 == 0
    alpha, exif, animated = "alpha" in name, "exif" in name, "animated" in name
    assert after[20] == 0x04 | alpha << 4 | exif << 3 | animated << 1
    assert after[21:30] == b"\0\0\0" + (39).to_bytes(3, "little") + (23).to_bytes(3, "little")
    kept = [before[chunk.payload] for chunk in webp_chunks(before) if chunk.name != b"VP8X"]
    assert [after[chunk.payload] for chunk in chunks[1:-1]] == kept


@pytest.mark.parametrize("name", MARKABLE)
def test_facts_are_written_once(name: str) -> None:
    marked = with_facts(MARKABLE[name], FACTS)
    assert with_facts(marked, replace(FACTS, prompt="another")) == marked


@pytest.mark.parametrize("name", MARKABLE)
def test_the_facts_can_be_taken_out_again(name: str) -> None:
    facts = replace(FACTS, prompt="a private plan")
    marked = with_facts(MARKABLE[name], facts)
    clean = without_facts(marked)
    assert b"private plan" in marked
    assert b"private plan" not in clean
    assert frames(clean) == frames(MARKABLE[name])
    assert xmp(clean) is None
    if not name.startswith("webp"):
        assert clean == MARKABLE[name]
    # A simple WebP stays an extended one; so it does when the facts come and go a second time.
    assert without_facts(with_facts(clean, facts)) == clean
    assert checked(clean).content == clean


@pytest.mark.parametrize("name", [*MARKABLE, *GIFS])
def test_of_a_picture_without_our_facts_nothing_is_taken(name: str) -> None:
    content = {**MARKABLE, **GIFS}[name]
    assert without_facts(content) == content
    assert without_facts(content + NAMESPACE.encode()) == content + NAMESPACE.encode()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_what_others_wrote_is_not_taken_with_our_facts(image_format: str) -> None:
    theirs = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    content = saved(noise(), format=image_format, xmp=theirs)
    assert without_facts(content) == content
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Description", "theirs")
    png = saved(noise(), format="PNG", pnginfo=info)
    assert without_facts(with_facts(png, FACTS)) == png


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_xmp_that_is_there_already_is_kept(image_format: str) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    if image_format == "PNG":
        content = after_header(PNGS["png"], png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    else:
        content = saved(noise(), format=image_format, xmp=packet)
    with Image.open(BytesIO(content)) as image:
        assert image.info["xmp"] == packet
    assert with_facts(content, FACTS) == content


JUMBF = b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb\0\0\0\x18jumdc2pa"


@pytest.mark.parametrize(
    "content",
    [
        after_header(PNGS["png"], png_chunk(b"caBX", b"\0\0\0\x20jumb")),
        JPEGS["jpeg"][:2] + segment(0xEB, JUMBF) + JPEGS["jpeg"][2:],
        b"RIFF"
        + struct.pack("<I", len(WEBPS["webp_alpha"]) + 8)
        + WEBPS["webp_alpha"][8:]
        + riff_chunk(b"C2PA", b"\0\0\0\x20jumb"),
    ],
    ids=["png", "jpeg", "webp"],
)
def test_content_credentials_are_not_broken(content: bytes) -> None:
    assert checked(content).content == content
    assert with_facts(content, FACTS) == content


@pytest.mark.parametrize(
    "content",
    [
        *GIFS.values(),
        SEVERAL,
        saved(noise(), format="BMP"),
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        PNGS["png"][:8] + png_chunk(b"IDAT", b"") + PNGS["png"][8:],
        *(MARKABLE[name][:-3] for name in ONE_OF_EACH),
        *(MARKABLE[name][:50] for name in ONE_OF_EACH),
        WEBPS["webp"][:4] + struct.pack("<I", len(WEBPS["webp"]) - 12) + WEBPS["webp"][8:],
        WEBPS["webp"][:4] + struct.pack("<I", len(WEBPS["webp"])) + WEBPS["webp"][8:] + riff_chunk(b"JUNK", b""),
        WEBPS["webp"].replace(b"\x9d\x01\x2a\x28\0\x18\0", b"\x9d\x01\x2a" + bytes(4)),
        WEBPS["webp_exif"][:16] + b"\x08" + WEBPS["webp_exif"][17:],
        b"RIFF\x1c\0\0\0WEBP" + riff_chunk(b"VP8X", bytes(8)) + riff_chunk(b"VP8 ", b""),
    ],
)
def test_what_has_no_place_for_facts_stays_as_it_is(content: bytes) -> None:
    assert with_facts(content, FACTS) == content


def test_a_segment_never_becomes_too_long() -> None:
    facts = replace(FACTS, prompt="x" * 70_000)
    assert with_facts(JPEGS["jpeg"], facts) == JPEGS["jpeg"]
    most = next(
        length
        for length in range(65_000, 64_000, -1)
        if with_facts(JPEGS["jpeg"], replace(FACTS, prompt="x" * length)) != JPEGS["jpeg"]
    )
    marked = with_facts(JPEGS["jpeg"], replace(FACTS, prompt="x" * most))
    assert told(marked)["prompt"] == "x" * most
    assert max(found.end - found.start for found in jpeg_segments(marked)) == 2 + 0xFFFF


@given(hostile)
def test_any_bytes_can_be_asked_to_give_up_facts(content: bytes) -> None:
    for upset in (content, content + NAMESPACE.encode()):
        assert len(without_facts(upset)) <= len(upset)


@given(hostile)
def test_any_bytes_stay_as_usable_as_they_were(content: bytes) -> None:
    marked = with_facts(content, FACTS)
    with contextlib.suppress(UnusableError):
        before = checked(content)
        after = checked(marked)
        assert (after.width, after.height, after.mime_type) == (before.width, before.height, before.mime_type)
