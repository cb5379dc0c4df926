"""uvicorn, bent to what the sandbox needs: an answer may be withheld, and stopping waits for nobody."""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vidgo_mcp.sandbox.fault_responses import CLOSE

LOOK_SECONDS = 0.02


class Protocol(H11Protocol):
    """An HTTP connection that tells the application how to close it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        application = self.app

        async def with_close(scope: Any, receive: Any, send: Any) -> None:
            scope[CLOSE] = self.transport.close
            await application(scope, receive, send)

        self.app = with_close

    def connection_made(self, transport: Any) -> None:
        """Send small answers at once: asyncio does so only for listeners that it made itself (40 ms an answer)."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


class Server(uvicorn.Server):
    """A server without log lines, whose end closes every connection first."""

    def __init__(self, app: Any, started: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._tell_started = started

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        """Start, then say so."""
        await super().startup(*args, **kwargs)
        self._tell_started()

    async def main_loop(self) -> None:
        """Wait for the end, looking more often than uvicorn does, because test suites stop many servers."""
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110 - set from another thread or a signal
            await anyio.sleep(LOOK_SECONDS)

    async def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Close every connection, also those that a fault keeps hanging, then stop."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await anyio.lowlevel.checkpoint()
        await super().shutdown(*args, **kwargs)

    async def close(self) -> None:
        """Stop after a cancellation, which skips uvicorn's own end."""
        if self.started and not self.should_exit:
            await self.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End quietly on a signal: uvicorn would raise it again, which ends in a traceback."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self.should_exit = True

        before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


@contextmanager
def silence() -> Iterator[None]:
    """Drop what uvicorn logs in this thread; a server of the house in another thread keeps its log."""
    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)
