"""The one translation between Vidgo's JSON and our models, in both of the forms that its documents show.

What reads an answer raises ``UnreadableAnswerError`` when it lacks what the result cannot be without.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from vidgo_mcp.client.addresses import DEEPEST, LISTS, file_url, folded, from_json_text, picture_urls
from vidgo_mcp.foreign_text import plain_text
from vidgo_mcp.models.tasks import Task, Upload, named_status, names_of, status_word
from vidgo_mcp.pricing import PricedRequest

LARGEST_ANSWER: Final = 1_000_000  # bytes; no documented answer comes near it
REDACTED: Final = "[key]"
LONGEST_EXCERPT: Final = 4_000
"""Characters of an answer that is kept because not all of it was understood."""
MOST_CREDITS: Final = 1e15
"""From here on a number is no balance: it would not fit into the journal, and would fill a line."""
NO_CODE: Final = 10**9
"""From here on a number is no code: it would only fill the line that names it."""
LONGEST_PAUSE: Final = 30 * 86_400.0
"""The longest pause, in seconds, that an answer may ask for."""
NEVER_SET: Final = 1_735_689_600.0
"""The beginning of 2025: a clock that shows less was never set, as on a machine without a battery."""
NO_TIME: Final = 4_102_444_800.0
"""The beginning of 2100: no true clock shows more, and a day after the year 9999 has no name."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
NO_ID: Final = re.compile(
    r"[0-]*|-1|null|none|nil|undefined|unknown|false|n/?a|[a-z_]{2,}( [a-z_]{2,}){2,}[.!]?|field required",
    re.IGNORECASE,
)
"""What stands where an id would, and is none: a word for nothing, or what a check says of the field."""
SHORTEST_KEY: Final = 8
"""Characters; what is shorter is no secret, and may well be a part of a task_id, which must not change."""


class UnreadableAnswerError(ValueError):
    """An answer that is too large, not JSON, or JSON of the wrong shape; the message says which."""


def submit_body(request: PricedRequest, callback_url: str | None) -> dict[str, Any]:
    """Return the JSON of a submit: exactly what was priced, nothing left to the vendor's defaults."""
    quote = request.quote
    given: dict[str, Any] = {"prompt": request.prompt, "quality": quote.quality, "size": str(quote.size)}
    if quote.resolution is not None:
        given["resolution"] = quote.resolution
    if request.image_urls:
        given["image_urls"] = list(request.image_urls)
    body: dict[str, Any] = {"model": request.model, "input": given}
    if callback_url:
        body["callback_url"] = callback_url
    return body


def inflater() -> zlib._Decompress:
    """Return what takes one layer of gzip or zlib away, piece by piece."""
    return zlib.decompressobj(32 + zlib.MAX_WBITS)


def is_compressed(content: bytes) -> bool:
    """Return whether bytes begin as gzip or zlib does; some servers only say that they compress."""
    try:
        inflater().decompress(content, 1)
    except zlib.error:
        return False
    return bool(content)


def read_json(body: bytes) -> Any:
    """Return the JSON value of a body; a byte that fits no text spoils only the text in which it is."""
    if len(body) > LARGEST_ANSWER:
        raise UnreadableAnswerError("the answer is larger than 1 MB")
    try:
        # One bad byte, or a raw line break in a message, must not hide the rest.
        return json.loads(body.decode(json.detect_encoding(body), "replace"), strict=False)
    except (ValueError, RecursionError):
        packed = body.startswith(b"\x1f\x8b")
        raise UnreadableAnswerError(f"the answer is {'compressed twice' if packed else 'not JSON'}") from None


def redact_key(body: bytes, key: str) -> bytes:
    """Return an answer without the key in its texts, also where JSON escapes spell it; its structure is kept."""
    if len(key) < SHORTEST_KEY or (key.encode() not in body and b"\\" not in body and b"\x00" not in body):
        return body
    try:
        return json.dumps(_redacted(read_json(body), key)).encode()
    except (UnreadableAnswerError, RecursionError):
        return body.replace(key.encode(), REDACTED.encode())


