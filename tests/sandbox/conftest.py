"""What the tests of the sandbox share: a clock that is moved by hand, and a client that speaks to a served sandbox."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, running

AUTHORIZATION = {"Authorization": f"Bearer {SANDBOX_KEY}"}


@dataclass
class Client:
    """A sandbox with its address, and the few requests that most tests send."""

    sandbox: Sandbox
    http: httpx.Client
    url: str

    def submit(self, prompt: str = "a boat", *, model: str = "gpt-image-2", **asked: Any) -> httpx.Response:
        body: dict[str, Any] = {"model": model, "input": {"prompt": prompt, **asked}}
        if "callback_url" in asked:
            body["callback_url"] = body["input"].pop("callback_url")
        return self.http.post("/api/generate/submit", json=body)

    def accepted(self, prompt: str = "a boat", **asked: Any) -> str:
        answer = self.submit(prompt, **asked)
        assert answer.status_code == 200, answer.text
        task_id = answer.json()["data"]["task_id"]
        assert isinstance(task_id, str)
        return task_id

    def read(self, task_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/generate/status/{task_id}")
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert isinstance(data, dict)
        return data

    def finished_url(self, prompt: str = "a boat", **asked: Any) -> str:
        url = self.read(self.accepted(prompt, **asked))["files"][0]["file_url"]
        assert isinstance(url, str)
        return url


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """One served sandbox for a module, whose tasks end at once."""
    sandbox = Sandbox(
        accounts={SANDBOX_KEY: 10_000, "other-key": 0},
        seconds=(0, 0),
        options=VendorOptions(uploads_per_minute=10_000),
    )
    with running(sandbox) as url, httpx.Client(base_url=url, headers=AUTHORIZATION, timeout=10) as http:
        yield Client(sandbox, http, url)


@pytest.fixture
def client(shared: Client) -> Iterator[Client]:
    """The shared sandbox, without faults before and after."""
    shared.sandbox.clear_faults()
    yield shared
    shared.sandbox.clear_faults()
