"""A submit is sent once: for each way in which Vidgo can answer it, what was charged is what the result says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import anyio
import httpx
import pytest

from tests.conftest import DAY, Telling, VirtualJournal, World
from tests.service.test_broken_journal import Full
from vidgo_mcp.errors import (
    Category,
    OutcomeUnknownError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.sandbox import every_fault

pytestmark = pytest.mark.anyio

LOW = 2


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a fault must lead to: our category, and whether Vidgo took the credits all the same."""

    category: Category
    charged: bool = False


REFUSED = {
    "refuse=400": Delivery("invalid_request"),
    "refuse=400:Not enough credits": Delivery("insufficient_credits"),
    "unprocessable": Delivery("invalid_request"),
    "refuse=401": Delivery("authentication"),
    "refuse=402": Delivery("insufficient_credits"),
    "refuse=403": Delivery("permission"),
    "refuse=404": Delivery("unavailable"),
    "refuse=405": Delivery("invalid_request"),
    "refuse=409": Delivery("invalid_request"),
    "refuse=413": Delivery("invalid_request"),
    "refuse=415": Delivery("invalid_request"),
    "refuse=451": Delivery("invalid_request"),
    "rate_limited=601": Delivery("rate_limited"),
    "rate_limited_date=605": Delivery("rate_limited"),
    "envelope_error=400": Delivery("invalid_request"),
    "envelope_error=401": Delivery("authentication"),
    "envelope_error=402": Delivery("insufficient_credits"),
}
UNKNOWN = {
    "envelope_error": Delivery("outcome_unknown"),
    "refuse=307": Delivery("outcome_unknown"),
    "refuse=302": Delivery("outcome_unknown"),
    "drop_before": Delivery("outcome_unknown"),
    "hang_before": Delivery("outcome_unknown"),
    "refuse=408": Delivery("outcome_unknown"),
    "refuse=500": Delivery("outcome_unknown"),
    "refuse=502": Delivery("outcome_unknown"),
    "refuse=503": Delivery("outcome_unknown"),
    "refuse=504": Delivery("outcome_unknown"),
    "charged=408": Delivery("outcome_unknown", True),
    "charged=500": Delivery("outcome_unknown", True),
    "charged=502": Delivery("outcome_unknown", True),
    "charged=503": Delivery("outcome_unknown", True),
    "charged=504": Delivery("outcome_unknown", True),
    "lose_answer": Delivery("outcome_unknown", True),
    "lose_half": Delivery("outcome_unknown", True),
    "hang": Delivery("outcome_unknown", True),
    "html": Delivery("outcome_unknown", True),
    "empty_body": Delivery("outcome_unknown", True),
    "wrong_shape=list": Delivery("outcome_unknown", True),
    "wrong_shape=string": Delivery("outcome_unknown", True),
    "missing_task_id": Delivery("outcome_unknown", True),
    "names_stranger": Delivery("outcome_unknown"),
}
NAMING = ("broken_json", "huge", *(name for name in every_fault("submit") if name.startswith("names=")))
HARMLESS = ("slow", "slow=119", "rate_limited", "rate_limited=3", "rate_limited_date=3")


def test_every_fault_of_a_submit_has_its_fate_here() -> None:
    met = {*REFUSED, *UNKNOWN, *NAMING, *HARMLESS}
    assert set(every_fault("submit")) <= met | {name.partition("=")[0] for name in met}
    assert {fate.category for fate in (REFUSED | UNKNOWN).values()} <= set(get_args(Category))


async def failure(world: World, **arguments: Any) -> VidgoError:
    with pytest.raises(VidgoError) as caught:
        await world.make(**arguments)
    return caught.value


@pytest.mark.parametrize(("fault", "fate"), REFUSED.items(), ids=str)
async def test_a_refusal_costs_nothing_and_leaves_nothing_so_that_a_repeat_is_sent_anew(
    fault: str, fate: Delivery
) -> None:
    async with World(faults=[f"submit:{fault}*1"]) as world:
        error = await failure(world)
        assert (error.category, error.money) == (fate.category, "nothing_spent")
        assert len(world.submits()) == 1
        assert world.movements() == []
        assert (await world.listed()).tasks == []
        again = await world.finished()
        assert (again.reused, again.credits_charged) == (False, LOW)
        assert len(world.submits()) == 2
        assert world.movements() == [("charge", LOW)]


