"""The HTTP face of the sandbox: it routes a request, lets a planned fault strike, and writes the request down."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vidgo_mcp.sandbox.briefs import Brief
from vidgo_mcp.sandbox.callbacks import Callbacks
from vidgo_mcp.sandbox.control import control_routes
from vidgo_mcp.sandbox.fault_responses import fault_after, json_answer, refusal_answer, refused, until_disconnected
from vidgo_mcp.sandbox.refusals import ErrorForm, Refusal, invented, unprocessable
from vidgo_mcp.sandbox.state import RequestRecord, Sandbox
from vidgo_mcp.sandbox.upload_endpoints import UPLOAD_KINDS, keep_upload, read_upload

LOGGED_BODY_BYTES = 256 * 1024
_LOGGED_HEADERS = ("user-agent", "content-type", "accept", "idempotency-key", "x-request-id")
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

Handler = Callable[[Request], Awaitable[Response]]


def create_app(sandbox: Sandbox) -> Starlette:
    """Build the ASGI application. Callbacks are delivered only while its lifespan runs."""
    callbacks = Callbacks(sandbox)
    form = sandbox.habits.error_form

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with callbacks.sending():
            yield

    async def submit(request: Request) -> Response:
        account = sandbox.authorize(request.headers.get("authorization"))
        task = sandbox.submit(account, await _json(request), str(request.base_url))
        callbacks.announce(task)
        data = {"task_id": task.task_id, "status": "not_started", "created_time": task.created_time}
        return json_answer({"code": 200, "data": data})

    async def status(request: Request) -> Response:
        account = sandbox.authorize(request.headers.get("authorization"))
        data = sandbox.read_status(account, request.path_params["task_id"], str(request.base_url))
        return json_answer({"code": 200, "data": data})

    async def balance(request: Request) -> Response:
        account = sandbox.authorize(request.headers.get("authorization"))
        data = {"email": account.email, "credits_amount": sandbox.credits_of(account)}
        return json_answer({"code": 200, "data": data})

    async def upload(request: Request) -> Response:
        account = sandbox.authorize(request.headers.get("authorization"))
        sandbox.admit_upload(account)
        content, fields = await read_upload(sandbox, request)
        return json_answer(keep_upload(sandbox, content, fields, str(request.base_url)))

    async def file(request: Request) -> Response:
        signature = request.query_params.get("sig", "")
        found = sandbox.storage.find(request.path_params["name"], signature, sandbox.clock())
        content = found.content
        if isinstance(content, Brief):
            if sandbox.habits.inline_render:
                content = sandbox.gallery.png(content)
            else:
                content = await anyio.to_thread.run_sync(sandbox.gallery.png, content)
        return Response(content, media_type=found.mime_type)

    async def nothing(request: Request) -> Response:
        raise Refusal(404, invented(f"No such endpoint: {request.method} {request.url.path}"))

    def route(path: str, method: str, endpoint: str | None, handler: Handler, form: ErrorForm = form) -> Route:
        async def answered(request: Request) -> Response:
            record = RequestRecord(request.method, request.url.path, await _logged_body(request), _headers(request))
            sandbox.log(record)
            try:
                asked = "GET" if request.method == "HEAD" else request.method
                if asked != method and endpoint is not None:
                    raise Refusal(405, invented("Method not allowed"))
                response = await _answered(sandbox, endpoint, handler, request, form)
            except Refusal as refusal:
                response = refusal_answer(refusal, form)
            record.status = response.status_code
            return response

        return Route(path, answered, methods=_METHODS)

    return Starlette(
        routes=[
            *control_routes(sandbox),
            route("/api/generate/submit", "POST", "submit", submit),
            route("/api/generate/status/{task_id}", "GET", "status", status),
            route("/api/user/balance", "GET", "balance", balance),
            # The upload endpoints are documented to speak the `detail` form only.
            *(route(f"/api/common/upload/{kind}", "POST", "upload", upload, "detail") for kind in UPLOAD_KINDS),
            route("/files/{name:path}", "GET", "file", file),
            route("/{path:path}", "GET", None, nothing),
        ],
        lifespan=lifespan,
    )


async def _answered(
    sandbox: Sandbox, endpoint: str | None, handler: Handler, request: Request, form: ErrorForm
) -> Response:
    planned = sandbox.take_faults(endpoint) if endpoint is not None else ()
    slow = next((fault for fault in planned if fault.combines), None)
    strikes = next((fault for fault in planned if not fault.combines), None)
    response: Response | None = None
    try:
        if strikes is not None:
            response = await refused(
                strikes,
                request,
                form=form,
                insufficient_status=sandbox.habits.insufficient_status,
                now=sandbox.now(),
            )
        if response is None:
            response = await handler(request)
            if strikes is not None:
                response = await fault_after(strikes, response, request, form)
    except Refusal as refusal:
        response = refusal_answer(refusal, form)
    if slow is not None:
        await until_disconnected(request.receive, slow.number or 0)
    return response


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise unprocessable((), "the body must be JSON") from None


async def _logged_body(request: Request) -> Any:
    content = await request.body()
    if not content or len(content) > LOGGED_BODY_BYTES:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return None


def _headers(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name in _LOGGED_HEADERS}
