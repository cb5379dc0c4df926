"""How old something is: by the boot clock within a boot, by Vidgo's time across boots, never by a wrong clock."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journal.conftest import (
    FINISHED,
    START,
    URL,
    Clock,
    ended,
    in_state,
    intent,
    opened,
    reserved,
    sent,
)
from tests.journal.test_sqlite_side_files import Trouble, copied_over, moved_over, removed
from vidgo_mcp.journal import WINDOW, ConsentUsed, Journal, Reserved, SqliteJournal
from vidgo_mcp.journal import clock as clock_module
from vidgo_mcp.journal.boots import TOLERANCE
from vidgo_mcp.journal.clock import boot_id, linux_boot, uptime

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 24 * 3600.0
KEPT_FOR = 90 * DAY
WRONG = [25 * HOUR, 48 * HOUR, 91 * DAY, -25 * HOUR, -START]
STATES = ("reserved", "sent", "unknown", "accepted", "finished", "empty", "failed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def states(journal: Journal) -> set[str]:
    return {entry.state for entry in await journal.newest("me", 10)}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_clock_that_is_set_within_a_boot_ages_nothing(wrong: float, journal: Journal, clock: Clock) -> None:
    entry = await ended(journal, FINISHED)
    await journal.remember_upload("me", "d", URL, until=journal.now() + HOUR)
    clock.set(wrong)
    assert await journal.find("me", "f") == entry
    assert await journal.spent("me") == 2
    assert await journal.upload_of("me", "d") == URL
    assert journal.now() == START


@pytest.mark.parametrize("wrong", WRONG)
async def test_another_process_of_the_boot_with_another_clock_sees_the_same_age(
    wrong: float, path: Path, clock: Clock
) -> None:
    first = opened(path, clock)
    entry = await ended(first, FINISHED)
    clock.set(wrong)
    second = opened(path, clock)
    assert await second.find("me", "f") == entry
    assert second.now() == START
    clock.move(WINDOW)
    assert await second.find("me", "f") is None
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_look_deletes_nothing_whatever_the_clock_shows(wrong: float, path: Path, clock: Clock) -> None:
    first = opened(path, clock)
    for state in STATES:
        await in_state(first, state, intent(state))
    clock.reboot(wrong=wrong)
    later = opened(path, clock)
    for _ in range(2):
        await later.expire()
    assert await states(later) == set(STATES) - {"reserved", "sent"}
    await first.aclose()
    await later.aclose()


@pytest.mark.parametrize("wrong", WRONG)
async def test_vidgos_time_corrects_the_clock_of_a_boot_and_what_it_recorded(
    wrong: float, journal: Journal, clock: Clock
) -> None:
    clock.set(wrong)
    begun = await ended(journal, FINISHED)
    await journal.reserve(intent("g"), process="p1", consent="yes")
    clock.move(100)
    journal.hear_time(START + 100)
    await journal.renew("p1")
    found = await journal.entry(begun.id)
    assert found is not None
    assert begun.created_at == START + wrong
    assert (found.created_at, found.sent_at, found.ended_at) == (START, START, START)
    assert journal.now() == START + 100
    assert await journal.reserve(intent("h"), process="p1", consent="yes") == ConsentUsed(START)


@pytest.mark.parametrize("off", [0, TOLERANCE, -TOLERANCE])
async def test_clocks_that_agree_within_five_minutes_are_left_alone(off: float, journal: Journal, clock: Clock) -> None:
    entry = await ended(journal, FINISHED)
    journal.hear_time(START + off)
    assert await journal.entry(entry.id) == entry
    assert journal.now() == START


@pytest.mark.parametrize("ahead", [25 * HOUR, 91 * DAY])
async def test_after_a_boot_with_a_clock_that_is_ahead_vidgos_time_is_needed(
    ahead: float, path: Path, clock: Clock
) -> None:
    first = opened(path, clock)
    assert await first.needs_time()
    first.hear_time(START)
    entry = await ended(first, FINISHED)
    assert not await first.needs_time()
    clock.reboot(after=60, wrong=ahead)
    second = opened(path, clock)
    assert await second.needs_time()
    second.hear_time(START + 60)
    assert not await second.needs_time()
    assert await second.find("me", "f") == entry
    assert second.now() == START + 60
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("named", [True, False])
async def test_what_is_truly_old_after_a_boot_is_done_again(named: bool, path: Path, clock: Clock) -> None:
    first = SqliteJournal(path, clock=clock.of_machine(named=named))
    await ended(first, FINISHED)
    clock.reboot(after=25 * HOUR)
    second = SqliteJournal(path, clock=clock.of_machine(named=named))
    assert await second.needs_time() is named
    second.hear_time(START + 25 * HOUR)
    assert not await second.needs_time()
    assert await second.find("me", "f") is None
    await first.aclose()
    await second.aclose()


async def test_without_a_date_the_wall_clock_has_to_do(path: Path, clock: Clock) -> None:
    first = opened(path, clock)
    await ended(first, FINISHED)
    clock.reboot(after=HOUR, wrong=-START)
    second = opened(path, clock)
    assert await second.needs_time()
    clock.set(START)  # a time server has answered meanwhile
    second.hear_time(None)
    assert not await second.needs_time()
    assert second.now() == START + HOUR
    await first.aclose()
    await second.aclose()


async def test_a_clock_that_was_never_set_keeps_everything_alive_and_asks(path: Path, clock: Clock) -> None:
    first = opened(path, clock)
    entry = await ended(first, FINISHED)
    clock.reboot(wrong=-START)
    second = opened(path, clock)
    assert await second.find("me", "f") == entry
    assert await second.spent("me") == 2
    assert await second.needs_time()
    await first.aclose()
    await second.aclose()


async def test_another_process_learns_what_one_has_heard(path: Path, clock: Clock) -> None:
    clock.set(25 * HOUR)
    first, second = opened(path, clock), opened(path, clock)
    entry = await sent(first)
    await second.check()
    first.hear_time(START)
    await first.renew("p1")
    found = await second.entry(entry.id)
    assert found is not None
    assert found.sent_at == second.now() == START
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("trouble", [copied_over, moved_over, removed])
@pytest.mark.parametrize("wrong", [3 * HOUR, -3 * HOUR, -START])
async def test_what_an_earlier_boot_recorded_keeps_its_age_where_it_is_put_back(
    wrong: float, trouble: Trouble, path: Path, clock: Clock
) -> None:
    first = opened(path, clock)
    await first.check()
    backup = Path(shutil.copyfile(path, path.with_name("backup")))
    entry = await ended(first, FINISHED)
    await first.aclose()
    clock.reboot(after=20 * HOUR, wrong=wrong)
    second = opened(path, clock)
    entry = await second.record_pixels(entry.id, "1024x1024")
    trouble(path, backup)
    assert await second.entry(entry.id) == entry
    second.hear_time(START + 20 * HOUR)
    assert await second.entry(entry.id) == entry
    # Also where it is put back only after that.
    removed(path, backup)
    assert await second.entry(entry.id) == entry
    await second.aclose()


async def test_only_what_has_ended_is_pruned_and_only_by_who_pays(path: Path, clock: Clock) -> None:
    kept = opened(path, clock)
    for state in STATES:
        await in_state(kept, state, intent(state))
    kept.hear_time(clock())
    clock.move(KEPT_FOR + 1)
    await kept.renew("p1")
    await kept.expire()
    await kept.newest("me", 10)
    assert await states(kept) == set(STATES)
    await reserved(kept, intent("new"))
    assert await states(kept) == {"reserved", "sent", "unknown", "accepted"}
    await kept.aclose()


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("heard", "set_by", "pruned"), [(False, 0, False), (True, 301, False), (True, 0, True)])
async def test_nothing_is_pruned_by_a_time_that_is_not_certain(
    heard: bool, set_by: float, pruned: bool, named: bool, path: Path, clock: Clock
) -> None:
    kept = SqliteJournal(path, clock=clock.of_machine(named=named))
    await ended(kept, FINISHED)
    clock.move(KEPT_FOR + 1)
    clock.set(set_by)
    if heard:
        kept.hear_time(clock() - set_by)
    assert isinstance(await kept.reserve(intent("new"), process="p1"), Reserved)
    assert ("finished" not in await states(kept)) is pruned
    await kept.aclose()


def test_the_boot_has_a_name_and_its_clock_goes_on() -> None:
    assert boot_id() == boot_id()
    before = uptime()
    assert before > 0
    assert uptime() >= before


@pytest.mark.skipif(not boot_id(), reason="this system has no names for its boots")
@pytest.mark.parametrize(
    ("boottime", "same"), [("0 0", True), ("90000 0", False), ("-40000 0", False), ("0 500000000", False)]
)
def test_a_boot_has_another_name_where_its_clock_is_another(
    boottime: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a time namespace, as a container may have, it is ahead or behind: no age follows from it outside."""
    there = linux_boot()
    offsets = tmp_path / "timens_offsets"
    offsets.write_text(f"monotonic 90000 0\nboottime {boottime}\n", encoding="ascii")
    monkeypatch.setattr(clock_module, "_OFFSETS", offsets)
    assert (linux_boot() == there) is same
    assert linux_boot().startswith(there)


@pytest.mark.skipif(not boot_id(), reason="this system has no names for its boots")
def test_time_goes_on_for_a_process_that_is_out_of_files() -> None:
    script = (
        "import resource; from vidgo_mcp.journal import Clock; clock = Clock(); clock.uptime();"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)); assert clock.uptime() > 0"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
