"""The sandbox on a socket: it starts, says where, stays quiet, and stops in time."""

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

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


def test_the_date_of_an_answer_is_that_of_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Sandbox()) as url, httpx.Client(base_url=url) as http:
        assert "1994" not in http.get("/_sandbox").headers["date"]
        monkeypatch.setattr("uvicorn.server.time", SimpleNamespace(time=lambda: 784_111_777.0))
        until = time.monotonic() + 10
        while "1994" not in http.get("/_sandbox").headers["date"]:
            assert time.monotonic() < until


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
