"""Every fault of the sandbox, through the tools: each answer keeps the rules, and the ledger bears it out."""

from __future__ import annotations

import pytest

from tests.conftest import World
from tests.server.conftest import calling, faults_of

pytestmark = [
    pytest.mark.anyio,
    # httpx's generators are left half-read when an answer is too large; only trio minds.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

LOW = 2
FOX = {"prompt": "a fox"}
PAIRS = [
    pytest.param(endpoint, fault, id=fault)
    # Callbacks are a hint that nobody listens to here; uploads have tests of their own.
    for endpoint in ("submit", "status", "balance", "file", "task")
    for fault in faults_of(endpoint)
]


@pytest.mark.parametrize(("endpoint", "fault"), PAIRS)
async def test_each_fault_ends_in_an_answer_that_tells_the_truth_about_money(endpoint: str, fault: str) -> None:
    async with World(faults=[fault], seconds=5) as world, calling(world) as caller:
        balance = await caller.call("get_balance")
        assert balance.is_error or endpoint != "balance" or "slow" in fault
        made = await caller.call("generate_image", **FOX, wait_seconds=30)
        answer = made.structured_content
        assert isinstance(answer, dict)
        again = await caller.call("generate_image", **FOX, wait_seconds=30)
        listed = await caller.data("get_task")
        if answer.get("task_id"):
            await caller.call("get_task", task_id=answer["task_id"], wait_seconds=0)
            await caller.call("view_image", task_id=answer["task_id"], max_edge=256)
        charges = [entry for entry in world.sandbox.ledger if entry.kind == "charge"]
        refunds = [entry for entry in world.sandbox.ledger if entry.kind == "refund"]
        if made.is_error and answer["money"] == "nothing_spent":
            assert charges == []
        elif made.is_error:
            assert answer["money"] == "unknown"
            assert len(charges) <= 1
            assert again.is_error
            assert [task["outcome"] for task in listed["tasks"]] == ["unknown"]
        elif answer["outcome"] == "failed" and answer.get("refunded"):
            assert (answer["credits_charged"], len(refunds), len(charges)) == (0, len(charges), 2)
        elif "task_id" not in answer:
            # Vidgo has not answered the submit yet, so nobody can know.
            assert answer["outcome"] == "pending"
            assert len(charges) <= 1
        else:
            assert answer["credits_charged"] == LOW
            # What Vidgo charges beyond its table is found out later, from the balance.
            assert [entry.credits for entry in charges] == [5 if "price" in fault else LOW]
