"""One request and its answer, and whether the request began to leave: that alone decides what a failure may have cost.

httpx's exceptions do not tell: a proxy that breaks off before the tunnel stands looks like an answer that was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from vidgo_mcp.client.error_mapping import NOT_SENT, TRANSPORT_ERRORS
from vidgo_mcp.client.task_ids import CUT, named_task
from vidgo_mcp.client.wire import LARGEST_ANSWER, UnreadableAnswerError, read_json, unpacked
from vidgo_mcp.errors import VidgoError

Leaving = Callable[[], Awaitable[None]]
Failed = Callable[[Exception, bool], VidgoError]

log = logging.getLogger(__name__)


async def exchange(
    pool: httpx.AsyncClient,
    request: httpx.Request,
    *,
    leaving: Leaving,
    failed: Failed,
    traced: bool,
    to_leave: float,
    to_end: float,
) -> tuple[httpx.Response, bytes]:
    """Return the answer to a request, and its body as far as it may be large.

    ``leaving`` is awaited at the last moment before the request begins to leave; when it raises, nothing is sent.
    ``failed`` makes the error for a failure, and is told whether the request may have left. ``traced`` says whether the
    transport tells what leaves; of another one only a few exceptions prove that nothing did. The request must leave
    within ``to_leave`` seconds, and all of it ends within ``to_end``: a server that sends a byte now and then keeps
    within each single time-out.

    Raises:
        VidgoError: what ``failed`` made, or what ``leaving`` raised.
    """
    end = anyio.current_time() + to_end
    left = False
    refused: Exception | None = None
    response, body = None, bytearray()

    async def leave() -> None:
        nonlocal left, refused
        if left:
            return
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            await leaving()
        except Exception as error:
            refused = error
            raise
        left, until_left.deadline = True, end

    async def trace(event: str, info: dict[str, Any]) -> None:
        # The request for a tunnel, which a proxy gets, is traced as well.
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            await leave()

    request.extensions["trace"] = trace
    try:
        with anyio.fail_after(to_leave) as until_left:
            if not traced:
                await leave()
            async with aclosing(await pool.send(request, stream=True)) as response:
                await _read(response, body)
    except Exception as error:  # what left decides, not what a library chose to raise
        if error is refused:
            raise
        if response is not None and _says_enough(request, response, body):
            return response, bytes(body)
        if not isinstance(error, TRANSPORT_ERRORS):
            log.exception("a request ended in an unexpected way (%s)", type(error).__name__)
        proven = isinstance(error, NOT_SENT) and not traced
        raise failed(error, left and not proven) from None
    return response, bytes(body)


async def _read(response: httpx.Response, body: bytearray) -> None:
    # httpx would lose the answer of a server that only says that it compresses.
    packed = response.headers.pop("content-encoding", None)
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        body[:] = unpacked(bytes(content), LARGEST_ANSWER + 1) if packed else content
        if len(body) > LARGEST_ANSWER:
            break


def _says_enough(request: httpx.Request, response: httpx.Response, body: bytearray) -> bool:
    """Return whether an answer that broke off tells its fate: by its status, a task, or because only its end lacks."""
    named = named_task(bytes(body), "") if request.method == "POST" else None
    if not response.is_success or (named is not None and not named.endswith(CUT)):
        return True
    try:
        return isinstance(read_json(bytes(body)), dict)
    except UnreadableAnswerError:
        return False
