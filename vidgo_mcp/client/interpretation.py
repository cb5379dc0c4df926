"""What an answer comes to: a result, or an error, by the strongest of what its task, its status and its code say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import anyio

from vidgo_mcp.client import wire
from vidgo_mcp.client.error_mapping import Refusal, named_error, unreadable_error
from vidgo_mcp.client.retry import NAMED_TASK_SECONDS
from vidgo_mcp.client.task_ids import named_tasks
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.models.tasks import CUT, Task, names_of

T = TypeVar("T")

MOST_LOOKED_UP: Final = 100
"""Tasks of one answer that are looked up among those of earlier requests."""
MOST_NAMED: Final = 5
"""Tasks of one answer that Vidgo is asked about."""


def result_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    parse: Callable[[Any], T],
    to_error: Callable[[Refusal], VidgoError],
    *,
    now: float,
    submit: bool,
) -> T:
    """Return what ``parse`` makes of an answer.

    Raises:
        VidgoError: it is no success.
    """

    def refused(code: int) -> VidgoError:
        return to_error(Refusal(code, wire.error_text(body), wire.retry_after(headers.get("retry-after"), now)))

    if not 200 <= status < 300:
        raise refused(status)
    try:
        value = wire.read_json(body)
        code = wire.envelope_code(value)
        if code is not None and 300 <= code < 600:
            raise refused(code)
        try:
            return parse(value)
        except wire.UnreadableAnswerError:
            # A code that no HTTP status has, such as 0, may mean a success, and comes with one then.
            if code is None:
                raise
            raise refused(code) from None
    except wire.UnreadableAnswerError as error:
        began = wire.beginning(body) if submit else None
        raise unreadable_error(status, str(error), submit=submit, began=began) from None


async def named_task(
    error: VidgoError,
    headers: Mapping[str, str],
    body: bytes,
    *,
    sent: Sequence[str],
    is_others: Callable[[str], Awaitable[bool]],
    status: Callable[[str], Awaitable[Task]],
) -> Task:
    """Return the task that an answer to a submit names without being a success, where Vidgo knows it.

    To name one is stronger than any status: it is no refusal then. A task of an earlier request says nothing, nor does
    one in a text that was ``sent``.

    Raises:
        VidgoError: the given error, or the one of a named task that Vidgo does not show.
    """
    named = named_tasks(body, headers, sent)[:MOST_LOOKED_UP]
    named = [one for one in named if not await is_others(names_of(one)[0])]
    if not named:
        raise error
    whole = [one for one in named if not one.endswith(CUT)][:MOST_NAMED]
    for pause in (0.0, 1.0) if whole else ():
        # What was paid for is worth these seconds also when everything is about to end. Each try has its own: a process
        # that was frozen finds the time of the first one over, and the answer in the socket.
        with anyio.move_on_after(NAMED_TASK_SECONDS / 2, shield=True):
            await anyio.sleep(pause)
            for one in whole:
                with suppress(VidgoError):
                    task = await status(one)
                    # It may have become that of another request while Vidgo was asked.
                    if not await is_others(task.task_id):
                        return task
                    named = [other for other in named if other != one]
    raise named_error(error, named[0]) if named else error
