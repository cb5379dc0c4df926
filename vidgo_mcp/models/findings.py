"""What the account's balance says: about a submit whose answer was lost, and about a price. Said, never acted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidgo_mcp.models.sizes import Quality, Tier

Verdict = Literal["pending", "paid", "unpaid", "unclear", "shared"]
"""``pending``: not compared yet; ``unclear``: it fits both, or neither; ``shared``: others use the key too."""


@dataclass(frozen=True, slots=True)
class BalanceFinding:
    """What two readings of the balance say about one lost answer. Times are seconds since the epoch.

    Attributes:
        verdict: what they say.
        before: the credits when the account was last quiet, None when nobody had read them.
        after: the credits a minute or more after the submit.
        others: what other pictures from here cost between the two readings.
        seconds: how long after the submit the second reading was, or while there is none, how long ago the submit is.
    """

    verdict: Verdict
    before: float | None = None
    before_at: float | None = None
    after: float | None = None
    after_at: float | None = None
    others: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class ObservedPrice:
    """What Vidgo charges for one quality and tier, as the balance shows it.

    Attributes:
        charged: what it charged twice in a row where the table says something else, None as long as it did not.
        seen: what the latest reading showed in place of the price in force, None when it showed that price.
    """

    quality: Quality
    tier: Tier
    charged: int | None = None
    seen: int | None = None
