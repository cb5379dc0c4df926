"""Every row of the state table in "Money": what the same request, a look at the task, and a list get, and who pays."""

from __future__ import annotations

import anyio
import pytest

from tests.conftest import DAY, World
from vidgo_mcp.errors import UnavailableError

pytestmark = pytest.mark.anyio

LOW = 2


async def test_a_submit_that_is_under_way_is_joined_and_listed_as_pending_without_an_id() -> None:
    async with World(faults=["submit:slow=30"]) as world, anyio.create_task_group() as tasks:
        results = []

        async def call() -> None:
            results.append(await world.make())

        tasks.start_soon(call)
        await anyio.sleep(10)
        tasks.start_soon(call)
        await anyio.sleep(1)
        [listed] = (await world.listed()).tasks
        assert (listed.outcome, listed.task_id, listed.credits) == ("pending", None, LOW)
        await anyio.sleep(60)
        assert sorted((r.outcome, r.reused, r.credits_charged) for r in results) == [
            ("finished", False, LOW),
            ("finished", True, 0),
        ]
        assert results[0].image_urls == results[1].image_urls
        assert world.movements() == [("charge", LOW)]


async def test_an_accepted_task_is_joined() -> None:
    async with World() as world:
        task_id = await world.pending()
        again = await world.make(wait_seconds=0)
        assert (again.outcome, again.task_id, again.reused, again.credits_charged) == ("pending", task_id, True, 0)
        looked = await world.task(task_id, wait_seconds=0)
        assert (looked.outcome, looked.credits_charged, looked.reused) == ("pending", None, None)
        joined = await world.finished()
        assert (joined.task_id, joined.reused, joined.credits_charged) == (task_id, True, 0)
        assert world.movements() == [("charge", LOW)]


async def test_a_strange_status_word_is_pending_with_a_note() -> None:
    async with World(faults=["task:strange_status=reviewing"], seconds=30) as world:
        task_id = await world.pending()
        await anyio.sleep(10)
        looked = await world.task(task_id, wait_seconds=0)
        assert (looked.outcome, looked.status) == ("pending", "reviewing")
        assert looked.notes
        assert "reviewing" in looked.notes[0]
        again = await world.finished()
        assert (again.task_id, again.reused) == (task_id, True)
        assert world.movements() == [("charge", LOW)]


async def test_a_task_that_never_ends_is_overdue_after_the_window_and_sent_again() -> None:
    async with World(faults=["task:stuck*1"]) as world:
        task_id = await world.pending()
        await anyio.sleep(DAY - 60)
        assert await world.pending() == task_id
        await anyio.sleep(61)
        reads = len(world.wire.seen)
        looked = await world.task(task_id)
        assert looked.outcome == "pending"
        assert looked.notes
        assert "verdue" in looked.notes[0]
        assert len(world.wire.seen) == reads, "nothing is read any more"
        anew = await world.finished()
        assert anew.task_id != task_id
        assert (anew.reused, anew.credits_charged) == (False, LOW)
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_finished_picture_is_returned_for_the_window_without_a_request() -> None:
    async with World() as world:
        made = await world.finished()
        assert (made.reused, made.credits_charged, made.credits) == (False, LOW, LOW)
        assert made.task_id is not None
        # Whatever comes later: the balance is compared with the journal in the background.
        await anyio.sleep(61)
        requests = len(world.wire.seen)
        for pause in (1.0, DAY - 162):
            again = await world.finished(max_credits=0)
            assert (again.image_urls, again.reused, again.credits_charged) == (made.image_urls, True, 0)
            looked = await world.task(made.task_id)
            assert (looked.outcome, looked.image_urls) == ("finished", made.image_urls)
            await anyio.sleep(pause)
        again = await world.finished()
        assert (again.image_urls, again.expires_at) == (made.image_urls, made.expires_at)
        assert (again.remedy, again.next_variation) == ("show_picture", 2)
        assert len(world.wire.seen) == requests
        assert world.movements() == [("charge", LOW)]


async def test_a_finished_picture_whose_url_died_is_made_anew_and_the_old_task_has_no_url() -> None:
    async with World() as world:
        made = await world.finished()
        assert made.task_id is not None
        await anyio.sleep(DAY)
        requests = len(world.wire.seen)
        looked = await world.task(made.task_id)
        assert (looked.outcome, looked.image_urls) == ("finished", None)
        assert len(world.wire.seen) == requests
        anew = await world.finished()
        assert anew.task_id != made.task_id
        assert (anew.reused, anew.credits_charged) == (False, LOW)
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_finish_without_a_file_is_read_for_a_minute_then_refused_for_the_window() -> None:
    async with World(faults=["task:no_files*1"], seconds=20) as world:
        made = await world.make()
        assert (made.outcome, made.refunded, made.credits_charged) == ("failed", None, LOW)
        assert made.task_id is not None
        reads = world.reads()
        finished_reads = [at for at in reads if at >= 20]
        assert 60 <= round(finished_reads[-1] - finished_reads[0], 3) <= 63
        for pause in (1.0, DAY - 200):
            await anyio.sleep(pause)
            with pytest.raises(UnavailableError) as refused:
                await world.make()
            assert (refused.value.money, refused.value.retryable) == ("accepted", False)
            assert refused.value.task_id == made.task_id
        looked = await world.task(made.task_id)
        assert (looked.outcome, looked.refunded) == ("failed", None)
        assert world.reads() == reads
        assert world.movements() == [("charge", LOW)]
        await anyio.sleep(200)
        assert (await world.finished()).credits_charged == LOW
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_failed_task_is_refunded_and_the_same_request_is_sent_again() -> None:
    async with World(faults=["task:failed=no foxes today*1"]) as world:
        made = await world.make()
        assert (made.outcome, made.refunded, made.credits_charged, made.reused) == ("failed", True, 0, False)
        assert made.error == "no foxes today"
        assert made.task_id is not None
        looked = await world.task(made.task_id)
        assert (looked.outcome, looked.refunded, looked.image_urls) == ("failed", True, None)
        anew = await world.finished()
        assert anew.task_id != made.task_id
        assert (anew.reused, anew.credits_charged) == (False, LOW)
        assert world.movements() == [("charge", LOW), ("refund", LOW), ("charge", LOW)]
        assert [task.outcome for task in (await world.listed()).tasks] == ["finished", "failed"]


async def test_a_list_is_of_one_caller_newest_first_and_as_long_as_asked() -> None:
    async with World(seconds=1) as world:
        for number in range(3):
            await world.finished(prompt=f"fox {number}", caller="ann")
        await world.finished(prompt="dog", caller="bob")
        assert [task.prompt for task in (await world.listed("ann")).tasks] == ["fox 2", "fox 1", "fox 0"]
        assert [task.prompt for task in (await world.listed("bob")).tasks] == ["dog"]
        assert (await world.listed("carl")).tasks == []
