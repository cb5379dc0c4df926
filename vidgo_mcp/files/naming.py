"""Names the file of a finished picture, so that a person recognises it and every system takes it.

One name suits Windows, macOS and Linux at once, because folders are synchronised, zipped and put on USB sticks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from itertools import accumulate
from typing import Final
from unicodedata import category, normalize

WORDS_BYTES: Final = 72
"""The most bytes of a prompt, in UTF-8. macOS may take letters apart, which makes up to three bytes of each one: even
then a name stays below 255 bytes, the usual limit of a file system."""


def file_name(*, day: date, prompt: str, task_id: str, extension: str, number: int = 1) -> str:
    """Return the name of a picture: the day, the first words of its prompt and a short id of its task.

    A task is told apart by its last 8 ASCII letters and digits, whatever their case. The extension has its dot. A
    number of 2 and more is for when the names before are taken.
    """
    short_id = re.sub("[^0-9A-Za-z]", "", task_id)[-8:].lower()
    parts = [f"{day:%Y-%m-%d}", _words(prompt), short_id, str(number) if number > 1 else ""]
    return "-".join(filter(None, parts)) + extension


def _words(prompt: str) -> str:
    """Return the letters and digits that a prompt begins with, in NFC, with one ``-`` for what is between them."""
    characters = _characters(prompt)
    sizes = accumulate(len(character.encode()) for character in characters)
    fitting = sum(size <= WORDS_BYTES for size in sizes)
    if fitting < len(characters) and characters[fitting] != "-":
        # A sentence without blanks is one word, so an end between words must not cost most of the name.
        ends = [place for place in range(fitting // 2, fitting) if characters[place] == "-"]
        fitting = ends[-1] if ends else fitting
    return "".join(characters[:fitting]).strip("-") or "picture"


def _characters(prompt: str) -> Sequence[str]:
    """Return what a person sees as one each: a letter or digit with its marks, or a ``-``."""
    # Joiners and the like stand inside words, and keep letters and marks from being composed.
    seen = "".join(character for character in prompt if category(character) != "Cf")
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
