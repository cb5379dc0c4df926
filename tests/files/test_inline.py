"""A picture in a data: address is read as people and models write it, and no message repeats its data."""

from __future__ import annotations

import base64
import tracemalloc
from textwrap import wrap
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.conftest import PICTURES, mime_type
from vidgo_mcp.files.containers import jpeg_segment
from vidgo_mcp.files.inline import read_inline
from vidgo_mcp.files.reader import LARGEST_FILE
from vidgo_mcp.files.unusable import UnusableError

PNG = PICTURES["png"]
DIGITS = base64.b64encode(PNG).decode()


def refusal(text: str, largest: int = LARGEST_FILE) -> UnusableError:
    with pytest.raises(UnusableError) as caught:
        read_inline(text, largest=largest)
    message = str(caught.value)
    assert message.isprintable()
    assert DIGITS[:12] not in message
    assert "0000" not in message
    return caught.value


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "webp"])
def test_a_picture_of_each_format_is_read_whatever_its_address_says(name: str) -> None:
    found = read_inline(f"data:image/bmp;base64,{base64.b64encode(PICTURES[name]).decode()}")
    assert (found.content, found.mime_type) == (PICTURES[name], mime_type(name))


@pytest.mark.parametrize(
    "text",
    [
        f"DATA:IMAGE/PNG;BASE64,{DIGITS}",
        f" data: image/png ; charset=utf-8 ; base64 ,{DIGITS}",
        f"data:image/png;base64,{DIGITS.rstrip('=')}",
        f"data:image/png;base64,{DIGITS.translate(str.maketrans('+/', '-_'))}",
        f"data:image/png;base64,{quote(DIGITS, safe='')}",
        f"data:image/png;base64,{DIGITS.replace('+', '%2b').replace('/', '%2f')}",
        "data:image/png;base64,\n" + "\r\n".join(wrap(DIGITS, 76)) + "\n",
        "data:image/png;base64," + "%0A".join(wrap(DIGITS, 76)),
        f"data:image/png;base64,{DIGITS[:-8]} {DIGITS[-8:]}\t",
    ],
)
def test_the_address_may_be_written_in_many_ways(text: str) -> None:
    assert read_inline(text).content == PNG


def test_what_follows_the_picture_and_what_is_private_in_it_is_left_out() -> None:
    content = PICTURES["jpeg"]
    private = content[:2] + jpeg_segment(b"\xff\xfe", b"Example Road") + content[2:] + b"more"
    assert read_inline(f"data:image/png;base64,{base64.b64encode(private).decode()}").content == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"image/png;base64,{DIGITS}", "it is not inline data"),
        (f"http:image/png;base64,{DIGITS}", "it is not inline data"),
        ("data:image/png;base64", "it is not inline data"),
        (f"data:image/png;{'x' * 300};base64,{DIGITS}", "it is not inline data"),
        (f"data:;base64,{DIGITS}", "its media type is not a picture's, such as image/png or image/jpeg"),
        (f"data:text/html;base64,{DIGITS}", "its media type is not a picture's, such as image/png or image/jpeg"),
        (f"data:image/png,{DIGITS}", "it is not in base64"),
        (f"data:image/png;base64;charset=utf-8,{DIGITS}", "it is not in base64"),
        ("data:image/png;base64, \n==", "it is empty"),
        (f"data:image/png;base64,{DIGITS[:-40]}", "it is damaged, or a part of it is missing"),
        *(
            (f"data:image/png;base64,{digits}", "it is not base64, or a part of it is missing")
            for digits in (
                *(DIGITS[:41], DIGITS[:40] + "=" + DIGITS[40:], DIGITS[:40] + "!" + DIGITS[41:]),
                *(DIGITS[:40] + "\u00e9" + DIGITS[41:], DIGITS[:40] + "\ud800" + DIGITS[41:], DIGITS + "#top"),
            )
        ),
        (
            "data:image/png;base64," + base64.b64encode(b"the launch code is 0000").decode(),
            "it is text, not a JPEG, PNG, GIF or WebP",
        ),
    ],
)
def test_what_is_no_picture_in_base64_is_refused(text: str, reason: str) -> None:
    assert refusal(text).reason == reason


def test_too_much_data_is_refused_before_it_is_decoded() -> None:
    text = f"data:image/png;base64,{DIGITS}"
    assert read_inline(text, largest=len(PNG)).content == PNG
    assert refusal(text, len(PNG) - 1).remedy == "raise_max_upload"
    reason = "it has more than 1 MB, the most that a picture may have"
    assert refusal("data:image/png;base64," + "A" * (4 * 1024 * 1024 // 3 + 4), 1024 * 1024).reason == reason
    text = "data:image/png;base64," + " " * (8 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert refusal(text, 1024 * 1024).reason == reason
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("piece", ["%41", "AA ", "%0A", "\u00e9"])
def test_data_that_is_mostly_spelling_takes_little_memory(piece: str) -> None:
    text = "data:image/png;base64," + piece * (3 * 1024 * 1024 // len(piece))
    tracemalloc.start()
    try:
        refusal(text, 2 * 1024 * 1024)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(text)
    finally:
        tracemalloc.stop()


@given(st.text(st.characters()) | st.text(st.sampled_from("data:image/png;base64,AZaz09+/-_=% \n\ud800")))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    refusal(text)
    with pytest.raises(UnusableError):
        read_inline(f"data:image/png;base64,{text}")
