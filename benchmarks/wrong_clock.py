"""A wrong clock for a process, by libfaketime.

Not by its command ``faketime``: that refuses to start where an earlier process of the same id was killed.
"""

from __future__ import annotations

from pathlib import Path

_FOUND = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def available() -> bool:
    """Return whether libfaketime is installed where Debian and its like put it."""
    return bool(_FOUND)


def environment(skew: str) -> dict[str, str]:
    """Return what makes the clock of a process wrong by this much, such as ``+25h``; nothing for the empty skew."""
    return {"LD_PRELOAD": str(_FOUND[0]), "FAKETIME": skew} if skew else {}
