"""Every fault over a real socket: what the client sees, and what the ledger says."""

import email.utils
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from vidgo_mcp.sandbox import FAULT_ENDPOINTS, FAULTS, SANDBOX_KEY, every_fault, parse_fault
from vidgo_mcp.sandbox.answers import INVENTED
from vidgo_mcp.sandbox.faults import FaultPlan

SERVED = ("submit", "status", "upload", "balance", "file")
REFUSED = {"unprocessable": 422, "rate_limited": 429, "rate_limited_date": 429, "envelope_error": 200}
CHARGED = ("html", "broken_json", "empty_body", "wrong_shape", "missing_task_id", "huge", "slow=0.01")
CLOSED_BEFORE = ("drop_before", "hang_before=0.01")
CLOSED_AFTER = ("lose_answer", "lose_half", "hang=0.01")


def bare(fault: str) -> str:
    return fault.partition("=")[0]


def requests_of(client: Any) -> dict[str, Callable[[], httpx.Response]]:
    task_id = next(iter(client.sandbox.tasks), None) or client.accepted()
    picture = client.read(task_id)["files"][0]["file_url"]
    png = b"\x89PNG\r\n\x1a\n"
    return {
        "submit": client.submit,
        "status": lambda: client.http.get(f"/api/generate/status/{task_id}"),
        "balance": lambda: client.http.get("/api/user/balance"),
        "upload": lambda: client.http.post("/api/common/upload/stream", files={"file": ("a.png", png)}),
        "file": lambda: client.http.get(picture),
    }


def cases(faults: Any) -> list[tuple[str, str]]:
    pairs = itertools.product(SERVED, faults)
    return [(endpoint, fault) for endpoint, fault in pairs if endpoint in FAULT_ENDPOINTS[bare(fault)]]


def statuses(name: str) -> list[tuple[str, str, int]]:
    """Return each endpoint with each status of `refuse` or `charged`."""
    faults = [(endpoint, fault) for endpoint in SERVED for fault in every_fault(endpoint) if bare(fault) == name]
    return [(endpoint, fault, int(fault.removeprefix(f"{name}="))) for endpoint, fault in faults]


@pytest.mark.parametrize(
    ("endpoint", "fault", "status"), [*statuses("refuse"), *((*case, REFUSED[case[1]]) for case in cases(REFUSED))]
)
def test_a_refusal_answers_its_status_and_moves_no_credits(client: Any, endpoint: str, fault: str, status: int) -> None:
    request = requests_of(client)[endpoint]
    before, tasks = client.sandbox.ledger, len(client.sandbox.tasks)
    client.sandbox.set_faults([f"{endpoint}:{fault}*1"])
    assert request().status_code == client.sandbox.requests[-1].status == status
    assert (client.sandbox.ledger, len(client.sandbox.tasks)) == (before, tasks)
    assert request().status_code == 200


@pytest.mark.parametrize(
    ("endpoint", "fault", "status"), [*statuses("charged"), *((*case, 200) for case in cases(CHARGED))]
)
def test_a_fault_in_the_answer_comes_after_the_work(client: Any, endpoint: str, fault: str, status: int) -> None:
    request = requests_of(client)[endpoint]
    before = client.sandbox.ledger
    client.sandbox.set_faults([f"{endpoint}:{fault}*1"])
    assert request().status_code == status
    charged = client.sandbox.ledger[len(before) :]
    assert [(entry.kind, entry.credits) for entry in charged] == ([("charge", 2)] if endpoint == "submit" else [])


@pytest.mark.parametrize(("endpoint", "fault"), cases([*CLOSED_BEFORE, *CLOSED_AFTER]))
def test_a_lost_answer_is_a_closed_connection(client: Any, endpoint: str, fault: str) -> None:
    request = requests_of(client)[endpoint]
    before = client.sandbox.balance(SANDBOX_KEY)
    client.sandbox.set_faults([f"{endpoint}:{fault}*1"])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        request()
    cost = 2 if endpoint == "submit" and fault in CLOSED_AFTER else 0
    assert client.sandbox.balance() == before - cost
    assert request().status_code == 200


@pytest.mark.parametrize("fault", ["submit:hang", "submit:hang_before"])
def test_a_hanging_answer_never_comes(client: Any, fault: str) -> None:
    before = client.sandbox.balance()
    client.sandbox.set_faults([fault])
    with pytest.raises(httpx.ReadTimeout):
        client.http.post("/api/generate/submit", json={"model": "gpt-image-2", "input": {"prompt": "a"}}, timeout=0.1)
    assert client.sandbox.balance() == before - (2 if fault == "submit:hang" else 0)


def test_a_slow_answer_was_accepted_before_the_client_gave_up(client: Any) -> None:
    before = client.sandbox.balance()
    client.sandbox.set_faults(["submit:slow=60*1"])
    with pytest.raises(httpx.ReadTimeout):
        client.http.post("/api/generate/submit", json={"model": "gpt-image-2", "input": {"prompt": "a"}}, timeout=0.1)
    assert client.sandbox.balance() == before - 2