# The client stops reading an answer that is too large, which leaves httpx's generators to trio.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize(("fault", "fate"), UNKNOWN.items(), ids=str)
async def test_a_lost_answer_is_unknown_and_only_a_raised_variation_pays_again(fault: str, fate: Delivery) -> None:
    lost = [("charge", LOW)] if fate.charged else []
    async with World(faults=[f"submit:{fault}*1"]) as world:
        error = await failure(world)
        assert (error.category, error.money, error.retryable) == (fate.category, "unknown", False)
        assert error.remedy == "compare_balance"
        assert world.movements() == lost
        again = await failure(world)
        assert (again.category, again.money) == ("outcome_unknown", "unknown")
        [listed] = (await world.listed()).tasks
        assert (listed.outcome, listed.task_id, listed.remedy) == ("unknown", None, "compare_balance")
        assert len(world.submits()) == 1
        assert world.movements() == lost
        raised = await world.finished(variation=2)
        assert (raised.reused, raised.credits_charged) == (False, LOW)
        assert len(world.submits()) == 2
        assert world.movements() == [*lost, ("charge", LOW)]
        await anyio.sleep(DAY - 3600)
        assert (await failure(world)).category == "outcome_unknown"
        assert len(world.submits()) == 2
        await anyio.sleep(3600)
        assert (await world.finished()).credits_charged == LOW
        assert world.movements() == [*lost, *[("charge", LOW)] * 2]


@pytest.mark.parametrize("fault", HARMLESS)
async def test_what_proves_that_nothing_was_accepted_is_tried_again_and_paid_for_once(fault: str) -> None:
    async with World(faults=[f"submit:{fault}*1"]) as world:
        made = await world.finished()
        assert (made.reused, made.credits_charged) == (False, LOW)
        assert world.movements() == [("charge", LOW)]
        assert len(world.submits()) == (2 if "limited" in fault else 1)


async def test_a_submit_waits_as_long_as_retry_after_says_unless_that_is_too_long() -> None:
    async with World(faults=["submit:rate_limited=7*2"]) as world:
        await world.finished()
        assert world.submits() == [0.0, 7.0, 14.0]
    async with World(faults=["submit:rate_limited=30*2"]) as world:
        telling, started = Telling(), anyio.current_time()
        await world.finished(wait_seconds=100, progress=telling)
        assert [at - started for at in world.submits()] == pytest.approx([0.0, 30.0, 60.0])
        assert "Vidgo took nothing yet; asking again in 26 s" in telling.messages
    async with World(faults=["submit:rate_limited=7"]) as world:
        started = anyio.current_time()
        error = await failure(world, prompt="a hare", wait_seconds=20)
        assert isinstance(error, RateLimitedError)
        assert (error.retryable, error.retry_after, error.remedy) == (True, 7.0, "repeat_with_time")
        assert [at - started for at in world.submits()] == [0.0, 7.0, 14.0]
        assert world.movements() == []
    async with World(faults=["submit:rate_limited=90"]) as world:
        started = anyio.current_time()
        error = await failure(world, wait_seconds=80)
        assert error.retry_after == 90.0
        assert anyio.current_time() == started


async def test_a_refused_connection_is_tried_again_as_long_as_the_call_waits_and_costs_nothing() -> None:
    async with World() as world:

        async def refuse(request: httpx.Request) -> None:
            raise httpx.ConnectError("refused", request=request)

        world.wire.before = refuse
        error = await failure(world, wait_seconds=30)
        assert isinstance(error, UnavailableError)
        assert (error.money, error.retryable) == ("nothing_spent", True)
        posted = world.submits()
        assert len(posted) > 3
        assert 20 < posted[-1] <= 30
        assert (await world.listed()).tasks == []
        world.wire.before = None
        assert (await world.finished()).credits_charged == LOW
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError])
async def test_a_connection_that_breaks_after_the_submit_is_unknown(error: type[httpx.TransportError]) -> None:
    async with World() as world:

        async def drop(request: httpx.Request) -> None:
            if request.method == "POST":
                raise error("dropped", request=request)

        world.wire.after = drop
        assert isinstance(await failure(world), OutcomeUnknownError)
        world.wire.after = None
        assert isinstance(await failure(world), OutcomeUnknownError)
        assert len(world.submits()) == 1
        assert world.movements() == [("charge", LOW)]


async def test_a_failure_of_our_own_after_the_post_is_unknown_and_not_sent_again() -> None:
    async with World() as world:

        async def stumble(request: httpx.Request) -> None:
            if request.method == "POST":
                raise LookupError("a bug")

        world.wire.after = stumble
        error = await failure(world)
        assert (error.category, error.money) == ("outcome_unknown", "unknown")
        world.wire.after = None
        assert isinstance(await failure(world), OutcomeUnknownError)
        assert world.movements() == [("charge", LOW)]


