"""The key is in the Authorization header and nowhere else: no repr, no error, no log, no result, whoever repeats it."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import httpx
import pytest

from tests.client.conftest import CALLS, PRICED, answering
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.models.tasks import Task

KEY = 'vk-live/9aF+x=<"0123\\456789'

pytestmark = pytest.mark.anyio


def shown(error: VidgoError) -> str:
    frames = "".join(traceback.format_exception(error))
    return f"{error!r} {error} {vars(error)} {frames}"


def escaped(text: str) -> str:
    """Spell a JSON text with an escape for every character."""
    return '"' + "".join(f"\\u{ord(letter):04X}" for letter in text) + '"'


ECHOES: dict[str, bytes] = {
    "detail": json.dumps({"detail": f"bad key {KEY}!"}).encode(),
    "error": json.dumps({"code": 401, "error": {"message": KEY}}).encode(),
    "list": json.dumps({"detail": [{"msg": f"a {KEY} b"}]}).encode(),
    "text": f"Bearer {KEY} is not valid".encode(),
    "escaped": f'{{"detail": {escaped(KEY)}}}'.encode(),
    "slashes escaped": json.dumps({"detail": KEY}).replace("/", "\\/").encode(),
    "utf-16": json.dumps({"detail": KEY}).encode("utf-16"),
    "JSON text": json.dumps(KEY).encode(),
}


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
async def test_an_error_that_repeats_the_key_does_not_show_it(status: int, echo: str) -> None:
    async with answering(httpx.Response(status, content=ECHOES[echo]), KEY) as client:
        for call in CALLS.values():
            with pytest.raises(VidgoError) as caught:
                await call(client)
            assert "9aF" not in shown(caught.value)
            if status == 400 and echo == "detail":
                assert "bad key [key]!" in str(caught.value)


@pytest.mark.parametrize("name", ["X-Task-Id", "Location"])
async def test_a_header_that_repeats_the_key_does_not_name_a_task_by_it(name: str) -> None:
    answer = httpx.Response(429, headers={name: f"/api/generate/status/{KEY}-1 task_id={KEY}"})
    async with answering(answer, KEY) as client:
        with pytest.raises(VidgoError) as caught:
            await client.submit_once(PRICED)
    assert "9aF" not in shown(caught.value)


async def test_a_result_that_repeats_the_key_does_not_show_it() -> None:
    data: dict[str, Any] = {
        "task_id": "task-1",
        "status": f"failed {KEY}",
        "error_message": f"key {KEY}",
        "files": [{"file_url": "https://a.example/c?key=vk-live/9aF"}],
        "deep": [{KEY: KEY}],
    }
    async with answering(httpx.Response(200, json={"code": 200, "data": data}), KEY) as client:
        task = await client.status("task-1")
    word = "a status of 12 characters that is no word"
    assert task == Task("task-1", word, None, ("https://a.example/c?key=vk-live/9aF",), "key [key]")


@pytest.mark.parametrize("key", ["task", "data", "code", "id", "200", '"', "7f3a", 'status": "run'.replace(" ", "")])
async def test_a_key_that_is_also_a_word_of_the_protocol_does_not_break_an_answer(key: str) -> None:
    answer = httpx.Response(200, json={"code": 200, "data": {"task_id": "7f3a", "status": "running"}})
    async with answering(answer, key) as client:
        assert await client.submit_once(PRICED) == Task("7f3a", "running")


@pytest.mark.parametrize("error", [httpx.ReadTimeout(KEY), httpx.ConnectError(KEY), httpx.InvalidURL(KEY)])
async def test_a_transport_failure_that_repeats_the_key_does_not_show_it(error: Exception) -> None:
    async with answering(error, KEY) as client:
        for call in CALLS.values():
            with pytest.raises(VidgoError) as caught:
                await call(client)
            assert "9aF" not in shown(caught.value)


async def test_the_client_does_not_show_its_key() -> None:
    async with answering(httpx.Response(200), KEY) as client:
        assert "9aF" not in f"{client!r} {client}"


async def test_nothing_that_is_logged_has_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("vidgo_mcp", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    for answer in (httpx.Response(500, text=KEY), httpx.Response(200, json={"detail": KEY}), httpx.ReadError(KEY)):
        async with answering(answer, KEY) as client:
            for call in CALLS.values():
                with pytest.raises(VidgoError):
                    await call(client)
    assert caplog.records
    assert "9aF" not in caplog.text
    assert not any("9aF" in repr(vars(record)) for record in caplog.records)
