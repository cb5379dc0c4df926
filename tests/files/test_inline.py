"""A picture in a data: address is read as people and models write it, and no message repeats its data."""

from __future__ import annotations

import base64
import tracemalloc
from io import BytesIO
from textwrap import wrap
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vidgo_mcp.files.inline import read_inline
from vidgo_mcp.files.reader import LARGEST_FILE
from vidgo_mcp.files.unusable import UnusableError


def picture(kind: str) -> bytes:
    file = BytesIO()
    Image.linear_gradient("L").resize((5, 7)).convert("RGB").save(file, kind)
    return file.getvalue()


PNG = picture("PNG")
DIGITS = base64.b64encode(PNG).decode()


def refusal(text: str, largest: int = LARGEST_FILE) -> str:
    with pytest.raises(UnusableError) as caught:
        read_inline(text, largest=largest)
    message = str(caught.value)
    assert message.isprintable()
    assert DIGITS[:12] not in message
    assert "0000" not in message
    return message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_of_each_format_is_read(kind: str) -> None:
    content = picture(kind)
    found = read_inline(f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode()}")
    assert (found.content, found.mime_type, found.width, found.height) == (content, f"image/{kind.lower()}", 5, 7)


@pytest.mark.parametrize(
    "text",
    [
        f"DATA:IMAGE/PNG;BASE64,{DIGITS}",
        f" data: image/png ; charset=utf-8 ; base64 ,{DIGITS}",
        f"data:image/jpeg;base64,{DIGITS}",
        f"data:image/png;base64,{DIGITS.rstrip('=')}",
        f"data:image/png;base64,{DIGITS.translate(str.maketrans('+/', '-_'))}",
        f"data:image/png;base64,{quote(DIGITS, safe='')}",
        "data:image/png;base64,\n" + "\r\n".join(wrap(DIGITS, 76)) + "\n",
        "data:image/png;base64," + "%0A".join(wrap(DIGITS, 76)),
        f"data:image/png;base64,{DIGITS[:-8]} {DIGITS[-8:]}\t",
    ],
)
def test_the_address_may_be_written_in_many_ways(text: str) -> None:
    assert read_inline(text).content == PNG


def test_the_type_comes_from_the_bytes_and_not_from_the_address() -> None:
    assert read_inline(f"data:image/webp;base64,{DIGITS}").mime_type == "image/png"


def test_what_follows_the_picture_is_left_away() -> None:
    assert read_inline(f"data:image/png;base64,{base64.b64encode(PNG + b'secret').decode()}").content == PNG


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"image/png;base64,{DIGITS}", "it is not inline data"),
        (f"http:image/png;base64,{DIGITS}", "it is not inline data"),
        ("data:image/png;base64", "it is not inline data"),
        (f"data:image/png;{'x' * 300};base64,{DIGITS}", "it is not inline data"),
        (f"data:,{DIGITS}", "its media type is not a picture's"),
        (f"data:;base64,{DIGITS}", "its media type is not a picture's"),
        (f"data:text/html;base64,{DIGITS}", "its media type is not a picture's"),
        (f"data:application/octet-stream;base64,{DIGITS}", "its media type is not a picture's"),
        (f"data:image/png,{DIGITS}", "it is not in base64"),
        (f"data:image/png;base64;charset=utf-8,{DIGITS}", "it is not in base64"),
        ("data:image/png;base64,", "it is empty"),
        ("data:image/png;base64, \n==", "it is empty"),
        (f"data:image/png;base64,{DIGITS[:-40]}", "it is damaged"),
        (f"data:image/png;base64,{DIGITS[:41]}", "it is not base64, or a part of it is missing"),
        (f"data:image/png;base64,{DIGITS[:40]}={DIGITS[40:]}", "it is not base64"),
        (f"data:image/png;base64,{DIGITS[:40]}!{DIGITS[41:]}", "it is not base64"),
        (f"data:image/png;base64,{DIGITS[:40]}\u00e9{DIGITS[41:]}", "it is not base64"),
        (f"data:image/png;base64,{DIGITS[:40]}\ud800{DIGITS[41:]}", "it is not base64"),
        (f"data:image/png;base64,{DIGITS}#top", "it is not base64"),
        ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), "it is an SVG drawing"),
        ("data:image/png;base64," + base64.b64encode(b"the launch code is 0000").decode(), "it is text"),
    ],
)
def test_what_is_no_picture_in_base64_is_refused(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


def test_exactly_the_most_bytes_are_accepted() -> None:
    text = f"data:image/png;base64,{DIGITS}"
    assert read_inline(text, largest=len(PNG)).content == PNG
    assert "the most that" in refusal(text, largest=len(PNG) - 1)


def test_too_much_data_is_refused_with_the_size_in_mb_and_before_it_is_decoded() -> None:
    text = "data:image/png;base64," + "A" * (4 * 1024 * 1024 // 3 + 4)
    endless = "data:image/png;base64," + " " * (8 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert refusal(text, 1024 * 1024) == (
            "it has more than 1 MB, the most that a picture may have: make it smaller, or ask the user to raise "
            "VIDGO_MAX_UPLOAD_MB"
        )
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with pytest.raises(UnusableError, match="more than 1 MB"):
            read_inline(endless, largest=1024 * 1024)
        assert tracemalloc.get_traced_memory()[1] - before < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", ["%41", "AA ", "%0A", "\u00e9"])
def test_data_that_is_mostly_spelling_takes_no_more_memory_than_its_own_length(piece: str) -> None:
    text = "data:image/png;base64," + piece * (3 * 1024 * 1024 // len(piece))
    tracemalloc.start()
    try:
        with pytest.raises(UnusableError):
            read_inline(text, largest=2 * 1024 * 1024)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(text)
    finally:
        tracemalloc.stop()


@given(st.text(st.characters()) | st.text(st.sampled_from("data:image/png;base64,AZaz09+/-_=% \n\ud800")))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    refusal(text)
    with pytest.raises(UnusableError):
        read_inline(f"data:image/png;base64,{text}")
