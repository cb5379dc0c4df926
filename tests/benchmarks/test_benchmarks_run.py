"""The benchmarks of the paid workflow and of its files run, with small numbers, and find nothing wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import waiting
from benchmarks.agents import FUNDS, PERSON, Call, Found
from benchmarks.audit import folder_faults
from benchmarks.soak import Audit
from benchmarks.world import ACCOUNT, VirtualJournal, World, on_virtual_clock, thumbnail
from vidgo_mcp.files.metadata import Facts, with_facts
from vidgo_mcp.journal import Entry, Intent, Reserved
from vidgo_mcp.models.tasks import Task

ROOT = Path(__file__).parents[2]


@pytest.fixture
def save_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    folder.mkdir()
    return folder


def test_waiting_keeps_its_claims_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    waiting.main(["--draws", "4000", "--tasks", "12", "--learned", "200"])
    printed = capsys.readouterr().out
    assert "as good on both: no" in printed
    assert "our plan, after 200 tasks" in printed


def run(*command: str) -> str:
    """Run a benchmark as a person does, and return what it prints."""
    given = [sys.executable, "-m", *command]
    done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_soak_finds_ledger_journal_and_disk_in_agreement() -> None:
    printed = run("benchmarks.soak", "--generations", "30")
    assert "disagreements of ledger, journal and disk: 0" in printed
    assert " of the person saved" in printed
    assert " uploads" in printed


def test_soak_sees_a_charge_that_no_entry_has(save_dir: Path) -> None:
    async def charge_by_the_way() -> list[str]:
        journal = VirtualJournal()
        world = World(journal, lambda task: None, funds=FUNDS, seed=1)
        account = world.sandbox.accounts[0]
        body = {"model": "gpt-image-2", "input": {"prompt": "a secret", "quality": "low"}}
        world.sandbox.submit(account, body, "http://127.0.0.1")
        return await Audit([], world, [], save_dir).disagreements(Found())

    wrong: list[str] = on_virtual_clock(charge_by_the_way)
    assert [fault.partition(":")[0] for fault in wrong] == [
        "a charge without an entry",
        "2 credits are gone, the journal knows of 0 to 0",
    ]


def test_soak_sees_two_live_entries_and_a_task_that_two_calls_paid_for(save_dir: Path) -> None:
    async def twice() -> list[str]:
        journal = VirtualJournal()
        world = World(journal, lambda task: None, funds=FUNDS, seed=1)
        intents = [Intent(f"{ACCOUNT}/", name, "f", 1, "gpt-image-2", "p", "1:1", "1K", "low", 2) for name in "ab"]
        for number, intent in enumerate(intents):
            met = await journal.reserve(intent, process="h")
            assert isinstance(met, Reserved)
            await journal.mark_sent(met.entry.id)
            await journal.bind(met.entry.id, Task(f"t{number}", "running"))
        entries = [*await journal.newest(f"{ACCOUNT}/", 5)]
        doubled = [*entries, entries[0]]
        calls = [Call("p", "finished", "t1", 2)] * 2
        return await Audit(doubled, world, calls, save_dir).disagreements(Found())

    wrong: list[str] = on_virtual_clock(twice)
    assert any(fault.startswith("two live entries of one request") for fault in wrong)
    assert any(fault.startswith("2 calls say that they paid for t1") for fault in wrong)


def finished(number: int, *copies: Path) -> Entry:
    """Return the entry of a picture, and where its copies are said to be."""
    intent = Intent(PERSON, f"{number}", "f", 1, "gpt-image-2", "p", "1:1", "1K", "low", 2)
    paths = tuple(str(copy) for copy in copies)
    return Entry(f"{number}", intent, "finished", "h", 0.0, 0.0, f"t{number}", image_urls=("u",), saved_paths=paths)


def copy_of(number: int, save_dir: Path) -> Path:
    """Write the copy of such a picture."""
    facts = Facts("p", "gpt-image-2", "1:1", "1K", "low", f"t{number}")
    path = save_dir / f"{number}.png"
    path.write_bytes(with_facts(thumbnail(f"{number}"), facts))
    return path


def test_copies_that_are_whole_are_in_order(save_dir: Path) -> None:
    assert folder_faults([finished(number, copy_of(number, save_dir)) for number in range(3)], save_dir) == []


def test_soak_sees_a_copy_that_is_half_missing_doubled_or_of_another_picture(save_dir: Path) -> None:
    half, second, third, twice = (copy_of(number, save_dir) for number in range(4))
    half.write_bytes(half.read_bytes()[:-60])
    entries = [finished(0, half), finished(1, third), finished(2, second), finished(3, twice, second)]
    entries.append(finished(4, save_dir / "gone.png"))
    wrong = folder_faults(entries, save_dir)
    for fault in (
        "0.png: it cannot be read",
        "gone.png: it cannot be read",
        "2.png: it is the picture of t2, not of t1",
        "1.png: it is the picture of t1, not of t2",
        "2 copies of t3",
        f"2 pictures are said to be in {second}",
    ):
        assert any(found.startswith(fault) for found in wrong), (fault, wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="the temporary file is renamed there")
def test_soak_sees_a_second_name_and_files_that_nobody_knows(save_dir: Path) -> None:
    copy = copy_of(1, save_dir)
    (save_dir / ".vidgo-0123456789abcdef.part").hardlink_to(copy)
    copy_of(2, save_dir)
    assert sorted(folder_faults([finished(1, copy)], save_dir)) == [
        ".vidgo-0123456789abcdef.part is in the folder, and no entry names it",
        "1.png: it has a second name",
        "2.png is in the folder, and no entry names it",
    ]


def test_soak_sees_a_picture_that_was_not_saved(save_dir: Path) -> None:
    async def unsaved() -> list[str]:
        world = World(VirtualJournal(), lambda task: None, funds=FUNDS, seed=1)
        return await Audit([finished(1)], world, [], save_dir).disagreements(Found())

    wrong: list[str] = on_virtual_clock(unsaved)
    assert any(fault.startswith("not saved: ") for fault in wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are POSIX's")
def test_hostile_names_and_pictures_reach_nothing_outside() -> None:
    printed = run("benchmarks.files", "--paths", "200")
    assert "200 names, 50 files, 50 inline data" in printed
    assert "read from outside, told of it, or crashed: 0" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_crashes_lose_nothing_pay_nothing_twice_and_leave_nothing_half() -> None:
    printed = run("benchmarks.crashes", "--kills", "4")
    assert "tasks lost: 0\npictures paid twice: 0" in printed
    assert "entries left by 5 kills while uploading: 0" in printed
    assert "pictures or files that are missing, half, doubled or left over: 0" in printed
