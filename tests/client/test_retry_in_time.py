"""On a virtual clock: only proven refusals are tried again, within 20 s and never before a Retry-After."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import trio.testing

from vidgo_mcp.client import ImageRequest, Timeouts, VidgoClient
from vidgo_mcp.client.retry import BACKOFF, backoff
from vidgo_mcp.errors import (
    InvalidRequestError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
)

BOAT = ImageRequest(prompt="a boat")
EPOCH = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
ACCEPTED = httpx.Response(200, json={"code": 200, "data": {"task_id": "task-1", "status": "not_started"}})

pytestmark = pytest.mark.anyio

Answer = httpx.Response | Exception | Callable[[], Any]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Network:
    """Answers in turn, the last one for ever, and keeps the seconds at which each request came."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self._started = anyio.current_time()
        self.times: list[float] = []

    @property
    def elapsed(self) -> float:
        return anyio.current_time() - self._started

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.times.append(self.elapsed)
        assert len(self.times) < 500, "it asks for ever"
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        given: httpx.Response = await answer()
        return given

    @asynccontextmanager
    async def client(self, **given: Any) -> AsyncIterator[VidgoClient]:
        """Yield a client of this network for at most an hour of virtual time."""
        given.setdefault("draw", lambda: 1.0)
        transport = httpx.MockTransport(self.handle)
        with anyio.fail_after(3600):
            async with VidgoClient(
                "k-1", base_url="http://127.0.0.1:9", transport=transport, now=lambda: EPOCH + self.elapsed, **given
            ) as client:
                yield client


def slow_down(retry_after: str | None = None) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": retry_after} if retry_after is not None else {})


REFUSALS = [slow_down(), httpx.ConnectError("refused"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"),
            httpx.Response(200, json={"code": 429})]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_proven_refusal_is_tried_again_after_growing_pauses_for_20_seconds(refusal: Answer) -> None:
    network = Network(refusal)
    async with network.client() as client:
        with pytest.raises((RateLimitedError, NotSentError)) as caught:
            await client.submit(BOAT)
    assert network.times == pytest.approx([0, 1, 3, 7, 15])
    assert network.elapsed == pytest.approx(15)
    assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_proven_refusal_that_passes_ends_in_one_task(refusal: Answer) -> None:
    network = Network(refusal, refusal, ACCEPTED)
    async with network.client() as client:
        assert (await client.submit(BOAT)).task_id == "task-1"
    assert network.times == pytest.approx([0, 1, 3])


async def test_the_pauses_have_full_jitter() -> None:
    draws = iter([0.5, 0.25, 0.0, 1.0])
    network = Network(slow_down(), slow_down(), slow_down(), slow_down(), ACCEPTED)
    async with network.client(draw=lambda: next(draws)) as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 0.5, 1, 1, 9])


@pytest.mark.parametrize("header", ["7", "7.0", "Sun, 06 Nov 1994 08:49:44 GMT"])
@pytest.mark.parametrize("draw", [0.0, 1.0])
async def test_a_submit_is_not_repeated_before_a_retry_after(header: str, draw: float) -> None:
    network = Network(slow_down(header), ACCEPTED)
    async with network.client(draw=lambda: draw) as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 7])


async def test_a_retry_after_counts_from_its_answer_not_from_the_request() -> None:
    async def late() -> httpx.Response:
        await anyio.sleep(5)
        return slow_down("7")

    network = Network(late, ACCEPTED)
    async with network.client() as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 12])


@pytest.mark.parametrize(("header", "seconds"), [("21", 21), ("3600", 3600), ("Sun, 06 Nov 1994 08:50:37 GMT", 60)])
async def test_a_retry_after_beyond_what_is_left_stops_at_once_with_that_number(header: str, seconds: float) -> None:
    network = Network(slow_down(header))
    async with network.client() as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.submit(BOAT)
    assert network.times == [0]
    assert network.elapsed == 0
    assert caught.value.retry_after == pytest.approx(seconds)
    assert f"in {seconds} s" in caught.value.next_step


async def test_a_retry_after_of_exactly_what_is_left_is_waited_for() -> None:
    network = Network(slow_down("20"), ACCEPTED)
    async with network.client() as client:
        await client.submit(BOAT)
    assert network.times == pytest.approx([0, 20])


