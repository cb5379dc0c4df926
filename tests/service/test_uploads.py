"""References are uploaded once, remembered, and at Vidgo's pace, whichever calls and processes need them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.conftest import UPLOAD, Telling, VirtualJournal, World
from tests.service.pictures import PHOTO, many, sent_urls
from vidgo_mcp.client.wire import read_upload
from vidgo_mcp.errors import (
    InternalError,
    InvalidRequestError,
    JournalError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.models.tasks import Upload
from vidgo_mcp.service import LocalFiles

pytestmark = pytest.mark.anyio

LOW = 2


async def refused(world: World, *references: str) -> VidgoError:
    with pytest.raises(VidgoError) as caught:
        await world.make(image_urls=list(references))
    assert (caught.value.money, caught.value.field) == ("nothing_spent", "image_urls")
    assert (world.submits(), (await world.listed()).tasks, await world.spent()) == ([], [], 0)
    return caught.value


async def test_the_same_bytes_are_uploaded_once_for_several_pictures_at_once(disk: LocalFiles, cat: Path) -> None:
    async with World(files=disk, seconds=5, faults=["upload:slow=10"]) as world:
        async with anyio.create_task_group() as tasks:
            for variation in range(1, 9):
                tasks.start_soon(partial(world.finished, image_urls=[str(cat)], variation=variation))
        assert (len(world.uploads()), len(world.submits())) == (1, 8)


async def test_an_upload_is_reused_until_its_72_hours_are_nearly_over(disk: LocalFiles, cat: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        await world.finished(image_urls=[str(cat)])
        await anyio.sleep(69 * 3600)
        async with World(files=disk, sandbox=world.sandbox, journal=world.journal, process="next") as another:
            await another.finished(image_urls=[str(cat)], prompt="a hare")
            assert (len(world.uploads()), another.uploads()) == (1, [])
        await anyio.sleep(3600)
        await world.finished(image_urls=[str(cat)], prompt="a bear")
        assert len(world.uploads()) == 2
        first, second, third = sent_urls(world)
        assert first == second != third


async def test_a_shorter_life_that_vidgo_names_is_believed(disk: LocalFiles, cat: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        served = world.wire.handle_async_request

        async def shortened(request: httpx.Request) -> httpx.Response:
            response = await served(request)
            if request.url.path != UPLOAD:
                return response
            body = json.loads(await response.aread())
            begins = datetime.fromisoformat(body["data"]["upload_time"])
            body["data"]["expires_at"] = (begins + timedelta(hours=5)).isoformat()
            return httpx.Response(200, json=body)

        world.wire.handle_async_request = shortened  # type: ignore[method-assign]
        for hours in (0, 2, 2):
            await anyio.sleep(hours * 3600)
            await world.finished(image_urls=[str(cat)], prompt=f"a fox {anyio.current_time()}")
        assert len(world.uploads()) == 2


async def test_after_a_failed_task_its_reference_is_uploaded_anew(disk: LocalFiles, cat: Path) -> None:
    """Vidgo may have lost it, which must not fail the same request for three days."""
    async with World(files=disk, seconds=5, faults=["task:failed*1"]) as world:
        assert (await world.make(image_urls=[str(cat)])).outcome == "failed"
        await world.finished(image_urls=[str(cat)])
        assert len(world.uploads()) == 2


async def test_an_upload_is_forgotten_when_vidgo_refuses_the_submit(disk: LocalFiles, cat: Path) -> None:
    async with World(files=disk, seconds=5, faults=["submit:refuse=400:image_urls[0] cannot be fetched*1"]) as world:
        with pytest.raises(InvalidRequestError):
            await world.make(image_urls=[str(cat)])
        await world.finished(image_urls=[str(cat)])
        assert (len(world.uploads()), world.movements()) == (2, [("charge", LOW)])


async def test_five_uploads_begin_in_a_minute_and_the_caller_is_told_why_it_waits(
    disk: LocalFiles, folder: Path
) -> None:
    telling = Telling()
    async with World(files=disk, seconds=5) as world:
        made = await world.finished(image_urls=many(folder, 16), progress=telling)
        began = world.uploads()
        assert len(began) == 16
        assert all(late - early >= 60 for early, late in zip(began, began[5:], strict=False))
        assert began[-1] < 200
        assert any("waiting for the upload limit" in said and "5 of 16" in said for said in telling.messages)
        assert telling.values == sorted(set(telling.values))
        assert max(late - early for early, late in pairwise(telling.at)) <= 5
        assert (made.credits_charged, world.movements()) == (LOW, [("charge", LOW)])


async def test_a_call_that_needs_the_upload_of_another_is_told_what_it_waits_for(
    disk: LocalFiles, folder: Path
) -> None:
    *paths, shared = many(folder, 6)
    telling = Telling()
    async with World(files=disk, seconds=5) as world, anyio.create_task_group() as tasks:
        await world.finished(image_urls=paths)
        tasks.start_soon(partial(world.finished, image_urls=[shared]))
        await anyio.sleep(1)
        await world.finished(image_urls=[shared], prompt="a hare", progress=telling)
        assert telling.messages[0].startswith("waiting for the upload limit")
        assert len(world.uploads()) == 6


async def test_calls_at_the_same_time_share_the_pace(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        async with anyio.create_task_group() as tasks:
            for path in many(folder, 12):
                tasks.start_soon(partial(world.finished, image_urls=[path]))
        began = world.uploads()
        assert all(late - early >= 60 for early, late in zip(began, began[5:], strict=False))
        assert (len(began), world.movements()) == (12, [("charge", LOW)] * 12)


async def test_a_call_with_one_picture_does_not_wait_for_all_of_another(disk: LocalFiles, folder: Path) -> None:
    *paths, alone = many(folder, 17)
    async with World(files=disk, seconds=5) as world, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(world.finished, image_urls=paths))
        await anyio.sleep(1)
        await world.finished(image_urls=[alone])
        assert anyio.current_time() < 75


async def test_processes_that_share_a_journal_share_the_pace_and_what_is_uploaded(
    disk: LocalFiles, folder: Path
) -> None:
    *before, needed = many(folder, 6)
    async with World(files=disk, seconds=5) as first:
        async with (
            World(files=disk, sandbox=first.sandbox, journal=first.journal, process="another") as second,
            anyio.create_task_group() as tasks,
        ):
            for number, path in enumerate(before):
                tasks.start_soon(partial((first, second)[number % 2].finished, image_urls=[path]))
                await anyio.sleep(1)
            for world, prompt in ((first, "a fox"), (second, "a hare")):
                tasks.start_soon(partial(world.finished, image_urls=[needed], prompt=prompt))
        began = sorted(first.uploads() + second.uploads())
        assert (began[:5], len(began), began[5] >= 60) == ([0, 1, 2, 3, 4], 6, True)
        assert first.movements() == [("charge", LOW)] * 7


async def test_uploads_that_arrive_at_different_speeds_stay_within_vidgos_minute(
    disk: LocalFiles, folder: Path
) -> None:
    """Vidgo counts arrivals: the first five open connections and are slow, the next ones are not."""
    async with World(files=disk, seconds=5) as world:
        begun: list[float] = []

        async def slow_at_first(request: httpx.Request) -> None:
            if request.url.path == UPLOAD:
                begun.append(anyio.current_time())
                await anyio.sleep(0.5 if len(begun) <= 5 else 0.05)

        world.wire.before = slow_at_first
        await world.finished(image_urls=many(folder, 16))
        assert len(world.uploads()) == 16


@pytest.mark.parametrize("fault", ["refuse=500*2", "rate_limited*1", "drop_before*2", "html*1"])
@pytest.mark.parametrize("count", [1, 16])
async def test_a_failing_upload_is_tried_again(disk: LocalFiles, folder: Path, fault: str, count: int) -> None:
    async with World(files=disk, seconds=5, faults=[f"upload:{fault}"]) as world:
        await world.finished(image_urls=many(folder, count))
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize(("fault", "pause"), [("rate_limited*1", 15), ("rate_limited=40*1", 40)])
async def test_after_a_429_no_process_uploads_for_as_long_as_vidgo_asks(
    disk: LocalFiles, folder: Path, fault: str, pause: int
) -> None:
    one, other = many(folder, 2)
    async with World(files=disk, seconds=5, faults=[f"upload:{fault}"]) as first:
        async with World(files=disk, sandbox=first.sandbox, journal=first.journal, process="another") as second:

            async def later() -> None:
                await anyio.sleep(1)
                await second.finished(image_urls=[other])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(later)
                await first.finished(image_urls=[one])
        refused_at, *began = sorted(first.uploads() + second.uploads())
        assert len(began) == 2
        assert min(began) - refused_at >= pause


async def test_an_upload_that_stays_impossible_costs_nothing_and_names_the_reference(
    disk: LocalFiles, cat: Path
) -> None:
    async with World(files=disk, faults=["upload:refuse=500"]) as world:
        error = await refused(world, PHOTO, str(cat))
        assert isinstance(error, UnavailableError)
        assert error.message.startswith("image_urls[1] could not be uploaded.")
        assert error.retryable
        assert (len(world.uploads()), anyio.current_time()) == (5, 15)
    async with World(files=disk, faults=["upload:rate_limited"]) as world:
        assert isinstance(await refused(world, str(cat)), RateLimitedError)


async def test_what_vidgo_refuses_is_told_in_seconds_and_the_other_uploads_are_kept(
    disk: LocalFiles, folder: Path
) -> None:
    paths = many(folder, 7)
    async with World(files=disk, seconds=5, faults=["upload:refuse*1"]) as world:
        started = anyio.current_time()
        error = await refused(world, *paths)
        assert isinstance(error, InvalidRequestError)
        assert "could not be uploaded" in error.message
        assert anyio.current_time() - started < 5
        await world.finished(image_urls=paths)
        assert (len(world.uploads()), world.movements()) == (8, [("charge", LOW)])


async def test_an_upload_that_the_journal_cannot_remember_costs_nothing(disk: LocalFiles, cat: Path) -> None:
    class Locked(VirtualJournal):
        async def remember_upload(self, account: str, digest: str, url: str, *, until: float) -> None:
            raise JournalError("The journal is locked.")

    async with World(files=disk, seconds=5, journal=Locked()) as world:
        with pytest.raises(JournalError, match="The journal is locked"):
            await world.make(image_urls=[str(cat)])
        assert (len(world.uploads()), world.movements()) == (1, [])


async def test_an_unexpected_failure_of_one_upload_ends_no_other_call(
    disk: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = many(folder, 2)
    readers = [read_upload]

    def stumble(value: Any, base: str) -> Upload:
        if readers:
            readers.pop()
            raise LookupError("a bug")
        return read_upload(value, base)

    monkeypatch.setattr("vidgo_mcp.client.wire.read_upload", stumble)
    async with World(files=disk, seconds=5) as world:
        assert isinstance(await refused(world, one), InternalError)
        await world.finished(image_urls=[other])
        assert world.movements() == [("charge", LOW)]
