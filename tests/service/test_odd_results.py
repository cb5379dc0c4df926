"""A picture that is paid for is shown and saved whatever Vidgo calls it, and wherever and in what form it lies."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import DAY, World, news
from tests.files.conftest import noise, saved
from tests.service.pictures import HEIC, claimed_png, files
from vidgo_mcp.errors import UnavailableError
from vidgo_mcp.service import LocalFiles

pytestmark = pytest.mark.anyio

LOW = 2
LOG = {"file_url": "https://storage.vidgo.ai/run.log", "file_type": "other"}
KEPT = "journal show"


def says(when: str, **fields: Any) -> str:
    """Return the fault that lets Vidgo say this of a task."""
    return f"task:says_{when}={json.dumps(fields)}"


async def kept_answer(world: World) -> str | None:
    [entry] = await world.journal.newest(world.principal().owner, 10)
    return entry.answer


@pytest.mark.parametrize("word", ["completed", "SUCCESS", "succeeded", "Done", "generating", "FAILURE", "erledigt"])
async def test_a_picture_with_an_undocumented_word_is_shown_and_saved_with_a_note(
    word: str, saving: LocalFiles, save_dir: Path
) -> None:
    async with World(files=saving, seconds=5, faults=[says("ended", status=word)]) as world:
        made = await world.finished()
        assert (made.saved_paths, made.status) == ([str(files(save_dir)[0])], word)
        assert [note for note in news(made) if word in note and "does not document" in note] == news(made)
        assert word in (await kept_answer(world) or "")
        assert (await world.finished()).reused
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("word", [" Finished\n", "FINISHED"])
async def test_a_documented_word_may_be_written_in_any_way(word: str) -> None:
    async with World(seconds=5, faults=[says("ended", status=word)]) as world:
        made = await world.finished()
        assert (news(made), await kept_answer(world)) == ([], None)


@pytest.mark.parametrize(
    "fields",
    [
        {"files": {"file_url": "URL"}},
        {"files": "URL\n"},
        {"files": [{"url": "PATH"}]},
        {"files": [{"file_url": "//HOSTPATH&named=a fox"}]},
        {"files": [LOG, {"file_url": "URL", "file_type": "image"}], "progress": None},
        {"files": None, "output": {"images": ["URL"]}},
    ],
)
async def test_a_picture_is_shown_and_saved_however_it_is_named(
    fields: dict[str, Any], saving: LocalFiles, save_dir: Path
) -> None:
    async with World(files=saving, seconds=5, faults=[says("ended", **fields)]) as world:
        made = await world.finished()
        assert made.image_urls is not None
        assert made.image_urls[0].startswith("http://")
        assert made.saved_paths == [str(files(save_dir)[0])]
        assert news(made) == []


@pytest.mark.parametrize(
    "fields", [{"files": [LOG]}, {"files": [{"thumbnail_url": "URL"}]}, {"files": [], "file": "ftp://a.b/c.png"}]
)
async def test_what_names_no_picture_was_paid_for_and_its_answer_is_kept(fields: dict[str, Any]) -> None:
    async with World(seconds=5, faults=[says("ended", **fields)]) as world:
        made = await world.make()
        assert (made.outcome, made.refunded) == ("failed", None)
        assert "no file that is a picture" in (made.error or "")
        assert KEPT in " ".join(news(made))
        assert str(made.task_id) in (await kept_answer(world) or "")
        assert world.movements() == [("charge", LOW)]


@pytest.mark.parametrize("word", ["cancelled", "error", "completed", "FAILURE"])
async def test_without_a_picture_nothing_is_concluded_from_an_undocumented_word(word: str) -> None:
    async with World(seconds=5, faults=[says("ended", status=word, files=[])]) as world:
        made = await world.make(wait_seconds=60)
        assert made.outcome == "pending"
        assert word in news(made)[0]
        assert KEPT in news(made)[1]
        assert (await world.make(wait_seconds=60)).credits_charged == 0
        assert world.movements() == [("charge", LOW)]


async def test_a_failure_is_told_by_its_word_in_any_case_and_may_be_submitted_again() -> None:
    async with World(seconds=5, faults=["task:failed=Too blue*1", f"{says('ended', status='FAILED')}*1"]) as world:
        made = await world.make()
        assert (made.outcome, made.error, made.refunded, news(made)) == ("failed", "Too blue", True, [])
        assert (await world.finished()).credits_charged == LOW


async def test_a_preview_does_not_end_a_task_and_is_not_lost() -> None:
    async with World(seconds=30, faults=["task:says_running"]) as world:
        task_id = await world.pending()
        await anyio.sleep(15)
        looked = await world.task(task_id, wait_seconds=0)
        assert (looked.outcome, looked.image_urls) == ("pending", None)
        assert "perhaps an unfinished one: http://" in " ".join(news(looked))
        made = await world.finished()
        assert (news(made), await kept_answer(world)) == ([], None)
    async with World(faults=["task:stuck", "task:says_running"]) as world:
        task_id = await world.pending()
        await anyio.sleep(DAY + 60)
        assert "perhaps an unfinished one: http://" in " ".join(news(await world.task(task_id)))


async def test_a_task_of_elsewhere_is_read_in_the_same_way() -> None:
    async with World(seconds=5, faults=["task:says_ended", "task:says_running"]) as first:
        task_id = await first.pending()
        async with World(sandbox=first.sandbox) as second:
            looked = await second.task(task_id, wait_seconds=0)
            assert (looked.outcome, looked.image_urls) == ("pending", None)
            found = await second.task(task_id, wait_seconds=60)
            assert (found.outcome, len(found.image_urls or ())) == ("finished", 1)
            assert "SUCCESS" in " ".join(news(found))


LARGE = claimed_png(12_000, 9_000)
RESULTS = {
    "avif": (saved(noise(), format="AVIF"), ".avif"),
    "tiff": (saved(noise(), format="TIFF"), ".tiff"),
    "heic": (HEIC, ".heic"),
    "more pixels than are decoded": (LARGE, ".png"),
    "png": (saved(noise(), format="PNG"), ".png"),
}


@pytest.mark.parametrize(("content", "extension"), RESULTS.values(), ids=RESULTS)
async def test_a_whole_picture_of_any_format_is_kept(
    content: bytes, extension: str, saving: LocalFiles, save_dir: Path
) -> None:
    async with World(files=saving, seconds=5, faults=[f"file:bytes={base64.b64encode(content).decode()}"]) as world:
        made = await world.finished()
        [path] = files(save_dir)
        assert (made.saved_paths, path.suffix) == ([str(path)], extension)
        assert path.read_bytes() == content or extension == ".png"
        assert news(made) == []


@pytest.mark.parametrize(("content", "said"), [(HEIC, "HEIC"), (LARGE, "12000×9000")])
async def test_what_cannot_be_looked_at_is_named_with_its_places(content: bytes, said: str, saving: LocalFiles) -> None:
    async with World(files=saving, seconds=5, faults=[f"file:bytes={base64.b64encode(content).decode()}"]) as world:
        made = await world.finished()
        assert made.task_id is not None
        with pytest.raises(UnavailableError) as caught:
            await world.tasks().view(made.task_id, 768)
        for part in (said, *(made.saved_paths or ()), *(made.image_urls or ())):
            assert part in caught.value.message
        assert (caught.value.remedy, caught.value.retryable) == ("show_picture", False)
