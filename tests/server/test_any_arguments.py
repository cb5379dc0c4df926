"""Whatever a model sends, it gets an answer that says what it cost; and messy spellings mean, and cost, the same."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import trio
import trio.testing
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import World
from tests.server.conftest import Caller, calling, check_answer, client_of
from vidgo_mcp.models.sizes import QUALITIES, RATIOS, TIERS
from vidgo_mcp.pricing import PUBLISHED
from vidgo_mcp.server.tools import tool_entries

TOOLS = {name: entry.tool for name, entry in tool_entries(40, PUBLISHED, reads_files=True).items()}
REPEATABLE = settings(derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def on_virtual_clock(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))


@st.composite
def spelled(draw: st.DrawFn, size: str) -> str:
    """Return a size as people write it."""
    text = size.upper() if draw(st.booleans()) else size
    if size != "auto":
        between = draw(
            st.sampled_from(
                [":", "/", "x", "X", "\u00d7", "*", " x ", " : "] if ":" in size else ["x", "X", "\u00d7", " x "]
            )
        )
        text = between.join(size.replace(":", "x").split("x"))
    return draw(padding) + text + draw(padding)


padding = st.sampled_from(["", " ", "\n"])
absent = st.sampled_from([None, "", "null"])
sizes = st.sampled_from(["auto", *RATIOS, "1536x1024", "1024x1536", "2048x2048", "3840x2160"])


@st.composite
def canonical_and_messy(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    size = draw(sizes)
    custom = "x" in size
    tiers = ["4K"] if "3840" in size else ["2K", "4K"] if custom else [*TIERS, None]
    tier = draw(st.sampled_from(tiers))
    quality = draw(st.sampled_from(QUALITIES))
    count = draw(st.integers(1, 1000))
    neat: dict[str, Any] = {"size": size, "quality": quality, "count": count}
    messy: dict[str, Any] = {
        "size": draw(absent) if size == "auto" and draw(st.booleans()) else draw(spelled(size)),
        "quality": draw(absent)
        if quality == "low" and draw(st.booleans())
        else draw(padding) + draw(st.sampled_from([quality, quality.upper(), quality.title()])) + draw(padding),
        "count": draw(st.sampled_from([count, str(count), f" {count} "])),
        "resolution": draw(absent),
    }
    if tier is not None:
        neat["resolution"] = tier
        messy["resolution"] = draw(st.sampled_from([tier, tier.lower(), f" {tier} ", tier[0], int(tier[0])]))
    return neat, messy


@REPEATABLE
@given(canonical_and_messy())
def test_messy_spellings_cost_what_the_neat_ones_cost(spellings: tuple[dict[str, Any], dict[str, Any]]) -> None:
    neat, messy = spellings

    async def both() -> None:
        async with World(key=None) as world, calling(world, "auto") as caller:
            assert await caller.data("estimate_cost", **messy) == await caller.data("estimate_cost", **neat)

    on_virtual_clock(both)


@settings(REPEATABLE, max_examples=40)
@given(canonical_and_messy())
def test_messy_spellings_are_the_same_picture_and_vidgo_takes_what_was_quoted(
    spellings: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    neat, messy = ({k: v for k, v in given.items() if k != "count"} for given in spellings)

    async def both() -> None:
        async with World(seconds=1) as world, calling(world, "auto") as caller:
            price = (await caller.data("estimate_cost", **neat))["credits"]
            made = await caller.data("generate_image", prompt="a fox", max_credits=price, **neat)
            again = await caller.data("generate_image", prompt=" a fox\r\n", max_credits="0", **messy)
            assert (made["credits"], made["credits_charged"]) == (price, price)
            assert (again["task_id"], again["reused"]) == (made["task_id"], True)
            assert world.movements() == [("charge", price)]

    on_virtual_clock(both)


words = st.text(st.characters(exclude_categories=()), max_size=12)
"""With halves of surrogate pairs too, except as keys inside a value: the SDK's own client cannot send those."""
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
    st.sampled_from(
        ["null", "", "0", "-1", "1e3", "[]", '["a"', "[[1]]", "task:", "task:x", "data:", "16:9", "0x0", "9x9"]
    ),
    st.sampled_from(
        ["https://example.com/a.png", "http://", "ftp://a/b", "file:///etc/passwd", "C:\\a.png", "999999x1"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    tool = draw(st.sampled_from(sorted(TOOLS)))
    known = sorted(TOOLS[tool].input_schema["properties"])
    names = st.sampled_from(known) | words if known else words
    arguments = draw(st.dictionaries(names, values, max_size=6))
    if draw(st.booleans()):
        arguments |= {"prompt": "a fox", "image_urls": ["https://example.com/a.png"], "task_id": "task-1"}
        arguments = {name: value for name, value in arguments.items() if name in known}
    return tool, arguments


async def answered(caller: Caller, world: World, tool: str, arguments: dict[str, Any]) -> None:
    result = await caller.client.call_tool(tool, arguments)
    check_answer(result, tool, TOOLS[tool].output_schema, modern=True)
    charged = sum(amount for kind, amount in world.movements() if kind == "charge")
    structured = result.structured_content
    assert isinstance(structured, dict)
    assert charged == structured.get("credits_charged", 0)
    if result.is_error:
        assert structured["category"] != "internal", structured
        assert structured["money"] == "nothing_spent" or tool in {"get_task", "view_image"}


@settings(REPEATABLE, max_examples=120)
@given(calls())
@example(("generate_image", {"prompt": "\ud800"}))
@example(("generate_image", {"prompt": "a fox", "\ud800": 1}))
@example(("generate_image", {"prompt": "a fox", "size": "\ud800", "quality": {"a": None}}))
@example(("get_task", {"task_id": "../../user/balance"}))
@example(("get_task", {"task_id": "."}))
@example(("view_image", {"task_id": "task-1", "max_edge": 10**30}))
@example(("estimate_cost", {"count": 10**5000, "size": "9" * 5000}))
@example(("edit_image", {"prompt": "a fox", "image_urls": "[" * 5000}))
def test_any_arguments_get_a_well_formed_answer(call: tuple[str, dict[str, Any]]) -> None:
    async def answer() -> None:
        async with World(seconds=1) as world, client_of(world) as client:
            await answered(Caller(client, {}), world, *call)

    on_virtual_clock(answer)
