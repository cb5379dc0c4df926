"""The life of a task on a clock that is moved by hand or by trio, without a socket."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from vidgo_mcp.sandbox import SANDBOX_KEY, Brief, LedgerEntry, Sandbox, VendorOptions, create_app
from vidgo_mcp.sandbox.answers import INVENTED
from vidgo_mcp.sandbox.simulated_tasks import LOST_REFERENCE, POLICY_VIOLATION

INLINE = VendorOptions(inline_render=True)
BASE = "http://sandbox.test"
SUBMIT = {"model": "gpt-image-2", "input": {"prompt": "a boat"}}


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def still(**options: Any) -> Sandbox:
    return Sandbox(seconds=(5, 5), clock=lambda: 100.0, **options)


def connect(sandbox: Sandbox, key: str = SANDBOX_KEY) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(sandbox)),
        base_url=BASE,
        headers={"Authorization": f"Bearer {key}"},
    )


def brief_of(sandbox: Sandbox, task_id: str) -> Brief:
    content = sandbox.tasks[task_id].result.content
    assert isinstance(content, Brief)
    return content


async def submit(http: httpx.AsyncClient, body: dict[str, Any] = SUBMIT) -> str:
    answer = await http.post("/api/generate/submit", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["task_id"])


async def read(http: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    answer = await http.get(f"/api/generate/status/{task_id}")
    return dict(answer.json()["data"])


@pytest.mark.anyio
async def test_a_task_goes_from_not_started_through_running_to_finished() -> None:
    sandbox = still()
    async with connect(sandbox) as http:
        task_id = await submit(http)
        assert task_id.startswith("task-unified-")
        seen = []
        data: dict[str, Any] = {}
        for seconds in (0, 1, 3, 1):
            sandbox.advance(seconds)
            data = await read(http, task_id)
            seen.append((data["status"], data["progress"], len(data["files"])))
    assert seen == [("not_started", 0, 0), ("running", 20, 0), ("running", 80, 0), ("finished", 100, 1)]
    assert data["error_message"] is None
    assert data["files"][0]["file_type"] == "image"
    assert "+" not in data["created_time"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "after", "text"),
    [
        ("task:failed", 5, POLICY_VIOLATION),
        ("task:failed=No clowns.", 5, "No clowns."),
        ("task:failed_early", 2, POLICY_VIOLATION),
    ],
)
async def test_a_failed_task_is_refunded_once_even_if_nobody_looks(fault: str, after: int, text: str) -> None:
    sandbox = still(faults=[f"{fault}*1"])
    async with connect(sandbox) as http:
        task_id = await submit(http)
        account = sandbox.accounts[0].label
        assert sandbox.balance() == 998
        sandbox.advance(after)
        assert sandbox.balance() == 1000
        assert sandbox.ledger == [
            LedgerEntry("charge", 2, task_id, account),
            LedgerEntry("refund", 2, task_id, account),
        ]
        data = await read(http, task_id)
    assert (data["status"], data["progress"], data["files"], data["error_message"]) == ("failed", 0, [], text)
    assert len(sandbox.ledger) == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("task:stuck", lambda data: data["status"] == "running" and data["progress"] == 95),
        ("task:no_files", lambda data: data["status"] == "finished" and data["files"] == []),
        ("task:no_progress", lambda data: "progress" not in data),
        ("task:null_progress", lambda data: data["progress"] is None),
        ("task:extra_fields", lambda data: data["seed"] is None and data["files"][0]["labels"]),
    ],
)
async def test_a_task_can_misbehave_for_all_its_life(fault: str, check: Callable[[dict[str, Any]], bool]) -> None:
    sandbox = still(faults=[fault])
    async with connect(sandbox) as http:
        task_id = await submit(http)
        sandbox.advance(86_000)
        for _ in range(3):
            assert check(await read(http, task_id))


@pytest.mark.anyio
async def test_files_can_come_late_and_a_status_can_be_strange() -> None:
    sandbox = still(faults=["task:late_files=2*1", "task:strange_status*1", "task:strange_status=paused*1"])
    async with connect(sandbox) as http:
        tasks = [await submit(http) for _ in range(3)]
        sandbox.advance(1)
        assert [(await read(http, task))["status"] for task in tasks] == ["running", "reviewing", "paused"]
        sandbox.advance(4)
        assert [len((await read(http, tasks[0]))["files"]) for _ in range(3)] == [0, 0, 1]
        assert (await read(http, tasks[1]))["status"] == "finished"


@pytest.mark.anyio
async def test_a_task_can_say_anything_while_it_runs_and_once_it_has_ended() -> None:
    said = 'task:says_ended={"status": "done", "files": ["URL", "//HOSTPATH"], "progress": null}'
    async with connect(sandbox := still(faults=["task:says_running", said])) as http:
        task_id = await submit(http)
        sandbox.advance(1)
        running = await read(http, task_id)
        sandbox.advance(4)
        ended = await read(http, task_id)
    url = running["files"][0]["file_url"]
    assert (running["status"], url.startswith(BASE)) == ("running", True)
    assert (ended["status"], ended["files"], ended["progress"]) == ("done", [url, url.removeprefix("http:")], None)


@pytest.mark.anyio
async def test_a_task_belongs_to_its_account_and_keys_are_checked() -> None:
    sandbox = still(accounts={"one": 10, "two": 1})
    async with connect(sandbox, "one") as one, connect(sandbox, "two") as two, connect(sandbox, "three") as nobody:
        task_id = await submit(one)
        assert (await two.get(f"/api/generate/status/{task_id}")).status_code == 403
        assert (await two.get("/api/generate/status/task-unified-0-none")).json() == {"detail": "Task not found"}
        assert (await nobody.get(f"/api/generate/status/{task_id}")).status_code == 401
        assert (await nobody.get("/api/user/balance", headers={"Authorization": ""})).status_code == 401
        assert (await one.get("/api/user/balance")).json()["data"]["credits_amount"] == 8
        refused = await two.post("/api/generate/submit", json=SUBMIT)
    assert (refused.status_code, "credits" in refused.json()["detail"]) == (400, True)
    assert [entry.kind for entry in sandbox.ledger] == ["charge"]
    assert sandbox.balance("two") == 1
    with pytest.raises(KeyError):
        sandbox.balance("three")


@pytest.mark.anyio
async def test_the_older_documents_have_other_error_forms() -> None:
    sandbox = still(accounts={SANDBOX_KEY: 0}, options=VendorOptions(error_form="error", insufficient_status=402))
    async with connect(sandbox) as http:
        missing = await http.get("/api/generate/status/nothing")
        assert missing.json() == {
            "code": 404,
            "error": {"message": "Task not found", "type": "resource_not_found_error"},
        }
        assert (await http.post("/api/generate/submit", json=SUBMIT)).status_code == 402
        wrong = await http.post("/api/generate/submit", content=b"{")
        assert wrong.json()["error"]["message"] == "the body must be JSON" + INVENTED
        sandbox.set_faults(["balance:refuse=503*1"])
        assert (await http.get("/api/user/balance")).json()["error"]["type"] == "server_error"
        assert (await http.get("/api/generate/submit")).status_code == 405
        assert (await http.head("/api/generate/submit")).status_code == 405
        assert (await http.get("/api/elsewhere")).status_code == 404


@pytest.mark.anyio
async def test_results_die_after_a_day_and_their_urls_are_signed() -> None:
    sandbox = still(options=INLINE)
    async with connect(sandbox) as http:
        task_id = await submit(http)
        sandbox.advance(10)
        url = (await read(http, task_id))["files"][0]["file_url"]
        assert url.startswith(BASE + "/files/generated/")
        picture = await http.get(url)
        assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")
        assert (await http.get(url + "0")).status_code == 403
        assert (await http.get(url + "é")).status_code == 403
        assert (await http.get("/files/generated/other.png")).status_code == 404
        sandbox.advance(24 * 3600 - 11)
        assert (await http.get(url)).status_code == 200
        sandbox.advance(1)
        assert (await http.get(url)).status_code == 404
        edit = {"model": "gpt-image-2-edit", "input": {"prompt": "night", "image_urls": [url]}}
        task_id = await submit(http, edit)
        sandbox.advance(5)
        assert (await read(http, task_id))["error_message"] == LOST_REFERENCE
    assert sandbox.balance() == 998


@pytest.mark.anyio
async def test_an_edit_draws_the_references_that_the_sandbox_knows() -> None:
    sandbox = still(options=INLINE)
    async with connect(sandbox) as http:
        source = await submit(http)
        sandbox.advance(5)
        url = (await read(http, source))["files"][0]["file_url"]
        urls = [url, "https://example.com/elsewhere.png"]
        edit = {"model": "gpt-image-2-edit", "input": {"prompt": "a boat", "image_urls": urls}}
        edited = await submit(http, edit)
        sandbox.advance(5)
        drawn = (await read(http, edited))["files"][0]["file_url"]
        assert (await http.get(drawn)).content != (await http.get(url)).content
    assert sandbox.tasks[edited].result.content == replace(
        brief_of(sandbox, edited), references=(brief_of(sandbox, source),)
    )
    assert sandbox.balance() == 996


@pytest.mark.anyio
async def test_without_a_socket_a_lost_answer_is_what_httpx_raises_for_one() -> None:
    sandbox = still(faults=["submit:drop_before*1", "submit:lose_half*1", "submit:hang=120*1"])
    async with connect(sandbox) as http:
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await submit(http)
    assert sandbox.balance() == 998


@pytest.mark.anyio
async def test_half_a_surrogate_pair_in_a_prompt_harms_nothing() -> None:
    sandbox = still(options=INLINE)
    async with connect(sandbox) as http:
        body = b'{"model": "gpt-image-2", "input": {"prompt": "a \\ud800 boat"}}'
        answer = await http.post("/api/generate/submit", content=body)
        sandbox.advance(5)
        data = await read(http, answer.json()["data"]["task_id"])
        assert (await http.get(data["files"][0]["file_url"])).status_code == 200
        assert (await http.get("/_sandbox/requests")).json()["requests"][0]["body"]["input"][
            "prompt"
        ] == "a \ud800 boat"


def test_on_a_virtual_clock_a_minute_takes_no_time() -> None:
    async def scenario() -> tuple[float, float]:
        sandbox = Sandbox(seconds=(60, 60), clock=trio.current_time, options=INLINE)
        sandbox.set_faults(["submit:slow=30*1"])
        begun = trio.current_time()
        async with connect(sandbox) as http:
            task_id = await submit(http)
            assert trio.current_time() - begun == pytest.approx(30)
            await trio.sleep(30)
            waited = trio.current_time() - begun
            data = await read(http, task_id)
            assert (await http.get(data["files"][0]["file_url"])).status_code == 200
            sandbox.set_faults(["submit:hang=120*1"])
            with pytest.raises(httpx.RemoteProtocolError):
                await submit(http)
            return waited, trio.current_time() - begun

    waited, total = trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [waited, total] == pytest.approx([60, 180])


@pytest.mark.parametrize("seconds", [(-1, 1), (2, 1)])
def test_the_bounds_of_a_task_must_rise(seconds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="rising"):
        Sandbox(seconds=seconds)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_time_moves_forward_only(seconds: float) -> None:
    with pytest.raises(ValueError, match="forward"):
        Sandbox().advance(seconds)


@pytest.mark.anyio
async def test_the_length_of_a_task_lies_in_the_range_and_repeats() -> None:
    lengths = []
    for _ in range(2):
        sandbox = Sandbox(seconds=(3, 8), clock=lambda: 0.0)
        async with connect(sandbox) as http:
            for number in range(20):
                await submit(http, {"model": "gpt-image-2", "input": {"prompt": f"boat {number}"}})
        lengths.append([task.seconds for task in sandbox.tasks.values()])
    assert lengths[0] == lengths[1]
    assert len(set(lengths[0])) > 10
    assert all(3 <= seconds <= 8 for seconds in lengths[0])
