"""Answers HTTP bodies that are no request with their id and a plain sentence, as lines on stdin are.

For the older protocols the SDK tells the words of its validation library, without the id, and takes a request whose id
has a wrong type for a notification.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from mcp.server.transport_security import RequestBodyLimitMiddleware
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidgo_mcp.server.json_lines import BYTE_ORDER_MARK, read_line

VERSION_HEADER: Final = "mcp-protocol-version"


class ReadableBodies:
    """ASGI middleware; a body of more than ``largest`` bytes is refused before it is read."""

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._limited = RequestBodyLimitMiddleware(self._checked, largest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        older = False
        if scope["type"] == "http" and scope["method"] == "POST":
            version = Request(scope).headers.get(VERSION_HEADER)
            older = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        with suppress(ClientDisconnect):  # nobody is left who could be answered
            await (self._limited if older else self._app)(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await Request(scope, receive).body()).removeprefix(BYTE_ORDER_MARK)
        _, refusals = read_line(body)
        if refusals:
            answers = [{"id": None, **refusal.model_dump(exclude_none=True)} for refusal in refusals]
            await JSONResponse(answers if len(answers) > 1 else answers[0], 400)(scope, receive, send)
            return
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return unread.pop() if unread else await receive()

        await self._app(scope, again, send)
