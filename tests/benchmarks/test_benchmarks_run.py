"""The benchmarks of the paid workflow run, with small numbers, and find nothing wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import soak, waiting
from benchmarks.soak import Audit, Call
from benchmarks.world import ACCOUNT, World, now, on_virtual_clock
from vidgo_mcp.journal import Intent, MemoryJournal, Reserved
from vidgo_mcp.models.tasks import Task

ROOT = Path(__file__).parents[2]


def test_waiting_keeps_its_claims_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    waiting.main(["--draws", "4000", "--tasks", "12", "--learned", "200"])
    printed = capsys.readouterr().out
    assert "as good on both: no" in printed
    assert "our plan, after 200 tasks" in printed


def run(*command: str) -> str:
    """Run a benchmark as a person does, and return what it prints."""
    given = [sys.executable, "-m", *command]
    done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_soak_finds_ledger_and_journal_in_agreement() -> None:
    assert "disagreements of ledger and journal: 0" in run("benchmarks.soak", "--generations", "30")


def test_soak_sees_a_charge_that_no_entry_has() -> None:
    async def charge_by_the_way() -> list[str]:
        journal = MemoryJournal(now)
        world = World(journal, lambda task: None, funds=soak.FUNDS, seed=1)
        account = world.sandbox.accounts[0]
        body = {"model": "gpt-image-2", "input": {"prompt": "a secret", "quality": "low"}}
        world.sandbox.submit(account, body, "http://127.0.0.1")
        return await Audit([], world, []).disagreements(soak.Found())

    wrong: list[str] = on_virtual_clock(charge_by_the_way)
    assert [fault.partition(":")[0] for fault in wrong] == [
        "a charge without an entry",
        "2 credits are gone, the journal knows of 0 to 0",
    ]


def test_soak_sees_two_live_entries_and_a_task_that_two_calls_paid_for() -> None:
    async def twice() -> list[str]:
        journal = MemoryJournal(now)
        world = World(journal, lambda task: None, funds=soak.FUNDS, seed=1)
        intents = [Intent(f"{ACCOUNT}/", name, "f", 1, "gpt-image-2", "p", "1:1", "1K", "low", 2) for name in "ab"]
        for number, intent in enumerate(intents):
            met = await journal.reserve(intent, holder="h")
            assert isinstance(met, Reserved)
            await journal.mark_sent(met.entry.id)
            await journal.bind(met.entry.id, Task(f"t{number}", "running"))
        entries = [*await journal.newest(f"{ACCOUNT}/", 5)]
        doubled = [*entries, entries[0]]
        calls = [Call("p", "finished", "t1", 2)] * 2
        return await Audit(doubled, world, calls).disagreements(soak.Found())

    wrong: list[str] = on_virtual_clock(twice)
    assert any(fault.startswith("two live entries of one request") for fault in wrong)
    assert any(fault.startswith("2 calls say that they paid for t1") for fault in wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_crashes_lose_nothing_and_pay_nothing_twice() -> None:
    assert "tasks lost: 0\npictures paid twice: 0" in run("benchmarks.crashes", "--kills", "4")
