"""What one process paid for, another one on the same file finds: after a restart, and at the same moment."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.service.durable import OWNER, PATIENCE, Process, hasten, moved, quick_sandbox
from vidgo_mcp.errors import BudgetError, OutcomeUnknownError, VidgoError
from vidgo_mcp.journal import Entry, Reserved
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.sandbox import Sandbox
from vidgo_mcp.service import Budget, Limits

pytestmark = pytest.mark.anyio

LOW = 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


@pytest.fixture
def sandbox() -> Sandbox:
    return quick_sandbox()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch)


async def state(process: Process, wanted: str) -> Entry:
    """Wait until the newest entry has come so far, without any call that could help."""
    with anyio.fail_after(PATIENCE):
        while True:
            [entry] = await process.journal.newest(OWNER, 1)
            if entry.state == wanted:
                return entry
            await anyio.sleep(0.02)


async def test_a_picture_of_an_earlier_run_is_free_and_needs_no_network(path: Path, sandbox: Sandbox) -> None:
    async with Process(sandbox, path, "a") as first:
        made = await first.finished()
        assert made.credits_charged == LOW
    async with Process(sandbox, path, "b", dead=frozenset("a")) as second:
        again = await second.make(max_credits=0)
        assert (again.outcome, again.task_id, again.reused, again.credits_charged) == (
            "finished",
            made.task_id,
            True,
            0,
        )
        assert (await second.task(made.task_id or "")).image_urls == again.image_urls
        assert second.wire.seen == []
    assert moved(sandbox) == [("charge", LOW)]


async def test_a_task_that_an_earlier_run_left_is_watched_again_by_itself_and_announced(
    path: Path, sandbox: Sandbox
) -> None:
    async with Process(sandbox, path, "a") as first:
        left = await first.make()
        assert left.outcome == "pending"
    async with Process(sandbox, path, "b", later=60, dead=frozenset("a")) as second:
        entry = await state(second, "finished")
        assert (entry.task_id, entry.delivered) == (left.task_id, False)
        other = await second.make(prompt="a hare")
        assert other.notes is not None
        assert f'Finished and paid for, but never shown: task_id {left.task_id} ("a fox")' in other.notes[0]
        assert (await second.make()).reused
        assert not any("never shown" in note for note in (await second.make(prompt="a hare")).notes or ())
    assert moved(sandbox) == [("charge", LOW)] * 2


async def test_a_refund_that_an_earlier_run_did_not_see_frees_the_request_and_the_budget(path: Path) -> None:
    sandbox = quick_sandbox("task:failed*1")
    limits = Limits(Budget(per_day=LOW, mode="enforce"))
    async with Process(sandbox, path, "a", limits=limits) as first:
        await first.make()
    async with Process(sandbox, path, "b", later=60, limits=limits) as second:
        await state(second, "failed")
        assert (await second.finished()).credits_charged == LOW
    assert moved(sandbox) == [("charge", LOW), ("refund", LOW), ("charge", LOW)]


async def test_an_unknown_outcome_stays_unknown_through_restarts_until_its_window_ends(path: Path) -> None:
    sandbox = quick_sandbox("submit:lose_answer*1")
    async with Process(sandbox, path, "a") as first:
        with pytest.raises(OutcomeUnknownError):
            await first.make()
    for name in ("b", "c"):
        async with Process(sandbox, path, name, later=23 * 3600, dead=frozenset("abc")) as another:
            with pytest.raises(OutcomeUnknownError):
                await another.make()
            assert another.submits() == 0
    assert moved(sandbox) == [("charge", LOW)]
    async with Process(sandbox, path, "d", later=24 * 3600 + 1) as late:
        assert (await late.finished()).credits_charged == LOW


@pytest.mark.parametrize(("sent", "killed"), [(False, True), (False, False), (True, True), (True, False)])
async def test_what_a_dead_run_had_only_begun_is_freed_or_unknown(
    sent: bool, killed: bool, path: Path, sandbox: Sandbox
) -> None:
    """Provably gone at once, or when its lease has run out, which is what ``later`` is for."""
    # What the service itself writes for a fox, from a journal of its own.
    async with Process(quick_sandbox(), path.with_name("another.db")) as another:
        await another.make()
        [written] = await another.journal.newest(OWNER, 1)
    journal = SqliteJournal(path)
    met = await journal.reserve(written.intent, process="dead")
    assert isinstance(met, Reserved)
    if sent:
        await journal.mark_sent(met.entry.id)
    await journal.aclose()
    dead, later = (frozenset({"dead"}), 0.0) if killed else (frozenset[str](), 31.0)
    async with Process(sandbox, path, "next", dead=dead, later=later) as process:
        if sent:
            proven = "ended before the answer came" if killed else "has not been heard of lately"
            with pytest.raises(OutcomeUnknownError, match=f"The process that sent it {proven}"):
                await process.make()
            assert process.submits() == 0
        else:
            assert (await process.make()).credits_charged == LOW
    assert moved(sandbox) == [("charge", LOW)] * (0 if sent else 1)


async def test_two_processes_at_once_pay_once_and_the_second_has_the_firsts_result(path: Path) -> None:
    sandbox = quick_sandbox("submit:slow=0.3")
    async with Process(sandbox, path, "a") as first, Process(sandbox, path, "b") as second:
        made: list[TaskResult] = []

        async def call(process: Process) -> None:
            made.append(await process.make())

        async with anyio.create_task_group() as tasks:
            for process in (first, second) * 3:
                tasks.start_soon(call, process)
        assert sorted(result.credits_charged or 0 for result in made) == [0] * 5 + [LOW]
        assert len({result.task_id for result in made}) == 1
        assert first.submits() + second.submits() == 1
        payer, other = (first, second) if first.submits() else (second, first)
        await payer.task(made[0].task_id or "")
        reads = len(other.wire.seen)
        found = await other.make()
        assert (found.outcome, found.reused, len(other.wire.seen)) == ("finished", True, reads)
    assert moved(sandbox) == [("charge", LOW)]


async def test_two_processes_at_once_spend_one_budget_to_the_credit(path: Path) -> None:
    sandbox = quick_sandbox("submit:slow=0.05")
    limits = Limits(Budget(per_day=10, mode="enforce"))
    async with Process(sandbox, path, "a", limits=limits) as a, Process(sandbox, path, "b", limits=limits) as b:
        refused: list[VidgoError] = []

        async def call(process: Process, number: int) -> None:
            try:
                await process.make(prompt=f"fox {number}")
            except BudgetError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(call, (a, b)[number % 2], number)
        assert len(refused) == 7
    assert moved(sandbox) == [("charge", LOW)] * 5


async def test_processes_with_different_budgets_each_hold_their_own_in_one_ledger(path: Path, sandbox: Sandbox) -> None:
    small, large = (Limits(Budget(per_day=day, mode="enforce")) for day in (2, 4))
    async with Process(sandbox, path, "a", limits=small) as a, Process(sandbox, path, "b", limits=large) as b:
        await b.make(prompt="one")
        with pytest.raises(BudgetError):
            await a.make(prompt="two")
        await b.make(prompt="two")
        with pytest.raises(BudgetError):
            await b.make(prompt="three")
        assert (await a.make(prompt="two")).reused
    assert moved(sandbox) == [("charge", LOW)] * 2
