"""Who is served over HTTP: programs and pages that call this machine by one of its own names.

A page of a foreign site, and a foreign name that leads here, could otherwise spend credits from within a browser.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/@\[\]]+?)\.?(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
LAST_PORT: Final = 65_535
OPEN_TO_ALL: Final = "/healthz"


class Callers:
    """The names by which this machine may be called; neither case nor a dot at the end matters."""

    def __init__(self, host: str) -> None:
        bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
        self.names = tuple(dict.fromkeys([*LOOPBACK_NAMES, bracketed.lower().removesuffix(".")]))

    def host(self, value: str) -> bool:
        """Return whether a Host header names this machine."""
        match = AUTHORITY.fullmatch(value)
        return match is not None and match["name"].lower() in self.names and int(match["port"] or 0) <= LAST_PORT

    def origin(self, value: str) -> bool:
        """Return whether an Origin header is that of a page of this machine."""
        scheme, _, authority = value.partition("://")
        return scheme.lower() == "http" and self.host(authority)

    def refusal(self, headers: Headers) -> PlainTextResponse | None:
        """Return why a request is refused, None where it is not."""
        names = ", ".join(self.names)
        # Several of a kind are no name together, whichever of them another reader would take.
        host, origin = ",".join(headers.getlist("host")), ",".join(headers.getlist("origin"))
        if not self.host(host):
            return PlainTextResponse(
                f"Host {host!r} is not served: call this server as one of {names}, or start it with --host and "
                "another name of this machine's loopback.\n",
                421,
            )
        if "origin" in headers and not self.origin(origin):
            return PlainTextResponse(
                f"Origin {origin!r} is not served: only pages at http:// and one of {names} (any port) are; --host "
                "adds another name of this machine's loopback.\n",
                403,
            )
        return None


class _Guard:
    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self._app = app
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        checked = scope["type"] == "http" and scope["path"] != OPEN_TO_ALL
        refusal = self._callers.refusal(Headers(scope=scope)) if checked else None
        await (refusal or self._app)(scope, receive, send)


class _Cors(CORSMiddleware):
    def __init__(self, app: ASGIApp, callers: Callers, *, methods: Collection[str], exposed: Collection[str]) -> None:
        # Whatever header is asked for: the protocol adds some with each version, and clients bring their own.
        super().__init__(app, allow_methods=methods, allow_headers=["*"], expose_headers=exposed)
        self._callers = callers

    async def simple_response(self, scope: Scope, receive: Receive, send: Send, request_headers: Headers) -> None:
        if scope["method"] != "OPTIONS" or "origin" not in request_headers:
            await super().simple_response(scope, receive, send, request_headers)
            return
        # Not all who ask what is allowed say for which method.
        asked = Headers({**request_headers, "access-control-request-method": "POST"})
        await self.preflight_response(asked)(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        return self._callers.origin(origin)


def serve_only_local(app: Starlette, host: str) -> None:
    """Have an application refuse foreign names, and let the pages of this machine read its answers."""
    callers = Callers(host)
    exposed = ("Mcp-Session-Id", "Mcp-Protocol-Version", "WWW-Authenticate")
    app.add_middleware(_Cors, callers, methods=("GET", "POST", "DELETE", "OPTIONS"), exposed=exposed)
    app.add_middleware(_Guard, callers)
