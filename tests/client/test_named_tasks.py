"""An answer to a submit that names a task is no refusal, whatever else it says."""

from __future__ import annotations

import json
import threading
from typing import Any

import anyio
import httpx
import pytest

from tests.client.conftest import BASE, KEY, PRICED
from vidgo_mcp.client import VidgoClient, interpretation
from vidgo_mcp.client.task_ids import named_tasks
from vidgo_mcp.errors import OutcomeUnknownError, VidgoError
from vidgo_mcp.models.tasks import names_of

pytestmark = pytest.mark.anyio

STATUSES = (301, 307, 400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504)
NAMED = {"task_id": "task-7"}
FORMS: dict[str, Any] = {
    "flat": {"detail": "no", **NAMED},
    "error": {"code": 429, "error": {"message": "slow down", **NAMED}},
    "data": {"code": 429, "data": NAMED},
    "detail": {"detail": NAMED},
    "list": {"detail": [{"msg": "no", "task": NAMED}]},
    "outer list": [NAMED],
    "camel case": {"error": {"taskId": "task-7"}},
    "run together": {"error": {"taskid": "task-7"}},
    "an id that says task": {"data": {"id": "task-7"}},
    "JSON text": {"error": json.dumps(NAMED)},
    "words": {"detail": "already accepted, task_id: task-7"},
    "cut": b'{"code": 429, "data": {"task_id": "task-7", "sta',
    "cut JSON text": b'{"code": 429, "data": "{\\"task_id\\": \\"task-7\\", ',
    "deep inside": json.loads('{"a":' * 50 + json.dumps(NAMED) + "}" * 50),
    "a list of ids": {"detail": "busy", "running_task_ids": ["task-7"]},
    "a list for one": {"task_id": ["task-7"]},
    "a longer name": {"detail": "duplicate", "existing_task_id": "task-7"},
    "the second of two": {"running": [{"task_id": "task-1"}, NAMED]},
    "the end of a sentence": {"detail": "a duplicate of task_id=task-7."},
    "quoted words": {"detail": "a duplicate of task_id 'task-7'"},
    "a sentence": {"detail": "The task ID is task-7, wait for it"},
    "full width": {"detail": "task_id\uff1atask-7"},
    "XML": b"<error><task_id>task-7</task_id></error>",
    "an address": {"detail": "see /api/generate/status/task-7"},
    "an escaped page": b"<pre>{&quot;task_id&quot;: &quot;task-7&quot;}</pre>",
    "a page": b'<html>busy <!-- {"task_id": "task-7"} --></html>',
}
RUNNING = {"code": 200, "data": {"task_id": "task-7", "status": "running"}}


class Vidgo:
    """Answers each submit with one answer, and knows the tasks that it is told of."""

    def __init__(self, status: int, body: Any, *known: str) -> None:
        self.status, self.body, self.known = status, body, known
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
        if request.method == "POST":
            body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
            return httpx.Response(self.status, content=body, headers=self.headers)
        if request.url.path.rpartition("/")[2] in self.known:
            return httpx.Response(200, json=RUNNING)
        return httpx.Response(404, json={"detail": "Task not found"})

    def client(self) -> VidgoClient:
        return VidgoClient(KEY, base_url=BASE, transport=httpx.MockTransport(self.handle))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [429, 400, 500])
async def test_a_task_that_is_named_in_any_form_is_taken_where_vidgo_knows_it(status: int, form: str) -> None:
    vidgo = Vidgo(status, FORMS[form], "task-7")
    async with vidgo.client() as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"
    assert vidgo.asked == ["POST submit", *["GET task-1"] * (form == "the second of two"), "GET task-7"]


@pytest.mark.parametrize("headers", [{"X-Task-Id": "task-7"}, {"Location": "/api/generate/status/task-7?a=1"}])
@pytest.mark.parametrize("status", [202, 303, 429])
async def test_a_task_that_only_a_header_names_is_taken(status: int, headers: dict[str, str]) -> None:
    vidgo = Vidgo(status, b"", "task-7")
    vidgo.headers = headers
    async with vidgo.client() as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"


@pytest.mark.parametrize("name", ["job_id", "uuid", "task", "tasks", "detail"])
async def test_an_id_in_the_documented_form_needs_no_name(name: str) -> None:
    body = json.dumps({name: "task-unified-1757165031-uyujaw3d"}).encode()
    assert named_tasks(body, {}, "") == ["task-unified-1757165031-uyujaw3d"]
    assert named_tasks(body, {}, "draw task-unified-1757165031-uyujaw3d") == []


async def test_a_long_answer_is_searched_in_no_time() -> None:
    assert named_tasks(b"task_id:" * 120_000, {}, "") == []


