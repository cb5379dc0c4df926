"""What a model reads is short, says each thing once, and leaves nothing to guess where a guess would cost money."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import World
from tests.server.conftest import Caller, calling, text_of
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.service import Budget, Limits, LocalFiles

pytestmark = pytest.mark.anyio

FOX: dict[str, Any] = {"prompt": "a fox", "wait_seconds": 600}
LONG = "a red fox in deep snow at dawn, " * 8
MATERIAL = ("image_urls", "task_id", "saved_paths", "sources")


def size_without_material(task: dict[str, Any], text: str) -> tuple[int, int]:
    """Return the bytes of a task's text and of its structure, apart from its URL, ids and paths."""
    for name in MATERIAL:
        for value in [task.get(name, "")] if isinstance(task.get(name, ""), str) else task[name]:
            text = text.replace(value.removeprefix("task:"), "") if value else text
    task_id = task["task_id"]
    structure = json.dumps({k: v for k, v in task.items() if k not in MATERIAL}, separators=(",", ":"))
    return len(text.encode()), len(structure.replace(task_id, "").encode())


@pytest.mark.parametrize("prompt", ["a fox", LONG], ids=["short", "long"])
async def test_a_finished_picture_takes_350_bytes_and_an_entry_of_a_list_200(
    era: Any, prompt: str, tmp_path: Path
) -> None:
    disk = LocalFiles(Folders((tmp_path,)), tmp_path)
    async with World(files=disk, seconds=5) as world, calling(world, era) as caller:
        made = await caller.data("generate_image", prompt="a cat", size="16:9", wait_seconds=600)
        edit = {"prompt": prompt, "image_urls": f"task:{made['task_id']}", "size": "16:9", "quality": "medium"}
        answers = [
            await caller.call("edit_image", **edit, wait_seconds=600),
            await caller.call("edit_image", **edit),
            await caller.call("get_task", task_id=made["task_id"]),
        ]
        for answer in answers:
            task = answer.structured_content
            assert isinstance(task, dict)
            # What a long prompt takes beyond 40 characters comes on top.
            assert max(size_without_material(task, text_of(answer))) <= 350 + max(0, len(task["prompt"]) - 40)
            assert (task["width"], task["height"]) == (1360, 768)
        listed = await caller.call("get_task")
        assert listed.structured_content is not None
        entries = text_of(listed).split("\n\n")[1:-1]
        for task, text in zip(listed.structured_content["tasks"], entries, strict=True):
            assert max(size_without_material(task, text)) <= 200


@pytest.mark.parametrize("length", [100, 101, 4000])
async def test_a_prompt_that_is_cut_says_so_and_how_long_it_is(era: Any, length: int) -> None:
    prompt = "x" * length
    sign = f"... ({length} characters)"
    async with World(seconds=5) as world, calling(world, era) as caller:
        made = await caller.data("generate_image", prompt=prompt, wait_seconds=600)
        found = await caller.data("get_task", task_id=made["task_id"])
        assert made["prompt"] == found["prompt"] == (prompt if length == 100 else prompt[:100] + sign)
        [listed] = (await caller.data("get_task"))["tasks"]
        assert listed["prompt"] == prompt[:40] + sign


async def test_the_next_variation_is_not_offered_to_a_call_that_recovers(era: Any) -> None:
    async with World(seconds=5) as world, calling(world, era) as caller:
        await caller.data("generate_image", prompt="a fox", wait_seconds=0)
        recovered = await caller.data("generate_image", **FOX)
        assert "variation" not in recovered["next_step"]
        asked_again = await caller.data("generate_image", **FOX)
        assert asked_again["next_step"].endswith("For another: variation 2, 2 credits.")


async def test_limits_are_said_in_the_text_of_a_price_and_of_the_balance(era: Any) -> None:
    limits = Limits(Budget(per_call=24, per_day=30, mode="enforce"))
    async with World(limits=limits, seconds=5) as world, calling(world, era) as caller:
        await caller.data("generate_image", **FOX)
        price = text_of(await caller.call("estimate_cost", quality="high", size="1:1", count=4))
        both = "The user's limits: 24 credits a picture (VIDGO_BUDGET_PER_CALL), 28 left of 30 in any 24 h"
        assert f"{both} (VIDGO_BUDGET_PER_DAY), so 2 of these fit. Only the user can raise them," in price
        refused = text_of(await caller.call("estimate_cost", quality="high", size="16:9", resolution="4K"))
        assert "so none of these fit" in refused
        balance = await caller.call("get_balance")
        assert "buy within the limits 14 pictures at low, 9 at medium or 2 at high" in text_of(balance)
        assert both in text_of(balance)


@pytest.mark.parametrize(
    ("arguments", "told"), [({}, True), ({"max_credits": 24}, False), ({"max_credits": "null"}, True)]
)
async def test_a_receipt_says_when_a_dear_call_had_no_limit(era: Any, arguments: dict[str, Any], told: bool) -> None:
    async with World(seconds=5) as world, calling(world, era) as caller:
        dear = await caller.data("generate_image", **FOX, size="1:1", resolution="2K", quality="high", **arguments)
        assert ("This call had no max_credits." in dear["notes"]) == told
        cheap = await caller.data("generate_image", prompt="a hare", wait_seconds=600, size="1:1", quality="high")
        assert cheap["notes"] == ["Spent in 24 h: 36 credits."]


REFUSAL = "Content policy violation: public figure"


async def refused(caller: Caller, prompt: str) -> dict[str, Any]:
    result = await caller.call("generate_image", prompt=prompt, wait_seconds=600)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


@pytest.mark.parametrize("fault", [f"task:failed={REFUSAL}", f"submit:refuse=400:{REFUSAL}"])
async def test_a_refusal_of_content_is_told_and_the_second_within_ten_minutes_is_the_last(era: Any, fault: str) -> None:
    async with World(faults=[fault], seconds=5) as world, calling(world, era) as caller:
        first = await refused(caller, "a politician fights a dragon")
        assert first["remedy"] == "reword_if_asked"
        assert "Reword the prompt only as the user says" in first["next_step"]
        second = await refused(caller, "a statesman fights a dragon")
        assert second["remedy"] == "stop_trying"
        assert second["next_step"].startswith("Stop")
        await anyio.sleep(600)
        assert (await refused(caller, "a dragon"))["remedy"] == "reword_if_asked"


async def test_looking_twice_at_one_refusal_is_no_second_refusal(era: Any) -> None:
    async with World(faults=[f"task:failed={REFUSAL}"], seconds=5) as world, calling(world, era) as caller:
        first = await refused(caller, "a politician")
        again = await caller.data("get_task", task_id=first["task_id"])
        assert (first["remedy"], again["remedy"]) == ("reword_if_asked", "reword_if_asked")


async def test_any_other_failure_may_be_made_again(era: Any) -> None:
    async with World(faults=["task:failed=The renderer crashed"], seconds=5) as world, calling(world, era) as caller:
        failed = await refused(caller, "a fox")
        assert failed["next_step"].endswith("If they wish, the same call makes it again, charged anew.")
        assert {"credits", "expires_at", "status", "progress"}.isdisjoint(failed)


async def test_the_line_beside_a_picture_does_not_describe_it(era: Any) -> None:
    async with World(seconds=5) as world, calling(world, era) as caller:
        made = await caller.data("generate_image", prompt="HELLO in neon", wait_seconds=600)
        said = text_of(await caller.call("view_image", task_id=made["task_id"]))
        assert "HELLO" not in said
        assert said.endswith("Judge only what you see; if you see no picture, tell the user that you cannot judge it.")
