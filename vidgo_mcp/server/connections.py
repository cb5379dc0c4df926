"""How many connections the HTTP server holds, and for how long: whoever opens many must not stop all other callers.

Out of descriptors asyncio can accept nobody, and Python before 3.13 then tries again without a pause, with a line of
log each time. So connections are bounded well below the descriptors that there are.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final

import h11
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_DESCRIPTORS: Final = 10_240
"""What is asked for at most: macOS allows no more, and it is enough for 5,000 clients of one machine."""
ACCEPTED_AT_ONCE: Final = 16
"""Connections that are accepted before the first of them can be refused."""
RESERVED: Final = 64 + 4 * ACCEPTED_AT_ONCE
"""Descriptors for the journal, files and the ways to Vidgo, and for those who are about to be refused."""
HEADER_SECONDS: Final = 10.0
"""Seconds for the headers of the first request and of each that has begun, and for the rest of a refused one."""
UNREAD_SECONDS: Final = 30.0
"""Seconds within which an answer must be taken by its reader, or the connection ends."""
READ_AT_ONCE: Final = 32 * 1024
"""Bytes that are parsed before others have their turn: in chunks of one byte they take a hundred times as long."""
LOG_EVERY: Final = 60.0
TOO_MANY: Final = "Too many connections are open; nothing was done. Try again in ten seconds.\n"
STOPPED: Final = "This server is being stopped, and has not read all of the request; nothing was done.\n"

FLOODED: Final = ("asyncio", "uvicorn.error", "mcp.server.request_state", "mcp.server.runner", __name__)
"""The loggers on which a stranger can cause lines."""

log = logging.getLogger(__name__)


def raise_descriptor_limit() -> int:
    """Ask for as many descriptors as the system allows, up to a bound; return how many there are."""
    if sys.platform == "win32":
        return MOST_DESCRIPTORS  # sockets are not counted there
    import resource  # noqa: PLC0415  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY:
        return MOST_DESCRIPTORS
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # some systems have a lower bound of their own
            return soft
    return max(soft, wanted)


def most_connections(descriptors: int) -> int:
    """Return how many connections may be open: each one's call may need another, to Vidgo."""
    return max(1, (descriptors - RESERVED) // 2)


class BoundedConnection(H11Protocol):
    """One connection; beyond ``limit_concurrency`` it is told so and closed."""

    _request_due: Any = None
    _reading_due: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.limit_concurrency is not None
        # uvicorn's own refusal does not say when to come again, and counts requests that have just been answered.
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._app, self.app = self.app, self._bounded

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        # So that writing is paused while anything at all waits for its reader.
        transport.set_write_buffer_limits(high=0)
        transport.max_size = READ_AT_ONCE
        if len(self.connections) > self._most:
            self.connections.discard(self)
            log.warning("%d connections are open, which is the most; others are refused", self._most)
            transport.write(_refusal(TOO_MANY))
            transport.close()
            return
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Read on, and give headers that have begun their time."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._expect_request()

    def on_response_complete(self) -> None:
        """Give a body that was answered before its end its time."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._expect_request()

    def shutdown(self) -> None:
        """End when the answer is given; whoever still sends the body is not waited for, as nothing is done yet."""
        super().shutdown()
        if (self.conn.their_state, self.conn.our_state) == (h11.SEND_BODY, h11.SEND_RESPONSE):
            self.transport.write(_refusal(STOPPED))
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for WebSockets gets the usual answer, and uvicorn would advise to install them."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._expect_nothing()
        self._expect_no_reading()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the reader its time, also where the connection closes and only waits for it."""
        super().pause_writing()
        self._reading_due = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: all was taken."""
        self._expect_no_reading()
        super().resume_writing()

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Beside the request of each connection there may be one that ends.
        if len(self.tasks) > 2 * self._most:
            log.warning("%d requests are under way; others are refused", len(self.tasks))
            app: Any = PlainTextResponse(TOO_MANY, 503, {"Retry-After": "10", "Connection": "close"})
        else:
            app = self._app
        await app(scope, receive, send)

    def _expect_request(self) -> None:
        # The body of a request that is already answered is late, too.
        if self.conn.their_state is not h11.IDLE and self.conn.our_state is not h11.DONE:
            self._expect_nothing()
        elif self._request_due is None:
            self._request_due = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._request_due is not None:
            self._request_due.cancel()
            self._request_due = None

    def _expect_no_reading(self) -> None:
        if self._reading_due is not None:
            self._reading_due.cancel()
            self._reading_due = None


def _refusal(words: str) -> bytes:
    return (
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(words)}\r\n\r\n{words}"
    ).encode()


class OncePerMinute(logging.Filter):
    """Lets the same line of log through once a minute, since anybody may cause it as often as they like."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, Exception):
            return False  # what the end of the server cancels is no fault
        line, now = (str(record.msg).partition("\n")[0], repr(error)), time.monotonic()
        recent = now - self._last.get(line, -LOG_EVERY) < LOG_EVERY
        if not recent:
            self._last = {line: at for line, at in self._last.items() if now - at < LOG_EVERY} | {line: now}
        return not recent


_once_per_minute: Final = OncePerMinute()


def calm_logs() -> None:
    """Have no line that a stranger can cause written more often than once a minute."""
    for name in FLOODED:
        logging.getLogger(name).addFilter(_once_per_minute)
