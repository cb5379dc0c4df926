"""What a planned fault makes of an answer: refused before the work, or fault_after after it.

Whether credits moved is decided by which of the two it is, so they are two functions.
"""

import email.utils
import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from vidgo_mcp.sandbox.faults import Fault
from vidgo_mcp.sandbox.refusals import ErrorForm, Refusal, error_body, invented, unprocessable

CLOSE = "vidgo_sandbox.close"
"""Where the served application finds, in the scope, the function that closes the connection."""

PAGE = "<!doctype html><html><body><h1>Just a moment...</h1></body></html>"
_MEGABYTE = 1024 * 1024
_REFUSALS = {
    "forbidden": (403, "Forbidden"),
    "not_found": (404, "Not found"),
    "not_allowed": (405, "Method not allowed"),
    "conflict": (409, "Conflict"),
    "too_large": (413, "Request too large"),
    "unsupported": (415, "Unsupported media type"),
    "blocked": (451, "Unavailable for legal reasons"),
    "error_404": (404, "File not found"),
    "error_500": (500, "Internal server error"),
    "error_502": (502, "Bad gateway"),
    "error_503": (503, "Service unavailable"),
    "error_504": (504, "Gateway timeout"),
    "unauthorized": (401, "Invalid API key"),
}


class DropConnection(Response):
    """Closes the connection: at once, or after the given part of another answer's body."""

    def __init__(self, begun: Response | None = None) -> None:
        super().__init__()
        self._begun = begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._begun is not None:
            body = bytes(self._begun.body)
            await send(
                {
                    "type": "http.response.start",
                    "status": self._begun.status_code,
                    "headers": self._begun.raw_headers,
                }
            )
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        close = scope.get(CLOSE)
        if close is None:
            raise _network_error(begun=self._begun is not None)
        close()
        await until_disconnected(receive, math.inf)


def _network_error(*, begun: bool) -> Exception:
    """Build what httpx raises for a socket that closed, for clients that reach the application without one."""
    import httpx

    if begun:
        return httpx.RemoteProtocolError("peer closed connection without sending complete message body")
    return httpx.RemoteProtocolError("Server disconnected without sending a response.")


async def until_disconnected(receive: Receive, seconds: float) -> None:
    """Wait, but no longer than the client stays."""
    with anyio.move_on_after(seconds):
        while (await receive())["type"] != "http.disconnect":
            pass


def json_answer(body: Any, status: int = 200) -> Response:
    """Write JSON in ASCII, because what clients sent, and see again, may hold half of a surrogate pair."""
    return Response(json.dumps(body), status, media_type="application/json")


def refusal_answer(refusal: Refusal, form: ErrorForm) -> Response:
    """Write a refusal as an answer."""
    return json_answer(error_body(refusal, form), refusal.status)


async def refused(
    fault: Fault, request: Request, *, form: ErrorForm, insufficient_status: int, now: datetime
) -> Response | None:
    """Return the answer of a fault that strikes before anything is accepted, None for any other fault."""
    headers: dict[str, str] = {}
    match fault.name:
        case "refuse":
            refusal = Refusal(400, fault.text or invented("Invalid request"))
        case "unprocessable":
            refusal = unprocessable(("input",), "value is not valid")
        case "insufficient":
            refusal = Refusal(insufficient_status, invented("Insufficient credits"))
        case "rate_limited" | "rate_limited_date":
            refusal = Refusal(429, invented("Too many requests"))
            headers = _retry_after(fault, now)
        case "envelope_error":
            code = int(fault.number or 0)
            refusal = Refusal(code, invented("The envelope says that this failed"))
            return json_answer({"code": code} | error_body(refusal, "error"), 200)
        case "timeout_408":
            return PlainTextResponse("Request timeout", 408)
        case "redirect":
            moved = request.url.replace(path=f"/moved{request.url.path}")
            return Response(status_code=int(fault.number or 0), headers={"Location": str(moved)})
        case "redirect_loop":
            return Response(status_code=302, headers={"Location": str(request.url)})
        case "drop_before":
            return DropConnection()
        case "hang_before":
            await until_disconnected(request.receive, math.inf if fault.number is None else fault.number)
            return DropConnection()
        case name if name in _REFUSALS:
            status, text = _REFUSALS[name]
            refusal = Refusal(status, invented(text))
        case _:
            return None
    answer = refusal_answer(refusal, form)
    answer.headers.update(headers)
    return answer


async def fault_after(fault: Fault, answer: Response, request: Request, form: ErrorForm) -> Response:
    """Return what is left of an answer when the fault strikes after the work was done and charged."""
    match fault.name:
        case "charged_408":
            return PlainTextResponse("Request timeout", 408)
        case "charged_500" | "charged_502" | "charged_503" | "charged_504":
            status = int(fault.name.removeprefix("charged_"))
            return refusal_answer(Refusal(status, _REFUSALS[f"error_{status}"][1]), form)
        case "lose_answer":
            return DropConnection()
        case "hang":
            await until_disconnected(request.receive, math.inf if fault.number is None else fault.number)
            return DropConnection()
        case "lose_half" | "truncated":
            return DropConnection(begun=answer)
        case "html":
            return HTMLResponse(PAGE)
        case "huge":
            return _huge(answer, int((fault.number or 0) * _MEGABYTE))
        case "empty_body":
            return Response(status_code=200)
        case "broken_json":
            return Response(bytes(answer.body)[:-7], media_type="application/json")
        case "wrong_shape":
            return json_answer([] if fault.text == "list" else {"code": 200, "data": "accepted"})
        case "missing_task_id":
            body = json.loads(bytes(answer.body))
            del body["data"]["task_id"]
            return json_answer(body)
        case _:
            raise AssertionError(f"{fault} neither refuses nor spoils")


def _huge(answer: Response, size: int) -> Response:
    body = bytes(answer.body)

    async def chunks() -> AsyncIterator[bytes]:
        # White space after the value keeps JSON valid: only the size is wrong.
        yield body
        for _ in range(-(-size // _MEGABYTE)):
            yield b" " * _MEGABYTE

    return StreamingResponse(chunks(), media_type=answer.headers["content-type"])


def _retry_after(fault: Fault, now: datetime) -> dict[str, str]:
    if fault.number is None:
        return {}
    if fault.name == "rate_limited_date":
        moment = now.astimezone(UTC) + timedelta(seconds=fault.number)
        return {"Retry-After": email.utils.format_datetime(moment, usegmt=True)}
    return {"Retry-After": f"{fault.number:g}"}
