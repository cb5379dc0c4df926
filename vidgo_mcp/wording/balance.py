"""What the account's balance says about a submit whose answer was lost, in one or two sentences."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.service.task_results import timestamp
from vidgo_mcp.wording.remedies import Reader

OVERDUE: Final = 300
"""Seconds after which a comparison that did not take place is no longer promised."""


def balance_sentence(finding: BalanceFinding | None, price: int | None, reader: Reader) -> str:
    """Return what the balance says of a picture that costs ``price``; empty where there is nothing to say."""
    if finding is None:
        return ""
    if finding.verdict == "pending":
        known = finding.before is not None
        before = f"The balance was {_reading(finding.before, finding.before_at, reader)} before it. " * known
        it = "it" if before else "the balance"
        if finding.seconds > OVERDUE:
            why = "it cannot be read, or pictures are still being made."
            return f"{before}Whether it was paid cannot be told yet: the balance was not compared since; {why}"
        if reader == "person":
            return f"{before}`vidgo-mcp doctor` compares {it}, from a minute after the submit on."
        when = "is compared about a minute after the submit; then get_task without task_id says whether it fell."
        return f"{before}{it.capitalize()} {when}"
    after = _reading(finding.after, finding.after_at, reader)
    if finding.before is None:
        return f"Whether it was paid cannot be told: no balance is known from before it; it was {after}."
    fell = finding.before - (finding.after or 0)
    moved = f"The balance went from {_reading(finding.before, finding.before_at, reader)} to {after}"
    others = f", of which other pictures from here cost {finding.others}" * bool(finding.others)
    if finding.verdict == "shared":
        return f"Whether it was paid cannot be told: others use this key too. {moved}{others}."
    if finding.verdict == "paid":
        exactly = fell - finding.others == price
        what = f"fell by {price}, the price of this picture" if exactly else f"fell by {_number(fell)}"
        rest = others if not exactly else f" ({_number(fell)} with other pictures from here)" * bool(finding.others)
        return f"The balance {what}{rest}: it was very probably paid."
    if finding.verdict == "unpaid":
        moves = (
            "did not move" if fell == 0 else f"fell by {_number(fell)} for other pictures from here, and no further,"
        )
        return f"The balance {moves} in {finding.seconds} s: it was probably not paid."
    return f"Whether it was paid cannot be told. {moved}{others}; its price is {price}."


def _reading(credits_left: float | None, at: float | None, reader: Reader) -> str:
    if credits_left is None or at is None:
        return "unknown"
    when = timestamp(at)
    if reader == "person":
        when = datetime.fromisoformat(when).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{_number(credits_left)} ({when})"


def _number(amount: float) -> str:
    return str(int(amount) if amount == int(amount) else amount)
