"""The exact price of every legal request: effective tier, price table, quote, priced request, legal replacements.

Source: the vendor's page on GPT Image 2, sections "Effective tier" and "Credits". Edits cost the same as generations.
The page has printed no credits since the summer of 2026, so a table says where it comes from wherever it is shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

from vidgo_mcp.errors import InvalidRequestError
from vidgo_mcp.models.requests import GenerateArguments, ImageRequest, ModelName, Picture
from vidgo_mcp.models.sizes import (
    EDGE_STEP,
    LONGEST_EDGE,
    QUALITIES,
    TIERS,
    Quality,
    Size,
    Tier,
    custom_size_faults,
    nearest_custom_size,
    nearest_ratio,
    parse_size,
)

FULL_4K_RATIOS: Final = frozenset({"16:9", "9:16", "21:9"})

Cell = tuple[Quality, Tier]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Credits for one picture by quality and tier, and on whose word.

    ``charged`` are the prices that Vidgo took lately where the table says another one. They are the prices in force.
    """

    credits: Mapping[Quality, Mapping[Tier, int]]
    source: Literal["published", "operator"] = "published"
    charged: Mapping[Cell, int] = field(default_factory=dict)

    def price(self, quality: Quality, tier: Tier) -> int:
        """Return the price in force."""
        return self.charged.get((quality, tier), self.credits[quality][tier])

    @property
    def identity(self) -> str:
        """Names the table among all tables: what was found about one says nothing about another."""
        return f"{self.source} {[[self.credits[q][t] for t in TIERS] for q in QUALITIES]}"

    @classmethod
    def named(cls, identity: str) -> Self:
        """Return the table of an identity."""
        source, _, numbers = identity.partition(" ")
        credits_of = {
            q: dict(zip(TIERS, row, strict=True)) for q, row in zip(QUALITIES, json.loads(numbers), strict=True)
        }
        return cls(credits_of, "operator" if source == "operator" else "published")

    @property
    def origin(self) -> str:
        """On whose word the prices in force are, in brackets or after a comma."""
        said = "as VIDGO_PRICES says" if self.source == "operator" else "as Vidgo published it until summer 2026"
        lately = ", ".join(f"{quality} {tier}" for quality, tier in self.charged)
        return f"{said}, {lately} as Vidgo charged lately" if lately else said

    def line(self, origin: str = "") -> str:
        """Return the prices in force in one line; ``origin`` is a shorter word for where they come from."""
        rows = (f"{q} {'/'.join(str(self.price(q, t)) for t in TIERS)}" for q in QUALITIES)
        return f"Credits at {'/'.join(TIERS)} ({origin or self.origin}): {', '.join(rows)}"

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Return the prices in force as rows of text, header first."""
        return (("quality", *TIERS), *((q, *(str(self.price(q, t)) for t in TIERS)) for q in QUALITIES))

    def contradictions(self) -> list[str]:
        """Return a sentence for each price that Vidgo contradicts."""
        return [self.contradiction(*cell) for cell in self.charged]

    def contradiction(self, quality: Quality, tier: Tier) -> str:
        """Return what Vidgo charged for such a picture in place of what the table says."""
        charged, said = self.charged[quality, tier], self.credits[quality][tier]
        return (
            f"Vidgo charged {charged} where the table says {said} ({quality}, {tier}), so {charged} is its price now."
        )

    def basis(self, quality: Quality, tier: Tier) -> str:
        """Return on whose word one price is, in two or three words."""
        if (quality, tier) in self.charged:
            return "as Vidgo charged lately"
        return "VIDGO_PRICES" if self.source == "operator" else "Vidgo's table of summer 2026"


PUBLISHED: Final = PriceTable(
    {
        "low": {"1K": 2, "2K": 4, "4K": 8},
        "medium": {"1K": 3, "2K": 6, "4K": 12},
        "high": {"1K": 12, "2K": 24, "4K": 48},
    }
)


@dataclass(frozen=True, slots=True)
class Quote:
    """What one picture costs, and why.

    ``resolution`` is what goes on the wire: the effective tier, or None where Vidgo wants none (``auto``).
    ``notes`` say where the picture is not what the words of the request suggest.
    """

    size: Size
    tier: Tier
    quality: Quality
    credits: int
    resolution: Tier | None
    explanation: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PricedRequest:
    """One picture exactly as it is priced and sent, with nothing left to Vidgo's defaults.

    ``image_urls`` are the http(s) URLs of an edit's references, once they are known.
    """

    model: ModelName
    prompt: str
    quote: Quote
    image_urls: tuple[str, ...] = ()

    def with_image_urls(self, urls: Iterable[str]) -> Self:
        """Return the request with the URLs of its references, in their order."""
        return replace(self, image_urls=tuple(urls))


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A legal replacement for an illegal size, with its price in credits, and the crop that gives what was asked."""

    size: str
    resolution: Tier | None
    credits: int
    crop: str = ""

    def __str__(self) -> str:
        asked = f"{self.size} with resolution {self.resolution}" if self.resolution else self.size
        return f"{asked} costs {self.credits} credits{f' ({self.crop})' if self.crop else ''}"


class UnpriceableError(ValueError):
    """The combination of size and resolution breaks a rule, so it has no price.

    Attributes:
        field: the argument to change, ``size`` or ``resolution``.
        suggestions: legal replacements, each of them accepted at the price that it names.
    """

    def __init__(self, field: str, reason: str, suggestions: tuple[Suggestion, ...]) -> None:
        super().__init__(f"{reason}. Instead: {'; '.join(str(s) for s in suggestions)}.")
        self.field = field
        self.suggestions = suggestions


