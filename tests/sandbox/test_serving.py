"""The sandbox on a socket: it starts, says where, stays quiet, and stops in time."""

import logging
import threading
from typing import Any

import anyio
import httpx
import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running, serve

AUTHORIZATION = {"Authorization": f"Bearer {SANDBOX_KEY}"}


def test_stopping_closes_requests_that_hang_and_prints_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="uvicorn")
    ended: list[Exception] = []
    sandbox = Sandbox(faults=["balance:hang"])

    def ask(url: str) -> None:
        try:
            httpx.get(url + "/api/user/balance", headers=AUTHORIZATION, timeout=30)
        except httpx.TransportError as error:
            ended.append(error)

    with running(sandbox) as url:
        asking = threading.Thread(target=ask, args=(url,))
        asking.start()
        while not sandbox.requests:
            httpx.get(url + "/_sandbox")
    asking.join(5)
    assert len(ended) == 1
    assert not isinstance(ended[0], httpx.TimeoutException)
    assert capfd.readouterr() == ("", "")
    assert [record.name for record in caplog.records if record.name.startswith("uvicorn")] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_port_that_is_taken_is_an_error_of_the_caller() -> None:
    with running(Sandbox()) as url:
        port = httpx.URL(url).port
        assert port is not None
        with pytest.raises(OSError), running(Sandbox(), port=port):
            pass


def test_a_server_that_does_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Any, *, sockets: Any) -> None:
        return

    monkeypatch.setattr("vidgo_mcp.sandbox.socket_server._Server.startup", never)
    monkeypatch.setattr("vidgo_mcp.sandbox.socket_server.START_SECONDS", 0.01)
    with pytest.raises(OSError, match="did not start"), running(Sandbox()):
        pass


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_foreground_server_says_where_it_is_and_stops_when_cancelled(anyio_backend: str) -> None:
    ready = anyio.Event()
    where: list[str] = []

    def on_ready(url: str) -> None:
        where.append(url)
        ready.set()

    async def run() -> None:
        await serve(Sandbox(), port=0, on_ready=on_ready)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, httpx.AsyncClient() as http:
            group.start_soon(run)
            await ready.wait()
            answer = await http.get(where[0] + "/api/user/balance", headers=AUTHORIZATION)
            assert answer.json()["data"]["credits_amount"] == 1000
            group.cancel_scope.cancel()
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(where[0])


def test_ctrl_c_ends_the_foreground_server_without_an_exception() -> None:
    import signal

    def on_ready(_: str) -> None:
        signal.raise_signal(signal.SIGINT)

    async def run() -> str:
        with anyio.fail_after(10):
            await serve(Sandbox(), port=0, on_ready=on_ready)
        return "ended"

    before: Any = signal.getsignal(signal.SIGINT)
    assert anyio.run(run) == "ended"
    assert signal.getsignal(signal.SIGINT) is before
