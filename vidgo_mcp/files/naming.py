"""Names the file of a finished picture, so that a person recognises it and every system takes it.

One name suits Windows, macOS and Linux at once, because folders are synchronised, zipped and put on USB sticks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Final
from unicodedata import category, normalize

WORDS_BYTES: Final = 72
"""The most bytes of a prompt, in UTF-8. macOS may take letters apart, which makes up to three bytes of each one: even
then a name stays below 255 bytes, the usual limit of a file system."""
NO_WORDS: Final = "picture"
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that are not seen, such as fillers and variation selectors: Default_Ignorable_Code_Point of
https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt as far as it is not format or unassigned."""


def file_name(*, day: date, prompt: str, task_id: str, extension: str, number: int = 1) -> str:
    """Return the name of a picture: the day, the first words of its prompt and a short id of its task.

    Args:
        day: when it was made.
        prompt: what it shows.
        task_id: of any form; told apart by its last 8 ASCII letters and digits, whatever their case.
        extension: with its dot, such as ``.png``.
        number: 2 and more are for when the names before are taken.
    """
    again = "" if number == 1 else f"-{number}"
    return f"{day:%Y-%m-%d}-{_words(prompt)}-{_short_id(task_id)}{again}{extension}"


def _words(prompt: str) -> str:
    """Return the letters and digits that a prompt begins with, in NFC, with one ``-`` for what is between them."""
    characters = _characters(prompt)
    fitting = _fitting(characters)
    if fitting < len(characters) and characters[fitting] != "-":
        # A sentence without blanks is one word, so an end between words must not cost most of the name.
        ends = [place for place in range(fitting // 2, fitting) if characters[place] == "-"]
        fitting = ends[-1] if ends else fitting
    return "".join(characters[:fitting]).strip("-") or NO_WORDS


def _characters(prompt: str) -> Sequence[str]:
    """Return what a person sees as one each: a letter or digit with its marks, or a ``-``."""
    # What is not seen goes first: it stands inside words, and keeps letters and marks from being composed.
    seen = "".join(c for c in _UNSEEN.sub("", prompt) if category(c) != "Cf")
    found: list[str] = []
    for character in normalize("NFC", seen):
        kind = category(character)
        if kind[0] == "L" or kind == "Nd":
            found.append(character)
        elif kind in {"Mn", "Mc"} and found and found[-1] != "-":
            found[-1] += character
        elif found and found[-1] != "-":
            found.append("-")
    return found


def _fitting(characters: Sequence[str]) -> int:
    """Return how many of the characters fit into a name."""
    size = 0
    for count, character in enumerate(characters):
        size += len(character.encode())
        if size > WORDS_BYTES:
            return count
    return len(characters)


def _short_id(task_id: str) -> str:
    plain = re.sub("[^0-9A-Za-z]", "", task_id)
    if len(plain) < 4:
        return sha256(task_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return plain[-8:].lower()
