"""The size of a picture: ``auto``, one of ten ratios, or exact pixels, and the rules that exact pixels obey.

Source of every rule: the vendor's page on GPT Image 2, "Custom sizes must satisfy all of".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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

_RATIO = re.compile(r"\d{1,6}:\d{1,6}")
_CUSTOM = re.compile(r"\d{1,6}x\d{1,6}")
_PAIR = re.compile(r"(\d+)\s*([:/x*×]|\s+by\s+)\s*(\d+)", re.IGNORECASE)


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


AUTO: Final = Size("auto")


def fold_size(text: str) -> str:
    """Return the canonical spelling of what people write: ``16x9`` is 16:9, ``1024×1536`` is 1024x1536."""
    folded = " ".join(text.split()).lower()
    pair = _PAIR.fullmatch(folded)
    if pair is None:
        return folded
    left, separator, right = pair[1].lstrip("0") or "0", pair[2], pair[3].lstrip("0") or "0"
    if len(left) <= 2 and len(right) <= 2:
        return f"{left}:{right}"
    return f"{left}:{right}" if separator in {":", "/"} else f"{left}x{right}"


def parse_size(text: str) -> Size:
    """Return the size that a canonical or folded text names.

    Custom sizes are only read here; ``custom_size_faults`` says whether they are legal.

    Raises:
        ValueError: the text is neither ``auto``, an offered ratio nor WIDTHxHEIGHT.
    """
    folded = fold_size(text)
    if folded == "auto":
        return AUTO
    if folded in RATIOS:
        width, height = folded.split(":")
        return Size("ratio", int(width), int(height))
    if _CUSTOM.fullmatch(folded):
        width, height = folded.split("x")
        return Size("custom", int(width), int(height))
    raise ValueError(_unreadable(text, folded))


def _unreadable(text: str, folded: str) -> str:
    offered = f"auto, one of {', '.join(RATIOS)}, or exact pixels such as 1536x1024"
    if _RATIO.fullmatch(folded):
        width, height = (int(term) for term in folded.split(":"))
        if width and height:
            return f"{folded} is not an offered ratio; the nearest is {nearest_ratio(width, height)}. size is {offered}"
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    return f"{shown!r} is not a size; size is {offered}"


def nearest_ratio(width: int, height: int) -> str:
    """Return the offered ratio whose shape is closest to width : height."""
    wanted = math.log(width / height)

    def distance(ratio: str) -> float:
        left, right = ratio.split(":")
        return abs(math.log(int(left) / int(right)) - wanted)

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
    best: tuple[float, int, int] | None = None
    for candidate in range(EDGE_STEP, LONGEST_EDGE + 1, EDGE_STEP):
        interval = _legal_heights(candidate)
        if interval is None:
            continue
        for target in (wanted_height, candidate * wanted_height / wanted_width):
            snapped = EDGE_STEP * max(1, round(target / EDGE_STEP))
            edge = min(max(snapped, interval[0]), interval[1])
            distance = (
                abs(math.log(candidate / wanted_width))
                + abs(math.log(edge / wanted_height))
                + abs(math.log(candidate / edge) - wanted_shape)
            )
            if best is None or distance < best[0]:
                best = (distance, candidate, edge)
    assert best is not None
    return Size("custom", best[1], best[2])


def _legal_heights(width: int) -> tuple[int, int] | None:
    lowest = max(math.ceil(width / GREATEST_ASPECT), math.ceil(FEWEST_PIXELS / width))
    highest = min(width * GREATEST_ASPECT, MOST_PIXELS // width, LONGEST_EDGE)
    low, high = EDGE_STEP * math.ceil(lowest / EDGE_STEP), EDGE_STEP * (highest // EDGE_STEP)
    return (low, high) if low <= high else None
