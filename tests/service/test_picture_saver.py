"""A finished picture is saved once, whoever sees it finish, and a failure to save never costs a result."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpx
import pytest
from PIL import Image

from tests.conftest import DAY, VirtualJournal, World, at_once, news
from tests.service.pictures import inline, png
from vidgo_mcp.errors import JournalError, NotFoundError, UnavailableError
from vidgo_mcp.files import writer
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import LocalFiles
from vidgo_mcp.service.local_files import existing

pytestmark = pytest.mark.anyio

LOW = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "Pictures" / "vidgo"


@pytest.fixture
def disk(folder: Path) -> LocalFiles:
    return LocalFiles(Folders((folder,)), folder)


def downloads(world: World) -> int:
    return sum(seen.method == "GET" and "/api/" not in seen.path for seen in world.wire.seen)


def files(folder: Path) -> list[Path]:
    """Return all that is in a folder, temporary files too."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


async def test_a_finished_picture_is_saved_and_its_path_is_told(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        made = await world.finished(prompt="a lighthouse at dawn")
        [saved] = files(folder)
        assert made.saved_paths == [str(saved)]
        assert (saved.suffix, "a-lighthouse-at-dawn" in saved.name) == (".png", True)
        assert made.remedy == "show_picture"
        with Image.open(saved) as picture:
            picture.load()
            text = getattr(picture, "text", {})
        assert text["Description"] == "a lighthouse at dawn"
        assert made.task_id in text.values()
        listed = (await world.listed()).tasks[0]
        assert (listed.saved_paths, (await world.tasks().peek_task(made.task_id or "")).saved_paths) == (
            made.saved_paths,
            made.saved_paths,
        )


async def test_the_facts_are_left_out_where_they_are_not_wanted(folder: Path) -> None:
    async with World(files=LocalFiles(Folders((folder,)), folder, embed_metadata=False), seconds=5) as world:
        made = await world.finished(prompt="a secret plan")
        [saved] = files(folder)
        assert b"secret" not in saved.read_bytes()
        assert saved.read_bytes() == (await world.tasks().file(made.task_id or ""))[1]


async def test_a_picture_that_somebody_wants_as_a_file_may_take_as_long_as_saving_it() -> None:
    async with World(seconds=5, faults=["file:slow=90"]) as world:
        made = await world.finished()
        started = anyio.current_time()
        _, content = await world.tasks().file(made.task_id or "")
        assert content.startswith(b"\x89PNG")
        assert anyio.current_time() - started >= 90


async def test_what_is_still_saved_when_the_process_ends_is_told_after_it(disk: LocalFiles, folder: Path) -> None:
    for slow, saved in ((8, True), (60, False)):
        async with World(files=disk, seconds=5, faults=[f"file:slow={slow}*1"]) as world:
            made = await world.finished()
            assert news(made) == [f"Not saved to {folder} yet; that goes on."]
        late = world.service.saved_late
        assert late == {made.task_id: str(files(folder)[0]) if saved else None}
    async with World(files=disk, seconds=5) as world:
        await world.finished()
    assert world.service.saved_late == {}


async def test_a_journal_that_is_locked_at_the_start_only_puts_looking_after_pictures_off(
    disk: LocalFiles, folder: Path
) -> None:
    class Locked(VirtualJournal):
        until = 0.0

        async def unsaved(self, owner: str) -> Sequence[Entry]:
            if anyio.current_time() < self.until:
                raise JournalError("The journal is locked.")
            return await super().unsaved(owner)

    journal = Locked()
    async with World(seconds=5, journal=journal) as first:
        await first.finished()
    journal.until = anyio.current_time() + 50
    async with World(files=disk, sandbox=first.sandbox, journal=journal):
        await anyio.sleep(45)
        assert files(folder) == []
        await anyio.sleep(45)
        assert len(files(folder)) == 1


async def test_a_folder_that_does_not_answer_keeps_nobody_from_looking_and_editing(disk: LocalFiles) -> None:
    """As many threads hang as there may be, in saving and in sweeping; looks and edits have others."""

    class Few:
        def __init__(self) -> None:
            self.limiter = anyio.CapacityLimiter(4)

        async def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
            async with self.limiter:
                if work.__module__ == "vidgo_mcp.service.picture_saver":
                    await anyio.sleep_forever()
                return await at_once(work, *args)

    async with World(files=disk, seconds=5, threads=Few) as world:
        made = [await world.finished(prompt=f"a fox {number}") for number in range(6)]
        with anyio.fail_after(1):
            await world.tasks().view(made[0].task_id or "", 768)
        with anyio.fail_after(60):
            await world.finished(image_urls=[inline(png())], prompt="at night")


async def test_a_task_of_elsewhere_is_not_saved_and_that_is_said(disk: LocalFiles, folder: Path) -> None:
    async with World(seconds=5) as first:
        made = await first.finished()
    for here, said in ((disk, ["It was not submitted from here, so no copy of it is saved."]), (LocalFiles(), [])):
        async with World(files=here, sandbox=first.sandbox) as second:
            found = await second.task(made.task_id or "", wait_seconds=20)
            assert (found.outcome, found.saved_paths, found.notes or []) == ("finished", None, said)
    assert files(folder) == []


async def test_nothing_is_saved_where_that_is_off(folder: Path) -> None:
    async with World(files=LocalFiles(Folders((folder,))), seconds=5) as world:
        made = await world.finished()
        assert (made.saved_paths, downloads(world), news(made)) == (None, 0, [])


async def test_a_picture_that_nobody_waits_for_is_saved_too(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=20) as world:
        await world.pending()
        await anyio.sleep(60)
        assert len(files(folder)) == 1


async def test_a_picture_is_downloaded_and_saved_once_however_often_it_is_asked_for(
    disk: LocalFiles, folder: Path
) -> None:
    async with World(files=disk, seconds=5) as world:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(world.finished)
        made = await world.finished()
        assert (await world.task(made.task_id or "")).saved_paths == made.saved_paths
        assert (downloads(world), len(files(folder))) == (1, 1)


async def test_two_processes_that_see_the_same_task_finish_save_it_once(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=20, process="one") as first:
        task_id = await first.pending()
        found: list[TaskResult] = []

        async def get(world: World) -> None:
            found.append(await world.task(task_id, wait_seconds=60))

        async with (
            World(files=disk, sandbox=first.sandbox, journal=first.journal, process="two") as second,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(get, first)
            tasks.start_soon(get, second)
        [saved] = files(folder)
        assert [result.saved_paths for result in found] == [[str(saved)]] * 2
        assert downloads(first) + downloads(second) == 1


async def test_a_result_is_not_held_back_for_more_than_five_seconds(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        hold_downloads(world, lambda: anyio.sleep(20))
        made = await world.finished()
        [asked] = [seen.at for seen in world.wire.seen if seen.method == "GET" and "/api/" not in seen.path]
        assert anyio.current_time() - asked == 5
        assert made.saved_paths is None
        assert any(f"Not saved to {folder} yet" in note for note in made.notes or ())
        await anyio.sleep(30)
        again = await world.finished()
        assert (again.saved_paths, again.reused) == ([str(files(folder)[0])], True)


async def test_a_failed_save_is_noted_fails_no_call_and_is_tried_again(
    disk: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [True]
    really = writer.save

    def save(content: bytes, folder: Path, name_for: Callable[[int], str]) -> Path:
        if full[0]:
            raise OSError(28, "No space left on device")
        return really(content, folder, name_for)

    monkeypatch.setattr(writer, "save", save)
    async with World(files=disk, seconds=5) as world:
        made = await world.finished()
        assert made.saved_paths is None
        assert any("no space left on device" in note and "tried again" in note for note in made.notes or ())
        full[0] = False
        asked_again = await world.task(made.task_id or "")
        assert asked_again.saved_paths == [str(files(folder)[0])]
        full[0] = True
        other = await world.finished(prompt="a hare")
        assert other.saved_paths is None
        full[0] = False
        await anyio.sleep(60)
        assert len(files(folder)) == 2
        assert world.movements() == [("charge", LOW)] * 2


@pytest.mark.parametrize(
    ("step", "error", "said"),
    [
        ("claim_saving", LookupError("a bug"), "vidgo-mcp failed, and the server's log on stderr has the details"),
        ("claim_saving", JournalError("The journal is locked."), "the journal is locked"),
        ("entry", JournalError("The journal is locked."), "The journal is locked."),
    ],
)
async def test_a_journal_in_trouble_fails_no_call_that_saves(
    disk: LocalFiles, step: str, error: Exception, said: str
) -> None:
    async def fail(*args: Any, **how: Any) -> NoReturn:
        raise error

    async with World(files=disk, seconds=5) as world:
        setattr(world.journal, step, fail)
        made = await world.finished()
        assert (made.saved_paths, made.credits_charged) == (None, LOW)
        assert said in " ".join(made.notes or ())
        delattr(world.journal, step)
        assert (await world.finished()).saved_paths


async def test_a_claim_that_cannot_be_given_back_is_no_trouble_for_the_picture(disk: LocalFiles, folder: Path) -> None:
    class Stiff(VirtualJournal):
        async def release_saving(self, entry_id: str, *, process: str) -> None:
            raise JournalError("The journal is locked.")

    async with World(files=disk, seconds=5, journal=Stiff()) as world:
        assert (await world.finished()).saved_paths == [str(files(folder)[0])]


async def test_a_picture_that_another_process_is_slow_to_save_is_noted(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5, process="one") as first:
        hold_downloads(first, lambda: anyio.sleep(20))
        await first.finished()
        async with World(files=disk, sandbox=first.sandbox, journal=first.journal, process="two") as second:
            found = await second.finished()
            assert found.saved_paths is None
            assert "another process is at it" in " ".join(news(found))
            await anyio.sleep(60)
            assert (await second.finished()).saved_paths == [str(files(folder)[0])]
            assert downloads(second) == 0


async def test_a_folder_that_cannot_be_made_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "vidgo"
    async with World(files=LocalFiles(Folders((folder,)), folder), seconds=5) as world:
        assert any(f"Not saved to {folder}" in note for note in (await world.finished()).notes or ())


@pytest.mark.parametrize("fault", ["file:refuse=500*2", "file:html*1", "file:truncated*1", "file:drop_before*2"])
async def test_a_picture_that_cannot_be_fetched_at_first_is_saved_later(
    disk: LocalFiles, folder: Path, fault: str
) -> None:
    async with World(files=disk, seconds=5, faults=[fault]) as world:
        made = await world.finished()
        assert made.saved_paths is None
        assert any("Not saved" in note for note in made.notes or ())
        await anyio.sleep(600)
        [saved] = files(folder)
        with Image.open(saved) as picture:
            picture.load()


async def test_half_a_picture_does_not_count_as_saved(disk: LocalFiles, folder: Path) -> None:
    """A host that gives no length can end its answer anywhere."""
    async with World(files=disk, seconds=5) as world:
        served = world.wire.handle_async_request
        halves = [True]

        async def halved(request: httpx.Request) -> httpx.Response:
            response = await served(request)
            if "/api/" in request.url.path or not halves.pop():
                return response
            return httpx.Response(200, content=(await response.aread())[:3000])

        world.wire.handle_async_request = halved  # type: ignore[method-assign]
        halves[:0] = [False]
        made = await world.finished()
        assert any("truncated" in note or "damaged" in note for note in made.notes or ()), made.notes
        assert files(folder) == []
        await anyio.sleep(60)
        assert len(files(folder)) == 1


async def test_what_a_process_left_unsaved_is_saved_by_the_next_one_while_the_url_lives(
    disk: LocalFiles, folder: Path
) -> None:
    async with World(seconds=5) as first:
        await first.finished()
        await first.finished(prompt="a hare")
    async with World(files=disk, sandbox=first.sandbox, journal=first.journal):
        await anyio.sleep(10)
        assert len(files(folder)) == 2
    async with World(files=disk, sandbox=first.sandbox, journal=first.journal) as third:
        await anyio.sleep(10)
        assert (len(files(folder)), downloads(third)) == (2, 0)


async def test_pictures_of_other_callers_do_not_land_in_this_persons_folder(disk: LocalFiles, folder: Path) -> None:
    async with World(seconds=60) as first:
        await first.pending(caller="ann")
        await anyio.sleep(70)
        await first.pending(caller="ann", prompt="a hare")
    async with World(files=disk, sandbox=first.sandbox, journal=first.journal) as second:
        await anyio.sleep(100)
        assert [task.outcome for task in (await second.listed("ann")).tasks] == ["finished"] * 2
        assert files(folder) == []


async def test_a_copy_that_somebody_painted_over_is_no_longer_this_tasks_picture(
    disk: LocalFiles, folder: Path
) -> None:
    async with World(files=disk, seconds=5) as world:
        made = await world.finished()
        task_id = made.task_id or ""
        _, original = await world.tasks().file(task_id)
        for changed in (original[::-1], b""):
            files(folder)[0].write_bytes(changed)
            _, shown = await world.tasks().file(task_id)
            assert pixels_of(shown) == pixels_of(original)
        await anyio.sleep(DAY)
        with pytest.raises(NotFoundError, match="was changed") as caught:
            await world.tasks().view(task_id, 768)
        assert str(files(folder)[0]) in caught.value.message


async def test_a_disk_that_does_not_answer_holds_no_result_and_is_no_reason_to_pay_again(disk: LocalFiles) -> None:
    hung = [False]

    async def in_thread(work: Callable[..., Any], *args: Any) -> Any:
        if hung[0]:
            await anyio.sleep_forever()
        return await at_once(work, *args)

    async with World(files=disk, seconds=5, threads=lambda: in_thread) as world:
        made = await world.finished()
        hung[0] = True
        started = anyio.current_time()
        again = await world.finished()
        assert (again.saved_paths, anyio.current_time() - started) == (made.saved_paths, 2)
        assert [task.saved_paths for task in (await world.listed()).tasks] == [made.saved_paths]
        assert anyio.current_time() - started == 4
        await anyio.sleep(DAY)
        with pytest.raises(UnavailableError, match="could not be read in time"):
            await world.make(image_urls=[f"task:{made.task_id}"], wait_seconds=0)


async def test_a_name_that_the_disk_cannot_have_is_no_copy() -> None:
    assert existing([f"/{'a' * 300}.png", "/etc/\0", "/"]) == []


async def test_asking_often_does_not_put_the_next_attempt_off(
    disk: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(content: bytes, folder: Path, name_for: Callable[[int], str]) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(writer, "save", full)
        async with World(files=disk, seconds=5) as world:
            made = await world.finished()
            for _ in range(10):
                assert (await world.task(made.task_id or "")).saved_paths is None
            patched.undo()
            await anyio.sleep(10)
            assert len(files(folder)) == 1


async def test_a_picture_that_cannot_be_saved_for_long_is_tried_until_its_url_dies(
    disk: LocalFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(content: bytes, folder: Path, name_for: Callable[[int], str]) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(writer, "save", full)
        async with World(files=disk, seconds=5) as world:
            await world.finished()
            await anyio.sleep(DAY - 30 * 60)
            patched.undo()
            await anyio.sleep(30 * 60)
            assert len(files(folder)) == 1


def pixels_of(content: bytes) -> bytes:
    """Return the pixels of a picture."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.tobytes()


async def test_after_a_day_nothing_is_fetched_any_more(disk: LocalFiles, folder: Path) -> None:
    async with World(seconds=5) as first:
        await first.finished()
    await anyio.sleep(DAY)
    async with World(files=disk, sandbox=first.sandbox, journal=first.journal) as second:
        await anyio.sleep(10)
        assert downloads(second) == 0


async def test_a_saved_picture_outlives_its_url(disk: LocalFiles) -> None:
    async with World(files=disk, seconds=5) as world:
        made = await world.finished(size="3:2")
        await anyio.sleep(DAY)
        late = await world.task(made.task_id or "")
        assert (late.outcome, late.image_urls, late.saved_paths) == ("finished", None, made.saved_paths)
        assert late.remedy == "show_picture"
        _, view = await world.tasks().view(made.task_id or "", 768)
        assert max(view.shown_width, view.shown_height) == 768
        _, image = await world.tasks().image(made.task_id or "")
        assert Image.open(io.BytesIO(image.content)).size == (image.shown_width, image.shown_height)
        assert downloads(world) == 1


async def test_a_copy_that_was_removed_is_not_told_and_not_made_again(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        made = await world.finished()
        files(folder)[0].unlink()
        again = await world.finished()
        assert (again.saved_paths, files(folder)) == (None, [])
        await world.tasks().view(made.task_id or "", 768)
        await anyio.sleep(DAY)
        with pytest.raises(NotFoundError):
            await world.tasks().view(made.task_id or "", 768)


async def test_callers_elsewhere_are_not_told_about_files_of_this_machine(disk: LocalFiles) -> None:
    async with World(files=disk, seconds=5) as here:
        made = await here.finished()
        async with World(sandbox=here.sandbox, journal=here.journal) as elsewhere:
            assert (await elsewhere.task(made.task_id or "")).saved_paths is None
            assert [task.saved_paths for task in (await elsewhere.listed()).tasks] == [None]


async def test_a_failed_task_is_not_saved(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5, faults=["task:failed"]) as world:
        assert news(await world.make()) == []
        assert files(folder) == []


async def test_a_server_that_stops_while_it_saves_waits_for_the_copy_a_little(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        hold_downloads(world, lambda: anyio.sleep(8))
        await world.finished()
        assert files(folder) == []
    assert len(files(folder)) == 1


def hold_downloads(world: World, wait: Callable[[], Awaitable[None]]) -> None:
    async def before(request: httpx.Request) -> None:
        if "/api/" not in request.url.path:
            await wait()

    world.wire.before = before
