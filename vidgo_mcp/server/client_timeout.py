"""How long a client waits for a call, learned from the calls that it gave up, so that later ones answer in time.

Most clients give up after a time that they do not tell, and their model then reads only that something timed out.
"""

from __future__ import annotations

import re
from typing import Any, Final

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

SHARE: Final = 0.8
"""How much of the time that a client allowed a call takes from then on."""
SHORTEST: Final = 2.0
TIMED_OUT: Final = re.compile(r"tim(e[ds]?|ing)[ _-]?out|time[ _-]limit|-32001|deadline", re.IGNORECASE)
"""What clients give as the reason of a time-out. A person who stops a call is another reason, or none: to learn from
that would make every later call answer too early, and one more time-out costs nothing."""
REMEMBERED: Final = 100


class ClientTimeout:
    """Middleware that sees calls begin and be given up.

    It is kept as long as the server, which over stdio has one client. Over HTTP nothing is learned: there are no
    sessions, and a cancellation names no client.

    Attributes:
        seconds: how long a call may take; None while nothing is known.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._started: dict[str, float] = {}

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request is None:
            if ctx.method == "tools/call":
                # Not forgotten when it ends: it is cancelled before its cancellation is announced.
                self._started[str(ctx.request_id)] = anyio.current_time()
                if len(self._started) > REMEMBERED:
                    del self._started[next(iter(self._started))]
            elif ctx.method == "notifications/cancelled":
                self._learn(ctx.params or {})
        return await call_next(ctx)

    def _learn(self, params: Any) -> None:
        started = self._started.pop(str(params.get("requestId")), None)
        reason = params.get("reason")
        if started is not None and isinstance(reason, str) and TIMED_OUT.search(reason):
            allowed = max(SHORTEST, SHARE * (anyio.current_time() - started))
            self.seconds = allowed if self.seconds is None else min(self.seconds, allowed)