async def test_all_who_wait_for_a_refused_submit_are_told_and_nobody_sends_it_again() -> None:
    async with World(faults=["submit:slow=3", "submit:refuse*1"]) as world:
        errors: list[VidgoError] = []

        async def call() -> None:
            errors.append(await failure(world))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(call)
        assert {error.category for error in errors} == {"invalid_request"}
        assert len(errors) == 5
        assert len(world.submits()) == 1
        assert world.movements() == []


async def test_an_account_without_credits_refuses_only_what_is_not_paid_for() -> None:
    async with World(funds=3) as world:
        await world.finished()
        assert (await failure(world, prompt="a hare")).category == "insufficient_credits"
        assert (await world.finished()).reused
        assert world.movements() == [("charge", LOW)]


# The client stops reading an answer that is too large, which leaves httpx's generators to trio.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("fault", NAMING)
async def test_an_answer_that_names_a_task_is_taken_at_its_word_and_sent_once(fault: str) -> None:
    async with World(faults=[f"submit:{fault}*1"]) as world:
        made = await world.finished()
        again = await world.finished()
        assert (made.reused, made.credits_charged) == (False, LOW)
        assert (again.task_id, again.reused) == (made.task_id, True)
        assert len(world.submits()) == 1
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("status", [200, 400, 401, 408, 429, 500])
async def test_a_named_task_that_vidgo_does_not_know_is_kept_with_the_unknown_entry(status: int) -> None:
    async with World(faults=[f"submit:names_stranger={status}*1"]) as world:
        error = await failure(world)
        again = await failure(world)
        assert (error.money, again.money) == ("unknown", "unknown")
        assert "task-of-nobody" in error.message
        assert "task-of-nobody" in again.message
        assert again.facts.named_task == "task-of-nobody"
        assert len(world.submits()) == 1
        (listed,) = (await world.listed()).tasks
        assert any("task-of-nobody" in note for note in listed.notes or ())
        with pytest.raises(OutcomeUnknownError) as caught:
            await world.task("task-of-nobody")
        assert (caught.value.money, caught.value.facts.named_task) == ("unknown", "task-of-nobody")


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_the_task_of_an_earlier_request_is_never_taken_for_that_of_a_new_one(status: int) -> None:
    async with World() as world:
        earlier = await world.finished()
        world.sandbox.set_faults([f"submit:refuse={status}:busy with task_id: {earlier.task_id}*1"])
        if status == 429:
            made = await world.finished(prompt="a hare")
            assert made.task_id not in {None, earlier.task_id}
            assert world.movements() == [("charge", LOW)] * 2
        else:
            error = await failure(world, prompt="a hare")
            assert error.money == ("unknown" if status == 500 else "nothing_spent")
            assert len(world.submits()) == 2
        assert (await world.finished()).task_id == earlier.task_id


@pytest.mark.parametrize("who", ["the same caller", "another caller", "a caller whose answer came"])
async def test_a_refusal_that_names_the_task_of_a_submit_under_way_gives_nobody_that_picture(who: str) -> None:
    caller = "" if who == "the same caller" else "somebody"
    slow = [] if who == "a caller whose answer came" else ["submit:slow=3*1"]
    async with World(faults=["task:called=task-77777*1", *slow]) as world:
        made: list[str | None] = []

        async def make(*, caller: str = "", **arguments: Any) -> None:
            made.append((await world.make(caller=caller, **arguments)).task_id)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make)
            await anyio.sleep(1)
            world.sandbox.add_fault("submit:refuse=429:busy with task_id: task-77777*1")
            await make(caller=caller, prompt="a hare")
        assert len(set(made)) == 2
        assert len(world.submits()) == 3
        assert world.movements() == [("charge", LOW)] * 2


@pytest.mark.parametrize("status", [429, 500])
async def test_a_named_task_that_another_submit_gets_while_vidgo_is_asked_about_it_is_not_taken(status: int) -> None:
    busy = f"submit:refuse={status}:busy with task_id: task-77777*1"
    async with World(faults=[busy, "task:called=task-77777*1"]) as world:
        ended: list[object] = []

        async def make() -> None:
            try:
                ended.append((await world.make()).task_id)
            except VidgoError as error:
                ended.append((error.money, error.facts.named_task))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make)
            await anyio.sleep(0.5)
            assert (await world.finished(prompt="a hare")).task_id == "task-77777"
        [end] = ended
        assert end == ("unknown", None) if status == 500 else end not in {None, "task-77777"}
        assert world.movements() == [("charge", LOW)] * (1 if status == 500 else 2)


