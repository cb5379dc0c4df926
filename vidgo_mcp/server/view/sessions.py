"""Remembers over HTTP, where no session is kept, that a client declared the view in its handshake.

Clients before 2026-07-28 declare it once, and then send the session id that the answer to the handshake gave them.
"""

from __future__ import annotations

import json
from typing import Final
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidgo_mcp.server.view import EXTENSION, SESSION, VIEWED, declared

HANDSHAKE: Final = (b'"initialize"', EXTENSION.partition("/")[0].encode())
"""Before the slash of the extension, which some programs write as ``\\/`` in JSON."""


class ViewSessions:
    """ASGI middleware inside the one that reads bodies whole: it gives such a handshake a session id that says so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        unread = [await receive()]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        async def with_session(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[SESSION] = f"{VIEWED}{uuid4().hex}"
            await send(message)

        await self._app(scope, again, with_session if _declares_view(unread[0].get("body", b"")) else send)


def _declares_view(body: bytes) -> bool:
    if not all(words in body for words in HANDSHAKE):
        return False
    message = json.loads(body)
    params = message.get("params") if message.get("method") == "initialize" else None
    capabilities = params.get("capabilities") if isinstance(params, dict) else None
    return isinstance(capabilities, dict) and declared(capabilities.get("extensions"))
