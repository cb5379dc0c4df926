"""A session that a snapshot opens goes on as if the server had answered all of it: nothing lost, doubled or changed."""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from io import BufferedReader, BufferedWriter, BytesIO, TextIOWrapper
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mcp_types.version import LATEST_MODERN_VERSION

from tests.server.conftest import PATIENCE
from tests.server.test_first_answer import KINDS, METHODS, request
from tests.server.test_json_lines import RIGHT, SILENT, WRONG, call
from vidgo_mcp.app import build_service, principal_of
from vidgo_mcp.server.build import build_server
from vidgo_mcp.server.json_lines import BYTE_ORDER_MARK, read_line
from vidgo_mcp.server.opening import CAPABILITIES, VERSION, Opening, Snapshot
from vidgo_mcp.server.stdio import serve_stdio
from vidgo_mcp.settings import Settings

LEGACY, LEGACY_VIEWS, MODERN = "2025-11-25", "2025-11-25 with views", LATEST_MODERN_VERSION
INITIALIZED = b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
CANCELLED = b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}\n'
PRICE = {"name": "estimate_cost", "arguments": {"size": "16:9"}}
UNKNOWN = ("tools/call", "nobody/knows", "logging/setLevel", "subscriptions/listen", "resources/read vidgo://pricing")
LONG = call(b"x" * 5_000_000) + b"\n"
DEEP = json.loads("[" * 250 + "]" * 250)

NAMELESS: list[Any] = [{"name": "a"}, {"name": "a", "version": 1}, {"name": "a", "version": "", "icons": [{}]}]
INCAPABLE: list[Any] = [
    *(None, {"new": {}}, {"roots": {"listChanged": "?"}}, {"roots": []}),
    *({"extensions": {"a": 1}}, {"experimental": {"a": {"b": DEEP}}}),
]
META: list[Any] = [
    *(None, 5, {}, {"progressToken": True}, {"progressToken": "a"}, {"traceparent": "?"}),
    *({VERSION: version, CAPABILITIES: {}} for version in ("2025-11-25", MODERN, "2031-01-01", 7)),
    *({VERSION: MODERN, CAPABILITIES: odd} for odd in INCAPABLE),
    *({VERSION: MODERN, CAPABILITIES: {}, "io.modelcontextprotocol/clientInfo": odd} for odd in NAMELESS),
    {VERSION: MODERN},
]
ODD: list[dict[str, Any]] = [
    {name: value}
    for name, values in {
        "_meta": META,
        "capabilities": INCAPABLE,
        "clientInfo": NAMELESS,
        "cursor": ["1", None, 7],
        "protocolVersion": ["2031-01-01", MODERN, 5],
        "unknown": [1],
        "uri": ["ui://vidgo/picture", "ui://vidgo", 5],
    }.items()
    for value in values
]
"""Params that the SDK may take, refuse or ignore."""
RAW_IDS = (
    *("-0", "-1", "1e0", "1" + "0" * 30, "1" * 5000, "null", "true", "[1]", '"a", "id": 9'),
    *('""', '"\\u00e9"', '"\u2028\x7f\u00e9"', r'"\ud83d"', r'"\ud83d\ude00"', r'"\/\"\b"'),
)
RAW: list[tuple[str, str]] = [
    ("prompts/list", r"prompts\u002flist"),
    *(("2.0", other) for other in ("1.0", "2.0 ", r"2\u002e0")),
    *(('{"jsonrpc"', f'{{{other}, "jsonrpc"') for other in ('"error": {"code": 1, "message": ""}', '"new": 1')),
    *(('{"jsonrpc"', f'{{{other}, "jsonrpc"') for other in ('"result": {}', '"method": "ping"')),
    *(('"params": {', f'"params": {{{other}, ') for other in ('"a": NaN', '"cursor": 1, "cursor": null')),
    *(("}\n", other) for other in ("}\t \r\n", "}\x0b\n", "}}\n", "\n", "} {}\n", ",}\n", "}\x00\n", "} // a\n")),
]
"""What else may be written, in place of what."""


class Pipe:
    """Two files; one reads what is written into the other."""

    def __init__(self, stack: ExitStack) -> None:
        reading, writing = os.pipe()
        self.reading = BufferedReader(os.fdopen(reading, "rb", buffering=0))
        self.writing = BufferedWriter(os.fdopen(writing, "wb", buffering=0))
        self.text = stack.enter_context(TextIOWrapper(self.reading)), stack.enter_context(TextIOWrapper(self.writing))


