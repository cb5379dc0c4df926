"""An answer to a submit that names a task is no refusal, whatever else it says."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from tests.client.conftest import BASE, BOAT, KEY, PRICED
from vidgo_mcp.client import VidgoClient, interpretation
from vidgo_mcp.client.task_ids import named_tasks
from vidgo_mcp.errors import InvalidRequestError, OutcomeUnknownError, VidgoError
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


STATUS = "/api/generate/status/task-7?a=1"


@pytest.mark.parametrize(
    "headers",
    [{"X-Task-Id": "task-7"}, {"Vidgo-Task-Id": "task-7"}, {"Location": STATUS}, {"Operation-Location": STATUS}],
)
@pytest.mark.parametrize("status", [202, 303, 429])
async def test_a_task_that_only_a_header_names_is_taken(status: int, headers: dict[str, str]) -> None:
    vidgo = Vidgo(status, b"", "task-7")
    vidgo.headers = headers
    async with vidgo.client() as client:
        assert (await client.submit_once(PRICED)).task_id == "task-7"


@pytest.mark.parametrize("name", ["job_id", "uuid", "task", "tasks", "detail"])
async def test_an_id_in_the_documented_form_needs_no_name(name: str) -> None:
    body = json.dumps({name: "task-unified-1757165031-uyujaw3d"}).encode()
    assert named_tasks(body, {}) == ["task-unified-1757165031-uyujaw3d"]
    assert named_tasks(body, {}, ["draw task-unified-1757165031-uyujaw3d"]) == []


ODD_FORMS: dict[str, Any] = {
    "the id of an object that is a task": {"data": {"task": {"id": "q-777"}}},
    "the ids of tasks": {"tasks": [{"id": "q-777"}]},
    "a name with a space": {"task id": "q-777"},
    "an empty second name": {"task_id": "q-777", "taskId": ""},
    "a bold one": b"<p>Task ID: <b>q-777</b></p>",
    "a cell of a table": b"<tr><td>Task ID</td><td>q-777</td></tr>",
    "an element inside another": b"<task><id>q-777</id></task>",
    "brackets": {"detail": "duplicate task id (q-777)"},
    "Markdown": {"detail": "duplicate task_id `q-777`"},
    "curved quotes": {"detail": "duplicate task_id \u201cq-777\u201d"},
    "an arrow": {"detail": "task_id -> q-777"},
    "a double arrow": b'{"task_id"=>"q-777"}',
}


@pytest.mark.parametrize("form", ODD_FORMS)
async def test_an_id_in_an_odd_form_is_found(form: str) -> None:
    body = ODD_FORMS[form] if isinstance(ODD_FORMS[form], bytes) else json.dumps(ODD_FORMS[form]).encode()
    assert named_tasks(body, {}) == ["q-777"]


async def test_a_number_with_a_point_and_a_nought_is_an_id() -> None:
    assert named_tasks(b'{"task_id": 7.0}', {}) == ["7"]


async def test_a_long_answer_is_searched_in_no_time() -> None:
    for part in (b"task_id:", b"task_id <a", b"task_id <a>", b"<a task_id>", b"<a task id >", b"task>   <"):
        assert named_tasks(part * (900_000 // len(part)), {}) == []


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


async def test_a_client_alone_never_takes_one_task_for_two_requests() -> None:
    vidgo = Vidgo(400, NAMED, "task-7")
    async with vidgo.client() as client:
        assert (await client.submit(BOAT)).task_id == "task-7"
        with pytest.raises(InvalidRequestError):
            await client.submit(BOAT)


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


ADDRESS = "https://storage.vidgo.ai/generated/task-unified-1757165031-uyujaw3d"
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
    "nought": {"task_id": 0},
    "minus one": {"data": {"task_id": "-1"}},
    "a word for nothing": {"data": {"task_id": "None"}},
    "an empty UUID": {"task_id": "00000000-0000-0000-0000-000000000000"},
    "what a check says": {"errors": {"task_id": ["This field is required."]}},
    "how many there may be": {"max_task_ids": 100},
    "the request repeated": {"detail": [{"msg": "no", "input": {"prompt": "x", "task_id": "task-7"}}]},
    "the prompt repeated": {"detail": 'cannot draw {"task_id": "task-7"}'},
    "a reference repeated": {"detail": f"Failed to download file: {ADDRESS}.png"},
    "a callback repeated": {"detail": "cannot call https://me.example/?task_id=order-12345"},
    "the key's error": {"code": 401, "error": {"message": "Invalid API key", "type": "authentication_error"}},
}


async def test_a_reference_that_a_refusal_repeats_names_no_task() -> None:
    vidgo = Vidgo(400, {"detail": f"Failed to download file: {ADDRESS}.png"})
    async with vidgo.client() as client:
        with pytest.raises(InvalidRequestError):
            await client.submit_once(PRICED.with_image_urls([f"{ADDRESS}.png"]))


@pytest.mark.parametrize("what", NO_TASK)
async def test_what_names_no_task_is_still_a_refusal(what: str) -> None:
    body = NO_TASK[what] if isinstance(NO_TASK[what], bytes) else json.dumps(NO_TASK[what]).encode()
    sent = ['a sign with {"task_id": "task-7"} on it', f"{ADDRESS}.png", "https://me.example/?task_id=order-12345"]
    assert named_tasks(body, {}, sent) == []


async def test_an_id_that_is_cut_short_is_not_taken_for_a_whole_one() -> None:
    vidgo = Vidgo(429, b'{"code": 429, "data": {"task_id": "task-7', "task-7")
    async with vidgo.client() as client:
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.submit_once(PRICED)
    assert caught.value.facts.named_task == "task-7..."
    assert "could not be read at Vidgo" not in caught.value.message
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
