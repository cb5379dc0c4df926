"""Calls that wait for the same read of a task get an error each, which says what it means for that very call."""

from __future__ import annotations

from collections.abc import Awaitable

import anyio
import pytest

from tests.conftest import World
from vidgo_mcp.errors import AuthenticationError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("order", [("look", "edit"), ("edit", "look")], ids="-".join)
async def test_an_edit_does_not_change_what_a_look_at_its_reference_says(order: tuple[str, ...]) -> None:
    async with World() as world:
        task_id = await world.pending()
        async with World(sandbox=world.sandbox) as other:
            world.sandbox.add_fault("status:refuse=401")
            errors: dict[str, AuthenticationError] = {}

            async def keep(name: str, call: Awaitable[object]) -> None:
                with pytest.raises(AuthenticationError) as caught:
                    await call
                errors[name] = caught.value

            calls = {"look": other.service.task(task_id), "edit": other.make(image_urls=[f"task:{task_id}"])}
            async with anyio.create_task_group() as group:
                for name in order:
                    group.start_soon(keep, name, calls[name])
            assert len(other.reads()) == 1, "one read serves both"
    look, edit = errors["look"], errors["edit"]
    assert (look.money, look.field, look.task_id) == ("accepted", None, task_id)
    assert (edit.money, edit.field, edit.task_id) == ("nothing_spent", "image_urls", task_id)


async def test_two_looks_that_fail_together_raise_two_errors() -> None:
    async with World() as world:
        task_id = await world.pending()
        world.sandbox.add_fault("status:refuse=401")
        errors: list[AuthenticationError] = []

        async def look() -> None:
            with pytest.raises(AuthenticationError) as caught:
                await world.service.task(task_id, wait_seconds=10)
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(look)
            group.start_soon(look)
    first, second = errors
    assert first is not second
    assert vars(first) == vars(second)
