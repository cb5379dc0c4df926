"""The exact price of every legal request: effective tier, price table, quote, priced request, legal replacements.

Source: the vendor's page on GPT Image 2, sections "Effective tier" and "Credits". Edits cost the same as generations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from vidgo_mcp.errors import InvalidRequestError
from vidgo_mcp.models.requests import GenerateArguments, ImageRequest, ModelName, Picture
from vidgo_mcp.models.sizes import (
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

PRICES: Final[Mapping[Quality, Mapping[Tier, int]]] = {
    "low": {"1K": 2, "2K": 4, "4K": 8},
    "medium": {"1K": 3, "2K": 6, "4K": 12},
    "high": {"1K": 12, "2K": 24, "4K": 48},
}
FULL_4K_RATIOS: Final = frozenset({"16:9", "9:16", "21:9"})


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
    """A legal replacement for an illegal size, with its price in credits."""

    size: str
    resolution: Tier | None
    credits: int

    def __str__(self) -> str:
        asked = f"{self.size} with resolution {self.resolution}" if self.resolution else self.size
        return f"{asked} costs {self.credits}"


class UnpriceableError(ValueError):
    """The combination of size and resolution breaks a rule, so it has no price.

    Attributes:
        field: the argument to change, ``size`` or ``resolution``.
        suggestions: legal replacements, each of them accepted at the price that it names.
    """

    def __init__(self, field: str, reason: str, suggestions: tuple[Suggestion, ...]) -> None:
        super().__init__(f"{reason}. Instead: {'; '.join(str(s) for s in suggestions)} credits.")
        self.field = field
        self.suggestions = suggestions


def price_request(request: GenerateArguments | ImageRequest) -> PricedRequest:
    """Return what is sent for a request, and its price. The URLs of references are added by ``with_image_urls``.

    Raises:
        InvalidRequestError: it has no price.
    """
    return PricedRequest(request.model, request.prompt, price_picture(request))


def price_picture(picture: Picture) -> Quote:
    """Return the price of one picture.

    Raises:
        InvalidRequestError: it has none.
    """
    try:
        return quote(parse_size(picture.size), picture.resolution, picture.quality)
    except UnpriceableError as error:
        raise InvalidRequestError(str(error), field=error.field) from None


def quote(size: Size, resolution: Tier | None, quality: Quality) -> Quote:
    """Return the exact price of one picture.

    Raises:
        UnpriceableError: a custom size breaks a rule, or its resolution does not fit.
    """
    if size.kind == "auto":
        notes = (f"auto ignores resolution {resolution}: it is 1K",) if resolution in {"2K", "4K"} else ()
        return _quote(size, "1K", quality, None, "size auto is always rendered and billed as 1K", notes)
    if size.kind == "ratio":
        return _quote_ratio(size, resolution, quality)
    return _quote_custom(size, resolution, quality)


def _quote_ratio(size: Size, resolution: Tier | None, quality: Quality) -> Quote:
    if resolution is None or resolution == "1K":
        asked = "without resolution" if resolution is None else "with resolution 1K"
        return _quote(size, "1K", quality, "1K", f"{size} {asked} is rendered and billed as 1K")
    if resolution == "4K" and str(size) not in FULL_4K_RATIOS:
        return _quote(
            size,
            "2K",
            quality,
            "2K",
            f"4K exists only for {', '.join(sorted(FULL_4K_RATIOS))}; {size} is rendered and billed as 2K",
            (f"4K is billed as 2K at {size}; ask 2K for the same picture",),
        )
    return _quote(
        size,
        resolution,
        quality,
        resolution,
        f"{size} with resolution {resolution} is rendered and billed as {resolution}",
    )


def _quote_custom(size: Size, resolution: Tier | None, quality: Quality) -> Quote:
    broken = custom_size_faults(size.width, size.height)
    if broken:
        raise UnpriceableError("size", f"{size}: {'; '.join(broken)}", _replacements(size, resolution, quality))
    if resolution is None or resolution == "1K":
        seen = "none was given" if resolution is None else "1K was given"
        raise UnpriceableError(
            "resolution", f"{size} needs resolution {_needed(size)}, {seen}", _replacements(size, resolution, quality)
        )
    if size.longest < LONGEST_EDGE:
        notes = (f"4K is billed as 2K at {size}; ask 2K for the same picture",) if resolution == "4K" else ()
        explanation = f"exact pixels with a longest edge below {LONGEST_EDGE} are billed as 2K"
        return _quote(size, "2K", quality, "2K", explanation, notes)
    if resolution == "2K":
        raise UnpriceableError(
            "resolution",
            f"{size} has an edge of {LONGEST_EDGE} and needs resolution 4K, 2K was given",
            _replacements(size, resolution, quality),
        )
    return _quote(size, "4K", quality, "4K", f"exact pixels with an edge of {LONGEST_EDGE} are 4K")


def _quote(
    size: Size, tier: Tier, quality: Quality, resolution: Tier | None, why: str, notes: tuple[str, ...] = ()
) -> Quote:
    price = PRICES[quality][tier]
    return Quote(size, tier, quality, price, resolution, f"{why}: {quality} {tier} costs {price} credits", notes)


def _needed(size: Size) -> Tier:
    return "4K" if size.longest == LONGEST_EDGE else "2K"


def _replacements(size: Size, resolution: Tier | None, quality: Quality) -> tuple[Suggestion, ...]:
    """Return the nearest ratio at the asked resolution, and the nearest exact size."""
    ratio = parse_size(nearest_ratio(max(1, size.width), max(1, size.height)))
    by_ratio = quote(ratio, resolution, quality)
    resolution_for_ratio = by_ratio.resolution if resolution else None
    exact = size if not custom_size_faults(size.width, size.height) else nearest_custom_size(size.width, size.height)
    by_pixels = quote(exact, _needed(exact), quality)
    return (
        Suggestion(str(ratio), resolution_for_ratio, by_ratio.credits),
        Suggestion(str(exact), _needed(exact), by_pixels.credits),
    )


def price_table() -> tuple[tuple[str, ...], ...]:
    """Return the price table as rows of text, header first, credits per picture."""
    return (("quality", *TIERS), *((q, *(str(PRICES[q][t]) for t in TIERS)) for q in QUALITIES))