def price_request(request: GenerateArguments | ImageRequest, table: PriceTable = PUBLISHED) -> PricedRequest:
    """Return what is sent for a request, and its price. The URLs of references are added by ``with_image_urls``.

    Raises:
        InvalidRequestError: it has no price.
    """
    return PricedRequest(request.model, request.prompt, price_picture(request, table))


def price_picture(picture: Picture, table: PriceTable = PUBLISHED) -> Quote:
    """Return the price of one picture.

    Raises:
        InvalidRequestError: it has none.
    """
    try:
        return quote(parse_size(picture.size), picture.resolution, picture.quality, table)
    except UnpriceableError as error:
        raise InvalidRequestError(str(error), field=error.field) from None


def quote(size: Size, resolution: Tier | None, quality: Quality, table: PriceTable = PUBLISHED) -> Quote:
    """Return the exact price of one picture.

    Raises:
        UnpriceableError: a custom size breaks a rule, or its resolution does not fit.
    """
    if size.kind == "custom":
        _refuse_unpriceable(size, resolution, quality, table)
    tier, why = _effective_tier(size, resolution)
    note = f"{resolution} is billed as {tier} at {size}; ask {tier} for the same picture"
    if size.kind == "auto":
        note = f"auto ignores resolution {resolution}: it is 1K"
    notes = [] if resolution in {None, tier} else [note]
    if (quality, tier) in table.charged:
        notes.append(table.contradiction(quality, tier))
    price = table.price(quality, tier)
    explanation = f"{why}: {quality} {tier} costs {price} credits ({table.basis(quality, tier)})"
    return Quote(size, tier, quality, price, None if size.kind == "auto" else tier, explanation, tuple(notes))


def larger(size: Size, tier: Tier, quality: Quality, table: PriceTable) -> Suggestion | None:
    """Return the next larger picture of the same shape, with its price; None where there is none.

    ``size`` is a ratio, or the pixels that the picture has; of these the nearest ratio is taken.
    """
    shape = size if size.kind == "ratio" else parse_size(nearest_ratio(size.width, size.height))
    quotes = (quote(shape, wanted, quality, table) for wanted in TIERS[TIERS.index(tier) + 1 :])
    found = next((one for one in quotes if one.tier > tier), None)
    return None if found is None else Suggestion(str(shape), found.resolution, found.credits)


def _effective_tier(size: Size, resolution: Tier | None) -> tuple[Tier, str]:
    """Return the tier that is rendered and billed, and why."""
    if size.kind == "auto":
        return "1K", "size auto is always rendered and billed as 1K"
    if size.kind == "custom":
        if size.longest < LONGEST_EDGE:
            return "2K", f"exact pixels with a longest edge below {LONGEST_EDGE} are billed as 2K"
        return "4K", f"exact pixels with an edge of {LONGEST_EDGE} are 4K"
    if resolution is None:
        return "1K", f"{size} without resolution is rendered and billed as 1K"
    if resolution == "4K" and str(size) not in FULL_4K_RATIOS:
        return "2K", f"4K exists only for {', '.join(sorted(FULL_4K_RATIOS))}; {size} is rendered and billed as 2K"
    return resolution, f"{size} with resolution {resolution} is rendered and billed as {resolution}"


def _refuse_unpriceable(size: Size, resolution: Tier | None, quality: Quality, table: PriceTable) -> None:
    faults, needed = custom_size_faults(size.width, size.height), _needed(size)
    if faults:
        raise UnpriceableError("size", f"{size}: {'; '.join(faults)}", _replacements(size, resolution, quality, table))
    if resolution in {None, "1K"} or (resolution == "2K" and needed == "4K"):
        edge = f"has an edge of {LONGEST_EDGE} and " if resolution == "2K" else ""
        seen = f"{resolution} was given" if resolution else "none was given"
        reason = f"{size} {edge}needs resolution {needed}, {seen}"
        raise UnpriceableError("resolution", reason, _replacements(size, resolution, quality, table))


def _needed(size: Size) -> Tier:
    return "4K" if size.longest == LONGEST_EDGE else "2K"


def _replacements(size: Size, resolution: Tier | None, quality: Quality, table: PriceTable) -> tuple[Suggestion, ...]:
    """Return the nearest exact size, and the nearest ratio at the asked resolution."""
    ratio = parse_size(nearest_ratio(max(1, size.width), max(1, size.height)))
    # From the next larger multiples the size that was asked for can be cut.
    edges = (EDGE_STEP * math.ceil(edge / EDGE_STEP) for edge in (size.width, size.height))
    larger = Size("custom", *edges)
    legal = not custom_size_faults(larger.width, larger.height)
    exact = larger if legal else nearest_custom_size(size.width, size.height)
    by_pixels, by_ratio = quote(exact, _needed(exact), quality, table), quote(ratio, resolution, quality, table)
    return (
        Suggestion(str(exact), by_pixels.resolution, by_pixels.credits, _crop(exact, size)),
        Suggestion(str(ratio), by_ratio.resolution if resolution else None, by_ratio.credits),
    )


def _crop(exact: Size, asked: Size) -> str:
    """Return how to cut a picture to the size that was asked for; empty where it is not a little larger."""
    spare = {"columns": exact.width - asked.width, "rows": exact.height - asked.height}
    if exact == asked or not all(0 <= pixels < EDGE_STEP for pixels in spare.values()):
        return ""
    cut = " and ".join(f"{pixels} {edge}" for edge, pixels in spare.items() if pixels)
    return f"the user crops {cut} for {asked}"
