"""The size of a picture: ``auto``, one of ten ratios, or exact pixels, and the rules that exact pixels obey.

Source of every rule: the vendor's page on GPT Image 2, "Custom sizes must satisfy all of".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Tier = Literal["1K", "2K", "4K"]
Quality = Literal["low", "medium", "high"]

TIERS: Final[tuple[Tier, ...]] = ("1K", "2K", "4K")
QUALITIES: Final[tuple[Quality, ...]] = ("low", "medium", "high")
RATIOS: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "16:9", "9:16", "21:9")

EDGE_STEP: Final = 16
LONGEST_EDGE: Final = 3840
GREATEST_ASPECT: Final = 3
FEWEST_PIXELS: Final = 655_360
MOST_PIXELS: Final = 8_294_400

LONGEST_SIZE: Final = 10_000
"""Characters of a text that is read as a size, or a tier; megabytes of letters take long to fold."""

_RATIO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) ?: ?(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
_CUSTOM = re.compile(r"\d{1,6}x\d{1,6}")
_PAIR = re.compile(r"(\d{1,30})\s*([:/x*×]|\s+by\s+)\s*(\d{1,30})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Size:
    """A size in its canonical spelling.

    ``width`` and ``height`` are pixels for ``custom``, the terms of the ratio for ``ratio``, 0 for ``auto``.
    """

    kind: Literal["auto", "ratio", "custom"]
    width: int = 0
    height: int = 0

    def __str__(self) -> str:
        if self.kind == "auto":
            return "auto"
        return f"{self.width}{':' if self.kind == 'ratio' else 'x'}{self.height}"

    @property
    def longest(self) -> int:
        return max(self.width, self.height)


def fold_size(text: str) -> str:
    """Return the canonical spelling of what people write: ``16x9`` is 16:9, ``1024×1536`` is 1024x1536.

    What is too long to be a size stays as it is: its letters would take long to fold.
    """
    if len(text) > LONGEST_SIZE:
        return text
    folded = " ".join(text.split()).lower()
    pair = _PAIR.fullmatch(folded)
    if pair is None:
        return folded
    left, right = (pair[edge].lstrip("0") or "0" for edge in (1, 3))
    is_ratio = pair[2] in {":", "/"} or max(len(left), len(right)) <= 2
    return f"{left}{':' if is_ratio else 'x'}{right}"


@lru_cache
def parse_size(text: str) -> Size:
    """Return the size that a canonical or folded text names.

    Custom sizes are only read here; ``custom_size_faults`` says whether they are legal.

    Raises:
        ValueError: the text is neither ``auto``, an offered ratio nor WIDTHxHEIGHT.
    """
    folded = fold_size(text)
    if folded == "auto":
        return Size("auto")
    if folded in RATIOS:
        return Size("ratio", *map(int, folded.split(":")))
    if _CUSTOM.fullmatch(folded):
        return Size("custom", *map(int, folded.split("x")))
    raise ValueError(_unreadable(text, folded))


def _unreadable(text: str, folded: str) -> str:
    offered = f"auto, one of {', '.join(RATIOS)}, or exact pixels such as 1536x1024"
    nearest = nearest_offered(folded)
    if nearest:
        return f"{folded} is not an offered ratio; the nearest is {nearest}. size is {offered}"
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    return f"{shown!r} is not a size; size is {offered}"


def nearest_offered(text: str) -> str | None:
    """Return the offered ratio that is closest to one that is not offered, None for any other text."""
    folded = fold_size(text)
    ratio = _RATIO.fullmatch(folded)
    if ratio is None:
        return None
    width, height = map(float, ratio.groups())
    return nearest_ratio(width, height) if width and height else None


def nearest_ratio(width: float, height: float) -> str:
    """Return the offered ratio whose shape is closest to width : height."""

    def distance(ratio: str) -> float:
        left, right = map(int, ratio.split(":"))
        return abs(math.log(left / right) - math.log(width / height))

    return min(RATIOS, key=distance)


def custom_size_faults(width: int, height: int) -> tuple[str, ...]:
    """Return every rule of exact pixels that width x height breaks, as short phrases; empty when it is legal."""
    faults = [f"{edge} is not a multiple of {EDGE_STEP}" for edge in dict.fromkeys((width, height)) if edge % EDGE_STEP]
    shortest, longest = sorted((width, height))
    if shortest < 1:
        return (*faults, "both edges must be at least 16")
    if longest > LONGEST_EDGE:
        faults.append(f"the longest edge is at most {LONGEST_EDGE}")
    if longest > GREATEST_ASPECT * shortest:
        faults.append(f"the longest edge is at most {GREATEST_ASPECT} times the shortest")
    pixels = width * height
    if pixels < FEWEST_PIXELS:
        faults.append(f"{pixels:,} pixels are fewer than {FEWEST_PIXELS:,}")
    if pixels > MOST_PIXELS:
        faults.append(f"{pixels:,} pixels are more than {MOST_PIXELS:,}")
    return tuple(faults)


def nearest_custom_size(width: int, height: int) -> Size:
    """Return the legal custom size closest in edges and in shape to width x height.

    For each of the 240 legal widths the legal heights form one interval, so the best height is a clamp;
    trying each width is exact enough and takes about 0.2 ms.
    """
    wanted_width, wanted_height = max(1, width), max(1, height)
    wanted_shape = math.log(wanted_width / wanted_height)

    def distance(edges: tuple[int, int]) -> float:
        shape = math.log(edges[0] / edges[1])
        return (
            abs(math.log(edges[0] / wanted_width)) + abs(math.log(edges[1] / wanted_height)) + abs(shape - wanted_shape)
        )

    candidates = (
        (candidate, min(max(EDGE_STEP * round(target / EDGE_STEP), interval[0]), interval[1]))
        for candidate in range(EDGE_STEP, LONGEST_EDGE + 1, EDGE_STEP)
        if (interval := _legal_heights(candidate)) is not None
        for target in (wanted_height, candidate * wanted_height / wanted_width)
    )
    return Size("custom", *min(candidates, key=distance))


def _legal_heights(width: int) -> tuple[int, int] | None:
    lowest = max(math.ceil(width / GREATEST_ASPECT), math.ceil(FEWEST_PIXELS / width))
    highest = min(width * GREATEST_ASPECT, MOST_PIXELS // width, LONGEST_EDGE)
    low, high = EDGE_STEP * math.ceil(lowest / EDGE_STEP), EDGE_STEP * (highest // EDGE_STEP)
    return (low, high) if low <= high else None
