"""The control endpoints, and the documentation of the faults."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from vidgo_mcp.sandbox import FAULT_ENDPOINTS, FAULTS, SANDBOX_KEY, Sandbox, create_app

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_faults_are_planned_and_forgotten_over_http(client: Any) -> None:
    planned = client.http.post("/_sandbox/faults", json={"faults": ["balance:charged"]})
    assert (planned.status_code, "does not fit" in planned.json()["detail"]) == (422, True)
    planned = client.http.post("/_sandbox/faults", json={"faults": ["balance:refuse=503*2"]})
    assert planned.json() == {"faults": ["balance:refuse=503*2"]}
    assert client.http.get("/api/user/balance").status_code == 503
    assert client.http.get("/_sandbox").json()["faults"] == ["balance:refuse=503*1"]
    assert client.http.delete("/_sandbox/faults").json() == {"faults": []}
    assert client.http.get("/api/user/balance").status_code == 200
    client.sandbox.add_fault("balance:refuse=403*1")
    assert client.http.get("/api/user/balance").status_code == 403


def test_the_state_shows_accounts_and_tasks_and_never_a_key(client: Any) -> None:
    task_id = client.accepted("a red boat", callback_url="https://example.com/hook")
    state = client.http.get("/_sandbox").json()
    assert state["tasks"][-1]["task_id"] == task_id
    assert state["tasks"][-1]["prompt"] == "a red boat"
    ledger = client.http.get("/_sandbox/ledger").json()["ledger"]
    assert ledger[-1] == {
        "kind": "charge",
        "credits": 2,
        "task_id": task_id,
        "account": state["accounts"][0]["label"],
    }
    requests = client.http.get("/_sandbox/requests").json()["requests"]
    assert (requests[-1]["method"], requests[-1]["path"], requests[-1]["status"]) == (
        "POST",
        "/api/generate/submit",
        200,
    )
    assert requests[-1]["body"]["input"] == {"prompt": "a red boat"}
    pages = [client.http.get(f"/_sandbox{page}").text for page in ("", "/ledger", "/requests", "/callbacks")]
    assert not any(SANDBOX_KEY in page for page in pages)


def test_time_is_moved_over_http(client: Any) -> None:
    url = client.finished_url()
    before = client.sandbox.clock()
    assert "now" in client.http.post("/_sandbox/advance", json={"seconds": 86_400}).json()
    assert client.sandbox.clock() >= before + 86_400
    assert client.http.get(url).status_code == 404


def test_other_prices_are_charged_on_request(client: Any) -> None:
    def charged(**asked: Any) -> Any:
        client.accepted(**asked)
        return client.sandbox.ledger[-1].credits

    client.http.post("/_sandbox/faults", json={"faults": ["task:price=low/1K/5", "task:price=high/4K/90*1"]})
    assert [charged(), charged(quality="medium"), charged()] == [5, 3, 5]
    client.sandbox.set_faults(["task:price*1"])
    assert [charged(quality="high"), charged(quality="high")] == [5, 12]
    client.sandbox.set_faults(["task:price=100000*1"])
    assert client.submit().status_code == 400
    client.sandbox.set_faults(["task:price=7*1", "task:failed"])
    before = client.sandbox.balance()
    client.accepted()
    assert [entry.credits for entry in client.sandbox.ledger[-2:]] == [7, 7]
    assert client.sandbox.balance() == before


def test_another_user_of_the_key_spends_and_tops_up(client: Any) -> None:
    before = client.sandbox.balance()
    told = client.http.post("/_sandbox/spend", json={"credits": 7}).json()
    assert told["accounts"][0]["credits"] == client.sandbox.balance() == before - 7
    client.http.post("/_sandbox/spend", json={"credits": -500})
    assert client.sandbox.balance() == before + 493
    assert [(entry.kind, entry.credits) for entry in client.sandbox.ledger[-2:]] == [
        ("elsewhere", 7),
        ("elsewhere", -500),
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", b"{}"),
        ("/faults", b'{"faults": [1]}'),
        ("/faults", b"[]"),
        ("/faults", b"{"),
        ("/advance", b""),
        ("/advance", b'{"seconds": true}'),
        ("/advance", b'{"seconds": -1}'),
        ("/advance", b'{"seconds": NaN}'),
        ("/spend", b"{}"),
        ("/spend", b'{"credits": true}'),
        ("/spend", b'{"credits": 1.5}'),
    ],
)
def test_a_command_that_cannot_be_read_changes_nothing(client: Any, path: str, body: bytes) -> None:
    answer = client.http.post(f"/_sandbox{path}", content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_control_is_for_loopback_only() -> None:
    transport = httpx.ASGITransport(create_app(Sandbox()), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://s.test") as http:
        assert (await http.get("/_sandbox")).status_code == 403
        assert (await http.get("/api/user/balance")).status_code == 401


def test_bodies_are_logged_when_they_are_json_of_moderate_size(client: Any) -> None:
    for content in (b"{", b"", b'"' + b"x" * 300_000 + b'"'):
        client.http.post("/api/generate/submit", content=content)
        assert client.sandbox.requests[-1].body is None


def test_every_fault_is_in_the_document_with_its_endpoints() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, description in FAULTS.items():
        assert f"| `{name}` | {', '.join(FAULT_ENDPOINTS[name])} | {description} |" in text