async def test_each_refusal_of_a_submit_waits_anew_for_those_whose_task_it_names() -> None:
    async with World(faults=["task:called=task-77777*1", "submit:slow=4*1"]) as world:
        made: list[str | None] = []

        async def make(prompt: str) -> None:
            made.append((await world.make(prompt=prompt)).task_id)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make, "a fox")
            await anyio.sleep(1)
            world.sandbox.add_fault("submit:refuse=429:busy with task_id: task-77777*1")
            tasks.start_soon(make, "a hare")
            await anyio.sleep(3.5)
            for fault in ("task:called=task-88888*1", "submit:slow=4*1"):
                world.sandbox.add_fault(fault)
            tasks.start_soon(make, "an owl")
            await anyio.sleep(0.3)
            world.sandbox.add_fault("submit:refuse=429:busy with task_id: task-88888*1")
        assert (len(set(made)), len(world.submits())) == (3, 5)
        assert world.movements() == [("charge", LOW)] * 3


async def test_a_task_that_vidgo_gives_to_a_second_request_is_said_to_be_shared() -> None:
    async with World(faults=["task:called=task-77777"]) as world:
        assert not any("same task" in note for note in (await world.finished()).notes or ())
        made = await world.finished(prompt="a hare")
        assert any('the same task ("a fox")' in note for note in made.notes or ())
        assert await world.spent() == 2 * LOW


async def test_a_task_that_two_answers_named_belongs_to_the_first_that_is_bound() -> None:
    async with World(faults=["submit:names=500:task_id: TASK*1", "status:refuse=503"]) as world:
        named = (await failure(world)).facts.named_task
        world.sandbox.add_fault(f"submit:refuse=500:busy with task_id: {named}*1")
        assert (await failure(world, prompt="a hare")).facts.named_task == named
        world.sandbox.clear_faults()
        assert (await world.finished()).task_id == named
        assert (await failure(world, prompt="a hare")).money == "unknown"
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("whose", ["another caller's", "one that is not recorded yet"])
async def test_a_named_task_that_another_request_got_meanwhile_is_not_bound_to_its_entry(whose: str) -> None:
    recorded = whose == "another caller's"
    named = "submit:refuse=500:busy with task_id: task-77777*1"
    async with World(faults=[named, "task:called=task-77777*1"], journal=Full("bind", 0 if recorded else 9)) as world:
        assert (await failure(world)).facts.named_task == "task-77777"
        caller = "somebody" if recorded else ""
        assert await world.pending(prompt="a hare", caller=caller) == "task-77777"
        assert (await failure(world)).money == "unknown"
        made = await world.make(prompt="a hare", caller=caller)
        assert (made.task_id, world.movements()) == ("task-77777", [("charge", LOW)])


async def test_a_bug_at_a_named_task_does_not_say_that_nothing_was_spent() -> None:
    journal = Full("bind", times=0)
    async with World(faults=["submit:names=429*1", "status:refuse=503"], journal=journal) as world:
        assert (await failure(world)).money == "unknown"
        await anyio.sleep(60)
        world.sandbox.clear_faults()
        journal.times = 1
        again = await failure(world)
        assert (again.category, again.money) == ("internal", "unknown")
        assert (await world.finished()).reused
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("how", ["get_task", "the same request", "the next start"])
async def test_a_named_task_that_vidgo_shows_later_is_bound_to_its_entry(how: str) -> None:
    journal = VirtualJournal()
    async with World(faults=["submit:names=429*1", "status:refuse=503*2"], journal=journal) as world:
        error = await failure(world)
        assert (error.money, world.movements()) == ("unknown", [("charge", LOW)])
        named = error.facts.named_task
        assert named is not None
        if how == "get_task":
            assert (await world.task(named, wait_seconds=600)).outcome == "finished"
        sandbox = world.sandbox
        if how != "the next start":
            made = await world.finished()
            assert (made.task_id, made.reused) == (named, True)
            assert len(world.submits()) == 1
    async with World(journal=journal, sandbox=sandbox, process="a later process") as later:
        if how == "the next start":
            later.tasks()
            await anyio.sleep(60)
            (found,) = (await later.listed()).tasks
            assert (found.task_id, found.outcome) == (named, "finished")
        assert (await later.finished()).task_id == named
        assert later.submits() == []
