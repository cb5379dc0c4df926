"""On a virtual clock: only proven refusals are tried again, within 20 s and never before a Retry-After."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.client.conftest import BOAT, CALLS, PRICED, Answer, Network, in_turn
from tests.conftest import virtual_backend
from vidgo_mcp.client import Timeouts
from vidgo_mcp.client.retry import backoff
from vidgo_mcp.errors import (
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
)

ACCEPTED = httpx.Response(200, json={"code": 200, "data": {"task_id": "task-1", "status": "not_started"}})

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_backend()


def slow_down(retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": retry_after} if retry_after is not None else {})


REFUSALS = [slow_down(), httpx.ConnectError("refused"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"),
            httpx.Response(200, json={"code": 429})]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_proven_refusal_is_tried_again_after_growing_pauses_for_20_s(refusal: Answer) -> None:
    network = Network(in_turn(refusal))
    async with network.client() as client:
        with pytest.raises((RateLimitedError, NotSentError)) as caught:
            await client.submit(BOAT)
    assert network.times == pytest.approx([0, 1, 3, 7, 15])
    assert network.elapsed == pytest.approx(15)
    assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_proven_refusal_that_passes_ends_in_one_task(refusal: Answer) -> None:
    network = Network(in_turn(refusal, refusal, ACCEPTED))
    async with network.client() as client:
        assert (await client.submit(BOAT)).task_id == "task-1"
    assert network.times == pytest.approx([0, 1, 3])


async def test_the_pauses_have_full_jitter() -> None:
    numbers = iter([0.5, 0.25, 0.0, 1.0])
    network = Network(in_turn(*[slow_down()] * 4, ACCEPTED))
    async with network.client(random=lambda: next(numbers)) as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 0.5, 1, 1, 9])


@pytest.mark.parametrize("header", ["7", "7.0", "Sun, 06 Nov 1994 08:49:44 GMT"])
@pytest.mark.parametrize("number", [0.0, 1.0])
async def test_a_submit_is_not_repeated_before_a_retry_after(header: str, number: float) -> None:
    network = Network(in_turn(slow_down(header), ACCEPTED))
    async with network.client(random=lambda: number) as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 7])


async def test_a_retry_after_counts_from_its_answer_not_from_the_request() -> None:
    async def late() -> httpx.Response:
        await anyio.sleep(5)
        return slow_down("7")

    network = Network(in_turn(late, ACCEPTED))
    async with network.client() as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 12])


@pytest.mark.parametrize(("header", "seconds"), [("21", 21), ("3600", 3600), ("Sun, 06 Nov 1994 08:50:37 GMT", 60)])
async def test_a_retry_after_beyond_what_is_left_stops_at_once_with_that_number(header: str, seconds: float) -> None:
    network = Network(in_turn(slow_down(header)))
    async with network.client() as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.submit(BOAT)
    assert (network.times, network.elapsed) == ([0], 0)
    assert caught.value.retry_after == pytest.approx(seconds)
    assert (caught.value.remedy, caught.value.money) == ("repeat_later", "nothing_spent")


async def test_without_time_to_retry_a_refusal_is_final() -> None:
    network = Network(in_turn(slow_down()))
    async with network.client() as client:
        with pytest.raises(RateLimitedError):
            await client.submit(BOAT, retry_seconds=0)
        with pytest.raises(RateLimitedError):
            await client.submit_once(PRICED)
    assert len(network.times) == 2


NOT_REPEATABLE: list[tuple[Answer, type[VidgoError]]] = [
    *((httpx.Response(status, headers={"Retry-After": "1"}), OutcomeUnknownError) for status in (408, 500, 502, 503)),
    *((httpx.Response(status, headers={"Retry-After": "1"}), InvalidRequestError) for status in (400, 409, 422)),
    (httpx.Response(404), UnavailableError),
    (httpx.ReadTimeout("x"), OutcomeUnknownError),
    (httpx.WriteError("x"), OutcomeUnknownError),
    (httpx.RemoteProtocolError("x"), OutcomeUnknownError),
    (httpx.Response(200, text="ok"), OutcomeUnknownError),
]


@pytest.mark.parametrize(("answer", "kind"), NOT_REPEATABLE)
async def test_nothing_else_is_tried_again_not_even_after_a_refusal(answer: Answer, kind: type[VidgoError]) -> None:
    network = Network(in_turn(slow_down("1"), answer, ACCEPTED))
    async with network.client() as client:
        with pytest.raises(kind):
            await client.submit(BOAT)
    assert network.times == [0, 1]


@pytest.mark.parametrize("call", ["status", "balance", "upload"])
async def test_reads_and_uploads_are_made_once(call: str) -> None:
    network = Network(in_turn(slow_down("1")))
    async with network.client() as client:
        with pytest.raises(RateLimitedError):
            await CALLS[call](client)
    assert network.times == [0]


@pytest.mark.parametrize(("call", "seconds"), {"submit": 160, "status": 70, "balance": 70, "upload": 160}.items())
async def test_an_answer_that_never_comes_ends_at_the_deadline(call: str, seconds: float) -> None:
    network = Network(in_turn(anyio.sleep_forever))
    async with network.client() as client:
        with pytest.raises(OutcomeUnknownError if call == "submit" else UnavailableError) as caught:
            await CALLS[call](client)
    assert network.elapsed == pytest.approx(seconds, abs=0.01)
    assert not isinstance(caught.value, NotSentError)


async def test_the_deadline_follows_the_timeouts_and_the_size_of_an_upload() -> None:
    network = Network(in_turn(anyio.sleep_forever))
    async with network.client(timeouts=Timeouts(connect=1, read=2, submit=4)) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.submit(BOAT)
        assert network.elapsed == pytest.approx(7)
        with pytest.raises(UnavailableError):
            await client.upload(b"x" * 160 * 1024, file_name="a.png", mime_type="image/png")
        assert network.elapsed == pytest.approx(7 + 7 + 10)


async def asleep(seconds: float) -> None:
    """Let the clock jump, as it does for a process that was frozen."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    clock.jump(seconds)


