"""Callers of one account share what Vidgo counts by key, and nothing else; accounts share only the service."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import ANOTHER_KEY, VirtualJournal, World
from tests.service.pictures import many
from vidgo_mcp.errors import BudgetError
from vidgo_mcp.models.requests import GenerateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import Budget, Limits, LocalFiles, Principal

pytestmark = pytest.mark.anyio

LOW = 2


async def make(world: World, principal: Principal, **arguments: Any) -> TaskResult:
    given = GenerateArguments.model_validate({"prompt": "a fox", "wait_seconds": 600, **arguments})
    return await world.service.make(principal, given)


async def test_each_caller_of_an_account_has_tasks_and_budgets_of_their_own() -> None:
    async with World(seconds=5) as world:
        ann, bob = (
            Principal(world.account, name, Limits(Budget(per_day=day, mode="enforce")))
            for name, day in (("ann", LOW), ("bob", 3 * LOW))
        )
        one, other = await make(world, ann), await make(world, bob)
        assert one.task_id != other.task_id
        assert [made.credits_charged for made in (one, other)] == [LOW, LOW]
        for who, made in ((ann, one), (bob, other)):
            [listed] = (await world.service.tasks(who).listed(10)).tasks
            assert listed.task_id == made.task_id
        with pytest.raises(BudgetError):
            await make(world, ann, prompt="a hare")
        assert (await make(world, bob, prompt="a hare")).credits_charged == LOW
        reports = [await world.service.spending(who) for who in (ann, bob)]
        assert [(report.periods[0].credits, report.budget_left) for report in reports] == [(LOW, 0), (2 * LOW, LOW)]


async def test_callers_of_an_account_share_its_client_its_balance_and_the_pace_of_uploads(
    disk: LocalFiles, folder: Path
) -> None:
    *paths, shared = many(folder, 6)
    async with World(files=disk, seconds=5) as world:
        for caller in ("ann", "bob"):
            assert (await world.service.balance(world.principal(caller))).credits == 1000
        # The second reading is for the comparison with the journal.
        assert (world.opened, len(world.wire.seen)) == (1, 2)
        async with anyio.create_task_group() as tasks:
            for number, path in enumerate(paths):
                tasks.start_soon(partial(world.finished, caller=("ann", "bob")[number % 2], image_urls=[path]))
        for caller in ("ann", "bob"):
            await world.finished(caller=caller, image_urls=[shared])
        *_, late = began = world.uploads()
        assert (len(began), late >= 60, world.opened) == (6, True, 1)
        assert world.movements() == [("charge", LOW)] * 7
        for caller in ("ann", "bob"):
            assert (await world.service.balance(world.principal(caller))).credits == 1000 - 7 * LOW


async def test_two_accounts_in_one_service_share_neither_client_nor_balance_nor_pace(
    disk: LocalFiles, folder: Path
) -> None:
    *paths, sixth = many(folder, 6)
    async with World(files=disk, seconds=5) as world:
        mine, other = world.principal(), world.principal(key=ANOTHER_KEY)
        await world.finished(image_urls=paths)
        assert (await make(world, other)).credits_charged == LOW
        await make(world, other, quality="high")
        balances = [(await world.service.balance(who)).credits for who in (mine, other)]
        assert (balances, world.opened) == ([1000 - LOW, 1000 - LOW - 12], 2)
        async with World(key=ANOTHER_KEY, files=disk, sandbox=world.sandbox, journal=world.journal) as theirs:
            started = anyio.current_time()
            await theirs.finished(image_urls=[sixth])
            assert anyio.current_time() - started < 60, "the minute of the first account is not theirs"
        assert len((await world.listed()).tasks) == 1


async def test_tasks_of_an_account_are_looked_after_from_its_first_call_on() -> None:
    journal = VirtualJournal()
    async with World(key=ANOTHER_KEY, journal=journal, seconds=30) as earlier:
        task_id = await earlier.pending()
    async with World(journal=journal, sandbox=earlier.sandbox) as world:
        await anyio.sleep(60)
        assert world.reads() == []
        principal = world.principal(key=ANOTHER_KEY)
        await world.service.balance(principal)
        await anyio.sleep(60)
        assert world.reads(task_id)
        [listed] = (await world.service.tasks(principal).listed(10)).tasks
        assert (listed.task_id, listed.outcome) == (task_id, "finished")
