"""The price of every legal request, against the vendor's tables as they are written in its documentation.

Nothing here is taken from the code under test: the tables and the rule for custom sizes are written down a second time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidgo_mcp.models.sizes import Quality, Size, Tier, custom_size_faults, nearest_custom_size, parse_size
from vidgo_mcp.pricing import PUBLISHED, Suggestion, UnpriceableError, quote

REPEATABLE = settings(derandomize=True)

QUALITIES: tuple[Quality, ...] = ("low", "medium", "high")
RESOLUTIONS: tuple[Tier | None, ...] = (None, "1K", "2K", "4K")

# https://docs.vidgo.ai, GPT Image 2, "Credits"
CREDITS: dict[tuple[Quality, Tier], int] = {
    ("low", "1K"): 2,
    ("low", "2K"): 4,
    ("low", "4K"): 8,
    ("medium", "1K"): 3,
    ("medium", "2K"): 6,
    ("medium", "4K"): 12,
    ("high", "1K"): 12,
    ("high", "2K"): 24,
    ("high", "4K"): 48,
}

# The same page, "Effective tier": asked for nothing, 1K, 2K, 4K.
EFFECTIVE: dict[str, tuple[Tier, Tier, Tier, Tier]] = {
    "auto": ("1K", "1K", "1K", "1K"),
    "1:1": ("1K", "1K", "2K", "2K"),
    "2:3": ("1K", "1K", "2K", "2K"),
    "3:2": ("1K", "1K", "2K", "2K"),
    "3:4": ("1K", "1K", "2K", "2K"),
    "4:3": ("1K", "1K", "2K", "2K"),
    "4:5": ("1K", "1K", "2K", "2K"),
    "5:4": ("1K", "1K", "2K", "2K"),
    "16:9": ("1K", "1K", "2K", "4K"),
    "9:16": ("1K", "1K", "2K", "4K"),
    "21:9": ("1K", "1K", "2K", "4K"),
}

STEPPED_EDGES = range(16, 3840 + 1, 16)


def is_legal(width: int, height: int) -> bool:
    longest, shortest = max(width, height), min(width, height)
    return (
        width % 16 == 0
        and height % 16 == 0
        and longest <= 3840
        and longest <= 3 * shortest
        and 655_360 <= width * height <= 8_294_400
    )


LEGAL = [(w, h) for w, h in itertools.product(STEPPED_EDGES, STEPPED_EDGES) if is_legal(w, h)]


def on_the_boundary() -> Iterator[tuple[int, int]]:
    """Yield the legal pairs that have an illegal pair one step away."""
    for w, h in LEGAL:
        if not all(is_legal(w + dw, h + dh) for dw, dh in ((16, 0), (-16, 0), (0, 16), (0, -16))):
            yield w, h


def unpriceable(size: Size, resolution: Tier | None, quality: Quality = "low") -> UnpriceableError:
    with pytest.raises(UnpriceableError) as caught:
        quote(size, resolution, quality)
    return caught.value


def assert_acceptable(suggestion: Suggestion, quality: Quality) -> None:
    accepted = quote(parse_size(suggestion.size), suggestion.resolution, quality)
    assert accepted.credits == suggestion.credits
    assert str(accepted.size) == suggestion.size


def disparity(wanted: tuple[int, int], offered: tuple[int, int]) -> float:
    """Return how far two sizes are apart, in width, in height and in shape, each as a factor."""
    (w, h), (x, y) = ((max(1, a), max(1, b)) for a, b in (wanted, offered))
    return abs(math.log(x / w)) + abs(math.log(y / h)) + abs(math.log((x / y) / (w / h)))


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("position", "resolution"), list(enumerate(RESOLUTIONS)))
@pytest.mark.parametrize("size", EFFECTIVE)
def test_auto_and_every_ratio_cost_what_the_table_says(
    size: str, position: int, resolution: Tier | None, quality: Quality
) -> None:
    tier = EFFECTIVE[size][position]

    quoted = quote(parse_size(size), resolution, quality)

    assert (quoted.tier, quoted.credits, quoted.quality) == (tier, CREDITS[quality, tier], quality)
    assert quoted.resolution == (None if size == "auto" else tier), "what goes on the wire is what was priced"
    assert str(quoted.credits) in quoted.explanation
    downgraded = resolution is not None and resolution != tier
    assert bool(quoted.notes) == downgraded, "a note exactly where the picture is not what the words suggest"


def test_a_downgrade_is_explained_in_the_words_of_the_request() -> None:
    assert quote(parse_size("1:1"), "4K", "low").notes == ("4K is billed as 2K at 1:1; ask 2K for the same picture",)
    assert quote(parse_size("auto"), "4K", "low").notes == ("auto ignores resolution 4K: it is 1K",)
    assert quote(parse_size("1024x1024"), "4K", "low").notes == (
        "4K is billed as 2K at 1024x1024; ask 2K for the same picture",
    )


def test_legality_of_all_57600_stepped_pairs_agrees_with_the_documented_rules() -> None:
    pairs = list(itertools.product(STEPPED_EDGES, STEPPED_EDGES))
    assert len(pairs) == 57_600

    disagreeing = [(w, h) for w, h in pairs if (custom_size_faults(w, h) == ()) is not is_legal(w, h)]

    assert disagreeing == []


def test_every_legal_exact_size_costs_what_the_table_says() -> None:
    assert len(LEGAL) > 10_000
    for index, (w, h) in enumerate(LEGAL):
        size, quality = Size("custom", w, h), QUALITIES[index % 3]
        if max(w, h) == 3840:
            quoted = quote(size, "4K", quality)
            assert (quoted.tier, quoted.resolution, quoted.notes) == ("4K", "4K", ()), size
            assert quoted.credits == CREDITS[quality, "4K"], size
        else:
            for asked in ("2K", "4K"):
                quoted = quote(size, asked, quality)
                assert (quoted.tier, quoted.resolution, bool(quoted.notes)) == ("2K", "2K", asked == "4K"), size
                assert quoted.credits == CREDITS[quality, "2K"], size


def test_a_legal_size_at_a_resolution_that_does_not_fit_is_offered_itself() -> None:
    for index, (w, h) in enumerate(LEGAL):
        size, quality = Size("custom", w, h), QUALITIES[index % 3]
        unfit: tuple[Tier | None, ...] = (None, "1K", "2K") if max(w, h) == 3840 else (None, "1K")
        needed: Tier = "4K" if max(w, h) == 3840 else "2K"
        for asked in unfit:
            refused = unpriceable(size, asked, quality)
            assert refused.field == "resolution", size
            assert f"needs resolution {needed}" in str(refused), size
            assert refused.suggestions[0] == Suggestion(f"{w}x{h}", needed, CREDITS[quality, needed])


def test_no_neighbour_one_pixel_beside_a_legal_size_is_legal() -> None:
    for w, h in LEGAL:
        for x, y in ((w + 1, h), (w - 1, h), (w, h + 1), (w, h - 1)):
            assert custom_size_faults(x, y), f"{x}x{y}"
    for w, h in itertools.islice(on_the_boundary(), 0, None, 7):
        refused = unpriceable(Size("custom", w + 1, h), "2K")
        assert refused.field == "size"
        assert f"{w + 1} is not a multiple of 16" in str(refused)


@pytest.mark.parametrize(
    ("width", "height", "phrases"),
    [
        (1024, 640, ()),
        (1023, 640, ("1023 is not a multiple of 16", "654,720 pixels are fewer than 655,360")),
        (1008, 640, ("645,120 pixels are fewer than 655,360",)),
        (3840, 2160, ()),
        (3840, 2176, ("8,355,840 pixels are more than 8,294,400",)),
        (3856, 2144, ("the longest edge is at most 3840",)),
        (1440, 480, ()),
        (1456, 480, ("the longest edge is at most 3 times the shortest",)),
        (1001, 1001, ("1001 is not a multiple of 16",)),
        (0, 1024, ("both edges must be at least 16",)),
        (0, 0, ("both edges must be at least 16",)),
        (4001, 10, (
            "4001 is not a multiple of 16",
            "10 is not a multiple of 16",
            "the longest edge is at most 3840",
            "the longest edge is at most 3 times the shortest",
            "40,010 pixels are fewer than 655,360",
        )),
    ],
)  # fmt: skip
def test_each_broken_rule_of_an_exact_size_is_named(width: int, height: int, phrases: tuple[str, ...]) -> None:
    assert custom_size_faults(width, height) == phrases


edges = st.one_of(
    st.integers(0, 999_999),
    st.integers(0, 40),
    st.integers(400, 4_000),
    st.sampled_from(STEPPED_EDGES),
    st.sampled_from((0, 1, 15, 16, 480, 655_360, 3839, 3840, 3841, 3856, 999_999)),
)


@settings(REPEATABLE, max_examples=400)
@given(edges, edges, st.sampled_from(RESOLUTIONS), st.sampled_from(QUALITIES))
@example(0, 0, None, "low")
@example(999_999, 1, "4K", "high")
@example(1, 999_999, "2K", "medium")
@example(3841, 2160, "1K", "low")
def test_every_suggestion_is_accepted_at_the_price_that_it_names(
    width: int, height: int, resolution: Tier | None, quality: Quality
) -> None:
    size = Size("custom", width, height)
    if is_legal(width, height) and (resolution == "4K" or (resolution == "2K" and max(width, height) < 3840)):
        assert quote(size, resolution, quality).credits in {CREDITS[quality, "2K"], CREDITS[quality, "4K"]}
        return
    refused = unpriceable(size, resolution, quality)
    assert ["x" in s.size for s in refused.suggestions] == [True, False], "exact pixels, then a ratio"
    for suggestion in refused.suggestions:
        assert_acceptable(suggestion, quality)
        assert str(suggestion) in str(refused)
        assert f"costs {suggestion.credits}" in str(suggestion)


def test_suggestions_are_accepted_across_the_whole_field_of_stepped_pairs() -> None:
    """Every 13th illegal pair: one suggestion costs 0.5 ms, and 13 shares no factor with the 240 edges of a row."""
    illegal = [(w, h) for w, h in itertools.product(STEPPED_EDGES, STEPPED_EDGES) if not is_legal(w, h)]
    for index, (w, h) in enumerate(illegal[::13]):
        quality = QUALITIES[index % 3]
        for suggestion in unpriceable(Size("custom", w, h), RESOLUTIONS[index % 4], quality).suggestions:
            assert_acceptable(suggestion, quality)


def test_a_legal_size_is_its_own_nearest() -> None:
    for w, h in LEGAL[::31]:
        assert nearest_custom_size(w, h) == Size("custom", w, h)
    for w, h in itertools.islice(on_the_boundary(), 0, None, 7):
        assert nearest_custom_size(w, h) == Size("custom", w, h)


@settings(REPEATABLE, max_examples=50)
@given(edges, edges)
@example(1920, 1080)
@example(4096, 2160)
@example(512, 512)
@example(10, 10_000)
def test_no_legal_size_is_nearer_than_the_suggested_one(width: int, height: int) -> None:
    found = nearest_custom_size(width, height)

    nearest = min(disparity((width, height), pair) for pair in LEGAL)

    assert is_legal(found.width, found.height)
    assert disparity((width, height), (found.width, found.height)) <= nearest + 1e-9


@settings(REPEATABLE, max_examples=150)
@given(edges, edges)
def test_swapping_the_edges_gives_a_size_that_is_just_as_near(width: int, height: int) -> None:
    upright, lying = nearest_custom_size(width, height), nearest_custom_size(height, width)

    assert disparity((width, height), (upright.width, upright.height)) == pytest.approx(
        disparity((height, width), (lying.width, lying.height)), abs=1e-9
    )


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("1920x1080", "1920x1088"),
        ("1080x1920", "1088x1920"),
        ("1000x1000", "1008x1008"),
        ("3840x2161", "3840x2160"),
        ("3841x2160", "3840x2160"),
    ],
)
def test_a_common_slip_leads_to_the_size_that_was_meant(asked: str, nearest: str) -> None:
    size = parse_size(asked)

    assert str(nearest_custom_size(size.width, size.height)) == nearest


def test_a_square_without_resolution_is_told_both_ways_and_both_prices() -> None:
    refused = unpriceable(parse_size("1024x1024"), None)

    assert refused.field == "resolution"
    assert str(refused) == (
        "1024x1024 needs resolution 2K, none was given. "
        "Instead: 1024x1024 with resolution 2K costs 4 credits; 1:1 costs 2 credits."
    )


def test_full_hd_is_told_the_rule_the_ratio_and_the_nearest_exact_size() -> None:
    refused = unpriceable(parse_size("1920x1080"), None)

    assert refused.field == "size"
    assert str(refused) == (
        "1920x1080: 1080 is not a multiple of 16. Instead: 1920x1088 with resolution 2K costs 4 credits (the user "
        "crops 8 rows for 1920x1080); 16:9 costs 2 credits."
    )


@pytest.mark.parametrize(
    ("asked", "legal", "crop"),
    [
        ("1000x1000", "1008x1008", "the user crops 8 columns and 8 rows for 1000x1000"),
        ("2000x1125", "2000x1136", "the user crops 11 rows for 2000x1125"),
        ("1024x1024", "1024x1024", ""),
        ("512x512", "816x816", ""),
        ("4096x2160", "3840x2032", ""),
    ],
)
def test_exact_pixels_are_offered_with_the_crop_that_gives_what_was_asked(asked: str, legal: str, crop: str) -> None:
    suggestion = unpriceable(parse_size(asked), None).suggestions[0]

    assert (suggestion.size, suggestion.crop) == (legal, crop)


def test_an_edge_of_3840_at_2k_is_told_that_it_needs_4k() -> None:
    refused = unpriceable(parse_size("3840x2160"), "2K", "high")

    assert refused.field == "resolution"
    assert refused.suggestions == (Suggestion("3840x2160", "4K", 48), Suggestion("16:9", "2K", 24))


def test_the_ratio_that_is_offered_never_names_a_resolution_above_its_tier() -> None:
    refused = unpriceable(parse_size("1000x1000"), "4K")

    assert refused.suggestions[1] == Suggestion("1:1", "2K", 4)


def test_the_price_table_as_text_is_the_documented_one() -> None:
    assert PUBLISHED.rows() == (
        ("quality", "1K", "2K", "4K"),
        ("low", "2", "4", "8"),
        ("medium", "3", "6", "12"),
        ("high", "12", "24", "48"),
    )
