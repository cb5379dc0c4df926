"""Finds the tasks that an answer names, in whatever form it comes: the strongest sign that a submit was accepted.

A status or a code that says the opposite is weaker: a submit that is sent again on its word may be paid for twice.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vidgo_mcp.client.addresses import from_json_text
from vidgo_mcp.client.wire import NO_ID, UnreadableAnswerError, id_of, read_json
from vidgo_mcp.models.tasks import CUT, is_task_id

DEEPEST: Final = 100
"""Levels of an answer that are looked at."""
HEADERS: Final = ("task-id", "location")
"""How the names of those end that may name a task."""
REPEATED: Final = frozenset({"input", "prompt", "imageurls", "callbackurl", "loc", "ctx"})
"""Names under which an error repeats the request, whose prompt may hold anything."""

_IN_TEXT: Final = re.compile(
    r"""task(?:[\s_-]|>\s*<)?ids?(?:[\\"']*\s*-?[:=>\uff1a]{1,5}|\s+is|\s|(?=<))"""
    r"""[\s\\\[(#`\u201c\u2018]*(?:</?\w[^<>]{,99}>[\s\\\[(#`\u201c\u2018]*){,8}(?:["'](?P<quoted>(?:[^"'\\]|\\u[0-9a-f]{4})+)"""
    r"""|(?P<bare>(?=[\w.:-]{,200}\d)[\w.:-]{4,}[\w-]))"""
    r"""|generate/status/(?P<path>(?=[\w.:-]{,200}\d)\w[\w.:-]+)|(?P<documented>\btask-[a-z]+-\d{6,}-[\w.:-]*[\w-])""",
    re.IGNORECASE | re.ASCII,
)
"""A task_id in what is not whole JSON. Without quotes it needs five characters and a digit, or it is a word or a number
of a sentence. In its address, and in the form that Vidgo documents, it needs no name before it."""


def named_tasks(body: bytes, headers: Mapping[str, str], sent: Sequence[str] = ("",)) -> Sequence[str]:
    """Return the vendor's ids of the tasks that an answer names, those first that keep to the rule for task ids.

    What a text only repeats of what was ``sent``, the prompt and then addresses, names nothing.
    """
    try:
        value = read_json(body)
    except UnreadableAnswerError:
        value = body.decode("utf-8", "replace")
    naming = {name: text for name, text in headers.items() if name.endswith(HEADERS)}
    found = dict.fromkeys([*_named(value, sent, DEEPEST), *_named(naming, sent, DEEPEST)])
    return sorted(found, key=lambda one: not is_task_id(one))


def _named(value: Any, sent: Sequence[str], depth: int, *, of_task: bool = False) -> Iterator[str]:
    """Yield the ids in a value, which may be all ``of_task``, those of an object before those further inside."""
    value = from_json_text(value)
    if isinstance(value, str):
        value = html.unescape(value)
        for address in sent[1:]:
            value = value.replace(address, " ")
        for found in _IN_TEXT.finditer(value):
            text = found[found.lastgroup or 0].strip()
            if text not in sent[0] and not NO_ID.fullmatch(text):
                # The beginning of an id may be the whole of another one.
                is_cut = found.end() == len(value) and (found["quoted"] or value.lstrip().startswith(("{", "[")))
                yield f"{text}{CUT}" if is_cut else text
    elif depth and isinstance(value, list):
        for item in value:
            yield from _named(item, sent, depth - 1, of_task=of_task)
    elif depth and isinstance(value, Mapping):
        names = [(re.sub(r"[\W_]", "", name).lower(), item) for name, item in value.items()]
        own = [_holds_id(name, item, of_task=of_task) for name, item in names]
        for (_, item), holds in zip(names, own, strict=True):
            yield from filter(None, map(id_of, item if isinstance(item, list) else [item])) if holds else ()
        for (name, item), holds in zip(names, own, strict=True):
            if name not in REPEATED and not (holds and isinstance(item, str)):
                yield from _named(item, sent, depth - 1, of_task=name in {"task", "tasks"})


def _holds_id(name: str, item: Any, *, of_task: bool) -> bool:
    if name.endswith("taskids"):
        return not isinstance(item, int)
    return name.endswith("taskid") or (name == "id" and (of_task or re.match(r"(?i)task.*\d", str(item)) is not None))
