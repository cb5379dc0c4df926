"""Each way a call can end fits the schema of its tool, says everything in its text, and hides what must be hidden."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import httpx
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ImageContent

from tests.conftest import DAY, World
from tests.server.conftest import Caller, calling, client_of, text_of
from vidgo_mcp.errors import Category

pytestmark = pytest.mark.anyio

LOW = 2
TOOLS = ("generate_image", "edit_image", "get_task", "estimate_cost", "get_balance", "view_image")
FOX = {"prompt": "a fox"}
REQUIRED: dict[str, dict[str, Any]] = {
    "generate_image": FOX,
    "edit_image": {**FOX, "image_urls": ["https://example.com/a.png"]},
    "view_image": {"task_id": "task-1"},
}


async def make(caller: Caller, **arguments: Any) -> dict[str, Any]:
    return await caller.data("generate_image", **{**FOX, "wait_seconds": 600, **arguments})


async def test_a_finished_picture(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        result = await caller.call("generate_image", **FOX, size="16x9", resolution="2k")
        made = result.structured_content
        assert isinstance(made, dict)
        [url] = made.pop("image_urls")
        assert url.startswith("http://127.0.0.1:8787/files/")
        task_id = made.pop("task_id")
        assert made == {
            "outcome": "finished",
            "expires_at": "2026-05-29T20:26:40Z",
            "prompt": "a fox",
            "size": "16:9",
            "tier": "2K",
            "quality": "low",
            "credits": 4,
            "credits_charged": 4,
            "notes": ["Spent in 24 h: 4 credits."],
            "next_step": f'Show the user the URL. To edit it: image_urls ["task:{task_id}"].',
        }
        text = text_of(result)
        assert text.startswith("Finished. This call cost 4 credits.\n")
        assert f"\n{url}\n" in text
        assert "2026-05-29T20:26:40Z" in text
        assert world.movements() == [("charge", 4)]


async def test_a_picture_that_is_reused(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        made = await make(caller)
        await anyio.sleep(3 * 3600)
        again = await make(caller)
        assert (again["reused"], again["credits_charged"], again["credits"]) == (True, 0, LOW)
        assert again["image_urls"] == made["image_urls"]
        assert again["next_step"].endswith(" For another: variation 2, 2 credits.")
        text = text_of(await caller.call("generate_image", **FOX))
        assert "this call cost nothing" in text
        assert world.movements() == [("charge", LOW)]


async def test_an_edit(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        made = await make(caller, size="1536x1024", resolution="2K")
        assert (made["width"], made["height"], made["tier"]) == (1536, 1024, "2K")
        edited = await caller.data(
            "edit_image", prompt="in snow", image_urls=f"task:{made['task_id']}", wait_seconds=600
        )
        assert (edited["prompt"], edited["credits_charged"]) == ("in snow", LOW)
        [listed, _] = (await caller.data("get_task"))["tasks"]
        assert edited["sources"] == listed["sources"] == [f"task:{made['task_id']}"]


async def test_pending_with_and_without_an_id(era: Any) -> None:
    async with World(faults=["submit:slow=30", "task:stuck"]) as world, calling(world, era) as caller:
        nothing = await make(caller, wait_seconds=0)
        assert nothing["outcome"] == "pending"
        assert "task_id" not in nothing
        assert nothing["remedy"] == "repeat"
        pending = await make(caller, wait_seconds=30)
        assert (pending["outcome"], pending["reused"]) == ("pending", True)
        assert pending["remedy"] == "wait_for_task"
        looked = await caller.data("get_task", task_id=pending["task_id"], wait_seconds=0)
        assert {"credits_charged", "reused"}.isdisjoint(looked)
        await anyio.sleep(DAY)
        overdue = await caller.data("get_task", task_id=pending["task_id"])
        assert any("verdue" in note for note in overdue["notes"])


@pytest.mark.parametrize("fault", ["failed=not like this", "failed_early", "no_files"])
async def test_a_failed_task_is_a_result(era: Any, fault: str) -> None:
    async with World(faults=[f"task:{fault}*1"]) as world, calling(world, era) as caller:
        failed = await make(caller)
        assert failed["outcome"] == "failed"
        assert failed.get("refunded") == (None if fault == "no_files" else True)
        assert failed["credits_charged"] == (LOW if fault == "no_files" else 0)
        assert failed["error"]
        looked = await caller.call("get_task", task_id=failed["task_id"])
        assert isinstance(looked.structured_content, dict)
        assert looked.structured_content["error"] == failed["error"]
        if fault == "failed=not like this":
            assert text_of(looked).startswith('Failed. Vidgo says: "not like this". The credits were refunded.\n')
        error = await caller.error("view_image", task_id=failed["task_id"])
        assert error["category"] == "not_found"
        if fault == "no_files":
            refused = await caller.error("generate_image", **FOX)
            assert (refused["category"], refused["money"], refused["retryable"]) == ("unavailable", "accepted", False)
            assert refused["task_id"] == failed["task_id"]


async def test_a_status_that_cannot_be_read(era: Any) -> None:
    async with World(faults=["status:refuse=500"]) as world, calling(world, era) as caller:
        pending = await make(caller, wait_seconds=40)
        assert any("could not be read" in note for note in pending["notes"])
        error = await caller.error("get_task", task_id=pending["task_id"], wait_seconds=5)
        assert (error["category"], error["money"], error["task_id"]) == ("unavailable", "accepted", pending["task_id"])


async def test_the_list_of_tasks(era: Any) -> None:
    faults = ["submit:refuse=502*1", "task:failed*1"]
    async with World(faults=faults) as world, calling(world, era) as caller:
        empty = await caller.data("get_task")
        assert empty["tasks"] == []
        lost = await caller.error("generate_image", prompt="a lost fox")
        assert (lost["category"], lost["money"]) == ("outcome_unknown", "unknown")
        await make(caller, prompt="a failing fox")
        await make(caller)
        await make(caller, prompt="a slow fox", wait_seconds=0)
        listed = await caller.data("get_task", limit="3")
        assert [task["outcome"] for task in listed["tasks"]] == ["pending", "finished", "failed"]
        listed = await caller.data("get_task", limit=50, wait_seconds=3)
        assert [task["outcome"] for task in listed["tasks"]][-1] == "unknown"
        assert "task_id" not in listed["tasks"][-1]
        text = text_of(await caller.call("get_task"))
        assert text.startswith("4 tasks, newest first.")
        assert 'prompt: "a lost fox"' in text


async def test_tasks_that_the_journal_does_not_know(era: Any) -> None:
    async with World(faults=["task:strange_status=reviewing*1"], seconds=30) as world, calling(world, era) as caller:
        task_id = await world.pending()
        failed_id = None
        async with World(sandbox=world.sandbox) as other, calling(other, era) as stranger:
            await anyio.sleep(10)
            pending = await stranger.data("get_task", task_id=task_id, wait_seconds=0)
            assert (pending["outcome"], pending["status"]) == ("pending", "reviewing")
            finished = await stranger.data("get_task", task_id=task_id, wait_seconds=100)
            assert finished["outcome"] == "finished"
            assert "expires_at" not in finished
            world.sandbox.add_fault("task:failed")
            failed_id = (await make(caller, prompt="a failing fox"))["task_id"]
            failed = await stranger.data("get_task", task_id=failed_id)
            assert (failed["outcome"], failed["refunded"]) == ("failed", True)
        error = await caller.error("get_task", task_id=f"{task_id}z")
        assert (error["category"], error["field"]) == ("not_found", "task_id")
        assert task_id in error["message"]


async def test_a_picture_to_look_at(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        made = await make(caller)
        result = await caller.call("view_image", task_id=f"task:{made['task_id']}")
        image = next(block for block in result.content if isinstance(block, ImageContent))
        assert image.mime_type == "image/jpeg"
        assert len(image.data) <= 400_000
        assert made["task_id"] in text_of(result)
        pending = await make(caller, prompt="a slow fox", wait_seconds=0)
        error = await caller.error("view_image", task_id=pending["task_id"])
        assert (error["category"], error["money"]) == ("unavailable", "accepted")


async def test_prices_and_balance(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        estimate = await caller.data("estimate_cost", size="1x1", resolution="4K", quality="HIGH", count="10")
        assert {name: estimate[name] for name in ("credits", "total_credits", "count", "tier", "size", "quality")} == {
            "credits": 24,
            "total_credits": 240,
            "count": 10,
            "tier": "2K",
            "size": "1:1",
            "quality": "high",
        }
        assert estimate["notes"] == ["4K is billed as 2K at 1:1; ask 2K for the same picture"]
        text = text_of(await caller.call("estimate_cost", count=3))
        assert "2 credits a picture, made or edited, 6 credits for 3" in text
        balance = await caller.data("get_balance")
        assert balance == {"credits": 1000, "pictures_low": 500, "pictures_medium": 333, "pictures_high": 83}
        assert "1000 credits" in text_of(await caller.call("get_balance"))


ERRORS: list[tuple[Category, str, str, str, dict[str, Any]]] = [
    ("invalid_request", "nothing_spent", "", "generate_image", {"prompt": ""}),
    ("invalid_request", "nothing_spent", "submit:refuse", "generate_image", FOX),
    ("invalid_request", "nothing_spent", "", "edit_image", {**FOX, "image_urls": ["cat.png"]}),
    ("authentication", "nothing_spent", "submit:refuse=401", "generate_image", FOX),
    ("authentication", "nothing_spent", "balance:refuse=401", "get_balance", {}),
    ("insufficient_credits", "nothing_spent", "submit:refuse=402", "generate_image", FOX),
    ("budget", "nothing_spent", "", "generate_image", {**FOX, "max_credits": 1}),
    ("rate_limited", "nothing_spent", "submit:rate_limited=60", "generate_image", FOX),
    ("rate_limited", "nothing_spent", "balance:rate_limited", "get_balance", {}),
    ("not_found", "nothing_spent", "", "get_task", {"task_id": "task-1"}),
    ("not_found", "nothing_spent", "", "view_image", {"task_id": "task-1"}),
    ("not_found", "nothing_spent", "", "edit_image", {**FOX, "image_urls": ["task:task-1"]}),
    ("permission", "nothing_spent", "submit:refuse=403", "generate_image", FOX),
    ("unavailable", "nothing_spent", "submit:refuse=404", "generate_image", FOX),
    ("unavailable", "accepted", "status:refuse=500", "get_task", {"task_id": "task-1", "wait_seconds": 0}),
    ("outcome_unknown", "unknown", "submit:refuse=502", "generate_image", FOX),
    ("outcome_unknown", "unknown", "submit:html", "edit_image", {**FOX, "image_urls": ["https://example.com/a.png"]}),
]


@pytest.mark.parametrize(("category", "money", "fault", "tool", "arguments"), ERRORS)
async def test_every_category_of_error(
    era: Any, category: Category, money: str, fault: str, tool: str, arguments: dict[str, Any]
) -> None:
    async with World(faults=[fault] if fault else []) as world, calling(world, era) as caller:
        error = await caller.error(tool, **arguments)
        assert (error["category"], error["money"]) == (category, money)
        if category == "rate_limited" and "=60" in fault:
            assert "with wait_seconds 100" in error["next_step"]


async def test_vendor_text_that_repeats_the_key_is_blotted(era: Any) -> None:
    async with World(faults=["submit:refuse=400:Bad key vidgo-sandbox-key <b>Traceback"]) as world:
        async with client_of(world, era) as client:
            result = await client.call_tool("generate_image", FOX)
        assert result.is_error
        assert "vidgo-sandbox-key" not in result.model_dump_json()
        assert "Bad key [key]" in text_of(result)


async def test_without_a_key_pictures_are_priced_and_the_rest_says_what_to_set(era: Any) -> None:
    async with World(key=None) as world, calling(world, era) as caller:
        assert len(caller.schemas) == 6
        assert (await caller.data("estimate_cost"))["credits"] == LOW
        calls: list[tuple[str, dict[str, Any]]] = [
            ("generate_image", FOX),
            ("get_task", {}),
            ("get_task", {"task_id": "task-1"}),
            ("get_balance", {}),
            ("view_image", {"task_id": "task-1"}),
        ]
        for tool, arguments in calls:
            error = await caller.error(tool, **arguments)
            assert error["category"] == "authentication"
            assert "VIDGO_API_KEY" in error["message"]
        assert (await caller.error("generate_image"))["category"] == "invalid_request"
        assert (world.opened, world.wire.seen) == (0, [])


@pytest.mark.parametrize("tool", TOOLS)
async def test_a_tool_that_is_called_without_arguments_answers(era: Any, tool: str) -> None:
    async with World() as world, calling(world, era) as caller:
        nothings: tuple[dict[str, Any] | None, ...] = ({}, None)
        for arguments in nothings:
            result = await caller.client.call_tool(tool, arguments)
            assert bool(result.is_error) == (tool in {"generate_image", "edit_image", "view_image"})
        result = await caller.call(tool)
        if result.is_error:
            assert isinstance(result.structured_content, dict)
            assert result.structured_content["category"] == "invalid_request"
            assert "required" in text_of(result)
        assert world.movements() == []


@pytest.mark.parametrize("tool", TOOLS)
async def test_an_unknown_argument_is_an_error_that_spends_nothing(era: Any, tool: str) -> None:
    required = REQUIRED.get(tool, {})
    async with World() as world, calling(world, era) as caller:
        error = await caller.error(tool, **required, colour="red")
        assert (error["category"], error["field"]) == ("invalid_request", "colour")
        if tool in {"generate_image", "edit_image"}:
            for name in ("n", "count", "num_images"):
                error = await caller.error(tool, **required, **{name: 4})
                assert "variation 1, 2, 3" in error["message"]
        assert (world.opened, world.wire.seen) == (0, [])


async def test_all_faults_of_a_call_come_together_with_a_call_that_works(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        error = await caller.error(
            "generate_image", prompt="", size="1920x1080", quality="ultra", wait_seconds=900, n=4
        )
        for word in ("prompt", "quality", "wait_seconds", "n is no argument", "1080 is not a multiple of 16"):
            assert word in error["message"]
        assert error["remedy"] == "correct_arguments"
        assert "A call that works" in error["next_step"]


async def test_an_unknown_tool_is_a_protocol_error(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:
        with pytest.raises(MCPError) as caught:
            await caller.client.call_tool("make_image", FOX)
        assert caught.value.error.code == -32602
        assert "generate_image" in caught.value.error.message


async def test_a_bug_is_an_error_that_says_whether_credits_may_have_moved(
    era: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise LookupError("vidgo-sandbox-key and other insides")

    async with World() as world, calling(world, era) as caller:
        monkeypatch.setattr(world.service, "estimate", broken)
        error = await caller.error("estimate_cost")
        assert (error["category"], error["money"]) == ("internal", "nothing_spent")
        monkeypatch.setattr("vidgo_mcp.service.generation.read_references", broken)
        error = await caller.error("generate_image", **FOX)
        assert (error["category"], error["money"]) == ("internal", "nothing_spent")
        assert world.movements() == []


BROKEN_PARTS = {
    "before anything is sent": ("service.generation.Generation._settled", "nothing_spent", []),
    "while it waits": ("service.account.Account.await_end", "accepted", [("charge", LOW)]),
    "while it answers": ("wording.for_model.task_text", "accepted", [("charge", LOW)]),
}


@pytest.mark.parametrize("part", BROKEN_PARTS)
async def test_a_bug_in_a_call_that_pays_says_what_is_known_of_the_money(
    part: str, era: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, money, movements = BROKEN_PARTS[part]

    def broken(*arguments: Any, **options: Any) -> None:
        raise LookupError("insides")

    async with World() as world, calling(world, era) as caller:
        with monkeypatch.context() as patched:
            patched.setattr(f"vidgo_mcp.{place}", broken)
            error = await caller.error("generate_image", **FOX)
        assert (error["category"], error["money"]) == ("internal", money)
        assert ("task_id" in error) == (money == "accepted")
        assert world.movements() == movements
        await anyio.sleep(1)  # what was given up is released
        made = await make(caller)
        assert made.get("reused", False) == bool(movements)
        assert world.movements() == [("charge", LOW)]


async def test_progress_reaches_the_client_and_always_rises(era: Any) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((anyio.current_time(), progress, message))

    async with World(seconds=60, faults=["task:no_progress"]) as world, calling(world, era) as caller:
        arguments = {**FOX, "wait_seconds": 100}
        await caller.client.call_tool("generate_image", arguments, progress_callback=listen)
    times, values = [at for at, _, _ in told], [value or 0 for _, value, _ in told]
    assert times[0] == 0
    assert max(b - a for a, b in itertools.pairwise(times)) <= 5
    assert all(b > a for a, b in itertools.pairwise(values))
    assert values[-1] < 100


async def test_a_call_whose_client_gave_up_is_found_by_its_repeat(era: Any) -> None:
    async with World(faults=["submit:slow=5"]) as world, calling(world, era) as caller:
        with anyio.move_on_after(2):
            await caller.call("generate_image", **FOX)
        await anyio.sleep(60)
        other = await make(caller, prompt="a hare")
        assert "never shown" in other["notes"][0]
        again = await make(caller)
        assert (again["reused"], again["credits_charged"]) == (True, 0)
        assert world.movements() == [("charge", LOW)] * 2


async def test_the_caller_of_a_request_owns_its_pictures(era: Any) -> None:
    async with World() as world, client_of(world, era, caller="ann") as ann, client_of(world, era, caller="bob") as bob:
        results = [await client.call_tool("generate_image", FOX) for client in (ann, ann, bob)]
        assert ["reused" in (result.structured_content or {}) for result in results] == [False, True, False]


async def test_a_network_that_is_down_is_an_error_in_plain_words(era: Any) -> None:
    async with World() as world, calling(world, era) as caller:

        async def down(request: httpx.Request) -> None:
            raise httpx.ConnectError("[Errno -2] vidgo-sandbox-key", request=request)

        world.wire.before = down
        calls: list[tuple[str, dict[str, Any]]] = [("generate_image", FOX), ("get_balance", {})]
        for tool, arguments in calls:
            error = await caller.error(tool, **arguments)
            assert (error["category"], error["money"], error["retryable"]) == ("unavailable", "nothing_spent", True)
