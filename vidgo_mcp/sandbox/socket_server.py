"""The sandbox on a real socket, in a thread beside the program.

uvicorn is bent to what the sandbox needs: an answer may be withheld, and stopping waits for nobody.
"""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vidgo_mcp.sandbox.answers import CLOSE
from vidgo_mcp.sandbox.record import Record
from vidgo_mcp.sandbox.routes import create_app
from vidgo_mcp.sandbox.state import Sandbox

START_SECONDS = 10.0


@contextmanager
def running(sandbox: Sandbox, *, port: int = 0) -> Iterator[str]:
    """Serve the sandbox on loopback from a daemon thread and yield its base URL.

    Port 0 takes a free one. With a record its files have a port of their own, which all processes with it share: a
    URL outlives the process that gave it. At the end every connection is closed, also those that wait for a fault that
    hangs.

    Raises:
        OSError: the port cannot be taken, or the server did not start.
    """
    listeners = [socket.create_server(("127.0.0.1", port))]
    base_url = _address(listeners[0])
    if sandbox.record is not None:
        listeners.append(_shared_listener(sandbox.record))
        sandbox.address = _address(listeners[1])
    server = _Server(sandbox)
    thread = threading.Thread(target=server.run, args=(listeners,), name="vidgo-sandbox", daemon=True)

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread.ident

    # Only this server is silent: one of the product in another thread keeps its log.
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(elsewhere)
    thread.start()
    try:
        if not server.ready.wait(START_SECONDS):
            raise OSError("The sandbox did not start.")
        yield base_url
    finally:
        server.should_exit = True
        thread.join(5)
        logger.removeFilter(elsewhere)
        for listener in listeners:
            listener.close()


def _address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _shared_listener(record: Record) -> socket.socket:
    """Listen at the port of the record, beside other processes where the system has that; else at a new one."""
    with record.turn():
        shared = hasattr(socket, "SO_REUSEPORT")
        try:
            listener = socket.create_server(("127.0.0.1", record.port), reuse_port=shared)
        except OSError:  # somebody else has it by now
            listener = socket.create_server(("127.0.0.1", 0), reuse_port=shared)
        record.port = listener.getsockname()[1]
        return listener


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
    """A server that says when it has started, and whose end closes every connection first."""

    def __init__(self, sandbox: Sandbox) -> None:
        config = uvicorn.Config(
            create_app(sandbox),
            http=_Protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            workers=1,  # else uvicorn reads WEB_CONCURRENCY, whatever it says
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        await super().startup(*args, **kwargs)
        self.ready.set()

    async def main_loop(self) -> None:
        """Wait for the end, looking more often than uvicorn does, because test suites stop many servers."""
        while not self.should_exit:
            await self.on_tick(0)  # the Date of the answers is of this moment
            for _ in range(25):
                if not self.should_exit:  # set from another thread
                    await anyio.sleep(0.02)

    async def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Close every connection, also those that a fault keeps hanging, then stop."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await anyio.lowlevel.checkpoint()
        await super().shutdown(*args, **kwargs)
