"""However the address of Vidgo is spelled, it is one account: one budget, and one picture for one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from vidgo_mcp.app import build_service, principal_of
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.errors import BudgetError
from vidgo_mcp.models.requests import GenerateArguments
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running
from vidgo_mcp.service import account_of
from vidgo_mcp.settings import Settings, load

SPELLINGS = [
    "http://127.0.0.1:{}",
    "HTTP://127.0.0.1:{}/",
    "http://localhost:{}",
    "http://LocalHost.:{}/a/../.",
    "http://127.0.0.1:0{}/%2E/",
    "http://0x7f000001:{}",
    "http://[::ffff:127.0.0.1]:{}",
]
LOW = 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_budget_for_one_picture_pays_for_one_under_all_spellings(tmp_path: Path) -> None:
    sandbox, met = Sandbox(seconds=(0, 0)), []
    with running(sandbox) as url:
        for number, spelling in enumerate(SPELLINGS):
            settings = load(
                {
                    "VIDGO_BASE_URL": spelling.format(urlsplit(url).port),
                    "VIDGO_API_KEY": SANDBOX_KEY,
                    "VIDGO_JOURNAL": str(tmp_path / "journal.db"),
                    "VIDGO_SAVE_DIR": "off",
                    "VIDGO_BUDGET_PER_DAY": str(LOW),
                    "VIDGO_BUDGET_MODE": "enforce",
                }
            )
            async with build_service(settings) as service:
                fox = await service.make(principal_of(settings), GenerateArguments(prompt="a fox", wait_seconds=30))
                met.append((fox.outcome, fox.credits_charged))
                with pytest.raises(BudgetError):
                    await service.make(principal_of(settings), GenerateArguments(prompt=f"hare {number}"))
    assert met == [("finished", LOW)] + [("finished", 0)] * (len(SPELLINGS) - 1)
    assert [(entry.kind, entry.credits) for entry in sandbox.ledger] == [("charge", LOW)]


@pytest.mark.anyio
@pytest.mark.parametrize("api", ["https://api.vidgo.ai", "http://127.0.0.1:9", "http://127.0.0.1:1"])
async def test_a_picture_that_vidgo_puts_on_this_machine_is_not_looked_at_and_not_paid_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    """Its own API may be reached through a gateway here; that or the storage may be down for a moment."""
    paid = []

    def vidgo(request: httpx.Request) -> httpx.Response:
        task: dict[str, Any] = {"task_id": "task-1", "status": "not_started"}
        if request.url.path.endswith("/submit"):
            paid.append(request)
        elif "/status/" in request.url.path:
            task |= {"status": "finished", "files": [{"file_url": "http://127.0.0.1:1/fox.png"}]}
        return httpx.Response(200, json={"code": 200, "data": {**task, "credits_amount": 500}})

    def connected(settings: Settings) -> VidgoClient:
        return VidgoClient(SANDBOX_KEY, base_url=settings.base_url, transport=httpx.MockTransport(vidgo))

    monkeypatch.setattr("vidgo_mcp.app.connected", connected)
    settings = load({}, api_key=SANDBOX_KEY, base_url=api, journal=str(tmp_path / "journal.db"), save_dir="off")
    met = []
    for _ in range(2):
        async with build_service(settings) as service:
            fox = await service.make(principal_of(settings), GenerateArguments(prompt="a fox", wait_seconds=30))
            met.append((fox.outcome, fox.credits_charged))
    assert (met, len(paid)) == ([("finished", LOW), ("finished", 0)], 1)


def test_the_account_of_an_existing_journal_keeps_its_name() -> None:
    name = "2dc27b2cd12ff454e7d98bfc02cb744f5307ab6934b55074e23380a6aa809664"
    assert account_of("a key", load({}).base_url) == name
