"""Vidgo's job as it was last read: the vendor's words, in our shape."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from vidgo_mcp.foreign_text import plain_text

PENDING_WORDS: Final = frozenset({"not_started", "running"})
DOCUMENTED_WORDS: Final = PENDING_WORDS | {"finished", "failed"}

_WORD: Final = re.compile(r"[\w -]{1,40}")
TASK_ID_RULE: Final = "1 to 200 of the characters A-Z a-z 0-9 . _ : -"
# What begins like a reference is read as one.
_TASK_ID: Final = re.compile(r"(?!task:)[A-Za-z0-9._:-]{1,200}", re.IGNORECASE | re.ASCII)
CUT: Final = "..."
"""Stands for the rest of an id where an answer broke off."""

TaskPhase = Literal["pending", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Task:
    """One reading of a task.

    Attributes:
        task_id: keeps to the rule for task ids; of a vendor's id that breaks it, a short name of our own.
        vendor_id: that id, by which alone Vidgo knows the task; None of an ordinary one.
        status: the vendor's word, also one that is not documented.
        progress: 0 to 100, None when the vendor gives none.
        file_urls: empty until the task has finished, and against expectation sometimes then too.
        error_message: the vendor's words on a failed task.
        answer: what this was read from, shortened, where not all of it was understood.
    """

    task_id: str
    status: str
    progress: int | None = None
    file_urls: tuple[str, ...] = ()
    error_message: str | None = None
    answer: str | None = field(default=None, compare=False, repr=False)
    vendor_id: str | None = field(default=None, repr=False)

    @property
    def phase(self) -> TaskPhase:
        """What a picture that is there ends, and what only Vidgo's own word does.

        While Vidgo says that it is still at it, a picture may be a preview. A failed task is refunded and may be paid
        for again, so only the documented word says that. From any other word nothing is concluded, but a picture that
        comes with it is there.
        """
        word = status_word(self.status)
        if word in {"finished", "failed"}:
            return "finished" if word == "finished" else "failed"
        return "finished" if self.file_urls and word not in PENDING_WORDS else "pending"

    @property
    def is_plain(self) -> bool:
        """Whether the reading says all there is to say: a documented word, with what belongs to it."""
        word = status_word(self.status)
        if word not in DOCUMENTED_WORDS or (word == "failed" and self.error_message is None):
            return False
        return bool(self.file_urls) == (word == "finished")


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


def named_status(status: str) -> str:
    """Return the vendor's word for a task, or a description of what is not a word, such as a sentence."""
    word = plain_text(status)
    if not word or is_word(word):
        return word
    return f"a status of {len(status)} characters that is no word"


def is_word(status: str) -> bool:
    """Return whether a status is one to three words that may be repeated."""
    return _WORD.fullmatch(status) is not None and len(status_word(status).split("_")) <= 3


def status_word(status: str) -> str:
    """Return the vendor's word as its documents write it: ``Not Started`` is ``not_started``."""
    return "_".join(status.replace("_", " ").replace("-", " ").casefold().split())


def is_task_id(text: str) -> bool:
    """Return whether a text keeps to the rule for task ids: it can stand in a line, a path and an address as it is."""
    return _TASK_ID.fullmatch(text) is not None and text.strip(".") != ""


def names_of(vendors: str) -> tuple[str, str | None]:
    """Return how a task is called here, and the vendor's id where that is another.

    An id that breaks the rule could forge lines of a result, or fill it; the task is paid for all the same.
    """
    if is_task_id(vendors):
        return vendors, None
    return f"x-{hashlib.sha256(vendors.encode()).hexdigest()[:16]}", vendors


def logged_id(task_id: str | None) -> str:
    """Return how a log names a task: whoever has the whole id can fetch its picture, without a key."""
    return f"...{(task_id or '')[-8:]}"