@pytest.mark.parametrize(("filling", "apart"), [(1, False), (interpretation.LONG, True)])
async def test_a_long_answer_is_searched_in_a_thread(
    filling: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def searched(*answer: Any) -> Any:
        threads.append(threading.get_ident())
        return named_tasks(*answer)

    monkeypatch.setattr(interpretation, "named_tasks", searched)
    vidgo = Vidgo(429, {"pad": "x" * filling, **NAMED}, "task-7")
    async with vidgo.client() as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"
    assert [one != threading.get_ident() for one in threads] == [apart]


async def test_a_look_at_a_named_task_that_takes_all_its_time_leaves_the_second_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpretation, "NAMED_TASK_SECONDS", 3.0)
    vidgo = Vidgo(429, NAMED, "task-7")

    async def slow_at_first(request: httpx.Request) -> httpx.Response:
        answer = vidgo.handle(request)
        await anyio.sleep(60 if vidgo.asked == ["POST submit", "GET task-7"] else 0)
        return answer

    async with VidgoClient(KEY, base_url=BASE, transport=httpx.MockTransport(slow_at_first)) as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"


async def test_of_an_answer_that_names_a_great_many_only_some_are_looked_up() -> None:
    vidgo, looked = Vidgo(429, [{"task_id": f"task-{number}"} for number in range(10_000)]), 0

    async def look(task_id: str) -> bool:
        nonlocal looked
        looked += 1
        return False

    async with vidgo.client() as client:
        with pytest.raises(OutcomeUnknownError):
            await client.submit_once(PRICED, is_others=look)
    assert (looked, len(vidgo.asked)) == (100, 11)


@pytest.mark.parametrize("status", STATUSES)
async def test_an_answer_of_any_status_that_names_a_task_is_sent_once(status: int) -> None:
    vidgo = Vidgo(status, {"error": {"message": "no", **NAMED}}, "task-7")
    async with vidgo.client() as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"
    assert vidgo.asked == ["POST submit", "GET task-7"]


@pytest.mark.parametrize("code", [0, -1, 400, 429, 500, 1001])
async def test_an_envelope_of_any_code_that_names_a_task_is_sent_once(code: int) -> None:
    vidgo = Vidgo(200, {"code": code, "error": NAMED}, "task-7")
    async with vidgo.client() as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"
    assert vidgo.asked == ["POST submit", "GET task-7"]


@pytest.mark.parametrize("status", [200, *STATUSES])
async def test_a_named_task_that_vidgo_does_not_know_leaves_the_outcome_unknown(status: int) -> None:
    vidgo = Vidgo(status, {"error": {"message": "no", **NAMED}})
    async with vidgo.client() as client:
        with pytest.raises(OutcomeUnknownError, match="the task task-7") as caught:
            await client.submit_once(PRICED)
    assert (caught.value.facts.named_task, caught.value.money, caught.value.retryable) == ("task-7", "unknown", False)
    assert vidgo.asked == ["POST submit", "GET task-7", "GET task-7"]


NO_TASK: dict[str, Any] = {
    "a request's id": {"detail": "no", "request_id": "task-7", "id": "5"},
    "a missing field": {"detail": [{"loc": ["body", "task_id"], "msg": "task_id: Field required"}]},
    "a word": b"task_id is required",
    "a number": b'{"message": "task id 4 of 10: too many tasks"}',
    "a template": b"poll /api/generate/status/your-task-id",
    "a kind of error": b'{"error": {"id": "task_rate_limit"}}',
    "a page on the status": {"type": "https://developer.mozilla.org/docs/Web/HTTP/Status/429", "status": 429},
    "null": {"task_id": None},
    "empty": {"task_id": ""},
    "the request repeated": {"detail": [{"msg": "no", "input": {"prompt": "x", "task_id": "task-7"}}]},
    "the prompt repeated": {"detail": 'cannot draw {"task_id": "task-7"}'},
    "the key's error": {"code": 401, "error": {"message": "Invalid API key", "type": "authentication_error"}},
}


@pytest.mark.parametrize("what", NO_TASK)
async def test_what_names_no_task_is_still_a_refusal(what: str) -> None:
    body = NO_TASK[what] if isinstance(NO_TASK[what], bytes) else json.dumps(NO_TASK[what]).encode()
    assert named_tasks(body, {}, 'a sign with {"task_id": "task-7"} on it') == []


async def test_an_id_that_is_cut_short_is_not_taken_for_a_whole_one() -> None:
    vidgo = Vidgo(429, b'{"code": 429, "data": {"task_id": "task-7', "task-7")
    async with vidgo.client() as client:
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.submit_once(PRICED)
    assert caught.value.facts.named_task == "task-7..."
    assert vidgo.asked == ["POST submit"]


@pytest.mark.parametrize(
    "task_id", ["a\nNext: pay", "../x", "..", "a b", "x" * 201, "タスク", "\u202eab", "y" * 900_000]
)
async def test_an_id_that_breaks_the_rule_gets_a_short_name_and_is_kept(task_id: str) -> None:
    vidgo = Vidgo(200, {"code": 200, "data": {"task_id": task_id}})
    async with vidgo.client() as client:
        task = await client.submit_once(PRICED)
        assert (task.task_id, task.vendor_id) == names_of(task_id)
        assert len(task.task_id) == 18
        with pytest.raises(VidgoError) as caught:
            await client.status(task_id)
    assert caught.value.task_id == task.task_id
    assert task_id not in str(caught.value)
