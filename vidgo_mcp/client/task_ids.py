"""Finds the task that an answer names, in whatever form it comes: the strongest sign that a submit was accepted.

A status or a code that says the opposite is weaker: a submit that is sent again on its word may be paid for twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vidgo_mcp.client.addresses import folded, from_json_text
from vidgo_mcp.client.wire import UnreadableAnswerError, id_of, read_json
from vidgo_mcp.models.tasks import is_task_id

DEEPEST: Final = 12
"""Levels of an answer that are looked at."""
CUT: Final = "..."
"""Stands for the rest of an id that the answer broke off."""
REPEATED: Final = frozenset({"input", "prompt", "imageurls", "callbackurl", "loc", "ctx"})
"""Names under which an error repeats the request, whose prompt may hold anything."""

_IN_TEXT: Final = re.compile(
    r"""task[_-]?id[\\"']*\s*[:=]\s*\\*(?:["'](?P<quoted>(?:[^"'\\]|\\u[0-9a-f]{4})+)|(?P<bare>(?=[\w.:-]*\d)[\w.:-]+))""",
    re.IGNORECASE | re.ASCII,
)
"""A task_id in what is no whole JSON; without quotes it needs a digit, or it is a word of a sentence."""


def named_task(body: bytes, prompt: str) -> str | None:
    """Return the vendor's id of the task that an answer names; None when it names none.

    What a text only repeats from the ``prompt`` names nothing.
    """
    try:
        value = read_json(body)
    except UnreadableAnswerError:
        value = body.decode("utf-8", "replace")
    found = list(_named(value, prompt, DEEPEST))
    return next((one for one in found if is_task_id(one)), found[0] if found else None)


def _named(value: Any, prompt: str, depth: int) -> Iterator[str]:
    """Yield the ids in a value, those of an object before those further inside."""
    value = from_json_text(value)
    if isinstance(value, str):
        for found in _IN_TEXT.finditer(value):
            text = (found["quoted"] or found["bare"]).strip()
            if text and text not in prompt:
                # The beginning of an id may be the whole of another one.
                is_cut = found.end() == len(value) and (found["quoted"] or value.lstrip().startswith(("{", "[")))
                yield f"{text}{CUT}" if is_cut else text
    elif depth and isinstance(value, list):
        for item in value:
            yield from _named(item, prompt, depth - 1)
    elif depth and isinstance(value, Mapping):
        names = folded(value)
        own = [names.get("taskid"), *([names["id"]] if str(names.get("id")).startswith("task") else [])]
        yield from filter(None, map(id_of, own))
        for name, item in names.items():
            if name not in REPEATED:
                yield from _named(item, prompt, depth - 1)
