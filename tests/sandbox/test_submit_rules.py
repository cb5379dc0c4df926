"""The documented rules, over their whole domain."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgo_mcp.sandbox.answers import INVENTED, Refusal
from vidgo_mcp.sandbox.submit_rules import CREDITS, QUALITIES, RATIOS, effective_tier, pixel_size, read_submission

WIDE = ("16:9", "9:16", "21:9")
EDGES = st.integers(1, 300).map(lambda n: n * 16)


def read(**asked: Any) -> Any:
    return read_submission({"model": "gpt-image-2", "input": {"prompt": "a boat", **asked}})


def refusal(body: Any, *, strict: bool = False) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_submission(body, strict=strict)
    return caught.value


@pytest.mark.parametrize(
    ("size", "resolution", "quality"),
    list(itertools.product(("auto", *RATIOS), (None, "1K", "2K", "4K"), QUALITIES)),
)
def test_each_cell_of_the_table_has_its_tier_its_price_and_a_plausible_size(
    size: str, resolution: str | None, quality: str
) -> None:
    expected = "1K"
    if size != "auto" and resolution in ("2K", "4K"):
        expected = "4K" if resolution == "4K" and size in WIDE else "2K"
    asked = read(size=size, quality=quality, **({"resolution": resolution} if resolution else {}))
    assert (asked.tier, asked.credits) == (expected, CREDITS[quality][expected])
    assert asked.width % 16 == asked.height % 16 == 0
    assert max(asked.width, asked.height) <= 3840
    across, down = (1, 1) if size == "auto" else map(int, size.split(":"))
    assert asked.width / asked.height == pytest.approx(across / down, rel=0.02)
    pixels = {"1K": 1024**2, "2K": 2048**2, "4K": 3840**2 * min(across, down) / max(across, down)}[expected]
    assert asked.width * asked.height == pytest.approx(pixels, rel=0.03)


def test_the_price_table_is_the_published_one() -> None:
    assert [[CREDITS[quality][tier] for tier in ("1K", "2K", "4K")] for quality in QUALITIES] == [
        [2, 4, 8],
        [3, 6, 12],
        [12, 24, 48],
    ]


@given(width=EDGES, height=EDGES, resolution=st.sampled_from([None, "1K", "2K", "4K"]))
def test_a_custom_size_is_sold_exactly_when_every_rule_holds(width: int, height: int, resolution: str | None) -> None:
    size = f"{width}x{height}"
    longest, shortest = max(width, height), min(width, height)
    legal = (
        shortest >= 100
        and longest <= 3840
        and longest <= 3 * shortest
        and 655_360 <= width * height <= 8_294_400
        and resolution in ("2K", "4K")
        and (longest < 3840 or resolution == "4K")
    )
    if legal:
        tier = effective_tier(size, resolution)
        assert tier == ("4K" if longest == 3840 else "2K")
        assert pixel_size(size, tier) == (width, height)
    else:
        with pytest.raises(Refusal) as caught:
            effective_tier(size, resolution)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("size", "resolution", "text"),
    [
        ("1024x1024", None, "custom size requires resolution 2K or 4K"),
        ("1024x1024", "1K", "custom size requires resolution 2K or 4K"),
        ("3840x2160", "2K", "true 4K custom size requires resolution 4K"),
        ("1000x1024", "2K", "both edges of a custom size must be divisible by 16" + INVENTED),
        ("3856x2160", "4K", "the longest edge of a custom size must be at most 3840" + INVENTED),
        ("1600x512", "2K", "a custom size must not be longer than 3:1" + INVENTED),
        ("800x800", "2K", "a custom size must have 655360 to 8294400 pixels" + INVENTED),
        ("3840x2176", "4K", "a custom size must have 655360 to 8294400 pixels" + INVENTED),
    ],
)
def test_a_refused_custom_size_says_which_rule_it_broke(size: str, resolution: str | None, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        effective_tier(size, resolution)
    assert caught.value.message == text


@pytest.mark.parametrize("size", ["", "16x9", "1024×1024", "1024X1024", "10000x512", "2:1", " auto", "٣٣٣x٣٣٣"])
def test_an_unknown_size_is_refused(size: str) -> None:
    assert refusal({"model": "gpt-image-2", "input": {"prompt": "a", "size": size}}).status == 400


@pytest.mark.parametrize(
    ("model", "asked", "text"),
    [
        ("gpt-image-2", {}, "prompt is required"),
        ("gpt-image-2", {"prompt": " \n"}, "prompt is required"),
        ("gpt-image-2", {"prompt": "a", "n": 1}, "n is not supported for gpt-image-2"),
        ("gpt-image-2-edit", {"prompt": "a"}, "image_urls is required for edit"),
        ("gpt-image-2-edit", {"prompt": "a", "image_urls": []}, "image_urls is required for edit"),
        (
            "gpt-image-2",
            {"prompt": "a", "image_urls": ["https://a.test/b.png"]},
            "image_urls is only supported for gpt-image-2-edit",
        ),
        ("gpt-image-2", {"prompt": "a", "quality": "ultra"}, "quality must be one of: low, medium, high"),
        ("gpt-image-2", {"prompt": "a", "quality": ""}, "quality must be one of: low, medium, high"),
        ("gpt-image-2", {"prompt": "a", "resolution": "8K"}, "resolution must be one of: 1K, 2K, 4K"),
        ("gpt-image-2", {"prompt": "a" * 4001}, "prompt must be at most 4000 characters" + INVENTED),
    ],
)
def test_the_documented_refusals_have_the_documented_texts(model: str, asked: dict[str, Any], text: str) -> None:
    caught = refusal({"model": model, "input": asked})
    assert (caught.status, caught.message) == (400, text)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"model": 1, "input": {}},
        {"model": "gpt-image-2"},
        {"model": "gpt-image-2", "input": {"prompt": 1}},
        {"model": "gpt-image-2", "callback_url": None, "input": {"prompt": "a"}},
        {"model": "gpt-image-2", "callback_url": "file:///a", "input": {"prompt": "a"}},
        {"model": "gpt-image-2", "callback_url": "http://[", "input": {"prompt": "a"}},
        {"model": "gpt-image-2", "callback_url": "http://localhost:99999/", "input": {"prompt": "a"}},
        {"model": "gpt-image-2", "callback_url": "http://localhost/\ud800", "input": {"prompt": "a"}},
        {"model": "gpt-image-2-edit", "input": {"prompt": "a", "image_urls": "https://a.test"}},
        {"model": "gpt-image-2-edit", "input": {"prompt": "a", "image_urls": ["data:image/png;base64,"]}},
    ],
)
def test_a_value_of_the_wrong_type_is_unprocessable(body: Any) -> None:
    caught = refusal(body)
    assert caught.status == 422
    assert caught.message.endswith(INVENTED)
    assert [set(problem) for problem in caught.problems] == [{"loc", "msg", "type"}]


def test_only_a_strict_sandbox_refuses_unknown_fields() -> None:
    outer = {"model": "gpt-image-2", "modle": 1, "input": {"prompt": "a"}}
    inner = {"model": "gpt-image-2", "input": {"prompt": "a", "seed": 1}}
    for body in (outer, inner):
        assert read_submission(body).credits == 2
        assert refusal(body, strict=True).status == 422
    assert read_submission({"model": "gpt-image-2", "input": {"prompt": "a"}}, strict=True).credits == 2


def test_the_models_are_the_two_documented_ones() -> None:
    assert refusal({"input": {"prompt": "a"}}).status == 400
    assert refusal({"model": "dall-e", "input": {"prompt": "a"}}).status == 404
    edit = {"model": "gpt-image-2-edit", "input": {"prompt": "a", "image_urls": ["https://a.test/b.png"]}}
    assert read_submission(edit).image_urls == ("https://a.test/b.png",)
