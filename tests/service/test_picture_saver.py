"""A finished picture is saved once, whoever sees it finish, and a failure to save never costs a result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpx
import pytest
from PIL import Image

from tests.conftest import DAY, VirtualJournal, World, news
from tests.service.pictures import downloads, files, slow_downloads
from vidgo_mcp.errors import JournalError
from vidgo_mcp.files import writer
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import LocalFiles, picture_saver

pytestmark = pytest.mark.anyio

LOW = 2


async def test_a_finished_picture_is_saved_and_its_path_is_told(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=5) as world:
        made = await world.finished(prompt="a lighthouse at dawn")
        [saved] = files(save_dir)
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


async def test_the_facts_are_left_out_where_they_are_not_wanted(save_dir: Path) -> None:
    async with World(files=LocalFiles(Folders((save_dir,)), save_dir, embed_metadata=False), seconds=5) as world:
        made = await world.finished(prompt="a secret plan")
        [saved] = files(save_dir)
        assert b"secret" not in saved.read_bytes()
        assert saved.read_bytes() == (await world.tasks().file(made.task_id or ""))[1]


async def test_what_is_still_saved_when_the_process_ends_is_told_after_it(saving: LocalFiles, save_dir: Path) -> None:
    for slow, saved in ((8, True), (60, False)):
        async with World(files=saving, seconds=5, faults=[f"file:slow={slow}*1"]) as world:
            made = await world.finished()
            assert news(made) == [f"Not saved to {save_dir} yet; that goes on."]
        late = world.service.saved_late
        assert late == {made.task_id: str(files(save_dir)[0]) if saved else None}
    async with World(files=saving, seconds=5) as world:
        await world.finished()
    assert world.service.saved_late == {}


async def test_a_journal_that_is_locked_at_the_start_only_puts_looking_after_pictures_off(
    saving: LocalFiles, save_dir: Path
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
    async with World(files=saving, sandbox=first.sandbox, journal=journal):
        await anyio.sleep(45)
        assert files(save_dir) == []
        await anyio.sleep(45)
        assert len(files(save_dir)) == 1


async def test_a_task_of_elsewhere_is_not_saved_and_that_is_said(saving: LocalFiles, save_dir: Path) -> None:
    async with World(seconds=5) as first:
        made = await first.finished()
    for here, said in ((saving, ["It was not submitted from here, so no copy of it is saved."]), (LocalFiles(), [])):
        async with World(files=here, sandbox=first.sandbox) as second:
            found = await second.task(made.task_id or "", wait_seconds=20)
            assert (found.outcome, found.saved_paths, found.notes or []) == ("finished", None, said)
    assert files(save_dir) == []


async def test_nothing_is_saved_where_that_is_off_and_nothing_after_a_day(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=LocalFiles(Folders((save_dir,))), seconds=5) as off:
        made = await off.finished()
        assert (made.saved_paths, downloads(off), news(made)) == (None, 0, [])
    await anyio.sleep(DAY)
    async with World(files=saving, sandbox=off.sandbox, journal=off.journal) as late:
        await anyio.sleep(10)
        assert (downloads(late), files(save_dir)) == (0, [])


async def test_a_picture_that_nobody_waits_for_is_saved_too(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=20) as world:
        await world.pending()
        await anyio.sleep(60)
        assert len(files(save_dir)) == 1


async def test_a_picture_is_downloaded_and_saved_once_however_often_it_is_asked_for(
    saving: LocalFiles, save_dir: Path
) -> None:
    async with World(files=saving, seconds=5) as world:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(world.finished)
        made = await world.finished()
        assert (await world.task(made.task_id or "")).saved_paths == made.saved_paths
        assert (downloads(world), len(files(save_dir))) == (1, 1)


async def test_two_processes_that_see_the_same_task_finish_save_it_once(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=20, process="one") as first:
        task_id = await first.pending()
        found: list[TaskResult] = []

        async def get(world: World) -> None:
            found.append(await world.task(task_id, wait_seconds=60))

        async with (
            World(files=saving, sandbox=first.sandbox, journal=first.journal, process="two") as second,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(get, first)
            tasks.start_soon(get, second)
        [saved] = files(save_dir)
        assert [result.saved_paths for result in found] == [[str(saved)]] * 2
        assert downloads(first) + downloads(second) == 1


async def test_a_result_is_not_held_back_for_more_than_five_seconds(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=5) as world:
        slow_downloads(world, 20)
        made = await world.finished()
        [asked] = [seen.at for seen in world.wire.seen if seen.method == "GET" and "/api/" not in seen.path]
        assert anyio.current_time() - asked == 5
        assert made.saved_paths is None
        assert any(f"Not saved to {save_dir} yet" in note for note in made.notes or ())
        await anyio.sleep(30)
        again = await world.finished()
        assert (again.saved_paths, again.reused) == ([str(files(save_dir)[0])], True)


class Disk:
    """Saves pictures unless it is full."""

    full = True

    def __init__(self) -> None:
        self._save = writer.save

    def save(self, content: bytes, folder: Path, name_for: Callable[[int], str]) -> Path:
        if self.full:
            raise OSError(28, "No space left on device")
        return self._save(content, folder, name_for)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(picture_saver, "save", disk.save)
    return disk


async def test_a_failed_save_is_noted_fails_no_call_and_is_tried_again(
    saving: LocalFiles, save_dir: Path, disk: Disk
) -> None:
    async with World(files=saving, seconds=5) as world:
        made = await world.finished()
        for _ in range(10):
            # Asking often does not put the next attempt off.
            asked = await world.task(made.task_id or "")
            assert asked.saved_paths is None
            assert any("no space left on device" in note and "tried again" in note for note in asked.notes or ())
        disk.full = False
        await anyio.sleep(10)
        assert (await world.task(made.task_id or "")).saved_paths == [str(files(save_dir)[0])]
        disk.full = True
        other = await world.finished(prompt="a hare")
        disk.full = False
        assert len((await world.task(other.task_id or "")).saved_paths or ()) == 1, "asking tries at once"
        disk.full = True
        await world.finished(prompt="a hound")
        await anyio.sleep(DAY - 30 * 60)
        disk.full = False
        await anyio.sleep(30 * 60)
        assert len(files(save_dir)) == 3, "it is tried until the URL dies"
        assert world.movements() == [("charge", LOW)] * 3


@pytest.mark.parametrize(
    ("step", "error", "said"),
    [
        ("claim_saving", LookupError("a bug"), "vidgo-mcp failed, and the server's log on stderr has the details"),
        ("claim_saving", JournalError("The journal is locked."), "the journal is locked"),
        ("entry", JournalError("The journal is locked."), "as far as is known: the journal is locked."),
    ],
)
async def test_a_journal_in_trouble_fails_no_call_that_saves(
    saving: LocalFiles, step: str, error: Exception, said: str
) -> None:
    async def fail(*args: Any, **how: Any) -> NoReturn:
        raise error

    async with World(files=saving, seconds=5) as world:
        setattr(world.journal, step, fail)
        made = await world.finished()
        assert (made.saved_paths, made.credits_charged) == (None, LOW)
        assert said in " ".join(made.notes or ())
        delattr(world.journal, step)
        assert (await world.finished()).saved_paths


async def test_a_claim_that_cannot_be_given_back_is_no_trouble_for_the_picture(
    saving: LocalFiles, save_dir: Path
) -> None:
    class Stiff(VirtualJournal):
        async def release_saving(self, entry_id: str, *, process: str) -> None:
            raise JournalError("The journal is locked.")

    async with World(files=saving, seconds=5, journal=Stiff()) as world:
        assert (await world.finished()).saved_paths == [str(files(save_dir)[0])]


async def test_a_picture_that_another_process_is_slow_to_save_is_noted(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=5, process="one") as first:
        slow_downloads(first, 20)
        await first.finished()
        async with World(files=saving, sandbox=first.sandbox, journal=first.journal, process="two") as second:
            found = await second.finished()
            assert found.saved_paths is None
            assert "another process is at it" in " ".join(news(found))
            await anyio.sleep(60)
            assert (await second.finished()).saved_paths == [str(files(save_dir)[0])]
            assert downloads(second) == 0


async def test_a_folder_that_cannot_be_made_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    save_dir = tmp_path / "file" / "vidgo"
    async with World(files=LocalFiles(Folders((save_dir,)), save_dir), seconds=5) as world:
        assert any(f"Not saved to {save_dir}" in note for note in (await world.finished()).notes or ())


@pytest.mark.parametrize("fault", ["file:refuse=500*2", "file:html*1", "file:truncated*1", "file:drop_before*2"])
async def test_a_picture_that_cannot_be_fetched_at_first_is_saved_later(
    saving: LocalFiles, save_dir: Path, fault: str
) -> None:
    async with World(files=saving, seconds=5, faults=[fault]) as world:
        made = await world.finished()
        assert made.saved_paths is None
        assert any("Not saved" in note for note in made.notes or ())
        await anyio.sleep(600)
        [saved] = files(save_dir)
        with Image.open(saved) as picture:
            picture.load()


async def test_half_a_picture_does_not_count_as_saved(saving: LocalFiles, save_dir: Path) -> None:
    """A host that gives no length can end its answer anywhere."""
    async with World(files=saving, seconds=5) as world:
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
        assert files(save_dir) == []
        await anyio.sleep(60)
        assert len(files(save_dir)) == 1


async def test_what_a_process_left_unsaved_is_saved_by_the_next_one_while_the_url_lives(
    saving: LocalFiles, save_dir: Path
) -> None:
    async with World(seconds=5) as first:
        await first.finished()
        await first.finished(prompt="a hare")
    async with World(files=saving, sandbox=first.sandbox, journal=first.journal):
        await anyio.sleep(10)
        assert len(files(save_dir)) == 2
    async with World(files=saving, sandbox=first.sandbox, journal=first.journal) as third:
        await anyio.sleep(10)
        assert (len(files(save_dir)), downloads(third)) == (2, 0)


async def test_pictures_of_other_callers_do_not_land_in_this_persons_folder(saving: LocalFiles, save_dir: Path) -> None:
    async with World(seconds=60) as first:
        await first.pending(caller="ann")
        await anyio.sleep(70)
        await first.pending(caller="ann", prompt="a hare")
    async with World(files=saving, sandbox=first.sandbox, journal=first.journal) as second:
        await anyio.sleep(100)
        assert [task.outcome for task in (await second.listed("ann")).tasks] == ["finished"] * 2
        assert files(save_dir) == []


async def test_a_server_that_stops_while_it_saves_waits_for_the_copy_a_little(
    saving: LocalFiles, save_dir: Path
) -> None:
    async with World(files=saving, seconds=5) as world:
        slow_downloads(world, 8)
        await world.finished()
        assert files(save_dir) == []
    assert len(files(save_dir)) == 1