def redact_headers(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """Return the headers of an answer without the key in their texts."""
    return {name: text if len(key) < SHORTEST_KEY else text.replace(key, REDACTED) for name, text in headers.items()}


def _redacted(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, REDACTED)
    if isinstance(value, list):
        return [_redacted(item, key) for item in value]
    if isinstance(value, dict):
        return {name: _redacted(item, key) for name, item in value.items()}
    return value


def error_text(body: bytes) -> str | None:
    """Return the vendor's words from an error in either form, or from plain text; None when there are none."""
    try:
        value = read_json(body)
    except UnreadableAnswerError:
        text = body[:4000].decode("utf-8", "replace").strip()
        return None if not text or text.startswith(("<", "{", "[")) else plain_text(text)
    return _words(value)


def beginning(body: bytes) -> str | None:
    """Return how an answer began that could not be read; None of a page for people."""
    text = plain_text(body[:1000].decode("utf-8", "replace"), 200)
    return None if text.startswith("<") else text or None


def _words(value: Any) -> str | None:
    if isinstance(value, str):
        return plain_text(value) or None
    if not isinstance(value, Mapping):
        return None
    detail = value.get("detail")
    if isinstance(detail, list):
        parts = [item["msg"] for item in detail if isinstance(item, Mapping) and isinstance(item.get("msg"), str)]
        return plain_text("; ".join(parts)) or None
    error = value.get("error")
    nested = error.get("message") if isinstance(error, Mapping) else error
    for candidate in (detail, nested, value.get("msg"), value.get("message")):
        if isinstance(candidate, str) and candidate.strip():
            return plain_text(candidate)
    return None


def envelope_code(value: Any) -> int | None:
    """Return the code of an envelope when it is not a success; None when it is one, or has no code."""
    code = value.get("code") if isinstance(value, Mapping) else None
    if isinstance(code, str) and len(code) < 10 and code.strip().isdecimal():
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool) or 200 <= code < 300 or abs(code) >= NO_CODE:
        return None
    return code


def envelope_data(value: Any) -> Mapping[str, Any]:
    """Return the ``data`` object of an answer."""
    data = value.get("data") if isinstance(value, Mapping) else None
    if not isinstance(data, Mapping):
        raise UnreadableAnswerError("the answer has no data object")
    return data


def read_submitted(value: Any) -> Task:
    """Return the task that a submit created; any status word is accepted."""
    data = _task_data(value)
    given = id_of(data.get("taskid"))
    if given is None and str(data.get("id")).startswith("task"):
        # Other ids are those of a request, or of a row.
        given = id_of(data["id"])
    if given is None or "\ufffd" in given:
        raise UnreadableAnswerError("the answer has no task_id")
    task_id, vendor_id = names_of(given)
    return Task(task_id, _status_of(data) or "not_started", vendor_id=vendor_id)


