"""Asks the person the service's question, in both eras of the protocol.

The handshake era asks in the middle of a call. The stateless era answers the call with a question; the client calls
again with the answer and with our state, which the SDK's boundary has sealed and bound to the same arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import anyio
from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestedSchema,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from pydantic import ValidationError

from vidgo_mcp.service.limits import Answer, Ask, CallInterrupted, Question, Verdict

ANSWER_SECONDS: Final = 300.0
"""How long a person may think; the sealed state of the stateless era lives as long."""
FIELD: Final = "confirm"
SCHEMA: Final[ElicitRequestedSchema] = {
    "type": "object",
    "properties": {
        # Without a default some clients preselect yes.
        FIELD: {
            "type": "boolean",
            "title": "Spend the credits",
            "description": "Tick to make this picture.",
            "default": False,
        }
    },
    "required": [FIELD],
}

VERDICTS: Final[Mapping[str, Verdict]] = {"decline": "declined", "cancel": "dismissed"}

Context = ServerRequestContext[Any, Any]


class QuestionForClient(CallInterrupted):
    """The stateless era asks by answering: this carries that answer past the service, which has recorded nothing."""

    def __init__(self, question: str, price: int, ticket: str) -> None:
        super().__init__(question)
        self.result = InputRequiredResult(
            input_requests={
                FIELD: ElicitRequest(params=ElicitRequestFormParams(message=question, requested_schema=SCHEMA))
            },
            request_state=json.dumps({"ticket": ticket, "price": price, "question": question}),
        )


def asker(ctx: Context, params: CallToolRequestParams, *, modern: bool) -> Ask:
    """Return the function that asks the person at this client; ``modern`` is the stateless era."""

    async def ask(question: Question) -> Answer:
        if not modern and not ctx.session.can_send_request:
            # Without a session it is not even known whether the client could.
            return Answer("no_way_back")
        capabilities = ctx.session.client_capabilities
        forms = None if capabilities is None else capabilities.elicitation
        # Before there were two kinds, an empty capability meant forms.
        if forms is None or (forms.form is None and forms.url is not None):
            return Answer("cannot_ask")
        if modern:
            return _answered(params, question)
        return await _asked(ctx, question)

    return ask


def _answered(params: CallToolRequestParams, question: Question) -> Answer:
    state: dict[str, Any] = json.loads(params.request_state or "{}")
    # Whoever agreed to another price has not agreed to this one.
    if state.get("price") != question.credits:
        raise QuestionForClient(question.text(), question.credits, uuid4().hex)
    response = (params.input_responses or {}).get(FIELD)
    if not isinstance(response, ElicitResult):
        # The same words again: what moves, such as the credits left, was sealed with the first question.
        raise QuestionForClient(state["question"], state["price"], state["ticket"])
    return Answer(_verdict(response), state["ticket"])


async def _asked(ctx: Context, question: Question) -> Answer:
    try:
        with anyio.fail_after(ANSWER_SECONDS):
            response = await ctx.session.elicit_form(question.text(), SCHEMA, related_request_id=ctx.request_id)
    except TimeoutError:
        return Answer("no_answer")
    except MCPError:
        # The client said that it can ask, and then could not.
        return Answer("cannot_ask")
    except ValidationError:
        # The client answered, but not as the protocol says: whatever it meant, it is no yes.
        return Answer("no_answer")
    return Answer(_verdict(response), uuid4().hex)


def _verdict(response: ElicitResult) -> Verdict:
    if response.action == "accept" and (response.content or {}).get(FIELD) is True:
        return "accepted"
    # Whatever else it may be, it is no yes.
    return VERDICTS.get(response.action, "no_answer")


async def read_answers(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Read a malformed answer as one without the tick; the SDK would refuse the call with a protocol error.

    That would say neither that nothing was spent nor what to do.
    """
    params = ctx.params or {}
    if ctx.method == "tools/call" and params.get("requestState") is not None:
        try:
            answers = {"name": "", "inputResponses": params.get("inputResponses")}
            CallToolRequestParams.model_validate(answers, by_name=False)
        except ValidationError:
            ctx = replace(ctx, params={**params, "inputResponses": {FIELD: {"action": "accept"}}})
    return await call_next(ctx)
