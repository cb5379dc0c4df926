"""The page of prices: every rule that decides what a picture costs, written from the rules themselves."""

from __future__ import annotations

from collections.abc import Sequence

from vidgo_mcp.journal import WINDOW
from vidgo_mcp.models import Size, Tier, parse_size
from vidgo_mcp.models.sizes import (
    EDGE_STEP,
    FEWEST_PIXELS,
    GREATEST_ASPECT,
    LONGEST_EDGE,
    MOST_PIXELS,
    QUALITIES,
    RATIOS,
    TIERS,
    nearest_custom_size,
)
from vidgo_mcp.pricing import FULL_4K_RATIOS, PriceTable, UnpriceableError, quote


def price_page(prices: PriceTable) -> str:
    """Return every rule of the price as Markdown in ASCII. Needs neither key nor network."""
    small, middle, large = TIERS
    full = [ratio for ratio in RATIOS if ratio in FULL_4K_RATIOS]
    others = [ratio for ratio in RATIOS if ratio not in FULL_4K_RATIOS]
    shapes = (
        ("auto (the default)", parse_size("auto")),
        (_listed(full), parse_size(full[0])),
        (_listed(others), parse_size(others[0])),
        (f"exact pixels, longest edge below {LONGEST_EDGE}", nearest_custom_size(LONGEST_EDGE // 2, LONGEST_EDGE // 2)),
        (f"exact pixels, longest edge {LONGEST_EDGE}", nearest_custom_size(LONGEST_EDGE, LONGEST_EDGE // 2)),
    )
    tiers = [(label, *(_tier(size, asked) for asked in (None, *TIERS))) for label, size in shapes]
    header = ("size", "no resolution", *(f"resolution {tier}" for tier in TIERS))
    return f"""\
# What a picture costs

Credits for one picture, by quality and tier ({prices.origin}):

{_table(prices.rows())}
{"".join(f"{chr(10)}{said}{chr(10)}" for said in prices.contradictions())}
## Which tier a size gets

The tier is what is rendered and billed. It follows from `size` and `resolution`:

{_table([header, *tiers])}

{large} exists only for {_listed(full)} and for exact pixels with an edge of {LONGEST_EDGE}; asked for elsewhere it is \
billed as {middle}, with auto as {small}. A refused call costs nothing.

## Exact sizes (WIDTHxHEIGHT)

- Both edges are multiples of {EDGE_STEP}.
- The longest edge is at most {LONGEST_EDGE}, and at most {GREATEST_ASPECT} times the shortest.
- Width times height is {FEWEST_PIXELS:,} to {MOST_PIXELS:,} pixels.

## What else matters for money

- An edit costs the same as a picture made from words, whatever pictures go in.
- One call makes one picture; each further variation costs again.
- A failed task is refunded.
- The same arguments again within {int(WINDOW // 3600)} hours return the picture already paid for, free.
- estimate_cost tells the exact price of any request, free.
"""


def _tier(size: Size, asked: Tier | None) -> str:
    try:
        return quote(size, asked, QUALITIES[0]).tier
    except UnpriceableError:
        return "refused"


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *body))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
