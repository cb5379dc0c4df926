"""What a client may write to stdin: nothing that asks ends in silence, and what is wrong never stops the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.test_over_stdio import started
from vidgo_mcp.server.json_lines import read_line

PARSE, REQUEST = -32700, -32600
PING = b'{"jsonrpc": "2.0", "id": 3, "method": "ping"}'


def call(prompt: bytes) -> bytes:
    arguments = b'{"name": "generate_image", "arguments": {"prompt": "' + prompt + b'"}}'
    return b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": ' + arguments + b"}"


WRONG: list[tuple[bytes, list[tuple[int, Any]]]] = [
    (call(rb"cat \ud83d"), [(PARSE, 7)]),
    (call(rb"\udc31 cat"), [(PARSE, 7)]),
    (call(b"caf\xe9"), [(PARSE, 7)]),
    (call(b"a\tcat"), [(PARSE, 7)]),
    (b"\xff\xfe{\x00", [(PARSE, None)]),
    (b"hello", [(PARSE, None)]),
    (PING[:-1], [(PARSE, None)]),
    (call(b'", "n": ' + b"9" * 5000 + b', "size": "'), [(PARSE, 7)]),
    (b"[" * 100_000, [(PARSE, None)]),
    (b"5", [(REQUEST, None)]),
    (b'"ping"', [(REQUEST, None)]),
    (b"null", [(REQUEST, None)]),
    (b"[]", [(REQUEST, None)]),
    (b"[" + PING + b"," + PING.replace(b"3", b'"four"') + b"]", [(REQUEST, 3), (REQUEST, "four")]),
    (b"{}", [(REQUEST, None)]),
    (b'{"id": 3, "method": "ping"}', [(REQUEST, 3)]),
    (b'{"jsonrpc": "1.0", "id": 3, "method": "ping"}', [(REQUEST, 3)]),
    (b'{"jsonrpc": "2.0", "id": 3}', [(REQUEST, 3)]),
    (b'{"jsonrpc": "2.0", "id": 3, "method": 5}', [(REQUEST, 3)]),
    (b'{"jsonrpc": "2.0", "id": 3, "method": "ping", "params": [1]}', [(REQUEST, 3)]),
    (b'{"jsonrpc": "2.0", "id": 3, "method": "ping", "error": {"code": 1, "message": ""}}', [(REQUEST, 3)]),
    *[(PING.replace(b"3", odd), [(REQUEST, None)]) for odd in (b"null", b"true", b"1.5", b"{}", b"[1]")],
]
RIGHT = [PING, b"\xef\xbb\xbf" + PING, PING + b"\r\n", b"  " + PING]
SILENT = [
    b"",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf\n",
    b'{"id": null, "error": "no"}',
]


@pytest.mark.parametrize(("line", "expected"), WRONG, ids=lambda value: repr(value)[:60])
def test_what_is_no_request_is_answered(line: bytes, expected: list[tuple[int, Any]]) -> None:
    request, refusals = read_line(line + b"\n")
    assert request is None
    assert [(one.error.code, one.id) for one in refusals] == expected


@pytest.mark.parametrize("line", RIGHT)
def test_what_surrounds_a_request_does_not_matter(line: bytes) -> None:
    assert read_line(line) == (PING.decode(), [])


@pytest.mark.parametrize("line", SILENT)
def test_what_asks_nothing_gets_no_answer(line: bytes) -> None:
    assert read_line(line) == (None, [])


@pytest.mark.parametrize("answer", [b'{"jsonrpc": "2.0", "id": 3, "result": 5}', b'{"id": 3, "error": "no"}'])
def test_an_answer_that_cannot_be_read_ends_what_waits_for_it_as_an_error(answer: bytes) -> None:
    line, refusals = read_line(answer)
    assert refusals == []
    assert line is not None
    assert (json.loads(line)["id"], json.loads(line)["error"]["code"]) == (3, REQUEST)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_after_every_wrong_line_the_server_still_serves(sandbox_url: str) -> None:
    async with started(sandbox_url) as server:
        stdin = server.process.stdin
        assert stdin is not None
        huge = call(b"x" * 20_000_000)
        for line, _ in [*WRONG, (huge, [])]:
            await stdin.send(line + b"\n")
        for line in (*SILENT, *RIGHT):
            await stdin.send(line + b"\n")
        wanted = sorted(json.dumps(number) for _, refusals in WRONG for _, number in refusals)
        answers = [await server.line() for _ in range(len(wanted) + 1 + len(RIGHT))]
        refused = [answer for answer in answers if "error" in answer]
        assert sorted(json.dumps(answer["id"]) for answer in refused) == wanted
        assert [answer["result"] for answer in answers if answer["id"] == 3 and "result" in answer] == [{}] * len(RIGHT)
        [too_long] = [answer["result"] for answer in answers if answer["id"] == 7 and "result" in answer]
        assert too_long["structuredContent"]["field"] == "prompt"
