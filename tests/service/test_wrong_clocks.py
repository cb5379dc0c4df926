"""A clock that is wrong for a moment never pays for a picture again; one that is right does when the time has come."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journal.conftest import START, Clock, intent
from tests.journal.test_sqlite_side_files import Trouble, copied_over, moved_over, removed
from tests.service.durable import OWNER, Process, hasten, moved, quick_sandbox
from vidgo_mcp.errors import BudgetError, OutcomeUnknownError, UnavailableError, VidgoError
from vidgo_mcp.journal import ConsentUsed, Reserved
from vidgo_mcp.sandbox import Sandbox
from vidgo_mcp.service import Budget, Limits

pytestmark = pytest.mark.anyio

LOW = 2
HOUR, DAY = 3600.0, 24 * 3600.0
WRONG = [25 * HOUR, 48 * HOUR, 91 * DAY, -25 * HOUR, -START]
BALANCE, SUBMIT = ("GET", "/api/user/balance"), ("POST", "/api/generate/submit")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


class Machine:
    """A machine, whose clocks may be wrong, and Vidgo, whose time is always right where it names one."""

    def __init__(self, path: Path, sandbox: Sandbox, clock: Clock, *, named: bool = True) -> None:
        self.path, self.sandbox, self.clock = path, sandbox, clock
        self.right = clock.at
        self.vidgo_time: Callable[[], float] | None = (lambda: self.right) if named else None

    def process(self, name: str = "a", **given: Any) -> Process:
        clock = self.clock.of_machine()
        return Process(self.sandbox, self.path, name, clock=clock, vidgo_time=self.vidgo_time, **given)

    def reboot(self, after: float, wrong: float = 0) -> None:
        self.right += after
        self.clock.reboot(after=self.right - self.clock.at, wrong=wrong)


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_running_server_whose_clock_is_set_does_not_pay_again(wrong: float, path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        made = await server.finished()
        clock.set(wrong)
        again = await server.make()
        assert (again.task_id, again.reused) == (made.task_id, True)
        async with machine.process("b") as second:
            again = await second.make()
            assert (again.task_id, again.reused) == (made.task_id, True)
    assert moved(machine.sandbox) == [("charge", LOW)]


@pytest.mark.parametrize("wrong", WRONG)
async def test_vidgos_time_corrects_the_clock_of_a_new_boot_before_anything_is_paid(
    wrong: float, path: Path, clock: Clock
) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        made = await server.finished()
    machine.reboot(60, wrong)
    async with machine.process("b") as server:
        again = await server.make()
        assert (again.task_id, again.reused) == (made.task_id, True)
        other = await server.finished(prompt="a hare")
        assert server.wire.seen.index(BALANCE) < server.wire.seen.index(SUBMIT)
        assert server.journal.now() == pytest.approx(machine.right, abs=1)
    machine.reboot(60)
    async with machine.process("c") as server:
        assert (await server.make(prompt="a hare")).task_id == other.task_id
    assert moved(machine.sandbox) == [("charge", LOW)] * 2


async def test_an_unknown_outcome_outlives_a_boot_with_a_clock_that_is_ahead(path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox("submit:lose_answer*1"), clock)
    async with machine.process() as server:
        with pytest.raises(OutcomeUnknownError):
            await server.make()
    machine.reboot(60, 25 * HOUR)
    async with machine.process("b") as server:
        with pytest.raises(OutcomeUnknownError):
            await server.make()
        assert server.submits() == 0


async def test_a_budget_outlives_a_boot_with_a_clock_that_is_ahead(path: Path, clock: Clock) -> None:
    machine, limits = Machine(path, quick_sandbox(), clock), Limits(Budget(per_day=LOW, mode="enforce"))
    async with machine.process(limits=limits) as server:
        await server.finished()
    machine.reboot(60, 25 * HOUR)
    async with machine.process("b", limits=limits) as server:
        with pytest.raises(BudgetError):
            await server.make(prompt="a hare")
    assert moved(machine.sandbox) == [("charge", LOW)]


@pytest.mark.parametrize("named", [True, False])
async def test_a_boot_that_is_truly_later_pays_again(named: bool, path: Path, clock: Clock) -> None:
    """Where Vidgo names no time, the machine's clock has to do."""
    machine = Machine(path, quick_sandbox(), clock, named=named)
    async with machine.process() as server:
        await server.finished()
    machine.reboot(25 * HOUR)
    async with machine.process("b") as server:
        assert (await server.finished()).credits_charged == LOW
        assert (await server.make()).reused
    assert moved(machine.sandbox) == [("charge", LOW)] * 2


