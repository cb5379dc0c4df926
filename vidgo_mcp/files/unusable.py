"""Why a file, or inline data, cannot be used as a picture."""

from __future__ import annotations


class UnusableError(Exception):
    """What was named cannot be used; the text is a sentence that says why, and what to do where that helps.

    It stands after the name of what it speaks of: "photo.png: it is empty".
    """
