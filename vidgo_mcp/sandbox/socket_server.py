"""The sandbox on a real socket: beside the program in a thread, or as the program itself."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from vidgo_mcp.sandbox.routes import create_app
from vidgo_mcp.sandbox.state import Sandbox

START_SECONDS = 10.0
STOP_SECONDS = 5.0


@contextmanager
def running(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve the sandbox from a daemon thread and yield its base URL.

    Port 0 takes a free one. At the end every connection is closed, also those that wait for a fault that hangs.
    Raises OSError when the address cannot be taken.
    """
    # uvicorn takes long to import, and the sandbox is often used without a socket.
    from vidgo_mcp.sandbox.uvicorn_server import Server, silence

    ready = threading.Event()
    server = Server(create_app(sandbox), ready.set)
    listener = _listen(host, port)

    def run() -> None:
        with silence():
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


async def serve(sandbox: Sandbox, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve the sandbox until a signal or a cancellation, and call `on_ready` with the base URL once it answers.

    Needs asyncio's event loop. Raises OSError when the address cannot be taken.
    """
    from vidgo_mcp.sandbox.uvicorn_server import Server, silence

    listener = _listen(host, port)
    server = Server(create_app(sandbox), lambda: on_ready(_base_url(listener)))
    with silence(), listener:
        try:
            await server.serve(sockets=[listener])
        finally:
            with anyio.CancelScope(shield=True):
                await server.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
