"""Reads the body of an HTTP request within bounds, and answers one that is no request as a line on stdin is answered.

The SDK answers with the words of its validation library, without the id, and takes a request whose id has a wrong type
for a notification. It parses on the event loop, so what would take long there is refused before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import anyio
import anyio.to_thread
import mcp_types as types
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidgo_mcp.server.json_lines import NO_REQUEST, read_line

MEGABYTE: Final = 1024 * 1024
LARGE: Final = 256 * 1024
"""Bytes above which bodies are read one at a time: what is parsed takes several times as much memory."""
MANY_VALUES: Final = 1000
"""Commas and brackets above which bodies are parsed one at a time, too: thirty at once would take seconds."""
MOST_VALUES: Final = 20_000
"""Commas and brackets of one body: so many small values take a hundred times the memory of their text. A hundred
digits in a row count as one more, since the time for a number grows with the square of its digits."""
DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
BODY_SECONDS: Final = 10.0
"""Seconds within which a body must be there, once it is its turn."""

TOO_LARGE: Final = (
    "This request is larger than the {} MB that are taken over HTTP; nothing was done. Give pictures as URLs, not "
    "inline, or make them smaller. Whoever runs this server can raise VIDGO_MAX_BODY_MB."
)
TOO_MANY_VALUES: Final = (
    f"This request has more than {MOST_VALUES:,} commas, brackets and long numbers; nothing was done."
)
TOO_SLOW: Final = f"This request did not arrive within {BODY_SECONDS:.0f} s; nothing was done. Send it again."
ONLY_POST: Final = "This server keeps no sessions and sends nothing by itself; send each request by POST."


class BodyRefusedError(Exception):
    """A body that is no request, or is not read to its end."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class ReadableBodies:
    """ASGI middleware; bounds bodies, and passes on those that are requests. There are no streams of GET, no sessions.

    ``megabytes`` are those of one call, which may bring pictures in base64.
    """

    def __init__(self, app: ASGIApp, megabytes: int) -> None:
        self._app = app
        self._most_bytes = megabytes * MEGABYTE
        self._too_large = TOO_LARGE.format(megabytes)
        self._one_large = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["type"] == "http" else None
        if method not in {None, "POST"} and scope["path"] == "/mcp":
            await _refusal(405, ONLY_POST, {"Allow": "POST"})(scope, receive, send)
            return
        if method == "POST":
            with suppress(ClientDisconnect):  # nobody is left who could be answered
                try:
                    # The body is no variable here: the call may wait for minutes.
                    receive = await self._checked(Request(scope, receive))
                except BodyRefusedError as refused:
                    await refused.answer(scope, receive, send)
                    return
                await self._app(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _checked(self, request: Request) -> Receive:
        """Return what gives the body once more, to whoever reads it next.

        Raises:
            BodyRefusedError: it is too large, too slow, or no request.
        """
        async with AsyncExitStack() as turn:
            body = await self._read(request, turn)
            large, values = len(body) > LARGE, sum(map(body.count, (b",", b"[", b"{")))
            values += body.translate(DIGITS).count(b"0" * 100)
            if large and values > MOST_VALUES:
                raise BodyRefusedError(_refusal(413, TOO_MANY_VALUES))
            if not large and values > MANY_VALUES:
                await turn.enter_async_context(self._one_large)
            apart = large or values > MANY_VALUES
            line, refusals = await anyio.to_thread.run_sync(read_line, body) if apart else read_line(body)
            if line is None:
                raise BodyRefusedError(_unreadable(refusals) if refusals else _refusal(400, NO_REQUEST))
            if values > MOST_VALUES:
                raise BodyRefusedError(_refusal(413, TOO_MANY_VALUES))
        unread: list[Message] = [{"type": "http.request", "body": line.encode(), "more_body": False}]
        del body, line

        async def again() -> Message:
            return unread.pop() if unread else await request.receive()

        return again

    async def _read(self, request: Request, turn: AsyncExitStack) -> bytes:
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else 0
        if size > self._most_bytes:
            raise BodyRefusedError(_refusal(413, self._too_large))
        body, waited = bytearray(), size > LARGE
        if waited:
            await turn.enter_async_context(self._one_large)
        with anyio.move_on_after(BODY_SECONDS) as patience:
            async for part in request.stream():
                if len(body) + len(part) > self._most_bytes:
                    raise BodyRefusedError(_refusal(413, self._too_large))
                body += part
                if len(body) > LARGE and not waited:
                    waited = True
                    patience.deadline = float("inf")
                    await turn.enter_async_context(self._one_large)
                    patience.deadline = anyio.current_time() + BODY_SECONDS
        if patience.cancelled_caught:
            raise BodyRefusedError(_refusal(408, TOO_SLOW))
        return bytes(body)


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    error = {"code": types.INVALID_REQUEST, "message": message}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status, headers)


def _unreadable(refusals: Sequence[types.JSONRPCError]) -> Response:
    answers: list[dict[str, Any]] = [{"id": None, **one.model_dump(exclude_none=True)} for one in refusals]
    return JSONResponse(answers if len(answers) > 1 else answers[0], 400)
