"""What the operator allows to be spent, per call and per rolling 24 hours, and the words in which it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidgo_mcp.errors import BudgetError, Facts
from vidgo_mcp.journal import Exhausted
from vidgo_mcp.service.task_results import timestamp

BudgetMode = Literal["off", "warn", "enforce"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in credits; None is no limit. In mode ``warn`` they are only mentioned."""

    per_call: int | None = None
    per_day: int | None = None
    mode: BudgetMode = "off"

    @property
    def enforced_day(self) -> int | None:
        """The daily limit that binds, for the atomic step that reserves."""
        return self.per_day if self.mode == "enforce" else None

    def check_call(self, price: int) -> list[str]:
        """Return a warning about the price of one call, if there is one.

        Raises:
            BudgetError: the price is above the limit per call, and limits bind.
        """
        if self.mode == "off" or self.per_call is None or price <= self.per_call:
            return []
        if self.mode == "warn":
            return [f"This picture costs {price} credits, more than the {self.per_call} that the user wants per call."]
        raise BudgetError(
            f"This picture costs {price} credits and the user's limit per call is {self.per_call}; nothing was sent.",
            remedy="raise_call_budget",
            facts=Facts(price=price, limit=self.per_call),
        )

    def left(self, spent: int) -> int | None:
        """Return the credits left of the day, None without a daily limit."""
        if self.mode == "off" or self.per_day is None:
            return None
        return max(0, self.per_day - spent)

    def receipt(self, spent: int) -> list[str]:
        """Return what a call that paid says about the day."""
        if self.mode == "off" or self.per_day is None:
            return [f"The last 24 hours cost {spent} credits."]
        if spent > self.per_day:
            return [f"The last 24 hours cost {spent} credits, more than the {self.per_day} that the user wants."]
        return [
            f"The last 24 hours cost {spent} credits; {self.per_day - spent} are left of the user's {self.per_day}."
        ]

    def refusal(self, price: int, full: Exhausted) -> BudgetError:
        """Return the error for a price that the day has no room for."""
        assert self.per_day is not None
        left = max(0, self.per_day - full.spent)
        if full.frees_at is None:
            when = "A picture of this price never fits into it."
            affordable = self.per_day
        else:
            when = f"Enough for this picture becomes free at {timestamp(full.frees_at)}."
            affordable = left
        return BudgetError(
            f"This picture costs {price} credits; the last 24 hours cost {full.spent} of the user's {self.per_day}, "
            f"{left} are left. {when} Nothing was sent.",
            remedy="raise_day_budget",
            facts=Facts(price=price, limit=self.per_day, affordable=affordable),
        )
