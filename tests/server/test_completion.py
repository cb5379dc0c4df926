"""What is typed into an address or a brief is completed from the newest tasks, and from what is on offer."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Completion, PromptReference, ResourceTemplateReference

from tests.conftest import BASE, DAY, VIRTUAL_CLOCK, World
from tests.server.conftest import client_of
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import Entry, Intent, Reserved
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.sizes import QUALITIES, RATIOS, TIERS
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

TASK = ResourceTemplateReference(uri="vidgo://tasks/{task_id}")
IMAGE = ResourceTemplateReference(uri="vidgo://images/{task_id}")
PICTURE_BRIEF = PromptReference(name="picture_brief")
EDIT_BRIEF = PromptReference(name="edit_brief")


async def record(world: World, task_id: str, *, finished: bool = True, caller: str = "") -> None:
    """Write a task into the journal as if it had been submitted."""
    intent = Intent(
        owner=world.principal(caller).owner,
        fingerprint=task_id,
        request_key=task_id,
        variation=1,
        model="gpt-image-2",
        prompt="a boat",
        size="1:1",
        tier="1K",
        quality="low",
        credits=2,
    )
    reserved = await world.journal.reserve(intent, process="this process")
    assert isinstance(reserved, Reserved)
    entry = await world.journal.mark_sent(reserved.entry.id)
    await world.journal.bind(entry.id, Task(task_id, "not_started"))
    if finished:
        await world.journal.record(entry.id, Task(task_id, "finished", 100, (f"{BASE}/{task_id}.png",)))


async def completed(
    client: Client, ref: ResourceTemplateReference | PromptReference, typed: str, argument: str = "task_id"
) -> Completion:
    return (await client.complete(ref, {"name": argument, "value": typed})).completion


async def values(
    client: Client, ref: ResourceTemplateReference | PromptReference, typed: str, argument: str = "task_id"
) -> list[str]:
    return (await completed(client, ref, typed, argument)).values


async def test_matches_at_the_beginning_come_first_and_newer_tasks_before_older() -> None:
    async with World() as world, client_of(world) as client:
        for task_id in ("Ab1", "xab2", "aB3", "other", "yAB4"):
            await record(world, task_id)
        found = await completed(client, TASK, "ab")
        assert found.values == ["aB3", "Ab1", "yAB4", "xab2"]
        assert (found.total, found.has_more) == (4, False)
        assert await values(client, TASK, "") == ["yAB4", "other", "aB3", "xab2", "Ab1"]
        assert await values(client, TASK, " OTHER ") == ["other"]
        assert await values(client, TASK, "nothing like it") == []


@pytest.mark.parametrize(("tasks", "total", "more"), [(100, 100, False), (101, None, True)])
async def test_a_hundred_tasks_are_offered_and_whether_there_are_more(
    tasks: int, total: int | None, more: bool
) -> None:
    async with World() as world, client_of(world) as client:
        for number in range(tasks):
            await record(world, f"task-{number}")
        found = await completed(client, TASK, "task-")
        assert found.values == [f"task-{number}" for number in range(tasks)][:-101:-1]
        assert (found.total, found.has_more) == (total, more)


async def test_pictures_are_offered_only_while_they_can_be_had() -> None:
    async with World(faults=["task:failed*1"], seconds=5) as world, client_of(world) as client:
        failed, finished = await world.make(prompt="a storm"), await world.finished()
        pending = await world.pending(prompt="an owl")
        assert await values(client, TASK, "task") == [pending, finished.task_id, failed.task_id]
        assert await values(client, IMAGE, "task") == [finished.task_id]
        assert await values(client, EDIT_BRIEF, "", "picture") == [f"task:{finished.task_id}"]
        await anyio.sleep(DAY)
        assert await values(client, TASK, "task") == [pending, finished.task_id, failed.task_id]
        assert await values(client, IMAGE, "task") == []


async def test_the_picture_of_an_edit_is_completed_with_and_without_its_prefix() -> None:
    async with World() as world, client_of(world) as client:
        for task_id in ("one", "two"):
            await record(world, task_id)
        for typed, expected in (
            ("", ["task:two", "task:one"]),
            ("ta", ["task:two", "task:one"]),
            ("task:o", ["task:one"]),
            ("tw", ["task:two"]),
            ("https://", []),
        ):
            assert (typed, await values(client, EDIT_BRIEF, typed, "picture")) == (typed, expected)


async def test_each_caller_is_offered_their_own_tasks() -> None:
    async with World() as world:
        await record(world, "anns", caller="ann")
        await record(world, "bobs", caller="bob")
        async with client_of(world, caller="ann") as client:
            assert await values(client, TASK, "") == ["anns"]
            assert await values(client, EDIT_BRIEF, "", "picture") == ["task:anns"]


@pytest.mark.parametrize("brief", [PICTURE_BRIEF, EDIT_BRIEF], ids=lambda brief: brief.name)
async def test_what_is_on_offer_is_completed_in_the_order_of_the_tables(brief: PromptReference) -> None:
    async with World(key=None) as world, client_of(world) as client:
        assert await values(client, brief, "", "size") == ["auto", *RATIOS]
        assert await values(client, brief, "", "resolution") == list(TIERS)
        assert await values(client, brief, "", "quality") == list(QUALITIES)
        assert await values(client, brief, "AU", "size") == ["auto"]
        assert await values(client, brief, "2", "size") == ["2:3", "21:9"]
        assert await values(client, brief, "4k", "resolution") == ["4K"]
        found = await completed(client, brief, "3:", "size")
        assert (found.values, found.total, found.has_more) == (["3:2", "3:4"], 2, False)


@pytest.mark.parametrize(
    ("ref", "argument"),
    [(TASK, "id"), (PICTURE_BRIEF, "idea"), (EDIT_BRIEF, "keep"), (PICTURE_BRIEF, "picture"), (EDIT_BRIEF, "nothing")],
    ids=str,
)
async def test_where_any_text_will_do_nothing_is_offered(
    ref: ResourceTemplateReference | PromptReference, argument: str
) -> None:
    async with World() as world, client_of(world) as client:
        await record(world, "task-1")
        assert await values(client, ref, "", argument) == []


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (ResourceTemplateReference(uri="vidgo://nothing/{id}"), "vidgo://tasks/{task_id}, vidgo://images/{task_id}"),
        (ResourceTemplateReference(uri="vidgo://pricing"), "Unknown resource template: vidgo://pricing."),
        (PromptReference(name="nothing"), "picture_brief and edit_brief"),
    ],
    ids=str,
)
async def test_an_unknown_template_or_prompt_is_the_protocols_error(
    ref: ResourceTemplateReference | PromptReference, said: str
) -> None:
    async with World() as world, client_of(world) as client:
        with pytest.raises(MCPError) as caught:
            await completed(client, ref, "")
        assert caught.value.error.code == -32602
        assert said in caught.value.error.message


class Unreadable(SqliteJournal):
    """Cannot list its entries."""

    async def newest(self, owner: str, limit: int) -> Sequence[Entry]:
        raise JournalError("The journal cannot be read.")


@pytest.mark.parametrize("ref", [TASK, IMAGE], ids=lambda ref: ref.uri)
async def test_without_key_or_journal_there_is_nothing_to_offer(ref: ResourceTemplateReference) -> None:
    for world in (World(key=None), World(journal=Unreadable(None, clock=VIRTUAL_CLOCK))):
        async with world, client_of(world) as client:
            assert await values(client, ref, "") == []
            assert await values(client, EDIT_BRIEF, "", "picture") == []
