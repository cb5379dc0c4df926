"""The person is asked before an expensive picture, in both eras: every way it can end is told apart, one spends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ElicitRequest, ElicitResult, ErrorData, InputRequiredResult

from tests.conftest import World
from tests.server.conftest import YES, Caller, Person, calling, check_answer
from vidgo_mcp.server.elicitation import ANSWER_SECONDS
from vidgo_mcp.service import Budget, Limits

pytestmark = pytest.mark.anyio

LOW, HIGH = 2, 12
ENDS = {
    "declined": ElicitResult(action="decline"),
    "dismissed": ElicitResult(action="cancel"),
    "unticked": ElicitResult(action="accept", content={"confirm": False}),
    "empty": ElicitResult(action="accept"),
    "odd": ElicitResult(action="accept", content={"confirm": "yes"}),
}
WORDS = {"declined": "declined", "dismissed": "dismissed"}


def asking(above: int = 5, day: int | None = None) -> Limits:
    return Limits(Budget(per_day=day, mode="enforce" if day is not None else "off"), confirm_above=above)


async def refused(caller: Caller, consent: str, **arguments: Any) -> dict[str, Any]:
    """Return the error of a call that the person did not agree to."""
    error = await caller.error("generate_image", **{"prompt": "a cat", "quality": "high", **arguments})
    assert (error["category"], error["money"], error["consent"]) == ("declined", "nothing_spent", consent)
    assert error["retryable"] is False
    assert f"costs {HIGH} credits, and above 5 the user is asked first" in error["message"]
    return error


def assert_nothing_left(world: World) -> None:
    assert world.movements() == []
    # The balance is read when a client is opened, in the background.
    assert {seen.path for seen in world.wire.seen} <= {"/api/user/balance"}


@pytest.mark.parametrize("end", ENDS)
async def test_only_an_acceptance_spends_and_each_other_end_has_its_word(end: str, era: Any) -> None:
    person = Person(ENDS[end])
    async with World(limits=asking()) as world, calling(world, era, person) as caller:
        error = await refused(caller, WORDS.get(end, "no_answer"))
        # A client without a person at it answers in their place.
        assert "The user" not in error["message"]
        assert "VIDGO_CONFIRM_ABOVE" in error["next_step"]
        assert len(person.asked) == 1
        assert_nothing_left(world)
        person.answer = YES
        made = await caller.data("generate_image", prompt="a cat", quality="high")
        assert (made["outcome"], made["credits_charged"], "reused" in made) == ("finished", HIGH, False)
        assert len(person.asked) == 2
        assert world.movements() == [("charge", HIGH)]


async def test_a_client_that_cannot_ask_is_told_the_price_and_how_to_allow_it(era: Any) -> None:
    async with World(limits=asking()) as world, calling(world, era) as caller:
        error = await refused(caller, "cannot_ask")
        assert error["remedy"] == "raise_confirm_above"
        assert_nothing_left(world)
        assert (await caller.data("generate_image", prompt="a cat"))["credits_charged"] == LOW


async def test_nobody_is_asked_up_to_the_threshold_nor_about_what_is_paid_for(era: Any) -> None:
    person = Person()
    async with World(limits=asking(HIGH)) as world, calling(world, era, person) as caller:
        await caller.data("generate_image", prompt="a cat", quality="high")
        assert person.asked == []
    async with World(limits=asking(HIGH - 1)) as world, calling(world, era, person) as caller:
        made = await caller.data("generate_image", prompt="a cat", quality="high")
        assert len(person.asked) == 1
        person.answer = ElicitResult(action="decline")
        again = await caller.data("generate_image", prompt="a cat", quality="high")
        assert (again["image_urls"], again["reused"], again["credits_charged"]) == (made["image_urls"], True, 0)
        assert len(person.asked) == 1
        assert world.movements() == [("charge", HIGH)]


async def test_the_gates_before_the_person_ask_nobody(era: Any) -> None:
    person = Person()
    limits = Limits(Budget(per_call=HIGH - 1, mode="enforce"), confirm_above=5)
    async with World(limits=limits) as world, calling(world, era, person) as caller:
        refusals = [
            await caller.error("generate_image", prompt="a cat", quality="high"),
            await caller.error("generate_image", prompt="a cat", quality="high", max_credits=3),
            await caller.error("generate_image", prompt="", quality="high"),
        ]
        assert [error["category"] for error in refusals] == ["budget", "budget", "invalid_request"]
        assert person.asked == []
        assert_nothing_left(world)


async def test_the_question_names_the_price_the_picture_its_words_and_what_is_left(era: Any) -> None:
    person = Person()
    async with World(limits=asking(day=20)) as world, calling(world, era, person) as caller:
        await caller.data("generate_image", prompt="a dog")
        await caller.data("generate_image", prompt=f"a   cat\n{'and a mouse ' * 20}", quality="high", size="1:1")
        [question] = person.asked
        assert question.startswith('Spend 12 credits on one picture (1:1, 1K, high)?\nPrompt: "a cat and a mouse and a')
        assert question.splitlines()[1].endswith('..." (248 characters)')
        assert "" not in question.splitlines()
        # Where nothing is said, some clients tick the box beforehand.
        assert person.forms[0]["properties"]["confirm"]["default"] is False
        assert question.endswith(
            "\nPrice: 12 credits. The last 24 hours cost 2 credits; 18 credits are left of the day's budget."
        )
        assert world.movements() == [("charge", LOW), ("charge", HIGH)]


async def test_an_acceptance_does_not_pass_the_budget(era: Any) -> None:
    person = Person()
    async with World(limits=asking(day=HIGH - 1)) as world, calling(world, era, person) as caller:
        error = await caller.error("generate_image", prompt="a cat", quality="high")
        assert (error["category"], error["money"]) == ("budget", "nothing_spent")
        assert_nothing_left(world)


async def test_in_the_handshake_era_a_late_answer_spends_nothing() -> None:
    person = Person(YES, thinks=ANSWER_SECONDS + 1)
    async with World(limits=asking()) as world, calling(world, "legacy", person) as caller:
        started = anyio.current_time()
        error = await refused(caller, "no_answer")
        assert anyio.current_time() - started == ANSWER_SECONDS
        assert "in time" in error["message"]
        await anyio.sleep(60)
        assert_nothing_left(world)
        person.thinks = ANSWER_SECONDS - 1
        assert (await caller.data("generate_image", prompt="a cat", quality="high"))["credits_charged"] == HIGH


async def test_a_person_who_thinks_longer_than_the_call_may_wait_still_gets_a_task_id() -> None:
    person = Person(YES, thinks=200)
    async with World(limits=asking()) as world, calling(world, "legacy", person) as caller:
        made = await caller.data("generate_image", prompt="a cat", quality="high", wait_seconds=30)
        assert (made["outcome"], made["credits_charged"]) == ("pending", HIGH)
        assert made["task_id"] in world.sandbox.tasks
        assert world.movements() == [("charge", HIGH)]


async def test_what_is_refused_after_a_long_thought_is_said_by_the_call_itself(era: Any) -> None:
    person = Person(YES, thinks=200)
    async with World(limits=asking(), faults=["submit:refuse=402"]) as world, calling(world, era, person) as caller:
        error = await caller.error("generate_image", prompt="a cat", quality="high", wait_seconds=30)
        assert (error["category"], error["money"]) == ("insufficient_credits", "nothing_spent")
        assert world.movements() == []


async def test_a_client_that_says_it_can_ask_and_then_cannot_spends_nothing() -> None:
    person = Person(ErrorData(code=-32603, message="no window"))
    async with World(limits=asking()) as world, calling(world, "legacy", person) as caller:
        await refused(caller, "cannot_ask")
        assert_nothing_left(world)


async def test_a_call_cancelled_while_the_question_is_open_spends_nothing() -> None:
    person = Person(YES, thinks=20)
    async with World(limits=asking()) as world, calling(world, "legacy", person) as caller:
        with anyio.move_on_after(5) as scope:
            await caller.call("generate_image", prompt="a cat", quality="high")
        assert scope.cancelled_caught
        assert len(person.asked) == 1
        await anyio.sleep(60)
        assert_nothing_left(world)
        assert (await world.listed()).tasks == []


async def test_two_identical_calls_that_are_both_accepted_pay_once(era: Any) -> None:
    person = Person(YES, thinks=3)
    async with World(limits=asking()) as world, calling(world, era, person) as caller:
        made: list[dict[str, Any]] = []

        async def call() -> None:
            made.append(await caller.data("generate_image", prompt="a cat", quality="high"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
        assert sorted(result["credits_charged"] for result in made) == [0, HIGH]
        assert world.movements() == [("charge", HIGH)]


class Replayer:
    """Speaks the stateless era by hand: questions and sealed states are kept, and sent again as one likes."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.arguments: dict[str, Any] = {"prompt": "a cat", "quality": "high"}

    async def send(
        self, state: str | None = None, answer: ElicitResult | None = YES, tool: str = "generate_image", **other: Any
    ) -> CallToolResult | InputRequiredResult:
        return await self.caller.client.session.call_tool(
            tool,
            {**self.arguments, **other},
            input_responses=None if state is None or answer is None else {"confirm": answer},
            request_state=state,
            allow_input_required=True,
        )

    async def question(self, state: str | None = None) -> tuple[str, str]:
        """Return the question and the sealed state that come back without an answer."""
        asked = await self.send(state, None)
        assert isinstance(asked, InputRequiredResult), asked
        assert asked.request_state is not None
        [(key, request)] = (asked.input_requests or {}).items()
        assert key == "confirm"
        assert isinstance(request, ElicitRequest)
        return request.params.message, asked.request_state

    async def answered(self, state: str, answer: ElicitResult = YES, **other: Any) -> dict[str, Any]:
        result = await self.send(state, answer, **other)
        assert isinstance(result, CallToolResult), result
        check_answer(result, "generate_image", self.caller.schemas["generate_image"], modern=True)
        assert isinstance(result.structured_content, dict)
        return result.structured_content


