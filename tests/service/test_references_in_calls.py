"""What may be edited: pictures made here by their task, anything with a URL, and nothing that cannot be fetched."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest

from tests.conftest import DAY, Telling, World
from vidgo_mcp.errors import InvalidRequestError, NotFoundError, UnavailableError, VidgoError

pytestmark = pytest.mark.anyio

LOW = 2
PHOTO = "https://example.com/photo.png"


async def refused(world: World, *references: str, wait: int = 40) -> VidgoError:
    submits = len(world.submits())
    with pytest.raises(VidgoError) as caught:
        await world.make(image_urls=list(references), wait_seconds=wait)
    assert (caught.value.money, caught.value.field) == ("nothing_spent", "image_urls")
    assert len(world.submits()) == submits
    return caught.value


async def test_an_edit_sends_the_urls_of_its_references_in_their_order() -> None:
    async with World(seconds=5) as world:
        made = await world.finished()
        edited = await world.finished(image_urls=[f"task:{made.task_id}", PHOTO])
        assert edited.model == "gpt-image-2-edit"
        [body] = [r.body for r in world.sandbox.requests if r.body and "image_urls" in r.body["input"]]
        assert body["input"]["image_urls"] == [*(made.image_urls or ()), PHOTO]
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_task_and_the_url_of_its_picture_are_the_same_reference() -> None:
    async with World(seconds=5) as world:
        made = await world.finished()
        assert made.image_urls
        by_task = await world.finished(image_urls=[f"task:{made.task_id}"])
        by_url = await world.finished(image_urls=made.image_urls)
        assert (by_url.task_id, by_url.reused, by_url.credits_charged) == (by_task.task_id, True, 0)
        assert world.movements() == [("charge", LOW)] * 2


async def test_a_pending_reference_is_waited_for() -> None:
    async with World(seconds=20) as world:
        task_id = await world.pending()
        edited = await world.finished(image_urls=[f"task:{task_id}"])
        assert edited.outcome == "finished"
        assert world.submits()[1] >= 20
        assert world.movements() == [("charge", LOW)] * 2


@pytest.mark.parametrize("wait", [0, 10])
async def test_a_reference_that_is_not_ready_in_time_costs_nothing(wait: int) -> None:
    async with World(seconds=30) as world:
        task_id = await world.pending()
        started = anyio.current_time()
        error = await refused(world, f"task:{task_id}", wait=wait)
        assert isinstance(error, UnavailableError)
        assert anyio.current_time() - started == wait
        assert (error.remedy, error.facts.other_task) == ("wait_for_reference", task_id)
        assert error.retryable
        assert [task.task_id for task in (await world.listed()).tasks] == [task_id]
        edited = await world.finished(image_urls=[f"task:{task_id}"])
        assert edited.credits_charged == LOW


@pytest.mark.parametrize(("fault", "why"), [("failed", "no picture"), ("no_files", "no picture"), ("none", "24 hours")])
async def test_a_reference_that_has_no_picture_or_none_any_more_is_refused(fault: str, why: str) -> None:
    async with World(faults=[f"task:{fault}*1"] if fault != "none" else [], seconds=5) as world:
        made = await world.make()
        await anyio.sleep(DAY if fault == "none" else 0)
        error = await refused(world, f"task:{made.task_id}")
        assert isinstance(error, InvalidRequestError)
        assert (error.remedy, error.facts.path) == ("use_other_reference", None)
        assert why in error.message


async def test_an_overdue_reference_is_refused_at_once() -> None:
    async with World(faults=["task:stuck*1"]) as world:
        task_id = await world.pending()
        await anyio.sleep(DAY + 1)
        started = anyio.current_time()
        await refused(world, f"task:{task_id}")
        assert anyio.current_time() == started


async def test_while_a_reference_is_being_made_the_call_tells_how_far_it_is() -> None:
    telling = Telling()
    async with World(seconds=100) as world:
        made = await world.pending()
        await world.finished(image_urls=[f"task:{made}"], prompt="at night", progress=telling)
    before = [said for at, said in zip(telling.at, telling.messages, strict=True) if at < 100]
    assert {said.partition(": ")[0] for said in before} == {"waiting for a reference"}
    assert max(late - early for early, late in pairwise(telling.at)) <= 5
    assert telling.values == sorted(set(telling.values))
    assert telling.at[0] <= 5


async def test_an_unknown_reference_is_not_found_and_names_the_nearest_known_task() -> None:
    async with World(seconds=5) as world:
        made = await world.finished()
        error = await refused(world, f"task:{made.task_id}x")
        assert isinstance(error, NotFoundError)
        assert str(made.task_id) in error.message
        assert (error.remedy, error.facts.other_task) == ("use_nearest_task", made.task_id)
        nowhere = await refused(world, "task:nothing-like-it")
        assert (nowhere.remedy, nowhere.facts.other_task) == ("list_tasks", None)


async def test_a_task_of_another_caller_with_this_key_can_be_edited_and_no_other() -> None:
    async with World(seconds=5) as world:
        made = await world.finished(caller="ann")
        edited = await world.finished(caller="bob", image_urls=[f"task:{made.task_id}"])
        assert edited.credits_charged == LOW
        async with World(key="another-key", sandbox=world.sandbox) as other:
            await refused(other, f"task:{made.task_id}")


async def test_a_reference_in_trouble_leaves_nothing_behind() -> None:
    async with World(faults=["status:refuse=500"]) as world:
        await refused(world, "task:task-1")
        assert (await world.listed()).tasks == []
