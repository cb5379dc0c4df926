"""A task that the journal does not know is asked at Vidgo with the caller's key, and told as Vidgo describes it."""

from __future__ import annotations

from itertools import pairwise

import anyio
import httpx
import pytest

from tests.conftest import Telling, World
from vidgo_mcp.errors import NotFoundError, VidgoError

pytestmark = pytest.mark.anyio


async def test_a_task_of_this_key_that_the_journal_does_not_know_is_asked_at_vidgo() -> None:
    async with World(seconds=20) as world:
        task_id = await world.pending()
        async with World(sandbox=world.sandbox) as other:
            looked = await other.task(task_id, wait_seconds=0)
            assert (looked.outcome, looked.task_id, looked.expires_at) == ("pending", task_id, None)
            found = await other.task(task_id, wait_seconds=60)
            assert found.outcome == "finished"
            assert found.image_urls == (await world.finished()).image_urls
            assert (await other.listed()).tasks == []
            reads = len(other.wire.seen)
            await anyio.sleep(600)
            assert len(other.wire.seen) == reads, "nobody waits, so nothing is read"


async def test_an_untracked_task_is_not_read_twice_within_two_seconds() -> None:
    async with World(seconds=20) as world:
        task_id = await world.pending()
        async with World(sandbox=world.sandbox) as other:
            for _ in range(5):
                await other.task(task_id, wait_seconds=0)
                await anyio.sleep(0.5)
            await anyio.sleep(30)
            for _ in range(3):
                assert (await other.task(task_id, wait_seconds=0)).outcome == "finished"
            assert min(late - early for early, late in pairwise(other.reads())) >= 2


@pytest.mark.parametrize(
    ("fault", "outcome", "refunded"),
    [("failed", "failed", True), ("no_files", "failed", None), ("strange_status", "pending", None)],
)
async def test_an_untracked_task_is_told_as_vidgo_describes_it(fault: str, outcome: str, refunded: bool | None) -> None:
    async with World(faults=[f"task:{fault}"], seconds=20) as world:
        task_id = await world.pending()
        await anyio.sleep(10)
        async with World(sandbox=world.sandbox) as other:
            looked = await other.task(task_id, wait_seconds=0 if fault == "strange_status" else 200)
            assert (looked.outcome, looked.refunded) == (outcome, refunded)
            assert bool(looked.error) == (outcome == "failed")
            assert bool(looked.notes) == (fault == "strange_status")


async def test_an_id_that_nobody_knows_is_not_found_with_the_nearest_known_one() -> None:
    async with World(seconds=1) as world:
        known = (await world.finished()).task_id
        assert known is not None
        for task_id in (known[:-1] + "!", f"{known}x"):
            with pytest.raises(NotFoundError) as caught:
                await world.task(task_id)
            assert known in caught.value.message
            assert (caught.value.field, caught.value.remedy) == ("task_id", "use_nearest_task")
            assert caught.value.facts.other_task == known
        with pytest.raises(NotFoundError) as caught:
            await world.task("nothing like it", caller="bob")
        assert known not in caught.value.message
        assert (caught.value.remedy, caught.value.facts.other_task) == ("list_tasks", None)
        async with World(key="another-key", sandbox=world.sandbox) as other:
            with pytest.raises(NotFoundError):
                await other.task(known)


@pytest.mark.parametrize("fault", ["refuse=500", "rate_limited", "refuse=401", "hang_before"])
async def test_an_untracked_task_that_cannot_be_read_is_an_error_with_its_id(fault: str) -> None:
    async with World(faults=[f"status:{fault}"]) as world:
        with pytest.raises(VidgoError) as caught:
            await world.task("task-1", wait_seconds=0)
        assert caught.value.category in {"unavailable", "rate_limited", "authentication"}
        assert caught.value.task_id == "task-1"


async def test_an_untracked_task_is_tracked_when_its_own_caller_looks() -> None:
    async with World(seconds=20) as world:
        task_id = await world.pending(caller="ann")
        async with World(journal=world.journal, sandbox=world.sandbox) as restarted, anyio.create_task_group() as tasks:

            async def fail(request: httpx.Request) -> None:
                raise httpx.ConnectError("only the second process can read, and so record, the end", request=request)

            world.wire.before = fail

            async def look(caller: str) -> None:
                found = await restarted.task(task_id, wait_seconds=100, caller=caller)
                assert found.outcome == "finished"
                assert (found.expires_at is not None) == (caller == "ann")

            tasks.start_soon(look, "bob")
            await anyio.sleep(1)
            tasks.start_soon(look, "ann")


async def test_of_an_id_that_nobody_knows_it_is_not_told_that_it_was_accepted() -> None:
    async with World() as world:
        telling = Telling()
        with pytest.raises(NotFoundError):
            await world.task("task-unified-1-nobody", progress=telling)
        assert telling.messages == ["asking Vidgo for task task-unified-1-nobody"]


async def test_progress_is_told_in_short_numbers() -> None:
    async with World(faults=["task:stuck"]) as world:
        telling = Telling()
        await world.make(progress=telling, wait_seconds=600)
        assert telling.values == [round(value, 3) for value in telling.values]
        assert telling.values == sorted(set(telling.values))
