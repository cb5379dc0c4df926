"""What a reference picture can be: a URL, an earlier task, inline data, or a file, in all the forms they come in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from vidgo_mcp.models.tasks import TASK_ID_RULE, is_task_id
from vidgo_mcp.models.urls import is_public_host

ReferenceKind = Literal["url", "task", "data", "file"]

_ADDRESS: Final = r"(?:https?://|file:/|task:|data:image/)"
_BEGINS: Final = re.compile(_ADDRESS, re.IGNORECASE)
_BETWEEN: Final = re.compile(
    rf"""["'\s,;|](?<![\s,;|][\s,;|])[\s,;|]*+(?<=[\s,;|])["']?(?={_ADDRESS})""", re.IGNORECASE
)
"""What stands between two addresses of one text. A comma before anything else belongs to its address. It begins with
one of a set, which is found quickly in megabytes of inline data."""
_SEPARATORS: Final = " ,;|\t\r\n"
MOST_SEPARATORS: Final = 500_000
"""Of one text; inline data in short lines has fewer."""
MOST_PARTS: Final = 1000
_BARE: Final = (
    (re.compile(r"image/[\w.+-]{1,100};base64,", re.IGNORECASE), "data:"),
    (re.compile(r"base64,", re.IGNORECASE), "data:image/png;"),
    (re.compile(r"(?:iVBORw0KGgo|[/_]9j[/_]|R0lGOD[dl]h|UklGR)[\w+/=-]{20}", re.ASCII), "data:image/png;base64,"),
)
"""How inline data begins that has lost its beginning, and what it has lost. The last is a PNG, JPEG, GIF or WebP in
base64; of a picture's kind only its bytes are believed."""
LONGEST_URL: Final = 8192
"""Characters of a reference; servers take no longer one, and a host name of a megabyte takes seconds to read."""
LONGEST_NAME: Final = 100
"""Characters in which the name of a scheme has to end."""
_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_CLOSING: Final = str.maketrans("\u201c\u2018", "\u201d\u2019")


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """A reference as it was given; ``value`` is the URL, the task id, the data URI or the path."""

    kind: ReferenceKind
    value: str


def split_references(text: str) -> list[str]:
    """Return the references that one text names, without quotes around them.

    It is more than one where each part is an address. A path may have any separator in it, so none is cut.
    """
    text = _unquoted(text.strip())
    # Inline data has one colon and is long; counting is quick.
    if text.count(":") < 2 or not _BEGINS.match(text) or sum(map(text.count, _SEPARATORS)) > MOST_SEPARATORS:
        return [text]
    parts = _BETWEEN.split(text, MOST_PARTS)
    if len(parts) > 1:
        parts[-1] = parts[-1].rstrip(" ,;|\"'")
    return parts


def _unquoted(text: str) -> str:
    """Return a text without the quotes that enclose it, as Windows copies a path."""
    inner = text.strip(_QUOTES + " ")
    if not inner:
        return text
    start = text.index(inner)
    opening, closing = text[:start].replace(" ", ""), text[start + len(inner) :].replace(" ", "")
    return inner if opening[::-1].translate(_CLOSING) == closing else text


def check_reach(source: ReferenceSource) -> None:
    """Refuse a URL that only this machine, or its network, can open.

    Raises:
        ValueError: Vidgo, which fetches it, would be paid and find nothing.
    """
    if source.kind == "url" and not is_public_host(urlsplit(source.value).hostname or ""):
        raise ValueError("Vidgo cannot reach this address: give a public one, or the picture itself")


def read_reference(text: str) -> ReferenceSource:
    """Return what kind of reference a text is.

    Raises:
        ValueError: the text is none; its message says what is wrong.
    """
    lowered = text[:LONGEST_NAME].lower()
    if lowered.startswith("task:"):
        task_id = text[len("task:") :].strip()
        if not is_task_id(task_id):
            raise ValueError(f"write task:<task_id>, with the task_id of an earlier result, which has {TASK_ID_RULE}")
        return ReferenceSource("task", task_id)
    if lowered.startswith("data:"):
        return ReferenceSource("data", text)
    for begins, lost in _BARE:
        if begins.match(text):
            return ReferenceSource("data", lost + text)
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
    if len(text) > LONGEST_URL:
        raise ValueError(f"a URL may have {LONGEST_URL:,} characters, and this one has {len(text):,}")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("that is not a valid URL") from None
    if not host or any(c.isspace() for c in text) or not text.isprintable():
        raise ValueError("that is not a valid URL; write it whole, with host and without spaces")
    if ":" not in host and re.search(r"[\\%]", host):
        # Some take these for the end of the host, or for another letter of it, and so ask another host than is meant.
        raise ValueError("that is not a valid URL; its host has a character that no host has")
    if parts.username or parts.password:
        raise ValueError("a URL with a user name or password would hand them to Vidgo; use one without")
    return text
