"""Work that nothing can end keeps its place until it ends, whoever gave up."""

from __future__ import annotations

import threading

import anyio
import pytest

from vidgo_mcp.service.runtime import Places, Threads

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_place_is_free_only_when_its_work_has_ended() -> None:
    places, begun, end = Places(Threads(), 1), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(10)

    async with anyio.create_task_group() as callers:
        callers.start_soon(places, work)
        await anyio.to_thread.run_sync(begun.wait, 10)
        callers.cancel_scope.cancel()
    after = threading.Event()
    with anyio.move_on_after(0.05) as waited:
        await places(after.set)
    assert (waited.cancelled_caught, after.is_set()) == (True, False)
    end.set()
    with anyio.fail_after(10):
        await places(after.set)
    assert after.is_set()


async def test_a_place_is_given_back_by_work_that_fails_and_by_work_that_never_began() -> None:
    places = Places(Threads(), 1)
    with anyio.fail_after(10):
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await places(lambda: 1 / 0)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await places(lambda: None)
        assert await places(lambda: "done") == "done"
