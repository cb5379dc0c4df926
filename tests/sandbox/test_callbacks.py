"""Callbacks: both forms, the documented retries, and the faults, on a virtual clock and over a socket."""

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, create_app, running
from vidgo_mcp.sandbox.callbacks import NOT_LOOPBACK, is_loopback

HOOK = "http://127.0.0.1:9/hook"


def deliver(
    *,
    answers: Sequence[int | type[Exception]] = (204,),
    url: str = HOOK,
    in_memory: bool = True,
    seconds: float = 60,
    faults: Sequence[str] = (),
    **options: Any,
) -> tuple[Sandbox, list[tuple[float, Any]]]:
    """Run one task with a callback on a virtual clock; return what arrived, and when after the submit."""
    arrived: list[tuple[float, Any]] = []
    left = list(answers)

    def hook(request: httpx.Request) -> httpx.Response:
        arrived.append((trio.current_time(), json.loads(request.content)))
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, int):
            return httpx.Response(answer)
        raise answer("no")

    async def scenario() -> Sandbox:
        sandbox = Sandbox(
            seconds=(10, 10),
            clock=lambda: trio.current_time() if trio.lowlevel.in_trio_run() else 1e9,
            faults=faults,
            options=VendorOptions(callback_transport=httpx.MockTransport(hook) if in_memory else None, **options),
        )
        app = create_app(sandbox)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://s.test") as http,
        ):
            body = {"model": "gpt-image-2", "callback_url": url, "input": {"prompt": "a boat"}}
            begun = trio.current_time()
            answer = await http.post(
                "/api/generate/submit", json=body, headers={"Authorization": f"Bearer {SANDBOX_KEY}"}
            )
            assert answer.status_code == 200
            await trio.sleep(seconds)
        arrived[:] = [(round(at - begun, 3), body) for at, body in arrived]
        return sandbox

    return trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0)), arrived


def test_the_flat_form_arrives_when_the_task_ends() -> None:
    sandbox, [(at, body)] = deliver()
    assert at == pytest.approx(10, abs=0.01)
    assert set(body) == {"task_id", "status", "files", "created_time", "error_message"}
    assert body["status"] == "finished"
    assert body["files"][0]["file_url"].startswith("http://s.test/files/")
    assert [record.status for record in sandbox.callbacks] == [204]


def test_the_older_form_is_the_envelope_of_a_status_read() -> None:
    _, [(_, body)] = deliver(callback_form="envelope", faults=["task:failed"])
    assert (body["code"], body["data"]["status"], body["data"]["progress"]) == (200, "failed", 0)


def test_trouble_is_retried_and_a_refusal_is_not() -> None:
    delays = (1.0, 2.0, 4.0)
    _, arrived = deliver(answers=[500, httpx.ConnectError, 503, 502], retry_delays=delays)
    assert [round(at) for at, _ in arrived] == [10, 11, 13, 17]
    sandbox, arrived = deliver(answers=[httpx.ReadTimeout, 410], retry_delays=delays)
    assert len(arrived) == 2
    assert [(record.status, record.error) for record in sandbox.callbacks] == [(None, "ReadTimeout"), (410, None)]


@pytest.mark.parametrize(
    ("faults", "times"),
    [
        (["callback:duplicate"], [10, 10]),
        (["callback:lost"], []),
        (["callback:early"], [0, 10]),
        (["callback:slow=7"], [17]),
        (["callback:duplicate", "callback:slow=3"], [13, 13]),
        (["task:stuck"], []),
    ],
)
def test_callbacks_misbehave_as_planned(faults: list[str], times: list[int]) -> None:
    _, arrived = deliver(faults=faults)
    assert [round(at) for at, _ in arrived] == times
    assert all(body["status"] == "finished" for _, body in arrived)


def test_the_sandbox_posts_to_loopback_only() -> None:
    sandbox, arrived = deliver(url="https://example.com/hook", in_memory=False)
    assert arrived == []
    assert [record.error for record in sandbox.callbacks] == [NOT_LOOPBACK]
    hosts = ("localhost", "127.0.0.2", "::1", "example.com", "10.0.0.1", None)
    assert [is_loopback(host) for host in hosts] == [True, True, True, False, False, False]


def test_an_address_that_httpx_cannot_read_is_recorded_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidgo_mcp.sandbox.submit_rules.is_web_url", lambda _: True)
    sandbox, _ = deliver(url="http://127.0.0.1/\x7f", in_memory=False, retry_delays=())
    assert [record.error for record in sandbox.callbacks] == ["InvalidURL"]


def test_a_task_that_is_under_way_at_the_end_is_dropped() -> None:
    _, arrived = deliver(seconds=5)
    assert arrived == []


def receiver(received: Callable[[Any], None]) -> ThreadingHTTPServer:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    return ThreadingHTTPServer(("127.0.0.1", 0), Hook)


def test_a_callback_arrives_over_a_real_socket() -> None:
    arrived = threading.Event()
    bodies: list[Any] = []

    def received(body: Any) -> None:
        bodies.append(body)
        arrived.set()

    sandbox = Sandbox(seconds=(0, 0))
    with receiver(received) as hook, running(sandbox) as url:
        thread = threading.Thread(target=hook.serve_forever, daemon=True)
        thread.start()
        port = hook.server_address[1]
        body = {"model": "gpt-image-2", "callback_url": f"http://127.0.0.1:{port}/", "input": {"prompt": "a"}}
        httpx.post(url + "/api/generate/submit", json=body, headers={"Authorization": f"Bearer {SANDBOX_KEY}"})
        assert arrived.wait(5)
        hook.shutdown()
        thread.join(5)
    assert bodies[0]["status"] == "finished"
