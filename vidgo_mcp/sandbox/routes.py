"""The HTTP face of the sandbox: Vidgo's endpoints, where planned faults strike, and the control endpoints beside them.

What a test in another process needs to plan faults and to read the ledger is below `/_sandbox`.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vidgo_mcp.sandbox.answers import (
    ErrorForm,
    Refusal,
    fault_after,
    fault_before,
    invented,
    json_answer,
    refusal_answer,
    unprocessable,
    until_disconnected,
)
from vidgo_mcp.sandbox.callbacks import Callbacks, is_loopback
from vidgo_mcp.sandbox.state import Account, RequestRecord, Sandbox
from vidgo_mcp.sandbox.storage import Brief
from vidgo_mcp.sandbox.upload_endpoints import UPLOAD_KINDS, keep_upload, read_upload

KEPT_REQUESTS = 10_000
LOGGED_BODY_BYTES = 256 * 1024
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class _AnyText(Convertor[str]):
    """Also slashes and line breaks: a task may be called anything."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_text", _AnyText())
Handler = Callable[[Request], Awaitable[Response]]


def create_app(sandbox: Sandbox) -> Starlette:
    """Build the ASGI application. Callbacks are delivered only while its lifespan runs."""
    callbacks = Callbacks(sandbox)

    def authorize(request: Request) -> Account:
        return sandbox.authorize(request.headers.get("authorization"))

    def address(request: Request) -> str:
        return sandbox.address or str(request.base_url)

    async def submit(request: Request) -> Response:
        account = authorize(request)
        try:
            body = json.loads(await request.body())
        except ValueError:
            raise unprocessable((), "the body must be JSON") from None
        task = sandbox.submit(account, body, address(request))
        callbacks.announce(task)
        data = {"task_id": task.task_id, "status": "not_started", "created_time": task.created_time}
        return json_answer({"code": 200, "data": data})

    async def status(request: Request) -> Response:
        data = sandbox.read_status(authorize(request), request.path_params["task_id"], address(request))
        return json_answer({"code": 200, "data": data})

    async def balance(request: Request) -> Response:
        account = authorize(request)
        data = {"email": f"{account.label}@sandbox.invalid", "credits_amount": account.credits}
        return json_answer({"code": 200, "data": data})

    async def upload(request: Request) -> Response:
        sandbox.admit_upload(authorize(request))
        content, fields = await read_upload(sandbox, request, address(request))
        return json_answer(keep_upload(sandbox, content, fields, address(request)))

    async def file(request: Request) -> Response:
        found = sandbox.find_file(request.path_params["name"], request.query_params.get("sig", ""))
        content = found.content
        if request.method == "HEAD":  # nobody gets to see it, and drawing takes time
            content = b""
        if isinstance(content, Brief):
            if sandbox.options.inline_render:
                content = sandbox.draw(content)
            else:
                content = await anyio.to_thread.run_sync(sandbox.draw, content)
        return Response(content, media_type=found.mime_type)

    async def unknown(request: Request) -> Response:
        raise Refusal(404, invented(f"No such endpoint: {request.method} {request.url.path}"))

    def route(path: str, method: str, endpoint: str, handler: Handler, form: ErrorForm | None = None) -> Route:
        spoken = form or sandbox.options.error_form

        async def logged(request: Request) -> Response:
            content, body = await request.body(), None
            if len(content) <= LOGGED_BODY_BYTES:
                with suppress(ValueError):
                    body = json.loads(content)
            record = RequestRecord(request.method, request.url.path, body)
            sandbox.requests.append(record)
            del sandbox.requests[:-KEPT_REQUESTS]
            asked = "GET" if request.method == "HEAD" else request.method
            if asked != method and endpoint:
                response = refusal_answer(Refusal(405, invented("Method not allowed")), spoken)
            else:
                response = await _with_faults(sandbox, endpoint, handler, request, spoken)
            record.status = response.status_code
            return response

        return Route(path, logged, methods=_METHODS)

    return Starlette(
        routes=[
            *_control_routes(sandbox),
            route("/api/generate/submit", "POST", "submit", submit),
            route("/api/generate/status/{task_id:any_text}", "GET", "status", status),
            route("/api/user/balance", "GET", "balance", balance),
            # The upload endpoints are documented to speak the `detail` form only.
            *(route(f"/api/common/upload/{kind}", "POST", "upload", upload, "detail") for kind in UPLOAD_KINDS),
            route("/files/{name:path}", "GET", "file", file),
            route("/{path:path}", "GET", "", unknown),
        ],
        lifespan=callbacks.sending,
    )


