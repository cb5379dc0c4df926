"""What the difference between two readings of the balance means: pure rules over frozen values.

Each picture of an account lies in exactly one interval between two readings, from which it follows what was taken for
it. Vidgo takes credits at the submit and returns them on failure; by its older pages it takes them at the end. So a
picture is compared when it has ended, and a lost answer a minute after it was sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vidgo_mcp.journal.entries import Entry
from vidgo_mcp.models.findings import BalanceFinding, ObservedPrice, Verdict
from vidgo_mcp.pricing import Cell

SETTLING: Final = 60.0
"""Seconds after which a submit whose answer was lost is believed to have cost what it costs."""
STUCK: Final = 600.0
"""Seconds after which a task that does not end keeps nothing else from being compared."""
READING_TURN: Final = 60.0
"""Seconds between two readings of one account's balance, over all processes."""
SHARED: Final = 24 * 3600.0
"""Seconds for which nothing is concluded after somebody else was seen to use the key."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The balance, and when it was read, in seconds since the epoch."""

    credits: float
    read_at: float
    shared_at: float | None = None
    """When somebody else was last seen to use the key."""

    def is_shared(self, now: float) -> bool:
        return self.shared_at is not None and now < self.shared_at + SHARED


@dataclass(frozen=True, slots=True)
class Look:
    """What the journal knows right before the balance is read: the last reading, and what was not compared since."""

    before: Reading | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an interval says.

    Attributes:
        findings: about each lost answer in it, by entry id.
        charged: what was taken for each picture in it, by entry id, where that follows.
        shared: somebody else used the key.
    """

    findings: Mapping[str, BalanceFinding] = field(default_factory=dict)
    charged: Mapping[str, int] = field(default_factory=dict)
    shared: bool = False


def reading_due_in(look: Look, now: float, *, opening: bool) -> float:
    """Return the seconds until the balance is to be read, unless something ends before; ``opening``: anything is news.

    It waits until nothing is under way. Only the very first reading counts all the same: there is nothing better.
    """
    if opening and look.before is None:
        return 0.0
    if not opening and not look.entries:
        return math.inf
    return max((_open_for(entry, now) for entry in look.entries), default=0.0)


def _open_for(entry: Entry, now: float) -> float:
    if entry.state in {"finished", "empty", "failed"}:
        return 0.0
    settling = SETTLING if entry.state == "unknown" else STUCK
    return max(0.0, (entry.sent_at or entry.created_at) + settling - now)


def straddles(entry: Entry, before: Mapping[str, Entry], now: float) -> bool:
    """Return whether a reading was taken while an entry was under way: it may show what was taken for it, or not."""
    if entry.sent_at is None:
        return False
    known = before.get(entry.id)
    return _open_for(entry, now) > 0 or known is None or known.state != entry.state


def compare(before: Reading, credits_left: float, entries: Sequence[Entry], now: float) -> Comparison:
    """Return what the fall of the balance between two readings means, given the pictures of the interval.

    Those that ``straddled`` the first reading may have been taken before it.
    """
    fell = round(before.credits - credits_left, 6)
    sent = [_as_seen(before, entry) for entry in entries if entry.sent_at is not None]
    others = not _explained(fell, sent)
    shared = others or before.is_shared(now)
    charged = {} if shared else _charged(fell, sent)
    certain = sum(amounts[0] for amounts in map(_amounts, sent) if len(amounts) == 1)
    readings = {"before": before.credits, "before_at": before.read_at, "after": credits_left, "after_at": now}
    said = {
        entry.id: BalanceFinding(
            _verdict(fell, entry, sent, shared=shared),
            **readings,
            others=certain,
            seconds=round(now - (entry.sent_at or now)),
        )
        for entry in sent
        if entry.state == "unknown"
    }
    return Comparison(said, charged, others)


def _as_seen(before: Reading, entry: Entry) -> Entry:
    """Return one that was put into the journal again after a reading, which may show what was taken for it."""
    return replace(entry, straddled=True) if (entry.sent_at or before.read_at) < before.read_at else entry


def observed(known: ObservedPrice, charged: int, said: int) -> tuple[ObservedPrice, bool]:
    """Take in what a picture was charged where the table says ``said``; return also whether it contradicts the last.

    Only what was seen twice in a row is believed.
    """
    in_force = said if known.charged is None else known.charged
    if charged == in_force:
        return replace(known, seen=None), False
    if charged == known.seen:
        return replace(known, charged=None if charged == said else charged, seen=None), False
    return replace(known, seen=charged), known.seen is not None


def _amounts(entry: Entry) -> tuple[int, ...]:
    """Return what may have been taken for an entry in the interval in which it is compared."""
    price = entry.intent.credits
    if entry.state == "failed":
        return (-price, 0, price) if entry.straddled else (0,)
    if entry.state in {"finished", "empty"} and not entry.straddled:
        return (price,)
    return (0, price)


def _sums(entries: Iterable[Entry]) -> frozenset[int]:
    sums = frozenset({0})
    for entry in entries:
        sums = frozenset(total + amount for total in sums for amount in _amounts(entry))
    return sums


def _verdict(fell: float, entry: Entry, sent: Sequence[Entry], *, shared: bool) -> Verdict:
    if shared:
        return "shared"
    others = _sums(other for other in sent if other.id != entry.id)
    paid, unpaid = fell - entry.intent.credits in others, fell in others
    if paid and not unpaid:
        return "paid"
    # What was taken before the first reading, the second one does not show.
    return "unpaid" if unpaid and not paid and not entry.straddled else "unclear"


def _explained(fell: float, sent: Sequence[Entry]) -> bool:
    """Return whether own pictures explain a difference; a rise is a top-up, which explains itself."""
    if fell <= 0 or fell in _sums(sent):
        return True
    late_refunds = sum(entry.intent.credits for entry in sent if entry.state == "failed")
    lost = any(entry.state not in {"finished", "empty", "failed"} for entry in sent)
    return bool(_candidates(fell, sent)) or lost or 0 < fell - max(_sums(sent)) <= late_refunds


def _candidates(fell: float, sent: Sequence[Entry]) -> frozenset[tuple[Cell, int, int]]:
    """Return what pictures of one quality and tier would have to cost, and how many, with all others as quoted."""
    found = set()
    for cell in {_cell(entry) for entry in sent if entry.state in {"finished", "empty"}}:
        here = [entry for entry in sent if _cell(entry) == cell and entry.state != "failed"]
        fewest = sum(len(_amounts(entry)) == 1 for entry in here)
        for rest in _sums(entry for entry in sent if entry not in here):
            for count in range(max(1, fewest), len(here) + 1):
                price, left = divmod(fell - rest, count)
                if price > 0 and not left:
                    found.add((cell, int(price), count))
    return frozenset(found)


def _charged(fell: float, sent: Sequence[Entry]) -> dict[str, int]:
    """Return what was taken for each picture, where there is only one answer to that."""
    made = [entry for entry in sent if entry.state in {"finished", "empty"}]
    certain = [entry for entry in made if not entry.straddled]
    if fell in _sums(sent):
        return {entry.id: entry.intent.credits for entry in certain}
    found = _candidates(fell, sent)
    if fell <= 0 or len(found) != 1:
        return {}
    [(cell, price, count)] = found
    here = [entry for entry in sent if _cell(entry) == cell and entry.state != "failed"]
    # How many were taken must not be a guess as well: among many counts one fits whatever somebody else spent.
    return {entry.id: price for entry in made if _cell(entry) == cell} if count == len(here) else {}


def _cell(entry: Entry) -> Cell:
    return entry.intent.quality, entry.intent.tier
