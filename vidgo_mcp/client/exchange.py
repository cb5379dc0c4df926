"""One request and its answer, and whether the request began to leave: that alone decides what a failure may have cost.

httpx's exceptions do not tell: a proxy that breaks off before the tunnel stands looks like an answer that was lost.
"""

from __future__ import annotations

import logging
import select
import zlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import anyio
import anyio.lowlevel
import httpx

from vidgo_mcp.client.error_mapping import NOT_SENT, TRANSPORT_ERRORS
from vidgo_mcp.client.task_ids import named_tasks
from vidgo_mcp.client.wire import LARGEST_ANSWER, UnreadableAnswerError, inflater, read_json
from vidgo_mcp.errors import VidgoError

Leaving = Callable[[], Awaitable[None]]
Failed = Callable[[Exception, bool], VidgoError]

TICK: Final = 1.0
"""Seconds between looks at the clock while a request is under way."""

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
    countdown = _Countdown(to_leave)
    left = False
    refused: Exception | None = None
    error: Exception | None = None
    response, body = None, bytearray()
    fresh = _FreshConnection()

    async def leave() -> None:
        nonlocal left, refused
        if left:
            return
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            await leaving()
        except Exception as reason:
            refused = reason
            raise
        fresh.check()
        left, countdown.seconds = True, to_end

    async def trace(event: str, info: dict[str, Any]) -> None:
        fresh.note(event, info)
        # The request for a tunnel, which a proxy gets, is traced as well.
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            await leave()

    request.extensions["trace"] = trace
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(countdown.run)
        try:
            with countdown.scope:
                if not traced:
                    await leave()
                async with aclosing(await pool.send(request, stream=True)) as response:
                    await _read(response, body)
            if countdown.scope.cancelled_caught:
                error = TimeoutError()
        except Exception as raised:  # noqa: BLE001  # what left decides, not what a library chose to raise
            error = raised
        tasks.cancel_scope.cancel()
    if error is not None and error is refused:
        raise error
    if response is not None and (error is None or _says_enough(request, response, body)):
        return response, bytes(body)
    if not isinstance(error, TRANSPORT_ERRORS):
        log.error("a request ended in an unexpected way (%s)", type(error).__name__, exc_info=error)
    assert error is not None
    proven = isinstance(error, NOT_SENT) and not traced
    raise failed(error, left and not proven) from None


class _FreshConnection:
    """The connection that was made for a request; to record the submit may take longer than the server waits for it."""

    def __init__(self) -> None:
        self._socket: Any = None

    def note(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def check(self) -> None:
        """Raise ConnectError where the other side has closed it: nothing answers there. Only Linux tells."""
        if self._socket is not None and hasattr(select, "POLLRDHUP"):
            look = select.poll()
            look.register(self._socket, select.POLLRDHUP)
            if look.poll(0):
                raise httpx.ConnectError("closed before the request left")


class _Countdown:
    """Cancels its scope after so many seconds, of which those do not count that the process was frozen.

    Waking, it would find the deadline passed and the answer in the socket, and take the deadline first.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.scope = anyio.CancelScope()

    async def run(self) -> None:
        counted = 0.0
        while counted < self.seconds:
            pause, began = min(TICK, self.seconds - counted), anyio.current_time()
            await anyio.sleep(pause)
            # One that ends late counts for nothing, so that the last one cannot be the one that was slept through.
            if anyio.current_time() - began < pause + TICK:
                counted += pause
        self.scope.cancel()


async def _read(response: httpx.Response, body: bytearray) -> None:
    # Nobody was asked to compress. One layer is read all the same: a refused answer to a submit would be an unknown
    # outcome. httpx, which no longer sees the header, would unpack any number of layers, each chunk without a bound.
    inflate = inflater() if response.headers.pop("content-encoding", None) else None
    raw = bytearray()
    async for chunk in response.aiter_bytes():
        raw += chunk
        try:
            body += chunk if inflate is None else inflate.decompress(chunk, LARGEST_ANSWER + 1 - len(body))
        except zlib.error:
            if body:
                break
            # It only says that it compresses.
            inflate, body[:] = None, raw
        if max(len(raw), len(body)) > LARGEST_ANSWER:
            break


def _says_enough(request: httpx.Request, response: httpx.Response, body: bytearray) -> bool:
    """Return whether an answer that broke off tells its fate: by its status, a task, or as only its end is missing."""
    if not response.is_success or (request.method == "POST" and named_tasks(bytes(body), response.headers)):
        return True
    try:
        return isinstance(read_json(bytes(body)), dict)
    except UnreadableAnswerError:
        return False
