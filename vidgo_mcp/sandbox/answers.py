"""How the sandbox answers: refusals in Vidgo's two documented forms, and what a planned fault makes of an answer.

`fault_before` strikes before the work and `fault_after` after it, which decides whether credits moved.
"""

import base64
import email.utils
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.client import responses
from typing import Any, Literal

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from vidgo_mcp.sandbox.faults import Fault

ErrorForm = Literal["detail", "error"]

INVENTED = " (invented by the sandbox)"
CLOSE = "vidgo_sandbox.close"
"""Where the served application finds, in the scope, the function that closes the connection."""

_TYPES = {
    401: "authentication_error",
    402: "insufficient_credits_error",
    403: "permission_error",
    404: "resource_not_found_error",
    429: "rate_limit_error",
}


class Refusal(Exception):  # noqa: N818 - an answer that Vidgo gives, not an error of the sandbox
    """A request that was refused; nothing was accepted or charged.

    `problems` holds the entries of the list-shaped `detail` of a 422: each has `loc`, `msg` and `type`.
    """

    def __init__(self, status: int, message: str, problems: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.problems = list(problems)

    def body(self, form: ErrorForm) -> dict[str, Any]:
        """Return the body in one of the two documented forms."""
        if form == "detail":
            return {"detail": self.problems or self.message}
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"code": self.status, "error": {"message": self.message, "type": kind}}


def invented(text: str) -> str:
    """Mark a text that the documentation does not give."""
    return text + INVENTED


def unprocessable(where: Sequence[str], message: str) -> Refusal:
    """Build the 422 for a value of the wrong type."""
    text = invented(message)
    return Refusal(422, text, [{"loc": ["body", *where], "msg": text, "type": "value_error"}])


class DropConnection(Response):
    """Closes the connection: at once, or after half of another answer's body."""

    def __init__(self, begun: Response | None = None) -> None:
        super().__init__()
        self._begun = begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._begun is not None:
            body, status, headers = bytes(self._begun.body), self._begun.status_code, self._begun.raw_headers
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        close = scope.get(CLOSE)
        if close is None:
            # A client that reaches the application without a socket is told what httpx raises for a closed one.
            raise httpx.RemoteProtocolError("The sandbox closed the connection.")
        close()
        await until_disconnected(receive, math.inf)


async def until_disconnected(receive: Receive, seconds: float) -> None:
    """Wait, but no longer than the client stays."""
    with anyio.move_on_after(seconds):
        while (await receive())["type"] != "http.disconnect":
            pass


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write JSON in ASCII, because what clients sent, and see again, may hold half of a surrogate pair."""
    return Response(json.dumps(body), status, headers, media_type="application/json")


def refusal_answer(refusal: Refusal, form: ErrorForm, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal as the vendor sends it."""
    return json_answer(refusal.body(form), refusal.status, headers)


async def fault_before(fault: Fault, request: Request, form: ErrorForm, now: datetime) -> Response | None:
    """Return the answer of a fault that strikes before anything is accepted, None for any other fault."""
    too_many = Refusal(429, invented("Too many requests"))
    match fault.name:
        case "refuse":
            return _status_answer(fault, request, form)
        case "unprocessable":
            return refusal_answer(unprocessable(("input",), "value is not valid"), form)
        case "rate_limited":
            headers = {} if fault.number is None else {"Retry-After": f"{fault.number:g}"}
            return refusal_answer(too_many, form, headers)
        case "rate_limited_date":
            moment = now.astimezone(UTC) + timedelta(seconds=fault.number or 0)
            return refusal_answer(too_many, form, {"Retry-After": email.utils.format_datetime(moment, usegmt=True)})
        case "names_stranger":
            return _naming_answer(fault, "task-of-nobody")
        case "envelope_error":
            failed = Refusal(int(fault.number or 0), invented("The envelope says that this failed"))
            return json_answer(failed.body("error"))
        case "redirect_loop":
            return Response(status_code=302, headers={"Location": str(request.url)})
        case "drop_before":
            return DropConnection()
        case "hang_before":
            return await _hang(fault, request)
        case _:
            return None


async def fault_after(fault: Fault, answer: Response, request: Request, form: ErrorForm) -> Response:
    """Return what is left of an answer when the fault strikes after the work was done and charged."""
    match fault.name:
        case "charged" | "names":
            named = fault.name == "names" and json.loads(bytes(answer.body))["data"]["task_id"]
            return _naming_answer(fault, named) if named else _status_answer(fault, request, form)
        case "lose_answer":
            return DropConnection()
        case "hang":
            return await _hang(fault, request)
        case "lose_half" | "truncated":
            return DropConnection(begun=answer)
        case "html":
            return HTMLResponse("<!doctype html><html><body><h1>Just a moment...</h1></body></html>")
        case "huge":
            padded = _padded(bytes(answer.body), math.ceil(fault.number or 0))
            return StreamingResponse(padded, media_type=answer.headers["content-type"])
        case "bytes":
            return Response(base64.b64decode(fault.text or ""), media_type=answer.media_type)
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
            raise AssertionError(f"{fault} strikes neither before nor after the work")


def _status_answer(fault: Fault, request: Request, form: ErrorForm) -> Response:
    code, _, message = (fault.text or "").partition(":")
    status = int(code)
    if status < 400:
        moved = request.url.replace(path=f"/moved{request.url.path}")
        return Response(status_code=status, headers={"Location": str(moved)})
    if status == 408:
        # Documented as plain text, unlike every other error.
        return PlainTextResponse(message or "Request timeout", status)
    return refusal_answer(Refusal(status, message or invented(responses.get(status, "Error"))), form)


def _naming_answer(fault: Fault, task_id: str) -> Response:
    code, _, body = (fault.text or "").partition(":")
    body = body or json.dumps({"code": int(code), "error": {"message": invented("Busy"), "task_id": "TASK"}})
    written = json.dumps(task_id)[1:-1]
    return Response(body.replace("TASK", written), int(code), media_type="application/json")


async def _hang(fault: Fault, request: Request) -> Response:
    await until_disconnected(request.receive, math.inf if fault.number is None else fault.number)
    return DropConnection()


async def _padded(body: bytes, megabytes: int) -> AsyncIterator[bytes]:
    # White space after the value keeps JSON valid: only the size is wrong.
    yield body
    for _ in range(megabytes):
        yield b" " * (1024 * 1024)