def written(lines: Sequence[bytes], patch: pytest.MonkeyPatch, *, opens: bool) -> list[bytes]:
    """Return what is written to a client that writes these lines, and closes stdin when it has all answers."""
    read = [read_line(line) for line in lines]
    messages = [json.loads(text) for text, _ in read if text is not None]
    expected = sum(len(refusals) for _, refusals in read) + sum({"id", "method"} <= one.keys() for one in messages)
    answers: list[bytes] = []
    with ExitStack() as stack, patch.context() as patched:
        stdin, stdout = Pipe(stack), Pipe(stack)
        patched.setattr(sys, "stdin", stdin.text[0])
        patched.setattr(sys, "stdout", stdout.text[1])
        opening = None
        if opens:
            own = os.fdopen(os.dup(stdout.writing.fileno()), "wb")
            opening = Opening(Snapshot.read(), stdin.reading, own, lambda: False)
            opening.start()

        def talk() -> None:
            stdin.writing.writelines(lines)
            stdin.writing.flush()

        def listen() -> None:
            answers.extend(stdout.reading.readline() for _ in range(expected))
            talking.join()
            stdin.writing.close()
            answers.extend(stdout.reading)

        talking, listening = threading.Thread(target=talk), threading.Thread(target=listen)
        talking.start()
        listening.start()
        anyio.run(serve, opening)
        stdout.writing.close()
        listening.join(PATIENCE)
    return answers


async def serve(opening: Opening | None) -> None:
    plain = Settings(journal="memory")
    service, principal = build_service(plain), principal_of(plain)
    with anyio.fail_after(PATIENCE):
        await serve_stdio(build_server(service, principal_of=lambda ctx: principal), service, opening)


def line(kind: str, method: str, number: Any = 1, **more: Any) -> bytes:
    """Return a request as a line; ``more`` are further params."""
    asked = request(kind, method, number)
    asked["params"] |= (PRICE if method == "tools/call" else {}) | more
    return json.dumps(asked).encode() + b"\n"


def first(kind: str) -> bytes:
    return line(kind, "server/discover" if kind.startswith(MODERN) else "initialize", 0)


def new() -> Opening:
    """Return an opening that has read nothing yet."""
    return Opening(Snapshot.read(), BytesIO(), BytesIO(), lambda: False)


def opened(kind: str) -> Opening:
    """Return an opening that has answered the first request of a kind of client."""
    opening = new()
    assert opening.answer(first(kind))
    return opening


@pytest.mark.parametrize("kind", [LEGACY, LEGACY_VIEWS, MODERN])
def test_whatever_is_answered_at_once_is_what_the_server_answers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count(1)
    lines = [line(kind, method, next(numbers), **odd) for method in (*METHODS, *UNKNOWN) for odd in [{}, *ODD]]
    lines += [line(kind, "prompts/list", next(numbers)).decode().replace(*other).encode() for other in RAW]
    lines += [line(kind, "prompts/list", 0).replace(b'"id": 0', b'"id": ' + number.encode()) for number in RAW_IDS]
    expected = {*written([first(kind), *lines], monkeypatch, opens=False)}
    begins = [kind != MODERN and b'"initialize"' in one for one in lines]
    answers = [(new() if first else opened(kind)).answer(one) for one, first in zip(lines, begins, strict=True)]
    assert {answer for answer in answers if answer} <= expected
    # The usual ones, those with a progress token, and most of the odd ids.
    assert sum(answer is not None for answer in answers) > 20


@st.composite
def requests(draw: st.DrawFn, kind: str) -> bytes:
    """Draw a request, now and then of another kind of client, or with something odd."""
    numbers: st.SearchStrategy[Any] = st.one_of(
        st.integers(-(2**70), 2**70), st.text(max_size=4), st.sampled_from([None, True, 1.5, {}])
    )
    kind, method = draw(st.sampled_from([kind] * 9 + KINDS)), draw(st.sampled_from([*METHODS * 2, *UNKNOWN]))
    text = line(kind, method, draw(numbers), **draw(st.sampled_from([{}] * 90 + ODD))).decode()
    return (
        draw(st.sampled_from([b""] * 9 + [BYTE_ORDER_MARK]))
        + text.replace(*draw(st.sampled_from([("\n", "\n")] * 30 + RAW))).encode()
    )


@st.composite
def sessions(draw: st.DrawFn) -> list[bytes]:
    kind = draw(st.sampled_from(KINDS))
    others = [one + b"\n" for one in (*(wrong for wrong, _ in WRONG), *RIGHT, *SILENT)] + [CANCELLED, INITIALIZED]
    rest = draw(st.lists(st.one_of(*[requests(kind)] * 5, st.sampled_from(others)), max_size=7))
    return [first(kind)] * draw(st.sampled_from([1, 1, 1, 1, 0])) + rest


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(sessions())
@example([first(LEGACY), INITIALIZED, line(LEGACY, "tools/list", 1), line(LEGACY, "tools/call", 1)])
@example([first(LEGACY), first(LEGACY_VIEWS), line(LEGACY, "tools/list")])
@example([line(LEGACY, "initialize", "a"), INITIALIZED, CANCELLED, line(LEGACY, "ping", "a"), LONG])
@example([line(MODERN, "tools/list"), first(LEGACY), line(MODERN, "tools/call", 2)])
@example([first(MODERN), line(LEGACY, "ping"), INITIALIZED, line(MODERN, "tools/list", "")])
@example([line(LEGACY, "ping"), line(MODERN, "tools/list"), first(LEGACY), line(LEGACY, "ping")])
@example([INITIALIZED, first(LEGACY), b"\n", b"[" + line(LEGACY, "ping").strip() + b"]\n"])
def test_every_session_gets_the_same_answers_with_and_without_the_snapshot(lines: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert sorted(written(lines, patch, opens=True)) == sorted(written(lines, patch, opens=False))
