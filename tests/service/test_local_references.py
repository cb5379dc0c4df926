"""A picture on the person's disk, or inline, is uploaded once, at Vidgo's pace, before anything is paid for."""

from __future__ import annotations

import base64
import gc
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from tests.conftest import DAY, VirtualJournal, World, news
from vidgo_mcp.errors import InvalidRequestError, JournalError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.files.images import ReferencePicture
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.requests import EditArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.sandbox import Sandbox
from vidgo_mcp.service import Disk

pytestmark = pytest.mark.anyio

LOW = 2
UPLOAD = "/api/common/upload/stream"
PHOTO = "https://example.com/photo.png"


def png(shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), (shade % 256, shade // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def inline(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    return pictures


@pytest.fixture
def cat(folder: Path) -> Path:
    path = folder / "cat.png"
    path.write_bytes(png())
    return path


@pytest.fixture
def disk(folder: Path) -> Disk:
    return Disk(Folders((folder,)))


def many(folder: Path, count: int) -> list[str]:
    """Write as many different pictures, and return their paths."""
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(png(number))
    return [str(path) for path in paths]


def uploads(world: World) -> list[float]:
    """Return the seconds at which an upload began."""
    return [seen.at for seen in world.wire.seen if seen.path == UPLOAD]


def posts(world: World) -> list[float]:
    """Return the seconds at which a submit was posted."""
    return [seen.at for seen in world.wire.seen if seen.path == "/api/generate/submit"]


def sent_urls(world: World) -> list[list[str]]:
    """Return the references of each submit."""
    bodies = [request.body for request in world.sandbox.requests if request.body and "input" in request.body]
    return [body["input"]["image_urls"] for body in bodies if "image_urls" in body["input"]]


def content_at(sandbox: Sandbox, url: str) -> bytes:
    found = sandbox.storage.own(url, "http://127.0.0.1:8787/", sandbox.clock())
    assert found is not None
    assert isinstance(found.content, bytes)
    return found.content


async def refused(world: World, *references: str) -> VidgoError:
    with pytest.raises(VidgoError) as caught:
        await world.make(image_urls=list(references))
    assert (caught.value.money, caught.value.field) == ("nothing_spent", "image_urls")
    assert posts(world) == []
    return caught.value


async def test_a_local_file_is_uploaded_and_edited(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        edited = await world.finished(image_urls=[str(cat)])
        assert (edited.model, edited.credits_charged) == ("gpt-image-2-edit", LOW)
        [[url]] = sent_urls(world)
        assert content_at(world.sandbox, url) == cat.read_bytes()
        assert world.movements() == [("charge", LOW)]


async def test_the_name_of_the_file_is_not_told_to_vidgo(disk: Disk, folder: Path) -> None:
    private = folder / "diagnosis-of-mr-smith.png"
    private.write_bytes(png())
    async with World(disk=disk, seconds=5) as world:
        await world.finished(image_urls=[str(private)])
        assert "diagnosis" not in str(sent_urls(world))


@pytest.mark.parametrize(
    "spelled",
    [
        lambda cat: str(cat),
        lambda cat: cat.as_uri(),
        lambda cat: cat.name,
        lambda cat: f"{cat.parent}/../{cat.parent.name}/./{cat.name}",
        lambda cat: inline(cat.read_bytes()),
        lambda cat: inline(cat.read_bytes()).replace("image/png", "image/jpeg"),
    ],
)
async def test_the_same_bytes_are_the_same_picture_however_they_are_named(
    disk: Disk, cat: Path, spelled: Callable[[Path], str]
) -> None:
    async with World(disk=disk, seconds=5) as world:
        first = await world.finished(image_urls=[str(cat)])
        again = await world.finished(image_urls=[spelled(cat)])
        assert (again.task_id, again.reused, again.credits_charged) == (first.task_id, True, 0)
        assert (len(uploads(world)), len(posts(world))) == (1, 1)


async def test_a_changed_file_is_a_new_picture(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        first = await world.finished(image_urls=[str(cat)])
        cat.write_bytes(png(99))
        second = await world.finished(image_urls=[str(cat)])
        assert first.task_id != second.task_id
        assert world.movements() == [("charge", LOW)] * 2


async def test_references_of_every_kind_keep_their_order(disk: Disk, folder: Path) -> None:
    paths = many(folder, 2)
    async with World(disk=disk, seconds=5) as world:
        made = await world.finished()
        given = [paths[1], PHOTO, inline(png(500)), f"task:{made.task_id}", paths[0], paths[1]]
        await world.finished(image_urls=given)
        urls = sent_urls(world)[-1]
        assert [urls[1], urls[3]] == [PHOTO, (made.image_urls or [""])[0]]
        assert [content_at(world.sandbox, urls[i]) for i in (0, 2, 4, 5)] == [png(1), png(500), png(0), png(1)]
        assert len(uploads(world)) == 3


async def test_the_same_bytes_are_uploaded_once_for_several_pictures_at_the_same_time(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        async with anyio.create_task_group() as tasks:
            for variation in range(1, 9):
                tasks.start_soon(partial(world.finished, image_urls=[str(cat)], variation=variation))
        assert (len(uploads(world)), len(posts(world))) == (1, 8)


async def test_an_upload_is_reused_until_its_72_hours_are_nearly_over(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        await world.finished(image_urls=[str(cat)])
        await anyio.sleep(69 * 3600)
        await world.finished(image_urls=[str(cat)], prompt="a hare")
        assert len(uploads(world)) == 1
        await anyio.sleep(3600)
        await world.finished(image_urls=[str(cat)], prompt="a bear")
        assert len(uploads(world)) == 2
        first, second, third = sent_urls(world)
        assert first == second != third


async def test_an_upload_is_remembered_by_the_next_process(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5) as first:
        await first.finished(image_urls=[str(cat)])
        async with World(disk=disk, sandbox=first.sandbox, journal=first.journal) as second:
            await second.finished(image_urls=[str(cat)], prompt="a hare")
            assert uploads(second) == []


async def test_after_a_failed_task_its_reference_is_uploaded_anew(disk: Disk, cat: Path) -> None:
    """Vidgo may have lost it, which must not fail the same request for three days."""
    async with World(disk=disk, seconds=5, faults=["task:failed*1"]) as world:
        assert (await world.make(image_urls=[str(cat)])).outcome == "failed"
        await world.finished(image_urls=[str(cat)])
        assert len(uploads(world)) == 2


async def test_at_most_five_uploads_begin_in_a_minute_and_the_caller_is_told_why_it_waits(
    disk: Disk, folder: Path
) -> None:
    said: list[tuple[float, str]] = []

    async def progress(value: float, message: str) -> None:
        said.append((value, message))

    async with World(disk=disk, seconds=5) as world:
        made = await world.make(image_urls=many(folder, 16), progress=progress)
        assert made.outcome == "finished"
        began = uploads(world)
        assert len(began) == 16
        assert all(late - early >= 60 for early, late in zip(began, began[5:], strict=False))
        assert began[-1] < 200
        assert any("waiting for the upload limit" in message and "5 of 16" in message for _, message in said)
        values = [value for value, _ in said]
        assert values == sorted(set(values))
        assert world.movements() == [("charge", LOW)]


async def test_calls_at_the_same_time_share_the_pace(disk: Disk, folder: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        async with anyio.create_task_group() as tasks:
            for path in many(folder, 12):
                tasks.start_soon(partial(world.finished, image_urls=[path]))
        began = uploads(world)
        assert all(late - early >= 60 for early, late in zip(began, began[5:], strict=False))
        assert (len(began), world.movements()) == (12, [("charge", LOW)] * 12)


async def test_a_call_with_one_picture_does_not_wait_for_all_of_another(disk: Disk, folder: Path) -> None:
    *paths, alone = many(folder, 17)
    async with World(disk=disk, seconds=5) as world, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(world.finished, image_urls=paths))
        await anyio.sleep(1)
        await world.finished(image_urls=[alone])
        assert anyio.current_time() < 75


async def test_processes_that_share_a_journal_share_the_pace(disk: Disk, folder: Path) -> None:
    paths = many(folder, 8)
    async with World(disk=disk, seconds=5) as first:
        async with (
            World(disk=disk, sandbox=first.sandbox, journal=first.journal, process="another") as second,
            anyio.create_task_group() as tasks,
        ):
            for number, path in enumerate(paths):
                world = (first, second)[number % 2]
                tasks.start_soon(partial(world.finished, image_urls=[path]))
            tasks.start_soon(anyio.sleep, 1)
        began = sorted(uploads(first) + uploads(second))
        assert (len(began), began[4] < 1, began[5] >= 60) == (8, True, True)


async def test_a_call_does_not_wait_for_uploads_longer_than_it_may_and_they_go_on(disk: Disk, folder: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        paths = many(folder, 7)
        started = anyio.current_time()
        made = await world.make(image_urls=paths, wait_seconds=40)
        assert anyio.current_time() - started == 40
        assert (made.outcome, made.task_id) == ("pending", None)
        assert "Not sent yet" in " ".join(made.notes or ())
        assert "5 of 7 references are ready" in " ".join(made.notes or ())
        assert "repeat this exact call" in (made.next_step or "")
        assert posts(world) == []
        assert (made.credits_charged, made.reused, news(made)) == (0, False, made.notes)
        # What the first answer could not tell, because it was not spent yet, the next one does, once.
        again = await world.finished(image_urls=paths)
        assert (again.credits_charged, again.reused, len(uploads(world))) == (LOW, False, 7)
        third = await world.finished(image_urls=paths)
        assert (third.credits_charged, third.reused, world.movements()) == (0, True, [("charge", LOW)])


async def test_a_call_cancelled_while_it_uploads_spends_nothing(disk: Disk, folder: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
        paths = many(folder, 7)
        with anyio.move_on_after(30):
            await world.make(image_urls=paths)
        await anyio.sleep(300)
        assert (posts(world), world.movements(), (await world.listed()).tasks) == ([], [], [])
        # What was uploaded is not uploaded again.
        await world.finished(image_urls=paths)
        assert (len(uploads(world)), world.movements()) == (7, [("charge", LOW)])


async def test_a_cancelled_call_does_not_take_the_picture_from_another_that_waits_for_it(
    disk: Disk, folder: Path
) -> None:
    async with World(disk=disk, seconds=5) as world:
        paths = many(folder, 7)
        found: list[TaskResult] = []

        async def second() -> None:
            await anyio.sleep(1)
            found.append(await world.finished(image_urls=paths))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second)
            with anyio.move_on_after(30):
                await world.make(image_urls=paths)
        assert (found[0].outcome, len(uploads(world)), world.movements()) == ("finished", 7, [("charge", LOW)])
        assert found[0].reused is True


async def test_a_server_that_stops_while_it_uploads_has_spent_nothing(disk: Disk, folder: Path) -> None:
    world = World(disk=disk, seconds=5)
    errors: list[VidgoError] = []

    async def call() -> None:
        try:
            await world.make(image_urls=many(folder, 7))
        except VidgoError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        async with world:
            tasks.start_soon(call)
            await anyio.sleep(30)
            started = anyio.current_time()
        assert anyio.current_time() - started < 1
    assert [error.money for error in errors] == ["nothing_spent"]
    assert (posts(world), world.movements()) == ([], [])


async def test_a_server_that_stops_sends_nothing_that_got_ready_while_it_gave_up_another(
    disk: Disk, folder: Path
) -> None:
    """To release one takes a moment, in which the upload of the next one may end."""

    class Slow(VirtualJournal):
        async def release(self, entry_id: str) -> None:
            await anyio.sleep(0.05)
            await super().release(entry_id)

    first, second = many(folder, 2)
    world = World(disk=disk, seconds=5, journal=Slow())
    told: list[VidgoError] = []

    async def uploading(request: httpx.Request) -> None:
        if request.url.path == UPLOAD:
            await anyio.sleep(30 if png(0) in await request.aread() else 10.01)

    async def call(path: str) -> None:
        try:
            await world.make(image_urls=[path], prompt=path)
        except VidgoError as error:
            told.append(error)

    world.wire.before = uploading
    async with anyio.create_task_group() as tasks, world:
        tasks.start_soon(call, first)
        await anyio.sleep(0.001)
        tasks.start_soon(call, second)
        await anyio.sleep(10.01)
    assert [error.money for error in told] == ["nothing_spent"] * 2
    assert (posts(world), world.movements()) == ([], [])


@pytest.mark.parametrize(
    "fault", ["upload:error_500*2", "upload:rate_limited*1", "upload:drop_before*2", "upload:html*1"]
)
async def test_a_failing_upload_is_tried_again(disk: Disk, cat: Path, fault: str) -> None:
    async with World(disk=disk, seconds=5, faults=[fault]) as world:
        await world.finished(image_urls=[str(cat)])
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize(("fault", "pause"), [("upload:rate_limited*1", 15), ("upload:rate_limited=40*1", 40)])
async def test_after_a_429_no_process_uploads_for_as_long_as_vidgo_asks(
    disk: Disk, folder: Path, fault: str, pause: int
) -> None:
    one, other = many(folder, 2)
    async with World(disk=disk, seconds=5, faults=[fault]) as first:
        async with World(disk=disk, sandbox=first.sandbox, journal=first.journal, process="another") as second:

            async def later() -> None:
                await anyio.sleep(1)
                await second.finished(image_urls=[other])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(later)
                await first.finished(image_urls=[one])
        refused_at, *began = sorted(uploads(first) + uploads(second))
        assert len(began) == 2
        assert min(began) - refused_at >= pause


async def test_an_upload_that_stays_impossible_costs_nothing_and_names_the_reference(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, faults=["upload:error_500"]) as world:
        error = await refused(world, PHOTO, str(cat))
        assert isinstance(error, UnavailableError)
        assert "image_urls[1] could not be uploaded" in error.message
        assert error.retryable
        assert (len(uploads(world)), anyio.current_time()) == (5, 15)
        assert (await world.listed()).tasks == []


async def test_an_upload_limit_that_lasts_is_told(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, faults=["upload:rate_limited"]) as world:
        error = await refused(world, str(cat))
        assert isinstance(error, RateLimitedError)
        assert world.movements() == []


async def test_uploads_that_arrive_at_different_speeds_stay_within_vidgos_minute(disk: Disk, folder: Path) -> None:
    """Vidgo counts arrivals: the first five open connections and are slow, the next ones are not."""
    async with World(disk=disk, seconds=5) as world:
        begun: list[float] = []

        async def slow_at_first(request: httpx.Request) -> None:
            if request.url.path == UPLOAD:
                begun.append(anyio.current_time())
                await anyio.sleep(0.5 if len(begun) <= 5 else 0.05)

        world.wire.before = slow_at_first
        await world.finished(image_urls=many(folder, 16), wait_seconds=600)
        assert len(uploads(world)) == 16


async def test_two_processes_upload_the_files_that_both_need_once(disk: Disk, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(disk=disk, seconds=5) as first:
        async with (
            World(disk=disk, sandbox=first.sandbox, journal=first.journal, process="another") as second,
            anyio.create_task_group() as tasks,
        ):
            for world, prompt in ((first, "a fox"), (second, "a hare")):
                tasks.start_soon(partial(world.finished, image_urls=paths, prompt=prompt, wait_seconds=600))
                await anyio.sleep(0.1)
        assert len(uploads(first) + uploads(second)) == 7
        assert len(first.sandbox.ledger) == 2


async def test_what_vidgo_refuses_is_said_at_once_and_the_other_uploads_are_kept(disk: Disk, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(disk=disk, seconds=5, faults=["upload:refuse*1"]) as world:
        error = await refused(world, *paths)
        assert isinstance(error, InvalidRequestError)
        assert "could not be uploaded" in error.message
        assert anyio.current_time() < 1
        made = await world.finished(image_urls=paths)
        assert (made.credits_charged, world.movements()) == (LOW, [("charge", LOW)])


async def test_all_faults_of_the_references_are_named_together(disk: Disk, folder: Path, cat: Path) -> None:
    (folder / "notes.txt").write_text("secret words")
    async with World(disk=disk) as world:
        error = await refused(world, "cta.png", str(cat), "/etc/passwd", "notes.txt", "data:image/png;base64,AAAA", ".")
        assert isinstance(error, InvalidRequestError)
        for words in ("image_urls[0]", "image_urls[2]", "image_urls[3]", "image_urls[4]", "image_urls[5]", "cat.png"):
            assert words in error.message
        assert "image_urls[1]" not in error.message
        assert "secret words" not in error.message
        assert world.wire.seen == []


async def test_inline_data_works_where_the_disk_is_not_the_callers() -> None:
    async with World(seconds=5) as world:
        await world.finished(image_urls=[inline(png())])
        assert len(uploads(world)) == 1


async def test_a_limit_on_bytes_binds_files_and_inline_data_alike(folder: Path, cat: Path) -> None:
    small = Disk(Folders((folder,), largest=50), largest=50)
    async with World(disk=small) as world:
        for reference in (str(cat), inline(png())):
            assert "MB" in (await refused(world, reference)).message


async def test_a_reference_is_free_until_the_picture_is_paid(disk: Disk, cat: Path) -> None:
    """Limits are checked before anything is uploaded."""
    async with World(disk=disk) as world:
        with pytest.raises(VidgoError, match="max_credits"):
            await world.make(image_urls=[str(cat)], max_credits=0)
        assert uploads(world) == []


class Unreadable(VirtualJournal):
    """A journal that at times cannot be read, as a file that another program has locked."""

    broken = False

    async def entry(self, entry_id: str) -> Entry | None:
        if self.broken:
            raise JournalError("The journal is locked.")
        return await super().entry(entry_id)


async def test_a_journal_that_cannot_be_read_meanwhile_does_not_hide_what_is_paid_for(disk: Disk, folder: Path) -> None:
    journal = Unreadable()
    async with World(disk=disk, seconds=5, journal=journal) as world, anyio.create_task_group() as tasks:

        async def lock() -> None:
            await anyio.sleep(30)
            journal.broken = True

        tasks.start_soon(lock)
        made = await world.make(image_urls=many(folder, 7))
        assert (made.outcome, made.credits_charged, world.movements()) == ("finished", LOW, [("charge", LOW)])


async def test_a_journal_that_cannot_be_read_does_not_tell_a_joining_process_that_nothing_was_spent(
    disk: Disk, folder: Path
) -> None:
    paths, journal = many(folder, 7), Unreadable()
    async with World(disk=disk, seconds=5, journal=journal) as first:
        async with (
            World(disk=disk, sandbox=first.sandbox, journal=journal, process="another") as second,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(partial(first.finished, image_urls=paths))
            await anyio.sleep(10)
            said: list[str] = []

            async def progress(value: float, message: str) -> None:
                said.append(message)

            journal.broken = True
            joined = await second.make(image_urls=paths, wait_seconds=40, progress=progress)
            journal.broken = False
        assert (joined.outcome, joined.task_id, joined.credits_charged) == ("pending", None, 0)
        assert any("another process" in message for message in said)
        assert any("Another process" in note for note in joined.notes or ())
        assert first.movements() == [("charge", LOW)]


async def test_a_call_of_a_process_that_ends_with_it_takes_back_what_is_not_uploaded(disk: Disk, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(disk=disk, seconds=5) as world:
        arguments = EditArguments(prompt="a fox", image_urls=paths, wait_seconds=30)
        with pytest.raises(UnavailableError, match=r"5 of 7 references are ready.*nothing was spent") as caught:
            await world.service.make(arguments, goes_on=False)
        assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)
        await anyio.sleep(300)
        assert (posts(world), (await world.listed()).tasks) == ([], [])


async def test_what_was_promised_to_go_on_is_not_taken_back_by_a_later_cancelled_call(disk: Disk, folder: Path) -> None:
    paths = many(folder, 7)
    async with World(disk=disk, seconds=5) as world:
        assert (await world.make(image_urls=paths, wait_seconds=20)).outcome == "pending"
        with anyio.move_on_after(10):
            await world.make(image_urls=paths)
        await anyio.sleep(120)
        assert world.movements() == [("charge", LOW)]


async def test_an_upload_is_forgotten_when_vidgo_refuses_the_submit(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5, faults=["submit:refuse=image_urls[0] cannot be fetched*1"]) as world:
        with pytest.raises(InvalidRequestError):
            await world.make(image_urls=[str(cat)])
        await world.finished(image_urls=[str(cat)])
        assert (len(uploads(world)), world.movements()) == (2, [("charge", LOW)])


async def test_a_shorter_life_that_vidgo_names_is_believed(disk: Disk, cat: Path) -> None:
    async with World(disk=disk, seconds=5) as world:
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
        assert len(uploads(world)) == 2


async def test_one_file_that_fails_twice_does_not_end_a_call_with_sixteen(disk: Disk, folder: Path) -> None:
    async with World(disk=disk, seconds=5, faults=["upload:error_500*2"]) as world:
        await world.finished(image_urls=many(folder, 16))
        assert world.movements() == [("charge", LOW)]


async def test_the_bytes_of_references_are_not_kept_while_a_picture_is_waited_for(disk: Disk, folder: Path) -> None:
    paths = many(folder, 3)
    async with World(disk=disk, seconds=200) as world, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(partial(world.finished, image_urls=paths))
        await anyio.sleep(100)
        assert len(posts(world)) == 1
        gc.collect()
        assert [kept for kept in gc.get_objects() if isinstance(kept, ReferencePicture)] == []


async def test_whoever_stands_in_line_is_told_so(disk: Disk, folder: Path) -> None:
    *paths, alone = many(folder, 6)
    said: list[str] = []

    async def progress(value: float, message: str) -> None:
        said.append(message)

    async with World(disk=disk, seconds=5) as world:
        await world.finished(image_urls=paths)
        await world.finished(image_urls=[alone], progress=progress)
        assert "waiting for the upload limit" in said[0]


async def test_a_call_that_needs_the_same_upload_as_another_is_told_what_it_waits_for(disk: Disk, folder: Path) -> None:
    *paths, shared = many(folder, 6)
    said: list[str] = []

    async def progress(value: float, message: str) -> None:
        said.append(message)

    async with World(disk=disk, seconds=5) as world, anyio.create_task_group() as tasks:
        await world.finished(image_urls=paths)
        tasks.start_soon(partial(world.finished, image_urls=[shared]))
        await anyio.sleep(1)
        tasks.start_soon(partial(world.finished, image_urls=[shared], prompt="a hare", progress=progress))
        await anyio.sleep(10)
        assert "already being uploaded, or waits for the upload limit" in said[0]


async def test_while_a_reference_is_still_being_made_the_call_tells_how_far_it_is(disk: Disk) -> None:
    said: list[tuple[float, float]] = []

    async def progress(value: float, message: str) -> None:
        if anyio.current_time() < 100:
            assert message.startswith("waiting for a reference: "), message
        said.append((anyio.current_time(), value))

    async with World(disk=disk, seconds=100) as world:
        made = await world.pending()
        await world.finished(image_urls=[f"task:{made}"], prompt="at night", progress=progress)
    times, values = zip(*said, strict=True)
    assert max(late - early for early, late in pairwise(times)) <= 5
    assert list(values) == sorted(set(values))
    assert times[0] <= 5


async def test_a_disk_that_does_not_answer_holds_no_call_for_ever(disk: Disk, cat: Path) -> None:
    async def hung(work: Any, *args: Any) -> Any:
        await anyio.sleep_forever()

    async with World(disk=disk, in_thread=hung) as world:
        with pytest.raises(UnavailableError, match="could not be read in time") as caught:
            await world.make(image_urls=[str(cat)], wait_seconds=30)
        assert (caught.value.money, anyio.current_time()) == ("nothing_spent", 30)


async def test_an_intent_that_the_journal_could_not_release_is_released_later(disk: Disk, folder: Path) -> None:
    class Stiff(VirtualJournal):
        stiff = False

        async def release(self, entry_id: str) -> None:
            if self.stiff:
                raise JournalError("The journal is locked.")
            await super().release(entry_id)

    journal = Stiff()
    async with World(disk=disk, seconds=200, journal=journal) as world:
        journal.stiff = True
        with anyio.move_on_after(10):
            await world.make(image_urls=many(folder, 7))
        await anyio.sleep(10)
        assert len((await world.listed()).tasks) == 1
        journal.stiff = False
        (folder / "other.png").write_bytes(png(900))

        async def slow(request: httpx.Request) -> None:
            if request.url.path == UPLOAD:
                await anyio.sleep(100)

        world.wire.before = slow
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(world.make, image_urls=[str(folder / "other.png")], prompt="an owl"))
            # It renews the lease of this process, which would keep the other one and its room in the day for ever.
            await anyio.sleep(90)
            assert [task.prompt for task in (await world.listed()).tasks] == ["an owl"]
            tasks.cancel_scope.cancel()


async def test_an_expired_picture_is_uploaded_from_its_saved_copy(folder: Path) -> None:
    disk = Disk(Folders((folder,)), folder)
    async with World(disk=disk, seconds=5) as world:
        made = await world.finished()
        assert made.saved_paths
        await anyio.sleep(DAY)
        edited: dict[str, Any] = (await world.finished(image_urls=[f"task:{made.task_id}"])).to_json()
        assert edited["credits_charged"] == LOW
        [[url]] = sent_urls(world)
        assert content_at(world.sandbox, url) == Path(made.saved_paths[0]).read_bytes()
        Path(made.saved_paths[0]).write_bytes(png())
        await anyio.sleep(DAY)
        with pytest.raises(InvalidRequestError, match="no saved copy that is still as it was saved") as changed:
            await world.make(image_urls=[f"task:{made.task_id}"])
        assert f"name it by its path: {made.saved_paths[0]}" in changed.value.next_step
        await world.finished(image_urls=made.saved_paths)