def test_unreadable_answers_are_unreadable_each_in_its_way(client: Any) -> None:
    def answer(fault: str) -> httpx.Response:
        client.sandbox.set_faults([f"submit:{fault}*1"])
        response = client.submit()
        assert isinstance(response, httpx.Response)
        return response

    assert answer("html").headers["content-type"].startswith("text/html")
    assert answer("charged=408").text == answer("refuse=408").text == "Request timeout"
    assert answer("empty_body").content == b""
    assert answer("wrong_shape").json() == []
    assert answer("wrong_shape=string").json() == {"code": 200, "data": "accepted"}
    assert "task_id" not in answer("missing_task_id").json()["data"]
    assert len(answer("huge").content) > 1024 * 1024
    with pytest.raises(ValueError):
        answer("broken_json").json()


def test_refusals_carry_what_they_were_given(client: Any) -> None:
    def answer(*faults: str) -> httpx.Response:
        client.sandbox.set_faults([f"submit:{fault}*1" for fault in faults])
        response = client.submit()
        assert isinstance(response, httpx.Response)
        return response

    assert answer("refuse=400:No more credits: 0 left.").json() == {"detail": "No more credits: 0 left."}
    assert answer("charged=408:Too slow.").text == "Too slow."
    assert answer("refuse").json() == {"detail": "Bad Request" + INVENTED}
    assert answer("charged").status_code == 500
    assert answer("refuse=599").json() == {"detail": "Error" + INVENTED}
    assert isinstance(answer("unprocessable").json()["detail"], list)
    assert answer("envelope_error=402").json()["code"] == 402
    assert "retry-after" not in answer("rate_limited").headers
    assert answer("rate_limited=3", "slow=0").headers["retry-after"] == "3"
    dated = answer("rate_limited_date=60").headers["retry-after"]
    assert email.utils.parsedate_to_datetime(dated).tzinfo is not None
    named = answer("names=400").json()["error"]["task_id"]
    assert named in client.sandbox.tasks
    assert answer('names_stranger=200:{"task_id": "TASK"}').json()["task_id"] not in client.sandbox.tasks
    moved = answer("refuse=308")
    assert (moved.status_code, httpx.URL(moved.headers["location"]).path) == (308, "/moved/api/generate/submit")
    assert client.http.post(moved.headers["location"]).status_code == 404


def test_a_file_can_vanish_break_off_or_lead_in_circles(client: Any) -> None:
    url = client.finished_url()
    client.sandbox.set_faults(["file:refuse=404*1", "file:redirect_loop*1", "file:truncated*1"])
    assert client.http.get(url).status_code == 404
    assert client.http.get(url).headers["location"] == url
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.http.get(url)
    assert client.http.get(url).headers["content-type"] == "image/png"
    client.sandbox.set_faults(["file:bytes*1", "file:bytes=Zm94*1"])
    assert [client.http.get(url).content[:3] for _ in range(3)] == [b"BM:", b"fox", b"\x89PN"]


def test_a_refusal_by_the_rules_is_answered_as_always(client: Any) -> None:
    client.sandbox.set_faults(["submit:lose_answer*1"])
    assert client.submit("").json() == {"detail": "prompt is required"}


def test_faults_take_turns_in_the_order_in_which_they_were_planned() -> None:
    plan = FaultPlan(["submit:refuse*1", "submit:slow=1*1", "status:html", "submit:charged*2"])
    plan.add("submit:slow=9")
    taken = [[str(fault.name) for fault in plan.take("submit")] for _ in range(4)]
    assert taken == [["refuse", "slow"], ["charged", "slow"], ["charged", "slow"], ["slow"]]
    assert plan.listed() == ["status:html", "submit:slow=9"]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_written_and_read_back(name: str) -> None:
    for endpoint in FAULT_ENDPOINTS[name]:
        assert str(parse_fault(f" {endpoint}:{name}*2 ")) == f"{endpoint}:{name}*2"
        assert parse_fault(f"{endpoint}:{name}").times is None


def test_every_fault_is_exercised_here_or_with_the_life_of_a_task() -> None:
    here = {
        "refuse",
        "charged",
        "names",
        "names_stranger",
        *map(bare, (*REFUSED, *CHARGED, *CLOSED_BEFORE, *CLOSED_AFTER)),
    }
    file_only = {"truncated", "redirect_loop", "bytes"}
    elsewhere = {name for name, endpoints in FAULT_ENDPOINTS.items() if endpoints in (("task",), ("callback",))}
    assert here | file_only | elsewhere == set(FAULTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lose_answer", "endpoint:name"),
        ("sumbit:html", "Did you mean 'submit'?"),
        ("submit:loose_answer", "Did you mean 'lose_answer'?"),
        ("submit:qqqqqqqqqqq", "Known: refuse"),
        ("file:lose_answer", "does not fit file; it fits submit, status, upload, balance"),
        ("submit:html=3", "takes no value"),
        ("submit:slow=fast", "a number from 0"),
        ("submit:slow=-1", "a number from 0"),
        ("submit:slow=inf", "a number from 0"),
        ("submit:wrong_shape=round", "list or string"),
        ("submit:charged=200", "an HTTP status from 300 to 599"),
        ("submit:charged=No credits", "an HTTP status from 300 to 599"),
        ("submit:html*0", "at least 1"),
        ("task:says_ended=[]", "a JSON object"),
        ("task:says_ended={status: 1}", "a JSON object"),
        ("file:bytes=a.png", "base64"),
        ("task:price=dear", "a number of credits, or like low/1K/5"),
        ("task:price=low/3K/5", "a number of credits, or like low/1K/5"),
    ],
)
def test_a_fault_that_cannot_be_read_says_what_would_fit(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_fault(text)
    assert words in str(caught.value)