@asynccontextmanager
async def by_hand(world: World) -> AsyncGenerator[Replayer]:
    async with calling(world, "auto", Person()) as caller:
        yield Replayer(caller)


async def test_an_answer_that_is_sent_again_finds_the_picture_that_it_paid_for() -> None:
    async with World(limits=asking()) as world, by_hand(world) as hand:
        _, state = await hand.question()
        assert_nothing_left(world)
        made = await hand.answered(state)
        again = await hand.answered(state)
        assert (made["credits_charged"], again["credits_charged"], again["reused"]) == (HIGH, 0, True)
        assert world.movements() == [("charge", HIGH)]


@pytest.mark.parametrize("fault", ["task:failed*1", "submit:refuse*1"])
async def test_an_answer_sent_again_after_a_failure_pays_for_no_other_picture(fault: str) -> None:
    async with World(limits=asking(), faults=[fault], seconds=5) as world, by_hand(world) as hand:
        _, state = await hand.question()
        await hand.answered(state)
        moved = world.movements()
        assert moved in ([("charge", HIGH), ("refund", HIGH)], [])
        posted = len(world.submits())
        for _ in range(2):
            error = await hand.answered(state)
            assert (error["category"], error["money"], error["consent"]) == ("declined", "nothing_spent", "no_answer")
            assert "already used" in error["message"]
        assert len(world.submits()) == posted
        assert world.movements() == moved
        _, fresh = await hand.question()
        assert fresh != state
        assert (await hand.answered(fresh))["credits_charged"] == HIGH
        assert world.movements() == [*moved, ("charge", HIGH)]


