"""The HTTP application: Streamable HTTP at /mcp for both eras, and a health check without secrets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Final

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vidgo_mcp.models.urls import is_loopback_host
from vidgo_mcp.server.bodies import MEGABYTE, ReadableBodies
from vidgo_mcp.server.callers import OPEN_TO_ALL, serve_only_local
from vidgo_mcp.server.connections import (
    ACCEPTED_AT_ONCE,
    BoundedConnection,
    calm_logs,
    most_connections,
    raise_descriptor_limit,
)
from vidgo_mcp.server.signals import held_signals
from vidgo_mcp.server.view.sessions import ViewSessions
from vidgo_mcp.service import Service
from vidgo_mcp.service.service import SHUTDOWN_SECONDS

KEEP_ALIVE: Final = 120
"""Seconds for which an idle connection stays open: clients pool one, and a model thinks for a minute and more."""
WAITING: Final = 2048
"""Connections that wait to be accepted: more than are accepted at once, or a burst of clients would wait a second."""


class NotLoopbackError(ValueError):
    """The server was asked to listen where other machines can reach it; the message gives the reason."""


def http_app(server: Server[Any], host: str = "127.0.0.1", *, max_body_mb: int = 8) -> Starlette:
    """Return the ASGI application. It answers only requests that are addressed to this machine by name.

    Raises:
        NotLoopbackError: the host is not loopback.
    """
    if not is_loopback_host(host):
        raise NotLoopbackError(
            f"--host {host} would let every machine that can reach this one spend your credits: there is no "
            "authentication yet. Use 127.0.0.1."
        )
    app = server.streamable_http_app(
        stateless_http=True,
        host=host,
        max_request_body_size=max_body_mb * MEGABYTE,
        # Ours checks instead: the SDK's takes another case for another name, and does not say what to do.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        custom_starlette_routes=[Route(OPEN_TO_ALL, _healthz, methods=["GET"])],
    )
    app.add_middleware(ViewSessions)
    app.add_middleware(ReadableBodies, megabytes=max_body_mb)
    serve_only_local(app, host)
    return app


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handling: it would kill the process before the last submits are answered."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            for server in self.servers:
                for listening in server.sockets:
                    with listening.dup() as same:
                        same.listen(WAITING)
            self._on_ready(self.servers[0].sockets[0].getsockname()[1])


async def serve_http(
    server: Server[Any],
    service: Service,
    *,
    host: str,
    port: int,
    max_body_mb: int,
    on_ready: Callable[[int], None],
) -> None:
    """Serve until a signal; then calls that wait answer pending, and submits under way get 10 s, whatever follows.

    The service is entered and left here. Port 0 takes a free one; ``on_ready`` is called with the port once connections
    are accepted.

    Raises:
        NotLoopbackError: the host is not loopback.
    """
    config = uvicorn.Config(
        http_app(server, host, max_body_mb=max_body_mb),
        host=host.strip("[]"),
        port=port,
        http=BoundedConnection,
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        limit_concurrency=most_connections(raise_descriptor_limit()),
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        # Longer than the service waits, so that whoever it gives up on still gets an answer.
        timeout_graceful_shutdown=int(SHUTDOWN_SECONDS) + 2,
        server_header=False,
        workers=1,  # else uvicorn reads WEB_CONCURRENCY, whatever it says
    )
    calm_logs()
    listener = _Uvicorn(config, on_ready)

    def stop() -> None:
        service.begin_end()
        listener.should_exit = True

    async with held_signals(stop), service:
        await listener.serve()
