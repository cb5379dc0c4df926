"""Vidgo's job as it was last read: the vendor's words, in our shape."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

TaskPhase = Literal["pending", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Task:
    """One reading of a task.

    Attributes:
        status: the vendor's word, also one that is not documented.
        progress: 0 to 100, None when the vendor gives none.
        file_urls: empty until the task has finished, and against expectation sometimes then too.
        error_message: the vendor's words on a failed task.
    """

    task_id: str
    status: str
    progress: int | None = None
    file_urls: tuple[str, ...] = ()
    error_message: str | None = None

    @property
    def phase(self) -> TaskPhase:
        """A word that is not documented counts as pending: nothing is concluded from it."""
        return "finished" if self.status == "finished" else "failed" if self.status == "failed" else "pending"


@dataclass(frozen=True, slots=True)
class Upload:
    """A reference picture that Vidgo keeps for 72 hours, or for the ``lifetime`` in seconds that it names."""

    file_url: str
    lifetime: float | None = None


_CONTENT = re.compile(
    r"content.{0,20}(filter|not allowed|blocked)|polic(y|ies)|moderat|safety|nsfw|prohibited|inappropriate|sensitive"
    r"|disallowed|flagged|harmful|sexual|violen(t|ce)|violat|public figure|copyright",
    re.IGNORECASE,
)


def refuses_content(words: str | None) -> bool:
    """Return whether the vendor's words for a failure seem to be about what the picture shows.

    A guess that only chooses what is advised: the documents give one example, "content policy violation".
    """
    return words is not None and _CONTENT.search(words) is not None


def logged_id(task_id: str | None) -> str:
    """Return how a log names a task: whoever has the whole id can fetch its picture, without a key."""
    return f"...{(task_id or '')[-8:]}"
