"""The pictures: the right size to the pixel, the same every time, whatever the prompt."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vidgo_mcp.sandbox import Brief
from vidgo_mcp.sandbox.picture import LEADING, _fit, draw_png


def brief(prompt: str = "a boat", width: int = 320, height: int = 160, **more: object) -> Brief:
    return Brief(prompt, width, height, "low", "1K", **more)  # type: ignore[arg-type]


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (1536, 512), (480, 1376), (1360, 768), (3840, 2160)])
def test_a_picture_has_exactly_the_size_asked(size: tuple[int, int]) -> None:
    picture = opened(draw_png(brief(width=size[0], height=size[1])))
    assert (picture.size, picture.format, picture.mode) == (size, "PNG", "RGB")


@settings(max_examples=25)
@given(st.text(max_size=4000))
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert opened(draw_png(brief(prompt))).size == (320, 160)


@pytest.mark.parametrize("prompt", ["", " ", "夜明けの灯台" * 600, "\ud800", "a" * 4000, "\x00\n\t", "قارب " * 50])
def test_hard_prompts_can_be_drawn(prompt: str) -> None:
    assert opened(draw_png(brief(prompt, 160, 480))).size == (160, 480)


def test_equal_briefs_give_equal_bytes_and_others_do_not() -> None:
    one = draw_png(brief())
    assert one == draw_png(brief())
    assert len({one, draw_png(brief("a ship")), draw_png(brief(seed="x")), draw_png(brief(width=336))}) == 4


def test_an_edit_shows_what_it_was_made_from() -> None:
    plain = opened(draw_png(brief(width=512, height=512)))
    red = io.BytesIO()
    Image.new("RGB", (64, 64), (255, 0, 0)).save(red, "GIF")
    references = (red.getvalue(), brief("a ship"), b"\x89PNG but broken", red.getvalue())
    edited = opened(draw_png(brief(width=512, height=512, references=references)))
    reds = [colour for _, colour in edited.getcolors(1 << 20) or [] if colour == (255, 0, 0)]
    assert edited.tobytes() != plain.tobytes()
    assert reds == [(255, 0, 0)]


def test_more_references_than_fit_are_left_out() -> None:
    references = tuple(brief(f"panorama {number}", 300, 100) for number in range(3))
    assert opened(draw_png(brief(width=160, height=480, references=references))).size == (160, 480)


def test_a_long_chain_of_edits_ends() -> None:
    chained = brief()
    for number in range(2000):
        chained = brief(f"edit {number}", references=(chained, chained, b"", chained)).pruned()
    assert opened(draw_png(chained)).size == (320, 160)
    assert len(chained.references) == 3


def test_a_picture_is_drawn_once() -> None:
    assert draw_png(brief("once")) is draw_png(brief("once"))


def test_text_is_set_in_the_largest_type_that_fits_and_cut_with_an_ellipsis() -> None:
    assert _fit(" a\n\tb\x00 \ud800 ", 400, 200, 500)[0] == ["a b ?"]
    lines, font = _fit("a boat", 400, 200, 500)
    assert (lines, font.size) == (["a boat"], 39)
    lines, font = _fit("word " * 800, 200, 100, 500)
    assert font.size == 10
    assert lines[-1].endswith("\u2026")
    assert len(lines) * font.size * LEADING <= 100
    assert max(font.getlength(line) for line in lines) <= 200
    assert _fit("", 200, 100, 500)[0] == []
