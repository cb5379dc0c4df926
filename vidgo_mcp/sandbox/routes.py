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

from vidgo_mcp.sandbox.callbacks import Callbacks
from vidgo_mcp.sandbox.control import control_routes
from vidgo_mcp.sandbox.fault_responses import fault_after, fault_before, json_answer, refusal_answer, until_disconnected
from vidgo_mcp.sandbox.refusals import ErrorForm, Refusal, invented, unprocessable
from vidgo_mcp.sandbox.state import Account, RequestRecord, Sandbox
from vidgo_mcp.sandbox.storage import Brief
from vidgo_mcp.sandbox.upload_endpoints import UPLOAD_KINDS, keep_upload, read_upload

LOGGED_BODY_BYTES = 256 * 1024
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

Handler = Callable[[Request], Awaitable[Response]]


def create_app(sandbox: Sandbox) -> Starlette:
    """Build the ASGI application. Callbacks are delivered only while its lifespan runs."""
    callbacks = Callbacks(sandbox)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with callbacks.sending():
            yield

    def authorize(request: Request) -> Account:
        return sandbox.authorize(request.headers.get("authorization"))

    async def submit(request: Request) -> Response:
        account = authorize(request)
        try:
            body = json.loads(await request.body())
        except ValueError:
            raise unprocessable((), "the body must be JSON") from None
        task = sandbox.submit(account, body, str(request.base_url))
        callbacks.announce(task)
        data = {"task_id": task.task_id, "status": "not_started", "created_time": task.created_time}
        return json_answer({"code": 200, "data": data})

    async def status(request: Request) -> Response:
        data = sandbox.read_status(authorize(request), request.path_params["task_id"], str(request.base_url))
        return json_answer({"code": 200, "data": data})

    async def balance(request: Request) -> Response:
        account = authorize(request)
        data = {"email": f"{account.label}@sandbox.invalid", "credits_amount": account.credits}
        return json_answer({"code": 200, "data": data})

    async def upload(request: Request) -> Response:
        sandbox.admit_upload(authorize(request))
        content, fields = await read_upload(sandbox, request)
        return json_answer(keep_upload(sandbox, content, fields, str(request.base_url)))

    async def file(request: Request) -> Response:
        signature = request.query_params.get("sig", "")
        found = sandbox.storage.find(request.path_params["name"], signature, sandbox.clock())
        content = found.content
        if isinstance(content, Brief):
            if sandbox.options.inline_render:
                content = sandbox.draw(content)
            else:
                content = await anyio.to_thread.run_sync(sandbox.draw, content)
        return Response(content, media_type=found.mime_type)

    async def nothing(request: Request) -> Response:
        raise Refusal(404, invented(f"No such endpoint: {request.method} {request.url.path}"))

    def route(path: str, method: str, endpoint: str | None, handler: Handler, form: ErrorForm | None = None) -> Route:
        spoken = form or sandbox.options.error_form

        async def logged(request: Request) -> Response:
            record = RequestRecord(request.method, request.url.path, await _logged_body(request))
            sandbox.log(record)
            asked = "GET" if request.method == "HEAD" else request.method
            if endpoint is None:
                response = await _handled(handler, request, spoken)
            elif asked != method:
                response = refusal_answer(Refusal(405, invented("Method not allowed")), spoken)
            else:
                response = await _with_faults(sandbox, endpoint, handler, request, spoken)
            record.status = response.status_code
            return response

        return Route(path, logged, methods=_METHODS)

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


async def _with_faults(
    sandbox: Sandbox, endpoint: str, handler: Handler, request: Request, form: ErrorForm
) -> Response:
    planned = sandbox.fault_plan.take(endpoint)
    slow = next((fault for fault in planned if fault.combines), None)
    strikes = next((fault for fault in planned if not fault.combines), None)
    response = None if strikes is None else await fault_before(strikes, request, form, sandbox.now())
    if response is None:
        response = await _handled(handler, request, form)
        # Only an answer to accepted work can go wrong: a refusal by the rules stays as it is.
        if strikes is not None and response.status_code == 200:
            response = await fault_after(strikes, response, request, form)
    if slow is not None:
        await until_disconnected(request.receive, slow.number or 0)
    return response


async def _handled(handler: Handler, request: Request, form: ErrorForm) -> Response:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal_answer(refusal, form)


async def _logged_body(request: Request) -> Any:
    content = await request.body()
    if not content or len(content) > LOGGED_BODY_BYTES:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return None
