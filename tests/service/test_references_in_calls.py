"""What may be edited: pictures made here by their task, anything with a URL, and nothing that cannot be fetched."""

from __future__ import annotations

import anyio
import pytest

from tests.conftest import DAY, World
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
        body = world.sandbox.requests[-3].body or world.sandbox.requests[-2].body
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
async def test_a_reference_that_is_not_ready_in_time_says_to_call_get_task_and_costs_nothing(wait: int) -> None:
    async with World(seconds=30) as world:
        task_id = await world.pending()
        started = anyio.current_time()
        error = await refused(world, f"task:{task_id}", wait=wait)
        assert isinstance(error, UnavailableError)
        assert anyio.current_time() - started == wait
        assert f"get_task with task_id {task_id}" in error.next_step
        assert error.retryable
        assert [task.task_id for task in (await world.listed()).tasks] == [task_id]
        edited = await world.finished(image_urls=[f"task:{task_id}"])
        assert edited.credits_charged == LOW


async def test_a_failed_reference_is_refused() -> None:
    async with World(faults=["task:failed*1"], seconds=5) as world:
        failed = await world.make()
        error = await refused(world, f"task:{failed.task_id}")
        assert isinstance(error, InvalidRequestError)
        assert "failed" in error.message


async def test_a_reference_without_a_file_is_refused() -> None:
    async with World(faults=["task:no_files*1"], seconds=5) as world:
        empty = await world.make()
        assert isinstance(await refused(world, f"task:{empty.task_id}"), InvalidRequestError)


async def test_an_expired_reference_is_refused() -> None:
    async with World(seconds=5) as world:
        made = await world.finished()
        await anyio.sleep(DAY)
        error = await refused(world, f"task:{made.task_id}")
        assert isinstance(error, InvalidRequestError)
        assert "24 hours" in error.message


async def test_an_overdue_reference_is_refused_at_once() -> None:
    async with World(faults=["task:stuck*1"]) as world:
        task_id = await world.pending()
        await anyio.sleep(DAY + 1)
        started = anyio.current_time()
        await refused(world, f"task:{task_id}")
        assert anyio.current_time() == started


async def test_an_unknown_reference_is_not_found_and_names_the_nearest_known_task() -> None:
    async with World(seconds=5) as world:
        made = await world.finished()
        error = await refused(world, f"task:{made.task_id}x")
        assert isinstance(error, NotFoundError)
        assert str(made.task_id) in error.message
        assert f"task:{made.task_id}" in error.next_step
        nowhere = await refused(world, "task:nothing-like-it")
        assert "get_task" in nowhere.next_step


async def test_somebody_elses_task_of_the_same_key_can_be_edited_and_one_of_another_key_cannot() -> None:
    async with World(seconds=5) as world:
        made = await world.finished(caller="ann")
        edited = await world.finished(caller="bob", image_urls=[f"task:{made.task_id}"])
        assert edited.credits_charged == LOW
        async with World(key="another-key", sandbox=world.sandbox) as other:
            await refused(other, f"task:{made.task_id}")


@pytest.mark.parametrize(
    "reference",
    ["/home/me/cat.png", "cat.png", "C:\\Users\\me\\cat.png", "file:///home/me/cat.png"],
)
async def test_where_the_disk_is_not_the_callers_no_file_is_read(reference: str) -> None:
    async with World() as world:
        error = await refused(world, PHOTO, reference)
        assert isinstance(error, InvalidRequestError)
        assert "image_urls[1]" in error.message
        assert "reads no local files" in error.message
        assert "http(s) URL" in error.message
        assert world.wire.seen == []


async def test_a_reference_in_trouble_leaves_nothing_behind() -> None:
    async with World(faults=["status:refuse=500"]) as world:
        await refused(world, "task:task-1")
        assert (await world.listed()).tasks == []
