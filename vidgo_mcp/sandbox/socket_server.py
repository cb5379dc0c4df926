"""The sandbox on a real socket: beside the program in a thread, or as the program itself.

uvicorn is bent to what the sandbox needs: an answer may be withheld, and stopping waits for nobody.
"""

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
from vidgo_mcp.sandbox.routes import create_app
from vidgo_mcp.sandbox.state import Sandbox

START_SECONDS = 10.0
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.02


@contextmanager
def running(sandbox: Sandbox, *, port: int = 0) -> Iterator[str]:
    """Serve the sandbox on loopback from a daemon thread and yield its base URL.

    Port 0 takes a free one. At the end every connection is closed, also those that wait for a fault that hangs.

    Raises:
        OSError: the port cannot be taken, or the server did not start.
    """
    ready = threading.Event()
    listener = socket.create_server(("127.0.0.1", port))
    server = _Server(sandbox, ready.set)

    def run() -> None:
        with _silence():
            server.run(sockets=[listener])

    thread = threading.Thread(target=run, name="vidgo-sandbox", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_SECONDS):
            raise OSError("The sandbox did not start.")
        yield _base_url(listener)
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()


async def serve(sandbox: Sandbox, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve the sandbox on loopback until a signal or a cancellation; needs asyncio's event loop.

    `on_ready` is called with the base URL once it answers.

    Raises:
        OSError: the port cannot be taken.
    """
    listener = socket.create_server(("127.0.0.1", port))
    server = _Server(sandbox, lambda: on_ready(_base_url(listener)))
    with _silence(), listener:
        try:
            await server.serve(sockets=[listener])
        finally:
            with anyio.CancelScope(shield=True):
                await server.close()


def _base_url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


class _Protocol(H11Protocol):
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


class _Server(uvicorn.Server):
    """A server without log lines, whose end closes every connection first."""

    def __init__(self, sandbox: Sandbox, on_started: Callable[[], None]) -> None:
        config = uvicorn.Config(
            create_app(sandbox),
            http=_Protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        """Start, then say so."""
        await super().startup(*args, **kwargs)
        self._on_started()

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
def _silence() -> Iterator[None]:
    """Drop what uvicorn logs in this thread; a server of the product in another thread keeps its log."""
    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)