async def _with_faults(
    sandbox: Sandbox, endpoint: str, handler: Handler, request: Request, form: ErrorForm
) -> Response:
    planned = sandbox.fault_plan.take(endpoint)
    slow = next((fault for fault in planned if fault.combines), None)
    strikes = next((fault for fault in planned if not fault.combines), None)
    response = None if strikes is None else await fault_before(strikes, request, form, sandbox.now())
    if response is None:
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = refusal_answer(refusal, form)
        # Only an answer to accepted work can go wrong: a refusal by the rules stays as it is.
        if strikes is not None and response.status_code == 200:
            response = await fault_after(strikes, response, request, form)
    if slow is not None:
        await until_disconnected(request.receive, slow.number or 0)
    return response


def _control_routes(sandbox: Sandbox) -> list[Route]:
    """Build the control endpoints. They need no key, and answer loopback only."""

    def route(path: str, method: str, act: Callable[[Any], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            if request.client is None or not is_loopback(request.client.host):
                return json_answer({"detail": "The control endpoints answer loopback only."}, 403)
            try:
                body = json.loads(await request.body() or b"{}")
                if not isinstance(body, dict):
                    raise ValueError("The body must be a JSON object.")
                return json_answer(act(body))
            except ValueError as error:
                return json_answer({"detail": str(error)}, 422)

        return Route(f"/_sandbox{path}", endpoint, methods=[method])

    def plan(body: Any) -> Any:
        faults = body.get("faults")
        if not isinstance(faults, list) or not all(isinstance(fault, str) for fault in faults):
            raise ValueError('Send {"faults": ["endpoint:name", ...]}.')
        sandbox.set_faults(faults)
        return {"faults": sandbox.fault_plan.listed()}

    def advance(body: Any) -> Any:
        seconds = body.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError('Send {"seconds": 86400}.')
        sandbox.advance(seconds)
        return {"now": sandbox.now().isoformat()}

    def spend(body: Any) -> Any:
        amount = body.get("credits")
        if type(amount) is not int:
            raise ValueError('Send {"credits": 7}: what another user of the key spends; below 0 it is a top-up.')
        sandbox.spend_elsewhere(amount, next(iter(sandbox.keys)))
        return {"accounts": [asdict(account) for account in sandbox.accounts]}

    return [
        route("", "GET", lambda _: _state(sandbox)),
        route("/faults", "POST", plan),
        route("/faults", "DELETE", lambda _: plan({"faults": []})),
        route("/ledger", "GET", lambda _: {"ledger": [asdict(entry) for entry in sandbox.ledger]}),
        route("/requests", "GET", lambda _: {"requests": [asdict(record) for record in sandbox.requests]}),
        route("/callbacks", "GET", lambda _: {"callbacks": [asdict(record) for record in sandbox.callbacks]}),
        route("/advance", "POST", advance),
        route("/spend", "POST", spend),
    ]


def _state(sandbox: Sandbox) -> dict[str, Any]:
    at = sandbox.clock()
    return {
        "accounts": [asdict(account) for account in sandbox.accounts],
        "tasks": [
            {
                "task_id": task.task_id,
                "account": task.account,
                "status": task.status(at),
                "credits": task.submission.credits,
                "created_time": task.created_time,
                "prompt": task.submission.prompt[:100],
            }
            for task in list(sandbox.tasks.values())
        ],
        "faults": sandbox.fault_plan.listed(),
        "now": sandbox.now().isoformat(),
    }
