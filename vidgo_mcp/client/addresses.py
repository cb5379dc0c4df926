"""Reads the addresses of files from an answer, in whatever form they come.

Vidgo documents one form, and a picture that is paid for must not be lost because the next one is another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, Final, TypeGuard
from urllib.parse import unquote, urlsplit

import httpx

LISTS: Final = ("files", "file", "output", "outputs", "result", "results", "images")
"""Where an answer may name its files. Names are compared without case, ``_`` and ``-``."""
ADDRESSES: Final = (
    *("fileurl", "url", "downloadurl", "imageurl", "originalurl", "originurl", "resulturl", "outputurl", "resourceurl"),
    *("signedurl", "publicurl", "cdnurl", "mediaurl", "ossurl", "uri", "src", "href", "link"),
)
"""What the address of one file may be called, the documented name first."""
REQUESTED: Final = ("imageurls", *ADDRESSES[:4])
"""Names that may as well repeat the request, whose references are no result."""
TYPES: Final = ("filetype", "contenttype", "mimetype", "format", "type")
PICTURES: Final = frozenset(
    {"image", "images", "img", "picture", "photo", "png", "apng", "jpg", "jpeg", "webp", "gif", "avif", "heic", "heif"}
    | {"tif", "tiff", "bmp", "jxl", "jp2", "psd"}
)
OTHERS: Final = frozenset(
    {"video", "audio", "lyrics", "3d", "other", "text", "log", "txt", "json", "xml", "html", "csv", "md", "pdf", "zip"}
    | {"mp4", "webm", "mov", "mp3", "wav", "glb", "obj"}
)
"""Words of types, and endings of names, that say what is a picture and what is none."""
DEEPEST: Final = 5
MOST_FILES: Final = 1000
"""Of one answer; a megabyte of them would take seconds to resolve."""

_ENCODED: Final = re.compile(
    r"https?://(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.IGNORECASE | re.ASCII
)
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST_FIRST: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?::\d+)?/", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_WEB: Final = re.compile(r"https?://[^/]", re.IGNORECASE)
_LINE_BREAKS: Final = re.compile(r"[\t\r\n]")
_ONE_SLASH: Final = re.compile(r"^(https?):/(?!/)", re.IGNORECASE)
_ENCODED_WHOLE: Final = re.compile(r"https?%3a%2f%2f", re.IGNORECASE)
_HTML: Final = re.compile(r"&(?:amp;)+")
_UNSEEN: Final = "\ufeff\u200b\0"
_OPENING: Final = "<\"'`\u200e\u200f\u202a"
_AROUND: Final = _OPENING + ">\u202c "
_LESSER: Final = re.compile(
    r"(?<![a-z])(thumb(nail)?s?|previews?|watermark(ed)?|small|mask|low_?res)(?![a-z])", re.IGNORECASE
)
"""Of two pictures, the one that is called so is not the one that was paid for."""


def is_web_url(value: Any) -> TypeGuard[str]:
    """Return whether a value is an http(s) URL that can be handed on."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host)


def web_url(value: Any, base: str) -> str | None:
    """Return an address as an http(s) URL, encoded and resolved against ``base``; None when it is none.

    What is encoded stays as it is to the last byte: it may be signed. A bare word is a relative address only where it
    ends like a picture.
    """
    if not isinstance(value, str):
        return None
    text = _HTML.sub("&", value.strip().strip(_UNSEEN))
    if text.startswith(tuple(_OPENING)):
        text = text.strip(_AROUND)
    if _ENCODED_WHOLE.match(text):
        text = unquote(text)
    # As browsers do: https://url.spec.whatwg.org/#concept-basic-url-parser
    text = _LINE_BREAKS.sub("", text.replace("\\/", "/")).replace("\\", "/").strip()
    text = _ONE_SLASH.sub(r"\1://", text)
    if not text.strip("/"):
        return None
    if _ENCODED.fullmatch(text):
        return text if is_web_url(text) else None
    if _HOST_FIRST.match(text):
        text = f"//{text}"
    if _SCHEME.match(text):
        if not _WEB.match(text):
            return None
    elif not text.startswith("/") and _ending(text) not in PICTURES:
        return None
    try:
        text = _STRAY_PERCENT.sub("%25", text)
        # Joining drops a semicolon at the end.
        url = httpx.URL(text) if _WEB.match(text) else httpx.URL(f"{base}/").join(text)
    except (httpx.InvalidURL, ValueError):
        return None
    return str(url) if is_web_url(str(url)) and "%" not in url.host else None