async def test_one_answer_sent_many_times_at_once_pays_once() -> None:
    async with World(limits=asking()) as world, by_hand(world) as hand:
        _, state = await hand.question()
        charged: list[int] = []

        async def call() -> None:
            charged.append((await hand.answered(state))["credits_charged"])

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(call)
        assert sorted(charged) == [0] * 5 + [HIGH]
        assert world.movements() == [("charge", HIGH)]


async def test_a_lost_answer_to_an_agreed_submit_is_unknown_and_not_sent_again() -> None:
    async with World(limits=asking(), faults=["submit:lose_answer*1"]) as world, by_hand(world) as hand:
        _, state = await hand.question()
        for _ in range(2):
            error = await hand.answered(state)
            assert (error["category"], error["money"]) == ("outcome_unknown", "unknown")
        assert world.movements() == [("charge", HIGH)]


async def test_without_an_answer_the_same_words_are_asked_again_though_credits_moved() -> None:
    async with World(limits=asking(day=30)) as world, by_hand(world) as hand:
        first, state = await hand.question()
        await world.finished()
        second, later = await hand.question(state)
        assert second == first
        third, _ = await hand.question()
        assert third != first
        assert world.movements() == [("charge", LOW)]
        # Both states carry the same ticket, so both together let one picture through.
        assert (await hand.answered(later))["credits_charged"] == HIGH
        assert (await hand.answered(state))["credits_charged"] == 0


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "a dog"},
        {"variation": 2},
        {"resolution": "4K", "size": "16:9"},
        {"quality": "medium", "size": "16:9"},
    ],
    ids=str,
)
async def test_an_agreement_holds_for_the_arguments_that_it_was_asked_about(other: dict[str, Any]) -> None:
    async with World(limits=asking(1)) as world, by_hand(world) as hand:
        _, state = await hand.question()
        with pytest.raises(MCPError):
            await hand.send(state, YES, **other)
        assert_nothing_left(world)
        assert (await hand.answered(state))["credits_charged"] == HIGH


async def test_an_agreement_does_not_serve_another_tool() -> None:
    async with World(limits=asking()) as world, by_hand(world) as hand:
        _, state = await hand.question()
        with pytest.raises(MCPError):
            await hand.send(state, YES, tool="edit_image", image_urls=["https://a.example/1.png"])
        assert_nothing_left(world)


async def test_a_state_that_was_changed_made_up_or_sealed_by_another_server_is_refused() -> None:
    async with World(limits=asking()) as world, by_hand(world) as hand:
        _, state = await hand.question()
        async with by_hand(world) as other:
            _, foreign = await other.question()
        middle = len(state) // 2
        changed = state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]
        for bad in (changed, state[:-4], f"{state}AAAA", "{}", '{"ticket": "x", "question": "y"}', "", foreign):
            with pytest.raises(MCPError):
                await hand.send(bad)
        assert_nothing_left(world)
