"""The fates of a submit, on the durable journal: what was charged is what the result says, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.durable import OWNER, Process, hasten, moved, quick_sandbox
from tests.service.test_sent_once import LOW, REFUSED, UNKNOWN
from vidgo_mcp.errors import VidgoError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def failure(process: Process) -> tuple[str, str]:
    with pytest.raises(VidgoError) as caught:
        await process.make()
    return caught.value.category, caught.value.money


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_refusal_costs_nothing_and_a_repeat_is_sent_anew(fault: str, tmp_path: Path) -> None:
    sandbox, path = quick_sandbox(f"submit:{fault}*1"), tmp_path / "journal.db"
    async with Process(sandbox, path, "a") as first:
        assert await failure(first) == (REFUSED[fault].category, "nothing_spent")
        assert list(await first.journal.newest(OWNER, 10)) == []
        assert await first.journal.spent(OWNER) == 0
    async with Process(sandbox, path, "b") as second:
        made = await second.make()
        assert (made.reused, made.credits_charged, second.submits()) == (False, LOW, 1)
    assert moved(sandbox) == [("charge", LOW)]


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("fault", UNKNOWN)
async def test_a_lost_answer_is_unknown_and_only_a_raised_variation_pays_again(fault: str, tmp_path: Path) -> None:
    sandbox, path = quick_sandbox(f"submit:{fault}*1"), tmp_path / "journal.db"
    lost = [("charge", LOW)] if UNKNOWN[fault].charged else []
    async with Process(sandbox, path, "a") as first:
        for _ in range(2):
            assert await failure(first) == ("outcome_unknown", "unknown")
        assert first.submits() == 1
    async with Process(sandbox, path, "b") as second:
        assert await failure(second) == ("outcome_unknown", "unknown")
        assert second.submits() == 0
        assert moved(sandbox) == lost
        raised = await second.make(variation=2)
        assert (raised.reused, raised.credits_charged) == (False, LOW)
        assert await second.journal.spent(OWNER) == 2 * LOW
    assert moved(sandbox) == [*lost, ("charge", LOW)]


@pytest.mark.parametrize("fault", ["slow=0.2", "rate_limited", "rate_limited=0"])
async def test_what_proves_that_nothing_was_accepted_is_paid_for_once(fault: str, tmp_path: Path) -> None:
    sandbox = quick_sandbox(f"submit:{fault}*1")
    async with Process(sandbox, tmp_path / "journal.db") as process:
        assert (await process.make()).credits_charged == LOW
        assert (await process.make()).credits_charged == 0
    assert moved(sandbox) == [("charge", LOW)]
