"""A picture on the person's disk, or inline: which bytes it is, what Vidgo gets of it, and when it is refused."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from tests.conftest import DAY, World
from tests.files.conftest import SEVERAL
from tests.service.pictures import PHOTO, content_at, inline, many, png, sent_urls
from vidgo_mcp.errors import BudgetError, InvalidRequestError, UnavailableError, VidgoError
from vidgo_mcp.files.images import ReferencePicture
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.service import LocalFiles

pytestmark = pytest.mark.anyio

LOW = 2


async def refused(world: World, *references: str) -> VidgoError:
    with pytest.raises(VidgoError) as caught:
        await world.make(image_urls=list(references))
    assert (caught.value.money, caught.value.field) == ("nothing_spent", "image_urls")
    assert (world.submits(), (await world.listed()).tasks) == ([], [])
    return caught.value


async def test_a_local_file_is_uploaded_without_its_name_and_edited(disk: LocalFiles, folder: Path) -> None:
    private = folder / "diagnosis-of-mr-smith.png"
    private.write_bytes(png())
    async with World(files=disk, seconds=5) as world:
        edited = await world.finished(image_urls=[str(private)])
        assert (edited.model, edited.credits_charged) == ("gpt-image-2-edit", LOW)
        [[url]] = sent_urls(world)
        assert content_at(world.sandbox, url) == png()
        assert "diagnosis" not in url
        assert world.movements() == [("charge", LOW)]


async def test_vidgo_gets_no_position_and_no_serial_number(disk: LocalFiles, cat: Path) -> None:
    exif = Image.Exif()
    exif[0xA431] = "SERIAL-4711"
    exif.get_ifd(0x8825)[29] = "2026:01:02"
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16)).save(buffer, "JPEG", exif=exif)
    assert b"SERIAL-4711" in buffer.getvalue()
    assert b"2026:01:02" in buffer.getvalue()
    cat.write_bytes(buffer.getvalue())
    async with World(files=disk, seconds=5) as world:
        await world.finished(image_urls=[str(cat), inline(buffer.getvalue())])
        for url in sent_urls(world)[0]:
            content = content_at(world.sandbox, url)
            assert (b"SERIAL-4711" in content, b"2026:01:02" in content) == (False, False)


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
    disk: LocalFiles, cat: Path, spelled: Callable[[Path], str]
) -> None:
    async with World(files=disk, seconds=5) as world:
        first = await world.finished(image_urls=[str(cat)])
        again = await world.finished(image_urls=[spelled(cat)])
        assert (again.task_id, again.reused, again.credits_charged) == (first.task_id, True, 0)
        assert (len(world.uploads()), len(world.submits())) == (1, 1)


async def test_a_changed_file_is_a_new_picture(disk: LocalFiles, cat: Path) -> None:
    async with World(files=disk, seconds=5) as world:
        first = await world.finished(image_urls=[str(cat)])
        cat.write_bytes(png(99))
        second = await world.finished(image_urls=[str(cat)])
        assert first.task_id != second.task_id
        assert world.movements() == [("charge", LOW)] * 2


async def test_references_of_every_kind_keep_their_order(disk: LocalFiles, folder: Path) -> None:
    paths = many(folder, 2)
    async with World(files=disk, seconds=5) as world:
        made = await world.finished()
        given = [paths[1], PHOTO, inline(png(500)), f"task:{made.task_id}", paths[0], paths[1]]
        await world.finished(image_urls=given)
        urls = sent_urls(world)[-1]
        assert [urls[1], urls[3]] == [PHOTO, (made.image_urls or [""])[0]]
        assert [content_at(world.sandbox, urls[i]) for i in (0, 2, 4, 5)] == [png(1), png(500), png(0), png(1)]
        assert len(world.uploads()) == 3


async def test_all_faults_of_the_references_are_named_together(disk: LocalFiles, folder: Path, cat: Path) -> None:
    (folder / "notes.txt").write_text("secret words")
    async with World(files=disk) as world:
        error = await refused(world, "cta.png", str(cat), "/etc/passwd", "notes.txt", "data:image/png;base64,AAAA", ".")
        assert isinstance(error, InvalidRequestError)
        for words in ("image_urls[0]", "image_urls[2]", "image_urls[3]", "image_urls[4]", "image_urls[5]", "cat.png"):
            assert words in error.message
        assert "image_urls[1]" not in error.message
        assert "secret words" not in error.message
        assert world.wire.seen == []


async def test_inline_data_works_where_the_disk_is_not_the_callers_and_files_do_not(cat: Path) -> None:
    async with World(seconds=5) as world:
        for named in (str(cat), cat.name, cat.as_uri(), "C:\\Users\\me\\cat.png"):
            error = await refused(world, PHOTO, named)
            assert isinstance(error, InvalidRequestError)
            assert "image_urls[1]" in error.message
            assert "reads no local files" in error.message
        assert world.wire.seen == []
        await world.finished(image_urls=[inline(png())])
        assert len(world.uploads()) == 1


async def test_a_long_path_is_told_by_its_end_which_names_the_file(disk: LocalFiles, folder: Path) -> None:
    async with World(files=disk) as world:
        error = await refused(world, f"{folder}/{'a' * 60}/the-end.png")
        assert "the-end.png" in error.message
        assert str(folder) not in error.message.partition(":")[0]


async def test_a_limit_on_bytes_binds_files_and_inline_data_alike(folder: Path, cat: Path) -> None:
    small = LocalFiles(Folders((folder,)), largest=50)
    async with World(files=small) as world:
        for reference in (str(cat), inline(png())):
            error = await refused(world, reference)
            assert "MB" in error.message
            assert error.remedy == "raise_max_upload"


async def test_a_saved_copy_is_sent_with_all_that_its_index_points_to(saving: LocalFiles, save_dir: Path) -> None:
    async with World(files=saving, seconds=5) as world:
        made = await world.finished()
        entry = await world.tasks().find(made.task_id or "")
        assert entry is not None
        copy = Path(entry.saved_paths[0])
        copy.write_bytes(SEVERAL)
        sent = saving.saved_reference(replace(entry, saved_digest=sha256(SEVERAL).hexdigest()))
        assert sent is not None
        assert sent.content == SEVERAL


async def test_max_credits_is_checked_before_anything_is_uploaded(disk: LocalFiles, cat: Path) -> None:
    async with World(files=disk) as world:
        with pytest.raises(BudgetError, match="max_credits"):
            await world.make(image_urls=[str(cat)], max_credits=0)
        assert world.wire.seen == []


async def test_the_bytes_of_references_are_not_kept_while_a_picture_is_waited_for(
    disk: LocalFiles, folder: Path
) -> None:
    paths = many(folder, 3)
    async with World(files=disk, seconds=200) as world, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(partial(world.finished, image_urls=paths))
        await anyio.sleep(100)
        assert len(world.submits()) == 1
        gc.collect()
        assert [kept for kept in gc.get_objects() if isinstance(kept, ReferencePicture)] == []


async def test_a_disk_that_does_not_answer_holds_no_call_for_ever(disk: LocalFiles, cat: Path) -> None:
    async def hung(work: Any, *args: Any) -> Any:
        await anyio.sleep_forever()

    async with World(files=disk, threads=lambda: hung) as world:
        for wait, seconds in ((30, 30), (0, 5)):
            started = anyio.current_time()
            with pytest.raises(UnavailableError, match="could not be read in time: its disk, network or") as caught:
                await world.make(image_urls=[PHOTO, str(cat)], wait_seconds=wait)
            assert cat.name in caught.value.message
            assert (caught.value.money, caught.value.retryable) == ("nothing_spent", True)
            assert anyio.current_time() - started == seconds


async def test_a_disk_that_does_not_answer_hides_no_other_fault(disk: LocalFiles, cat: Path) -> None:
    async def half_hung(work: Any, source: Any) -> Any:
        return await anyio.sleep_forever() if source.value == str(cat) else work(source)

    async with World(files=disk, threads=lambda: half_hung) as world:
        error = await refused(world, "missing.png", str(cat))
        assert isinstance(error, InvalidRequestError)
        assert "no such file" in error.faults[0].message
        assert "could not be read in time" in error.faults[1].message


async def test_an_expired_picture_is_uploaded_from_its_saved_copy(folder: Path) -> None:
    disk = LocalFiles(Folders((folder,)), folder)
    async with World(files=disk, seconds=5) as world:
        made = await world.finished()
        assert made.saved_paths
        [saved] = [Path(path) for path in made.saved_paths]
        await anyio.sleep(DAY)
        assert (await world.finished(image_urls=[f"task:{made.task_id}"])).credits_charged == LOW
        [[url]] = sent_urls(world)
        assert content_at(world.sandbox, url) == saved.read_bytes()
        await anyio.sleep(DAY)
        for changed in (png(), b"no picture any more"):
            saved.write_bytes(changed)
            with pytest.raises(InvalidRequestError, match="no saved copy that is still as it was saved") as caught:
                await world.make(image_urls=[f"task:{made.task_id}"])
            assert (caught.value.remedy, caught.value.facts.path) == ("use_other_reference", str(saved))
        saved.unlink()
        with pytest.raises(InvalidRequestError, match="no saved copy") as caught:
            await world.make(image_urls=[f"task:{made.task_id}"])
        assert caught.value.facts.path is None
        saved.write_bytes(png())
        await world.finished(image_urls=made.saved_paths)