async def test_time_spent_on_earlier_tries_is_not_available_again() -> None:
    network = Network(slow_down("15"), slow_down("6"))
    async with network.client() as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.submit(BOAT)
    assert network.times == pytest.approx([0, 15])
    assert caught.value.retry_after == 6


async def test_without_patience_a_refusal_is_final() -> None:
    network = Network(slow_down())
    async with network.client() as client:
        with pytest.raises(RateLimitedError):
            await client.submit(BOAT, patience=0)
        with pytest.raises(RateLimitedError):
            await client.submit_once(BOAT)
    assert len(network.times) == 2


UNREPEATABLE: list[tuple[Answer, type[VidgoError]]] = [
    *((httpx.Response(status, headers={"Retry-After": "1"}), OutcomeUnknownError) for status in (408, 500, 502, 503)),
    *((httpx.Response(status, headers={"Retry-After": "1"}), InvalidRequestError) for status in (400, 409, 422)),
    (httpx.Response(404), UnavailableError),
    (httpx.ReadTimeout("x"), OutcomeUnknownError),
    (httpx.WriteError("x"), OutcomeUnknownError),
    (httpx.RemoteProtocolError("x"), OutcomeUnknownError),
    (httpx.Response(200, text="ok"), OutcomeUnknownError),
]


@pytest.mark.parametrize(("answer", "kind"), UNREPEATABLE)
async def test_nothing_else_is_tried_again(answer: Answer, kind: type[VidgoError]) -> None:
    network = Network(answer)
    async with network.client() as client:
        with pytest.raises(kind):
            await client.submit(BOAT)
    assert network.times == [0]


async def test_a_refusal_followed_by_a_lost_answer_is_not_tried_again() -> None:
    network = Network(slow_down(), httpx.ReadError("x"), ACCEPTED)
    async with network.client() as client:
        with pytest.raises(OutcomeUnknownError):
            await client.submit(BOAT)
    assert len(network.times) == 2


async def test_reads_and_uploads_are_made_once() -> None:
    network = Network(slow_down("1"))
    async with network.client() as client:
        for call in (
            client.status("task-1"),
            client.balance(),
            client.upload(b"x", file_name="a.png", mime_type="image/png"),
        ):
            with pytest.raises(RateLimitedError):
                await call
    assert network.times == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (lambda client: client.submit(BOAT), 160),
        (lambda client: client.status("task-1"), 70),
        (lambda client: client.balance(), 70),
        (lambda client: client.upload(b"x", file_name="a.png", mime_type="image/png"), 250),
    ],
)
async def test_an_answer_that_never_comes_ends_at_the_deadline(
    call: Callable[[VidgoClient], Any], seconds: float
) -> None:
    network = Network(anyio.sleep_forever)
    async with network.client() as client:
        with pytest.raises(OutcomeUnknownError if seconds == 160 else UnavailableError) as caught:
            await call(client)
    assert network.elapsed == pytest.approx(seconds)
    assert not isinstance(caught.value, NotSentError)


async def test_the_deadline_follows_the_timeouts() -> None:
    network = Network(anyio.sleep_forever)
    async with network.client(timeouts=Timeouts(connect=1, read=2, submit=4)) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.submit(BOAT)
    assert network.elapsed == pytest.approx(7)


async def test_a_cancelled_submit_is_not_an_error_of_its_own() -> None:
    network = Network(anyio.sleep_forever)
    async with network.client() as client:
        with anyio.move_on_after(3) as scope:
            await client.submit(BOAT)
    assert scope.cancelled_caught
    assert len(network.times) == 1


def test_the_backoff_is_the_documented_one() -> None:
    bounds = [backoff(attempt, lambda: 1.0, None) for attempt in range(6)]
    assert bounds == [1, 2, 4, 8, 8, 8]
    assert BACKOFF == (1.0, 2.0, 4.0, 8.0)


def test_a_retry_after_only_lengthens_a_pause() -> None:
    for attempt, draw, asked in itertools.product(range(5), (0.0, 0.5, 1.0), (0.0, 0.5, 3.0, 100.0)):
        pause = backoff(attempt, lambda draw=draw: draw, asked)  # type: ignore[misc]
        assert pause == max(asked, backoff(attempt, lambda draw=draw: draw, None))  # type: ignore[misc]