@pytest.mark.parametrize("before", [0, 20, 159.5])
@pytest.mark.parametrize("frozen", [165, 100_000])
async def test_an_answer_that_came_while_the_process_was_frozen_counts(before: float, frozen: float) -> None:
    async def answer() -> httpx.Response:
        await anyio.sleep(before)
        await asleep(frozen)
        await anyio.sleep(0.3)
        return ACCEPTED

    network = Network(in_turn(answer), longest=1e6)
    async with network.client() as client:
        assert (await client.submit(BOAT)).task_id == "task-1"
    assert len(network.times) == 1


async def test_time_asleep_prolongs_the_deadline_and_does_not_remove_it() -> None:
    async def answer() -> httpx.Response:
        await anyio.sleep(50)
        await asleep(1000)
        await anyio.sleep_forever()
        return ACCEPTED

    network = Network(in_turn(answer))
    async with network.client() as client:
        with pytest.raises(OutcomeUnknownError):
            await client.submit(BOAT)
    assert network.elapsed == pytest.approx(1160, abs=2)


async def test_a_cancelled_submit_is_not_an_error_of_its_own() -> None:
    network = Network(in_turn(anyio.sleep_forever))
    async with network.client() as client:
        with anyio.move_on_after(3) as scope:
            await client.submit(BOAT)
    assert scope.cancelled_caught
    assert len(network.times) == 1


@given(st.integers(0, 9), st.floats(0, 1), st.floats(0, 100))
def test_a_retry_after_only_lengthens_a_pause(attempt: int, number: float, asked: float) -> None:
    assert backoff(attempt, lambda: number, asked) == max(asked, backoff(attempt, lambda: number, None))
