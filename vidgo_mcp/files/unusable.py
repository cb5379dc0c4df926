"""Why a file, or inline data, cannot be used as a picture."""

from __future__ import annotations

from vidgo_mcp.errors import Remedy


class UnusableError(Exception):
    """What was named cannot be used. The text follows the name of what it is about: "photo.png: it is empty".

    Attributes:
        reason: why, as a clause without a full stop.
        advice: what to name or do instead, where there is more to say than the reason.
        remedy: the code for what to do next, where a setting stands in the way.
    """

    def __init__(self, reason: str, advice: str | None = None, *, remedy: Remedy | None = None) -> None:
        super().__init__(reason if advice is None else f"{reason}: {advice}")
        self.reason = reason
        self.advice = advice
        self.remedy = remedy
