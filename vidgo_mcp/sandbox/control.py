"""The control endpoints below `/_sandbox`: what a test in another process needs to plan faults and read the ledger."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vidgo_mcp.sandbox.callbacks import is_loopback
from vidgo_mcp.sandbox.fault_responses import json_answer
from vidgo_mcp.sandbox.state import Sandbox


def control_routes(sandbox: Sandbox) -> list[Route]:
    """Build the routes. They need no key, and answer loopback only."""

    def route(path: str, method: str, act: Callable[[Any], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            if request.client is None or not is_loopback(request.client.host):
                return json_answer({"detail": "The control endpoints answer loopback only."}, 403)
            try:
                return json_answer(act(await _body(request)))
            except ValueError as error:
                return json_answer({"detail": str(error)}, 422)

        return Route(f"/_sandbox{path}", endpoint, methods=[method])

    def plan(body: Any) -> Any:
        faults = body.get("faults")
        if not isinstance(faults, list) or not all(isinstance(fault, str) for fault in faults):
            raise ValueError('Send {"faults": ["endpoint:name", ...]}.')
        sandbox.set_faults(faults)
        return {"faults": sandbox.fault_plan.listed()}

    def behave(_: Any) -> Any:
        sandbox.clear_faults()
        return {"faults": []}

    def advance(body: Any) -> Any:
        seconds = body.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError('Send {"seconds": 86400}.')
        sandbox.advance(seconds)
        return {"now": sandbox.now().isoformat()}

    return [
        route("", "GET", lambda _: _state(sandbox)),
        route("/faults", "POST", plan),
        route("/faults", "DELETE", behave),
        route("/ledger", "GET", lambda _: {"ledger": [asdict(entry) for entry in sandbox.ledger]}),
        route("/requests", "GET", lambda _: {"requests": [asdict(record) for record in sandbox.requests]}),
        route("/callbacks", "GET", lambda _: {"callbacks": [asdict(record) for record in sandbox.callbacks]}),
        route("/advance", "POST", advance),
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


async def _body(request: Request) -> dict[str, Any]:
    content = await request.body()
    body = json.loads(content) if content else {}
    if not isinstance(body, dict):
        raise ValueError("The body must be a JSON object.")
    return body
