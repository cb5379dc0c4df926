"""Asking the person before an expensive picture: what is asked, how it can end, and that only a yes in time spends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from vidgo_mcp.errors import Consent, DeclinedError, Remedy

Verdict = Consent | Literal["accepted"]

PROMPT_SHOWN: Final = 120


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
        shown = " ".join(self.prompt.split())
        shown = shown if len(shown) <= PROMPT_SHOWN else f"{shown[: PROMPT_SHOWN - 3]}..."
        day = (
            f"{self.left} credits are left of the day's budget" if self.left is not None else "there is no daily limit"
        )
        return (
            f"Spend {self.credits} credits on one picture ({self.shape})?\n\n{shown}\n\n"
            f"The last 24 hours cost {self.spent} credits; {day}."
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """How asking ended; ``ticket`` names an acceptance, so that it is used once."""

    verdict: Verdict
    ticket: str = ""


Ask = Callable[[Question], Awaitable[Answer]]


async def cannot_ask(question: Question) -> Answer:
    """Answer for a caller that has no person to ask."""
    return Answer("cannot_ask")


_WORDS: Final[dict[Consent, tuple[str, Remedy]]] = {
    "declined": ("The user declined", "respect_refusal"),
    "dismissed": ("The user closed the question without an answer", "ask_user"),
    "no_answer": ("The user did not tick the box in time", "ask_user"),
    "cannot_ask": ("The user must agree to pictures of this price, and this client cannot ask", "raise_confirm_above"),
}


def refusal(verdict: Consent, price: int, threshold: int) -> DeclinedError:
    """Return the error for a question that did not end in an acceptance."""
    happened, remedy = _WORDS[verdict]
    return DeclinedError(
        f"{happened}: it costs {price} credits, and above {threshold} the user is asked first. Nothing was sent.",
        consent=verdict,
        remedy=remedy,
    )


def already_used(price: int) -> DeclinedError:
    """Return the error for an answer that has let a picture through before."""
    return DeclinedError(
        f"The user's agreement was already used; it costs {price} credits each time. Nothing was sent.",
        consent="no_answer",
        remedy="repeat",
    )
