"""Every fault beside the submit, on a first call, its repeat and a raised variation: no credit goes astray."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.conftest import World
from tests.service.pictures import inline, png
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.sandbox import FAULT_ENDPOINTS
from vidgo_mcp.service import LocalFiles

# httpx's generators are left half-read when an answer is too large; only trio minds.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")]

LOW = 2
# Without a socket nothing ends a hanging answer but its own time.
TIMED = {"hang": "hang=25", "hang_before": "hang_before=25", "slow": "slow=3"}
SLOW = {"slow=3"}


def faults_of(endpoint: str) -> list[str]:
    return [TIMED.get(name, name) for name, endpoints in FAULT_ENDPOINTS.items() if endpoint in endpoints]


async def check_look(world: World, task_id: str, *, refused: bool) -> None:
    """Look at a task whose status cannot be read: what Vidgo refuses to tell about is pending, and was paid for."""
    if refused:
        looked = await world.task(task_id)
        assert looked.outcome == "pending"
        assert "paid for" in " ".join(looked.notes or ())
        return
    with pytest.raises(VidgoError) as caught:
        await world.task(task_id)
    assert (caught.value.money, caught.value.task_id) == ("accepted", task_id)
    assert caught.value.category in {"unavailable", "rate_limited", "authentication"}


@pytest.mark.parametrize("fault", faults_of("status"))
async def test_what_hinders_status_reads_never_costs_a_credit(fault: str) -> None:
    async with World(faults=[f"status:{fault}"], seconds=5) as world:
        first = await world.make(wait_seconds=30)
        assert (first.outcome, first.task_id is None) == ("finished" if fault in SLOW else "pending", False)
        if fault not in SLOW:
            assert "could not be read" in " ".join(first.notes or ())
            await check_look(world, first.task_id or "", refused=fault in {"refuse=403", "refuse=404"})
        assert world.movements() == [("charge", LOW)]
        await world.make(wait_seconds=30)
        assert world.movements() == [("charge", LOW)]
        await world.make(wait_seconds=30, variation=2)
        assert world.movements() == [("charge", LOW)] * 2
        world.sandbox.clear_faults()
        for variation in (1, 2):
            again = await world.finished(variation=variation)
            assert (again.reused, again.credits_charged) == (True, 0)
        assert world.movements() == [("charge", LOW)] * 2
        assert len(world.submits()) == 2


@pytest.mark.parametrize("fault", faults_of("balance"))
async def test_what_hinders_the_balance_never_costs_a_credit(fault: str) -> None:
    async with World(faults=[f"balance:{fault}"], seconds=5) as world:
        if fault in SLOW:
            await world.service.balance(world.principal())
        else:
            with pytest.raises(VidgoError) as caught:
                await world.service.balance(world.principal())
            assert caught.value.money == "nothing_spent"
        first, repeat, raised = await world.finished(), await world.finished(), await world.finished(variation=2)
        assert [first.credits_charged, repeat.credits_charged, raised.credits_charged] == [LOW, 0, LOW]
        assert world.movements() == [("charge", LOW)] * 2


@pytest.mark.parametrize("fault", faults_of("upload"))
async def test_what_hinders_an_upload_never_costs_a_credit(fault: str) -> None:
    async with World(faults=[f"upload:{fault}"], seconds=5) as world:
        for _ in range(2):
            if fault in SLOW:
                assert (await world.finished(image_urls=[inline(png())])).model == "gpt-image-2-edit"
                continue
            with pytest.raises(VidgoError) as caught:
                await world.make(image_urls=[inline(png())])
            assert (caught.value.money, caught.value.field) == ("nothing_spent", "image_urls")
            assert (world.movements(), (await world.listed()).tasks) == ([], [])
        world.sandbox.clear_faults()
        await world.finished(image_urls=[inline(png())])
        repeat, raised = [await world.finished(image_urls=[inline(png())], variation=number) for number in (1, 2)]
        assert [repeat.credits_charged, raised.credits_charged] == [0, LOW]
        assert world.movements() == [("charge", LOW)] * 2


@pytest.mark.parametrize("fault", faults_of("file"))
async def test_what_hinders_a_download_never_costs_a_credit(tmp_path: Path, fault: str) -> None:
    save_dir = tmp_path / "vidgo"
    disk = LocalFiles(Folders((save_dir,)), save_dir)
    async with World(files=disk, faults=[f"file:{fault}"], seconds=5) as world:
        first, repeat, raised = await world.finished(), await world.finished(), await world.finished(variation=2)
        assert [first.credits_charged, repeat.credits_charged, raised.credits_charged] == [LOW, 0, LOW]
        works = fault in {*SLOW, "huge", "bytes"}
        assert [bool(made.saved_paths) for made in (first, repeat, raised)] == [works] * 3
        world.sandbox.clear_faults()
        await anyio.sleep(3600)
        for made in (first, raised):
            assert made.task_id is not None
            assert (await world.task(made.task_id)).saved_paths
        assert len(list(save_dir.iterdir())) == 2
        assert world.movements() == [("charge", LOW)] * 2
