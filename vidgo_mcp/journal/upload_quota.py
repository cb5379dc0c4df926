"""How fast a key may upload, over all processes that share a journal: pure rules that every keeper shares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

UPLOADS_PER_MINUTE: Final = 5
"""As many as Vidgo takes from one key before it answers 429."""
MINUTE: Final = 61.0
"""Seconds in which so many may begin. Vidgo counts when they arrive: one that was slow to get there must not make the
sixth come a little less than a minute after it."""
LONGEST_HOLD: Final = 300.0
"""Seconds of waiting that are believed; a vendor who asks for more is asked again after that."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When the last uploads of an account began, oldest first, and from when to when none may begin.

    Times are seconds since the epoch.
    """

    turns: tuple[float, ...] = ()
    held_from: float = 0.0
    held_until: float = 0.0


def settled(pace: Pace, now: float) -> Pace:
    """Return what still matters. What a clock that was set back left in the future began just now."""
    turns = tuple(min(began, now) for began in pace.turns if began + MINUTE > now)
    if pace.held_until <= now:
        return Pace(turns)
    back = max(pace.held_from - now, 0.0)
    return Pace(turns, pace.held_from - back, pace.held_until - back)


def turn(pace: Pace, now: float) -> tuple[Pace, float]:
    """Return the pace after somebody asked for a turn, and 0.0 or the seconds until one may be free."""
    pace = settled(pace, now)
    full = len(pace.turns) >= UPLOADS_PER_MINUTE
    wait = max(pace.held_until, pace.turns[0] + MINUTE if full else now) - now
    return (pace, wait) if wait > 0 else (replace(pace, turns=(*pace.turns, now)), 0.0)


def hold(pace: Pace, seconds: float, now: float) -> Pace:
    """Return the pace with a hold; of two, the later end counts."""
    pace = settled(pace, now)
    until = now + min(seconds, LONGEST_HOLD)
    return replace(pace, held_from=now, held_until=until) if until > pace.held_until else pace
