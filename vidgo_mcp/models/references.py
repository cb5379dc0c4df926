"""What a reference picture can be: a URL, an earlier task, inline data, or a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

ReferenceKind = Literal["url", "task", "data", "file"]


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """A reference as it was given; ``value`` is the URL, the task id, the data URI or the path."""

    kind: ReferenceKind
    value: str


def read_reference(text: str) -> ReferenceSource:
    """Return what kind of reference a text is.

    Raises:
        ValueError: the text is none; its message says what is wrong.
    """
    lowered = text.lower()
    if lowered.startswith("task:"):
        task_id = text[len("task:") :].strip()
        if not task_id or not task_id.isprintable() or any(c.isspace() for c in task_id):
            raise ValueError("write task:<task_id>, with the task_id of an earlier result")
        return ReferenceSource("task", task_id)
    if lowered.startswith("data:"):
        return ReferenceSource("data", text)
    if lowered.startswith(("http:", "https:")):
        return ReferenceSource("url", _web_address(text))
    if lowered.startswith("file:"):
        return ReferenceSource("file", text)
    scheme = re.match(r"([a-z][a-z0-9+.-]+):", lowered)
    if scheme:
        raise ValueError(
            f"{scheme[1]}: addresses are not supported; use task:<task_id> or an http(s) URL (a file with a colon in "
            "its name is written ./name)"
        )
    return ReferenceSource("file", text)


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("that is not a valid URL") from None
    if not host or any(c.isspace() for c in text) or not text.isprintable():
        raise ValueError("that is not a valid URL; write it whole, with host and without spaces")
    if parts.username or parts.password:
        raise ValueError("a URL with a user name or password would hand them to Vidgo; use one without")
    return text
