"""What an answer comes to: a result, or an error, by the strongest of what its task, its status and its code say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from vidgo_mcp.client import wire
from vidgo_mcp.client.error_mapping import Refusal, named_error, unreadable_error
from vidgo_mcp.client.task_ids import named_task
from vidgo_mcp.errors import VidgoError

T = TypeVar("T")


def result_of(
    status: int,
    headers: httpx.Headers,
    body: bytes,
    parse: Callable[[Any], T],
    to_error: Callable[[Refusal], VidgoError],
    *,
    now: float,
    prompt: str | None,
) -> T:
    """Return what ``parse`` makes of an answer; ``prompt`` is that of a submit, None of any other call.

    Raises:
        VidgoError: it is no success. One that names a task all the same leaves the outcome of a submit unknown.
    """
    submit = prompt is not None

    def refused(code: int) -> VidgoError:
        return to_error(Refusal(code, wire.error_text(body), wire.retry_after(headers.get("retry-after"), now)))

    def read() -> T:
        if not 200 <= status < 300:
            raise refused(status)
        try:
            value = wire.read_json(body)
            code = wire.envelope_code(value)
            if code is not None and 300 <= code < 600:
                raise refused(code)
            try:
                return parse(value)
            except wire.UnreadableAnswerError:
                # A code that no HTTP status has, such as 0, may mean a success, and comes with one then.
                if code is None:
                    raise
                raise refused(code) from None
        except wire.UnreadableAnswerError as error:
            began = wire.beginning(body) if submit else None
            raise unreadable_error(status, str(error), submit=submit, began=began) from None

    try:
        return read()
    except VidgoError as error:
        # That an answer names a task is stronger than any status: it is no refusal.
        named = None if prompt is None else named_task(body, prompt)
        if named is None:
            raise
        raise named_error(error, named) from None
