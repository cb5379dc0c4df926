"""On a virtual clock: a task is waited for without haste, through trouble, and never beyond the deadline."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import trio.testing

from vidgo_mcp.client import ImageRequest, VidgoClient
from vidgo_mcp.client.polling import CLOSEST_READS, FIRST_READ
from vidgo_mcp.errors import AuthenticationError, NotFoundError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, create_app

URL = "https://a.example/c.png"

pytestmark = pytest.mark.anyio

Answer = httpx.Response | Exception


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Vendor:
    """Answers each status read by the second at which it comes, after ``delay`` seconds of its own."""

    def __init__(self, answer: Callable[[float], Answer], *, delay: float = 0.0) -> None:
        self._answer = answer
        self._delay = delay
        self._started = anyio.current_time()
        self.times: list[float] = []

    @property
    def elapsed(self) -> float:
        return anyio.current_time() - self._started

    async def handle(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/generate/status/task-1"
        self.times.append(self.elapsed)
        assert len(self.times) < 500, "it asks for ever"
        answer = self._answer(self.elapsed)
        await anyio.sleep(self._delay)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def client(self, draw: float = 1.0) -> AsyncIterator[VidgoClient]:
        """Yield a client of this vendor for at most an hour of virtual time."""
        transport = httpx.MockTransport(self.handle)
        with anyio.fail_after(3600):
            async with VidgoClient(
                "k-1", base_url="http://127.0.0.1:9", transport=transport, draw=lambda: draw
            ) as client:
                yield client

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.times)]


def reading(status: str, **data: Any) -> httpx.Response:
    return httpx.Response(200, json={"code": 200, "data": {"task_id": "task-1", "status": status, **data}})


def finished(at: float) -> Callable[[float], Answer]:
    def answer(seconds: float) -> Answer:
        return reading("finished", files=[{"file_url": URL}]) if seconds >= at else reading("running")

    return answer


DONE = Task("task-1", "finished", None, (URL,))


async def test_a_task_that_takes_ten_minutes_is_waited_for() -> None:
    vendor = Vendor(finished(595))
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE
    assert vendor.times[0] == FIRST_READ == 4
    assert min(vendor.gaps()) >= CLOSEST_READS - 1e-9
    assert len(vendor.times) < 100
    assert 595 <= vendor.elapsed <= 600


@pytest.mark.parametrize("seconds", [0, 4, 15, 31, 60])
async def test_a_task_of_the_usual_length_is_seen_within_five_seconds(seconds: float) -> None:
    vendor = Vendor(finished(seconds))
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE
    assert vendor.elapsed <= max(4, seconds + 5)


async def test_reported_progress_shows_an_early_end_sooner() -> None:
    def answer(seconds: float) -> Answer:
        return finished(6)(seconds) if seconds >= 6 else reading("running", progress=int(seconds / 6 * 100))

    vendor = Vendor(answer)
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE
    assert vendor.elapsed < 8


@pytest.mark.parametrize("timeout", [4, 5, 9, 10, 31.5, 40, 600])
async def test_running_out_returns_the_pending_task_at_the_deadline(timeout: float) -> None:
    vendor = Vendor(lambda _: reading("running", progress=40))
    async with vendor.client() as client:
        assert await client.wait("task-1", timeout=timeout) == Task("task-1", "running", 40)
    assert vendor.elapsed == pytest.approx(timeout)
    assert min([*vendor.gaps(), 99]) >= CLOSEST_READS - 1e-9


@pytest.mark.parametrize("timeout", [0, 0.5, 3])
async def test_a_short_wait_still_reads_once(timeout: float) -> None:
    vendor = Vendor(finished(0))
    async with vendor.client() as client:
        assert await client.wait("task-1", timeout=timeout) == DONE
    assert vendor.times == [timeout]


async def test_an_unknown_word_is_waited_on() -> None:
    vendor = Vendor(lambda seconds: reading("reviewing") if seconds < 20 else reading("finished", files=[URL]))
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE


async def test_a_failed_task_is_returned_as_it_is() -> None:
    vendor = Vendor(lambda _: reading("failed", progress=0, error_message="content policy"))
    async with vendor.client() as client:
        assert await client.wait("task-1") == Task("task-1", "failed", 0, (), "content policy")
    assert vendor.times == [4]


async def test_every_reading_is_announced_in_order() -> None:
    seen: list[Task] = []

    async def keep(task: Task) -> None:
        seen.append(task)

    def answer(seconds: float) -> Answer:
        return finished(25)(seconds) if not 10 < seconds < 16 else httpx.Response(503)

    vendor = Vendor(answer)
    async with vendor.client() as client:
        await client.wait("task-1", on_task=keep)
    refused = [at for at in vendor.times if 10 < at < 16]
    assert refused
    assert len(seen) == len(vendor.times) - len(refused)
    assert [task.status for task in seen] == ["running"] * (len(seen) - 1) + ["finished"]


async def test_slow_answers_are_not_asked_for_back_to_back() -> None:
    vendor = Vendor(finished(100), delay=10)
    async with vendor.client() as client:
        await client.wait("task-1")
    assert min(vendor.gaps()) >= 10 + CLOSEST_READS - 1e-9


@pytest.mark.parametrize("trouble", [httpx.Response(429), httpx.Response(503), httpx.ReadTimeout("x")])
async def test_trouble_is_waited_out_with_growing_pauses(trouble: Answer) -> None:
    vendor = Vendor(lambda seconds: trouble if seconds < 40 else finished(0)(seconds))
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE
    assert vendor.gaps() == pytest.approx([2, 2, 4, 8, 8, 8, 8])


async def test_jitter_never_brings_two_reads_closer_than_two_seconds() -> None:
    vendor = Vendor(lambda seconds: httpx.Response(500) if seconds < 9 else finished(0)(seconds))
    async with vendor.client(draw=0.0) as client:
        assert await client.wait("task-1") == DONE
    assert vendor.gaps() == pytest.approx([2, 2, 2])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("delay", [0.0, 6.0])
async def test_a_retry_after_is_honoured_from_the_moment_of_its_answer(status: int, delay: float) -> None:
    wall = httpx.Response(status, headers={"Retry-After": "25"})
    vendor = Vendor(lambda seconds: wall if seconds < 5 else finished(0)(seconds), delay=delay)
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE
    assert vendor.times == pytest.approx([4, 4 + delay + 25])


async def test_the_pauses_start_small_again_after_a_good_reading() -> None:
    def answer(seconds: float) -> Answer:
        return reading("running") if 19 < seconds < 21 else httpx.Response(500)

    vendor = Vendor(answer)
    async with vendor.client() as client:
        await client.wait("task-1", timeout=30)
    assert vendor.times[:5] == pytest.approx([4, 6, 8, 12, 20])
    resumed = [round(later - earlier, 6) for earlier, later in itertools.pairwise(vendor.times[5:])]
    assert resumed[:2] == [CLOSEST_READS, CLOSEST_READS]


async def test_a_retry_after_beyond_the_deadline_is_not_shortened_by_it() -> None:
    wall = httpx.Response(429, headers={"Retry-After": "100"})
    vendor = Vendor(lambda seconds: reading("running") if seconds < 5 else wall)
    async with vendor.client() as client:
        assert await client.wait("task-1", timeout=20) == Task("task-1", "running")
    assert len(vendor.times) == 2
    assert vendor.elapsed == pytest.approx(20)


async def test_a_task_that_could_never_be_read_raises_what_hindered_it() -> None:
    vendor = Vendor(lambda _: httpx.Response(429, headers={"Retry-After": "100"}))
    async with vendor.client() as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.wait("task-1", timeout=20)
    assert (caught.value.retry_after, caught.value.task_id, caught.value.money) == (100, "task-1", "accepted")
    assert len(vendor.times) == 1


async def test_trouble_that_outlasts_the_wait_raises_only_when_nothing_was_read() -> None:
    vendor = Vendor(lambda seconds: reading("running") if seconds < 5 else httpx.Response(502))
    async with vendor.client() as client:
        assert (await client.wait("task-1", timeout=60)).phase == "pending"
    assert vendor.elapsed == pytest.approx(60)
    vendor = Vendor(lambda _: httpx.Response(502))
    async with vendor.client() as client:
        with pytest.raises(UnavailableError):
            await client.wait("task-1", timeout=60)
    assert vendor.elapsed <= 60


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, NotFoundError)])
async def test_a_failure_that_waiting_cannot_cure_is_raised_at_once(status: int, kind: type[VidgoError]) -> None:
    vendor = Vendor(lambda seconds: reading("running") if seconds < 5 else httpx.Response(status))
    async with vendor.client() as client:
        with pytest.raises(kind) as caught:
            await client.wait("task-1")
    assert caught.value.task_id == "task-1"
    assert len(vendor.times) == 2


async def test_a_finished_task_without_files_is_read_again_until_they_come() -> None:
    def answer(seconds: float) -> Answer:
        return reading("finished", files=[]) if seconds < 50 else finished(0)(seconds)

    vendor = Vendor(answer)
    async with vendor.client() as client:
        assert await client.wait("task-1") == DONE
    assert 50 <= vendor.elapsed <= 55


async def test_a_finished_task_without_files_is_believed_after_a_minute() -> None:
    vendor = Vendor(lambda _: reading("finished", files=[]))
    async with vendor.client() as client:
        assert await client.wait("task-1") == Task("task-1", "finished")
    assert 64 <= vendor.elapsed <= 70


async def test_a_whole_picture_is_made_with_the_sandbox_on_the_virtual_clock() -> None:
    clock = anyio.current_time
    sandbox = Sandbox(
        seconds=(300, 300), clock=clock, options=VendorOptions(inline_render=True), faults=["task:late_files=2"]
    )
    transport = httpx.ASGITransport(app=create_app(sandbox))
    async with VidgoClient(SANDBOX_KEY, base_url="http://127.0.0.1:9", transport=transport) as client:
        started = clock()
        task = await client.submit(ImageRequest(prompt="a boat", size="1:1"))
        ended = await client.wait(task.task_id)
        assert 300 <= clock() - started <= 340
        picture = await client.download(ended.file_urls[0])
    assert picture.startswith(b"\x89PNG")