def file_url(entry: Any, base: str) -> str | None:
    """Return the address of one file; None when there is none."""
    names = folded(entry)
    return next(filter(None, (web_url(names.get(name), base) for name in ADDRESSES)), None)


def picture_urls(data: Mapping[str, Any], base: str, *, finished: bool) -> tuple[str, ...]:
    """Return the addresses of all files that may be pictures, those that say so first.

    ``finished`` says that Vidgo has nothing more to add: only then names of the request are believed, and only where
    the documented one is missing.
    """
    names = folded(data)
    named = [entry for name in LISTS for entry in _entries(names.get(name))]
    if finished and "files" not in names:
        named += [entry for name in REQUESTED for entry in _entries(names.get(name))]
    found: dict[str, tuple[bool, bool]] = {}
    for entry in named[:MOST_FILES]:
        url = file_url(entry, base)
        if url is not None and (picture := _is_picture(entry, url)) is not False:
            found.setdefault(url, (_is_lesser(entry, url), picture is None))
    return tuple(sorted(found, key=lambda url: found[url]))


def _is_lesser(entry: Mapping[str, Any], url: str) -> bool:
    words = [entry.get(name) for name in (*TYPES, "label", "name", "filename", "role", "kind")]
    return any(
        isinstance(word, str) and _LESSER.search(word) for word in (*words, url.partition("?")[0].rpartition("/")[2])
    )


def _entries(value: Any, depth: int = DEEPEST) -> Iterator[Mapping[str, Any]]:
    """Yield what names one file each: an object with an address, or an address alone."""
    value = from_json_text(value)
    if isinstance(value, str):
        yield {"url": value}
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _entries(item, depth - 1)
    elif isinstance(value, Mapping) and depth:
        names = folded(value)
        if any(isinstance(names.get(name), str) for name in ADDRESSES):
            yield names
            return
        for name, item in names.items():
            # A text is an address only where it cannot be anything else: neither a type, nor the URL of a thumbnail.
            if not isinstance(item, str) or (is_web_url(item.strip()) and not name.endswith("url")):
                yield from ({"label": name, **entry} for entry in _entries(item, depth - 1))


def _is_picture(entry: Mapping[str, Any], url: str) -> bool | None:
    """Return what type and ending say together; None when they say nothing, or contradict each other."""
    words = [word for name in TYPES if isinstance(word := entry.get(name), str)]
    words += [_ending(text) for text in (url, entry.get("filename")) if isinstance(text, str)]
    said: set[bool] = set()
    for word in words:
        kind, _, rest = word.strip().lower().partition("/")
        if kind in PICTURES | OTHERS or (rest and "octet-stream" not in rest):
            said |= {kind in PICTURES}
    return said.pop() if len(said) == 1 else None


def _ending(address: str) -> str:
    try:
        return PurePosixPath(urlsplit(address).path.strip()).suffix[1:].lower()
    except ValueError:
        return ""


def folded(value: Any) -> dict[str, Any]:
    """Return what an object has, its names without case, ``_`` and ``-``."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {name.replace("_", "").replace("-", "").lower(): item for name, item in pairs if item is not None}


def from_json_text(value: Any) -> Any:
    """Return what a text is the JSON of, where it is that of a list or an object."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            return json.loads(value, strict=False)
    return value
