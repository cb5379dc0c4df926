"""What a client writes to stdin, line by line: requests for the server, and an answer to every line that is none.

The SDK drops such a line in silence, and whoever sent it waits for ever.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

import mcp_types as types
from pydantic import ValidationError

NO_UTF8: Final = "This is not UTF-8; nothing of it was done."
NO_JSON: Final = "This is not JSON that can be read, or it is nested too deeply; nothing of it was done."
HALF_CHARACTER: Final = (
    "A text in this message holds half of a surrogate pair, such as \\ud83d; nothing of it was done."
)
NO_REQUEST: Final = (
    'This is no request; nothing was done. One is an object with "jsonrpc": "2.0", an "id" (text or whole number), a '
    '"method" and, where needed, "params" (an object).'
)
NO_BATCH: Final = "Batches are not supported; nothing of this one was done. Send each request by itself."
NO_ANSWER: Final = "The answer to this request cannot be read."
LONGEST_NUMBER: Final = 1000
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

log = logging.getLogger(__name__)


def read_line(line: bytes) -> tuple[str | None, list[types.JSONRPCError]]:
    """Return a line for the server, None where there is nothing in it for one, and the answers to what is wrong."""
    line = line.removeprefix(BYTE_ORDER_MARK).strip()
    if not line:
        return None, []
    try:
        message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_context=False, include_input=False)
        if first["type"] == "json_invalid":
            return None, _unreadable(line)
        sent = _loads(line)
        return (_unreadable_answer(sent), []) if _is_answer(sent) else (None, _no_request(sent))
    # With an id of a wrong type a request passes for a notification.
    if not isinstance(message, types.JSONRPCRequest) and _is_request(sent := _loads(line)):
        return None, _no_request(sent)
    return line.decode(), []


def _unreadable(line: bytes) -> list[types.JSONRPCError]:
    sent = _loads(line)
    try:
        line.decode()
        json.dumps(sent, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return [_refusal(types.PARSE_ERROR, NO_UTF8, sent)]
    except UnicodeEncodeError:
        return [_refusal(types.PARSE_ERROR, HALF_CHARACTER, sent)]
    return [_refusal(types.PARSE_ERROR, NO_JSON, sent)]


def _no_request(sent: Any) -> list[types.JSONRPCError]:
    if isinstance(sent, list):
        asked = [one for one in sent if _is_request(one)]
        return [_refusal(types.INVALID_REQUEST, NO_BATCH, one) for one in asked or [None]]
    return [_refusal(types.INVALID_REQUEST, NO_REQUEST, sent)]


def _is_answer(sent: Any) -> bool:
    return isinstance(sent, dict) and "method" not in sent and not sent.keys().isdisjoint(("result", "error"))


def _unreadable_answer(sent: Any) -> str | None:
    """Return an error in its place for the call of ours that waits for it.

    Nothing is answered: that could be taken for the answer to a request of theirs with the same id.
    """
    log.debug("an answer that cannot be read came")
    error = _refusal(types.INVALID_REQUEST, NO_ANSWER, sent)
    return None if error.id is None else error.model_dump_json(by_alias=True, exclude_none=True)


def _is_request(sent: Any) -> bool:
    return isinstance(sent, dict) and "id" in sent and "method" in sent


def _refusal(code: int, message: str, sent: Any) -> types.JSONRPCError:
    number = sent.get("id") if isinstance(sent, dict) else None
    known = isinstance(number, int | str) and not isinstance(number, bool) and str(number).isprintable()
    return types.JSONRPCError(
        jsonrpc="2.0", id=number if known else None, error=types.ErrorData(code=code, message=message)
    )


def _loads(line: bytes) -> Any:
    """Return what a line says to a reader who forgives more than the server does, None where that is nothing."""
    try:
        # Python reads no integer of more than 4,300 digits; as a float it stands for what is too long for an id, too.
        return json.loads(
            line.decode(errors="replace"),
            strict=False,
            parse_int=lambda digits: int(digits) if len(digits) < LONGEST_NUMBER else float(digits),
        )
    except (ValueError, RecursionError):
        return None
