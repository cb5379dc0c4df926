"""What may be spent without further questions: budgets, and the price above which the person is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from vidgo_mcp.errors import BudgetError, Consent, DeclinedError, Facts, Remedy
from vidgo_mcp.foreign_text import quoted
from vidgo_mcp.journal import Exhausted
from vidgo_mcp.service.task_results import timestamp

Refused = Consent | Literal["no_way_back"]
"""``no_way_back``: the client may be able to ask, but its connection leaves no way to."""
Verdict = Refused | Literal["accepted"]

PROMPT_SHOWN: Final = 120
UNLIMITED_TOLD_ABOVE: Final = 12
"""Credits. Above, a receipt says that its call had no limit of its own: clients drop a mistyped ``max_credits``."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in credits; None is no limit. In mode ``warn`` they are only mentioned."""

    per_call: int | None = None
    per_day: int | None = None
    mode: Literal["off", "warn", "enforce"] = "off"

    @property
    def enforced_day(self) -> int | None:
        """The daily limit that binds."""
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

    def affordable(self, price: int, spent: int) -> int | None:
        """Return how many pictures of a price the limits still allow, None where none binds."""
        if self.mode != "enforce":
            return None
        if self.per_call is not None and price > self.per_call:
            return 0
        left = self.left(spent)
        return None if left is None else left // price

    def in_words(self, spent: int, price: int | None = None) -> list[str]:
        """Return what the limits are and still allow, of pictures of a price if there is one; empty without limits."""
        left = self.left(spent)
        limits = [
            *([] if self.per_call is None else [f"{self.per_call} credits a picture (VIDGO_BUDGET_PER_CALL)"]),
            *([] if left is None else [f"{left} left of {self.per_day} in any 24 h (VIDGO_BUDGET_PER_DAY)"]),
        ]
        if self.mode == "off" or not limits:
            return []
        many = None if price is None else self.affordable(price, spent)
        allowed = "" if many is None else f", so {many or 'none'} of these {'fits' if many == 1 else 'fit'}"
        raised = (
            "Only the user can raise them, in this server's settings."
            if self.mode == "enforce"
            else "They warn; they refuse nothing."
        )
        return [f"The user's limits: {', '.join(limits)}{allowed}. {raised}"]

    def receipt(self, spent: int) -> list[str]:
        """Return what a call that paid says about the day."""
        if self.mode == "off" or self.per_day is None:
            return [f"Spent in 24 h: {spent} credits."]
        more = ", more than the user wants" if spent > self.per_day else ""
        return [f"Spent in 24 h: {spent} of the user's {self.per_day} credits{more}."]

    def refusal(self, price: int, full: Exhausted) -> BudgetError:
        """Return the error for a price that the day has no room for."""
        left = self.left(full.spent)
        when = (
            "A picture of this price never fits into it."
            if full.frees_at is None
            else f"Enough for this picture becomes free at {timestamp(full.frees_at)}."
        )
        return BudgetError(
            f"This picture costs {price} credits; the last 24 hours cost {full.spent} of the user's {self.per_day}, "
            f"{left} are left. {when} Nothing was sent.",
            remedy="raise_day_budget",
            facts=Facts(price=price, limit=self.per_day, affordable=left),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows: budgets, and the price above which the person is asked (None: never)."""

    budget: Budget = field(default_factory=Budget)
    confirm_above: int | None = None


def check_max_credits(max_credits: int | None, price: int) -> None:
    """Refuse a price above the caller's own limit for this call.

    Raises:
        BudgetError: it is above.
    """
    if max_credits is None or price <= max_credits:
        return
    message = (
        f"This picture has not been paid for yet, and max_credits is 0; it would cost {price} credits."
        if max_credits == 0
        else f"This picture costs {price} credits and max_credits is {max_credits}; nothing was sent."
    )
    raise BudgetError(
        message, field="max_credits", remedy="raise_max_credits", facts=Facts(price=price, limit=max_credits)
    )


@dataclass(frozen=True, slots=True)
class Question:
    """What the person is asked about; ``left`` is what the day's budget has left, None without one."""

    credits: int
    prompt: str
    shape: str
    spent: int
    left: int | None

    def text(self) -> str:
        """Return the question as it is shown."""
        day = "there is no daily limit" if self.left is None else f"{self.left} credits are left of the day's budget"
        # The price stands on both sides of what a model wrote. No blank lines: some clients cut what comes after them.
        return (
            f"Spend {self.credits} credits on one picture ({self.shape})?\n"
            f"Prompt: {quoted(self.prompt, PROMPT_SHOWN)}\n"
            f"Price: {self.credits} credits. The last 24 hours cost {self.spent} credits; {day}."
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """How asking ended; ``ticket`` names an acceptance, so that it is used once."""

    verdict: Verdict
    ticket: str = ""


Ask = Callable[[Question], Awaitable[Answer]]


class CallInterrupted(Exception):  # noqa: N818  # not an error: an edge that asks by ending the call raises it
    """Passes from ``Ask`` through the service, which has recorded nothing yet."""


async def cannot_ask(question: Question) -> Answer:
    """Answer for a caller that has no person to ask."""
    return Answer("cannot_ask")


_MUST_AGREE: Final = "The user must agree to pictures of this price, and "
# A client that runs without a person answers in their place, so nothing is said of what the user did.
_ENDINGS: Final[dict[Refused, tuple[str, Remedy]]] = {
    "declined": ("The question was declined", "respect_refusal"),
    "dismissed": ("The question was closed without an answer", "ask_user"),
    "no_answer": ("The question came back without the box ticked, or not in time", "ask_user"),
    "cannot_ask": (f"{_MUST_AGREE}this client cannot ask", "raise_confirm_above"),
    "no_way_back": (
        f"{_MUST_AGREE}over HTTP there is no way to ask a client that speaks a protocol older than 2026-07-28",
        "raise_confirm_above",
    ),
}


def refused_consent(verdict: Refused, price: int, threshold: int) -> DeclinedError:
    """Return the error for a question that did not end in an acceptance."""
    happened, remedy = _ENDINGS[verdict]
    return DeclinedError(
        f"{happened}: it costs {price} credits, and above {threshold} the user is asked first. Nothing was sent.",
        consent="cannot_ask" if verdict == "no_way_back" else verdict,
        remedy=remedy,
        facts=Facts(price=price, limit=threshold),
    )


def used_consent(price: int) -> DeclinedError:
    """Return the error for an answer that has let a picture through before."""
    return DeclinedError(
        f"The user's agreement was already used; it costs {price} credits each time. Nothing was sent.",
        consent="no_answer",
        remedy="repeat",
    )