def id_of(value: Any) -> str | None:
    """Return a value as the id of a task; None when it cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # A longer number is no id, and Python refuses to write it.
        value = str(value) if value.bit_length() < 700 else ""
    # Half of a surrogate pair fits neither into a URL nor into a journal; the mark stands for what was no text.
    text = _SURROGATE.sub("\ufffd", value).strip() if isinstance(value, str) else ""
    return None if NO_ID.fullmatch(text) else text


def read_task(value: Any, asked: str, base: str, others: Collection[str] = ()) -> Task:
    """Return one reading of the task that Vidgo knows as ``asked``; addresses are resolved against ``base``.

    Vidgo may call it something else, but neither one of the ``others`` nor anything that failed: taken for the end of
    this one, that would lose its picture, or pay for it again.
    """
    data = _task_data(value, asked)
    named = id_of(data.get("taskid")) or asked
    task_id, vendor_id = names_of(asked)
    status, progress, message = _status_of(data), _number(data.get("progress")), data.get("errormessage")
    word = status_word(status)
    if named != asked and (word == "failed" or named in others):
        raise UnreadableAnswerError("the answer is about another task")
    urls = picture_urls(data, base, finished=word == "finished")
    if not word and not urls:
        raise UnreadableAnswerError("the answer has no status")
    task = Task(
        task_id=task_id,
        vendor_id=vendor_id,
        status=status or "none",
        progress=None if progress is None else int(min(100.0, max(0.0, progress))),
        file_urls=urls,
        error_message=plain_text(message) or None if isinstance(message, str) else None,
    )
    return task if task.is_plain else replace(task, answer=_excerpt(value))


_STATUS: Final = ("status", "state", "taskstatus")
_WRAPPERS: Final = ("task", "result", "response", "output")


def _status_of(data: Mapping[str, Any]) -> str:
    words = [data[name] for name in _STATUS if name in data]
    word = next((word for word in words if isinstance(word, str) and word.strip()), None)
    number = next((word for word in words if isinstance(word, int) and not isinstance(word, bool)), "")
    return named_status(word or str(number))


def _task_data(value: Any, task_id: str | None = None, depth: int = DEEPEST) -> dict[str, Any]:
    """Return the fields of a task, their names folded; empty when there are none.

    It is in the envelope, perhaps in two, as JSON text, or in a list; or flat as in a callback.
    """
    value = from_json_text(value)
    if isinstance(value, list) and depth:
        found = [one for item in value if (one := _task_data(item, task_id, depth - 1))]
        return next((one for one in found if one.get("taskid") == task_id), found[0] if len(found) == 1 else {})
    if not isinstance(value, Mapping) or not depth:
        return {}
    names = folded(value)
    inner = [names.get("data")] if depth == DEEPEST or not names.keys() & {*_STATUS} else []
    if not names.keys() & {"taskid", *_STATUS}:
        inner += [names.get(name) for name in _WRAPPERS]
    inside = next(filter(None, (_task_data(item, task_id, depth - 1) for item in inner)), None)
    return inside or (names if names.keys() & {"taskid", "id", *_STATUS, *LISTS} else {})


def _excerpt(value: Any) -> str | None:
    try:
        return json.dumps(value)[:LONGEST_EXCERPT]
    except RecursionError:
        return None


def read_upload(value: Any, base: str) -> Upload:
    """Return an uploaded reference; its address is resolved against ``base``."""
    data = envelope_data(value)
    url = file_url(data, base)
    if url is None:
        raise UnreadableAnswerError("the answer has no file_url")
    try:
        # The zone of the vendor's times is not documented, and their difference does not need it.
        until, since = (datetime.fromisoformat(data[name]) for name in ("expires_at", "upload_time"))
        return Upload(url, lifetime=(until - since).total_seconds())
    except (KeyError, TypeError, ValueError):
        return Upload(url)


def read_balance(value: Any) -> int | float:
    """Return the credits of the account."""
    number = _number(envelope_data(value).get("credits_amount"))
    if number is None or abs(number) >= MOST_CREDITS:
        raise UnreadableAnswerError("the answer has no credits_amount")
    return int(number) if number == int(number) else number


def retry_after(header: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, in either of its forms; None when it has no meaning.

    ``now`` is the time of day in seconds since the epoch.
    """
    seconds = _number(header)
    if seconds is None and header is not None:
        at = _date_of(header)
        seconds = None if at is None else at - now
    return None if seconds is None else min(max(0.0, seconds), LONGEST_PAUSE)


def time_of(headers: Mapping[str, str]) -> float | None:
    """Return the time at which an answer was made, in seconds since the epoch; None when it names none that can be."""
    date = _date_of(headers.get("date"))
    return date if date is not None and NEVER_SET <= date < NO_TIME else None


def _date_of(header: str | None) -> float | None:
    """Return the time of an HTTP date, in seconds since the epoch; None when there is none that can be read."""
    with contextlib.suppress(ValueError, OverflowError):
        at = parsedate_to_datetime(header or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
