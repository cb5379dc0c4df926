"""What counts as the same request, and that it is paid for once, however often and however it is asked for."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.conftest import World
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.service import account_of

pytestmark = pytest.mark.anyio

LOW = 2


@pytest.mark.parametrize("fault", [(), ("submit:slow=3",), ("task:failed_early*1",)])
async def test_twenty_identical_calls_at_one_moment_make_one_task(fault: tuple[str, ...]) -> None:
    async with World(faults=fault) as world:
        results: list[TaskResult] = []

        async def call() -> None:
            results.append(await world.make())

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
        assert len(results) == 20
        assert len({result.task_id for result in results}) == 1
        assert len({tuple(result.image_urls or ()) for result in results}) == 1
        assert sum(result.reused is False for result in results) == 1
        failed = results[0].outcome == "failed"
        assert sorted(result.credits_charged or 0 for result in results) == [0] * 19 + [0 if failed else LOW]
        assert world.movements() == [("charge", LOW)] + ([("refund", LOW)] if failed else [])
        assert len(world.submits()) == 1
        assert world.opened == 1


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"prompt": "caf\u00e9"}, {"prompt": "cafe\u0301"}),
    ({"prompt": "a fox\nin snow"}, {"prompt": "a fox\r\nin snow"}),
    ({"prompt": "a fox\nin snow"}, {"prompt": "a fox\rin snow"}),
    ({"prompt": "a fox"}, {"prompt": " \n a fox\t\n"}),
    ({"size": "1:1"}, {"size": "1x1"}),
    ({"size": "16:9"}, {"size": "16/9"}),
    ({"size": "1:1"}, {"size": "1:1", "resolution": "1K"}),
    ({"size": "1:1", "resolution": "2K"}, {"size": "1:1", "resolution": "4K"}),
    ({"size": "auto"}, {"size": "auto", "resolution": "4K"}),
    ({}, {"size": "auto", "quality": "low", "variation": 1}),
    ({"size": "1536x1024", "resolution": "2K"}, {"size": "1536\u00d71024", "resolution": "4k"}),
    ({"max_credits": 2}, {"max_credits": 0, "wait_seconds": 0}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"prompt": "a fox"}, {"prompt": "a Fox"}),
    ({"prompt": "a fox"}, {"prompt": "a  fox"}),
    ({"prompt": "a fox"}, {"prompt": "a fox\n\nin snow"}),
    ({"quality": "low"}, {"quality": "medium"}),
    ({}, {"variation": 2}),
    ({"size": "auto"}, {"size": "1:1"}),
    ({"size": "1:1"}, {"size": "1:1", "resolution": "2K"}),
    ({"size": "16:9", "resolution": "2K"}, {"size": "16:9", "resolution": "4K"}),
    ({"size": "16:9"}, {"size": "9:16"}),
    ({"caller": "ann"}, {"caller": "bob"}),
    ({}, {"image_urls": ["https://example.com/a.png"]}),
    ({"image_urls": ["https://example.com/a.png"]}, {"image_urls": ["https://example.com/b.png"]}),
    (
        {"image_urls": ["https://example.com/a.png", "https://example.com/b.png"]},
        {"image_urls": ["https://example.com/b.png", "https://example.com/a.png"]},
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
async def test_these_are_the_same_request(one: dict[str, Any], other: dict[str, Any]) -> None:
    async with World(seconds=1) as world:
        made = await world.finished(**one)
        again = await world.finished(**other)
        assert (again.task_id, again.reused, again.credits_charged) == (made.task_id, True, 0)
        assert len(world.submits()) == 1


@pytest.mark.parametrize(("one", "other"), OTHER)
async def test_these_are_different_requests(one: dict[str, Any], other: dict[str, Any]) -> None:
    async with World(seconds=1) as world:
        made = await world.finished(**one)
        another = await world.finished(**other)
        assert another.task_id != made.task_id
        assert (another.reused, another.credits_charged) == (False, another.credits)
        assert len(world.submits()) == 2


async def test_another_account_in_the_same_journal_is_another_owner() -> None:
    async with World(seconds=1) as world:
        made = await world.finished()
        async with World(key="another-key", journal=world.journal, sandbox=world.sandbox) as other:
            another = await other.finished()
            assert another.task_id != made.task_id
            assert not another.reused
            assert [task.task_id for task in (await other.listed()).tasks] == [another.task_id]
        assert len(world.movements()) == 2


async def test_another_process_with_the_same_journal_finds_the_picture() -> None:
    async with World(seconds=10) as world:
        task_id = await world.pending()
        async with World(journal=world.journal, sandbox=world.sandbox) as other:
            found = await other.finished()
            assert (found.task_id, found.reused, found.credits_charged) == (task_id, True, 0)
        assert world.movements() == [("charge", LOW)]


async def test_a_submit_of_another_process_is_joined() -> None:
    async with World(faults=["submit:slow=5"]) as world, anyio.create_task_group() as tasks:
        tasks.start_soon(world.finished)
        await anyio.sleep(1)
        async with World(journal=world.journal, sandbox=world.sandbox) as other:
            found = await other.finished()
            assert (found.reused, found.credits_charged) == (True, 0)
        assert world.movements() == [("charge", LOW)]


def test_an_account_is_the_same_in_every_process_and_hides_the_key() -> None:
    account = account_of(SANDBOX_KEY, "https://api.vidgo.ai")
    assert account == account_of(SANDBOX_KEY, "https://api.vidgo.ai")
    assert account != account_of(SANDBOX_KEY, "https://example.com")
    assert account != account_of("another", "https://api.vidgo.ai")
    assert SANDBOX_KEY not in account
    assert len(account) == 64


async def test_the_wire_carries_the_effective_request_and_the_prompt_untouched() -> None:
    async with World(seconds=1) as world:
        prompt = "  cafe\u0301\r\n \u201cquoted\u201d "
        await world.finished(prompt=prompt)
        await world.finished(size="1:1", resolution="4K")
        await world.finished(size="3:2")
        await world.finished(size="3840x2160", resolution="4K", quality="high")
        bodies = [record.body for record in world.sandbox.requests if record.method == "POST"]
        assert bodies == [
            {"model": "gpt-image-2", "input": {"prompt": prompt, "quality": "low", "size": "auto"}},
            {
                "model": "gpt-image-2",
                "input": {"prompt": "a fox", "quality": "low", "size": "1:1", "resolution": "2K"},
            },
            {
                "model": "gpt-image-2",
                "input": {"prompt": "a fox", "quality": "low", "size": "3:2", "resolution": "1K"},
            },
            {
                "model": "gpt-image-2",
                "input": {"prompt": "a fox", "quality": "high", "size": "3840x2160", "resolution": "4K"},
            },
        ]
        assert world.movements() == [("charge", 2), ("charge", 4), ("charge", 2), ("charge", 48)]


async def test_a_reuse_names_the_lowest_unused_variation() -> None:
    async with World(seconds=1) as world:
        await world.finished(quality="medium")
        await world.finished(quality="medium", variation=2)
        await world.finished(quality="medium", variation=4)
        again = await world.finished(quality="medium")
        assert (again.remedy, again.next_variation, again.credits) == ("show_picture", 3, 3)


async def test_the_operators_callback_address_goes_with_each_submit() -> None:
    async with World(seconds=1, callback_url="http://127.0.0.1:9/done") as world:
        await world.finished()
        [body] = [record.body for record in world.sandbox.requests if record.method == "POST"]
        assert body["callback_url"] == "http://127.0.0.1:9/done"