@pytest.mark.parametrize("fault", ["balance:drop_before", "balance:hang_before=1"])
async def test_without_an_answer_of_vidgo_a_new_boot_spends_nothing(fault: str, path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        await server.finished()
    machine.reboot(60, 25 * HOUR)
    machine.sandbox.set_faults([fault])
    async with machine.process("b") as server:
        with pytest.raises(UnavailableError) as caught:
            await server.make()
        assert caught.value.money == "nothing_spent"
        assert server.submits() == 0
        machine.sandbox.set_faults([])
        assert (await server.make()).reused


@pytest.mark.parametrize("fault", ["balance:refuse=500", "balance:rate_limited", "balance:html"])
async def test_an_answer_without_a_balance_tells_the_time_as_well(fault: str, path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        await server.finished()
    machine.reboot(60, 25 * HOUR)
    machine.sandbox.set_faults([fault])
    async with machine.process("b") as server:
        assert (await server.make()).reused
        assert (await server.finished(prompt="a hare")).credits_charged == LOW


@pytest.mark.parametrize("fault", ["balance:refuse=500", "balance:html"])
@pytest.mark.parametrize("date", [None, 0.0])
async def test_a_failure_without_a_date_does_not_say_that_a_wrong_clock_is_right(
    date: float | None, fault: str, path: Path, clock: Clock
) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        await server.finished()
    machine.reboot(60, 25 * HOUR)
    machine.sandbox.set_faults([fault])
    machine.vidgo_time = None if date is None else lambda: date
    async with machine.process("b") as server:
        with pytest.raises(UnavailableError) as caught:
            await server.make()
        assert caught.value.money == "nothing_spent"
        assert server.submits() == 0


async def test_a_process_that_pays_forgets_what_ended_long_ago_and_nothing_else(path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox("submit:lose_answer*1"), clock)
    async with machine.process() as server:
        with pytest.raises(VidgoError):
            await server.make()
        await server.finished(prompt="a hare")
    machine.reboot(91 * DAY)
    async with machine.process("b") as server:
        await server.service.tasks(server.principal).listed(10)
        assert [entry.state for entry in await server.journal.newest(OWNER, 9)] == ["finished", "unknown"]
        await server.finished(prompt="an owl")
        assert [entry.state for entry in await server.journal.newest(OWNER, 9)] == ["finished", "unknown"]
        assert [entry.intent.prompt for entry in await server.journal.newest(OWNER, 9)] == ["an owl", "a fox"]


async def test_a_consent_that_was_used_outlives_a_boot_with_a_clock_that_is_ahead(path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        found = await server.journal.reserve(intent(), process="a", consent="yes")
        assert isinstance(found, Reserved)
        await server.journal.release(found.entry.id)
    machine.reboot(60, 25 * HOUR)
    async with machine.process("b") as server:
        assert await server.journal.needs_time()
        await server.finished()
        assert await server.journal.reserve(intent(), process="b", consent="yes") == ConsentUsed(START)


async def test_what_was_spent_is_added_up_by_the_right_time_also_at_the_first_look(path: Path, clock: Clock) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        await server.finished()
    clock.set(91 * DAY)
    async with machine.process("b") as server:
        report = await server.service.spending(server.principal)
        assert [period.credits for period in report.periods] == [LOW] * 3


def copy_of(path: Path) -> Path:
    return Path(shutil.copyfile(path, path.with_name("backup")))


@pytest.mark.parametrize("trouble", [copied_over, moved_over, removed])
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_copy_from_before_vidgos_time_was_heard_makes_nothing_older(
    wrong: float, trouble: Trouble, path: Path, clock: Clock
) -> None:
    machine = Machine(path, quick_sandbox("submit:lose_answer*1"), clock)
    machine.reboot(60, wrong)
    async with machine.process() as server:
        assert await server.journal.needs_time()
        backup = copy_of(path)
        with pytest.raises(OutcomeUnknownError):
            await server.make(prompt="a hare")
        made = await server.finished()
        trouble(path, backup)
        again = await server.make()
        assert (again.task_id, again.reused) == (made.task_id, True)
        with pytest.raises(OutcomeUnknownError):
            await server.make(prompt="a hare")
        assert await server.journal.spent(OWNER) == 2 * LOW
        entries = await server.journal.newest(OWNER, 9)
        assert [entry.created_at for entry in entries] == pytest.approx([machine.right] * 2, abs=10)
    assert moved(machine.sandbox) == [("charge", LOW)] * 2


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_removed_file_that_a_process_with_a_wrong_clock_begins_anew_has_the_time_of_who_heard_it(
    wrong: float, path: Path, clock: Clock
) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        made = await server.finished()
        removed(path, path)
        clock.set(wrong)
        async with machine.process("b") as second:
            await second.journal.newest(OWNER, 1)
            for process in (server, second):
                again = await process.make()
                assert (again.task_id, again.reused) == (made.task_id, True)
    assert moved(machine.sandbox) == [("charge", LOW)]


@pytest.mark.parametrize("trouble", [copied_over, moved_over, removed])
@pytest.mark.parametrize("off", [25 * HOUR, -25 * HOUR])
async def test_what_is_put_back_keeps_its_age_when_the_time_was_corrected_meanwhile(
    off: float, trouble: Trouble, path: Path, clock: Clock
) -> None:
    machine = Machine(path, quick_sandbox(), clock)
    async with machine.process() as server:
        await server.journal.needs_time()
        backup = copy_of(path)
        made = await server.finished()
        machine.right += off
        await server.finished(prompt="a hare")
        trouble(path, backup)
        again = await server.make()
        assert (again.task_id, again.reused) == (made.task_id, True)
        assert await server.journal.spent(OWNER) == 2 * LOW
    assert moved(machine.sandbox) == [("charge", LOW)] * 2
