"""What is to be drawn, as data: kept when a picture is asked for, drawn when somebody looks at it."""

from dataclasses import dataclass, replace
from typing import Union

REFERENCE_DEPTH = 3
SHOWN_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a picture depends on: equal briefs give equal bytes.

    `references` are what an edit was made from: other pictures of the sandbox, or the bytes of uploads.
    """

    prompt: str
    width: int
    height: int
    quality: str
    tier: str
    seed: str = ""
    references: tuple[Union["Brief", bytes], ...] = ()

    def pruned(self, depth: int = REFERENCE_DEPTH) -> "Brief":
        """Leave out what cannot be seen any more: edits of edits would otherwise grow without bound."""
        seen = self.references[:SHOWN_REFERENCES] if depth else ()
        kept = (each.pruned(depth - 1) if isinstance(each, Brief) else each for each in seen)
        return replace(self, references=tuple(kept))
