"""What a saved copy is good for: it is told to its owner, looked at and edited, also when its URL is dead."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from tests.conftest import DAY, World, at_once
from tests.service.pictures import downloads, files, inline, pixels_of, png
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.errors import NotFoundError, UnavailableError
from vidgo_mcp.service import LocalFiles
from vidgo_mcp.service.local_files import existing

pytestmark = pytest.mark.anyio


async def test_a_copy_that_somebody_painted_over_is_no_longer_this_tasks_picture(
    saving: LocalFiles, save_dir: Path
) -> None:
    async with World(files=saving, seconds=5) as world:
        made = await world.finished()
        task_id = made.task_id or ""
        _, original = await world.tasks().file(task_id)
        for changed in (original[::-1], b""):
            files(save_dir)[0].write_bytes(changed)
            _, shown = await world.tasks().file(task_id)
            assert pixels_of(shown) == pixels_of(original)
        await anyio.sleep(DAY)
        with pytest.raises(NotFoundError, match="was changed") as caught:
            await world.tasks().view(task_id, 768)
        assert str(files(save_dir)[0]) in caught.value.message


async def test_a_disk_that_does_not_answer_holds_no_result_and_is_no_reason_to_pay_again(saving: LocalFiles) -> None:
    hung = [False]

    async def in_thread(work: Callable[..., Any], *args: Any) -> Any:
        if hung[0]:
            await anyio.sleep_forever()
        return await at_once(work, *args)

    async with World(files=saving, seconds=5, threads=lambda: in_thread) as world:
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


async def test_a_saved_picture_outlives_its_url(saving: LocalFiles) -> None:
    async with World(files=saving, seconds=5) as world:
        made = await world.finished(size="3:2")
        await anyio.sleep(DAY)
        late = await world.task(made.task_id or "")
        assert (late.outcome, late.image_urls, late.saved_paths) == ("finished", None, made.saved_paths)
        assert late.remedy == "show_picture"
        _, view = await world.tasks().view(made.task_id or "", 768)
        assert max(view.shown_width, view.shown_height) == 768
        _, image = await world.tasks().view(made.task_id or "", max_edge=None)
        assert Image.open(io.BytesIO(image.content)).size == (image.shown_width, image.shown_height)
        assert downloads(world) == 1


async def test_a_copy_that_was_removed_is_not_told_and_not_made_again(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=5) as world:
        made = await world.finished()
        files(save_dir)[0].unlink()
        again = await world.finished()
        assert (again.saved_paths, files(save_dir)) == (None, [])
        await world.tasks().view(made.task_id or "", 768)
        await anyio.sleep(DAY)
        with pytest.raises(NotFoundError):
            await world.tasks().view(made.task_id or "", 768)


async def test_callers_elsewhere_are_not_told_about_files_of_this_machine(saving: LocalFiles) -> None:
    async with World(files=saving, seconds=5) as here:
        made = await here.finished()
        async with World(sandbox=here.sandbox, journal=here.journal) as elsewhere:
            assert (await elsewhere.task(made.task_id or "")).saved_paths is None
            assert [task.saved_paths for task in (await elsewhere.listed()).tasks] == [None]


async def test_a_folder_that_does_not_answer_keeps_nobody_from_looking_and_editing(saving: LocalFiles) -> None:
    """As many threads hang as there may be, in saving and in sweeping; looks and edits have others."""

    class Few:
        def __init__(self) -> None:
            self.limiter = anyio.CapacityLimiter(4)

        async def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
            async with self.limiter:
                if work.__module__ == "vidgo_mcp.service.picture_saver":
                    await anyio.sleep_forever()
                return await at_once(work, *args)

    async with World(files=saving, seconds=5, threads=Few) as world:
        made = [await world.finished(prompt=f"a fox {number}") for number in range(6)]
        with anyio.fail_after(1):
            await world.tasks().view(made[0].task_id or "", 768)
        with anyio.fail_after(60):
            await world.finished(image_urls=[inline(png())], prompt="at night")


async def test_a_picture_that_somebody_wants_as_a_file_may_take_as_long_as_saving_it() -> None:
    async with World(seconds=5, faults=["file:slow=90"]) as world:
        made = await world.finished()
        started = anyio.current_time()
        _, content = await world.tasks().file(made.task_id or "")
        assert content.startswith(b"\x89PNG")
        assert anyio.current_time() - started >= 90


async def test_pictures_that_many_callers_look_at_do_not_all_lie_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0
    fetch = VidgoClient.download

    async def download(client: VidgoClient, url: str) -> bytes:
        nonlocal under_way, most
        under_way, most = under_way + 1, max(most, under_way + 1)
        await anyio.sleep(1)
        try:
            return await fetch(client, url)
        finally:
            under_way -= 1

    monkeypatch.setattr(VidgoClient, "download", download)
    async with World(seconds=5) as world:
        made = await world.finished()
        async with anyio.create_task_group() as callers:
            for _ in range(20):
                callers.start_soon(world.tasks().view, made.task_id or "", 768)
    assert most == 8
