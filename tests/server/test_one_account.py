"""However the address of Vidgo is spelled, it is one account: one budget, and one picture for one request."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from vidgo_mcp.app import build_service, principal_of
from vidgo_mcp.errors import BudgetError
from vidgo_mcp.models.requests import GenerateArguments
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running
from vidgo_mcp.service import account_of
from vidgo_mcp.settings import load

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


def test_the_account_of_an_existing_journal_keeps_its_name() -> None:
    name = "2dc27b2cd12ff454e7d98bfc02cb744f5307ab6934b55074e23380a6aa809664"
    assert account_of("a key", load({}).base_url) == name
