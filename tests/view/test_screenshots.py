"""Pictures of the view for the documents, from the real thing: ``REWRITE_DOCS=1`` makes them anew."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.view.hosts import FOREVER, Host, Stage, Stored

DOCS: Final = Path(__file__).parents[2] / "docs"
REWRITE: Final = bool(os.environ.get("REWRITE_DOCS"))
WIDTH: Final = 760
WORDS: Final = "A red fox in fresh snow, early morning light"
CALL: Final = {"prompt": WORDS, "size": "3:2", "quality": "medium"}
EARLIER: Final = (
    "A lighthouse at dawn",
    "A tram on a steep street",
    "Coffee on marble",
    "A paper boat",
    "Mountains, as a woodcut",
    "An owl in the moonlight",
    "A market in the rain",
)
SHOWN: Final = ("waiting", "finished", "failed", "unknown", "gallery")
ANIMATION: Final = DOCS / "view-comes.webp"
FRAMES: Final = 9
"""How often it is looked at while a picture comes."""
LARGEST_PICTURE: Final = 120_000
LARGEST_ANIMATION: Final = 400_000
# As a chat shows it: what the person said, then the view in a border.
CHAT: Final = """
  body { padding: 20px; background: light-dark(#fff, #1b1b1a); font: 15px/1.5 system-ui, sans-serif }
  body::before { content: var(--said); display: block; width: fit-content; margin: 0 0 16px auto; padding: 8px 14px;
    border-radius: 16px; background: light-dark(#eeede8, #30302d); color: light-dark(#1d1d1b, #eee) }
  iframe { box-sizing: content-box; width: calc(100% - 2px); border: 1px solid light-dark(#ddd, #444);
    border-radius: 12px }
"""

rewritten = pytest.mark.skipif(not REWRITE, reason="REWRITE_DOCS is not set")


def picture_of(state: str, theme: str) -> Path:
    return DOCS / f"view-{state}-{theme}.webp"


@pytest.mark.parametrize("path", [*(picture_of(state, theme) for state in SHOWN for theme in ("light", "dark"))])
def test_each_picture_is_there_and_small(path: Path) -> None:
    assert 5_000 < path.stat().st_size < LARGEST_PICTURE
    with Image.open(path) as image:
        assert image.width == WIDTH * 2


def test_the_animation_is_there_and_small() -> None:
    assert ANIMATION.stat().st_size < LARGEST_ANIMATION
    with Image.open(ANIMATION) as image:
        assert getattr(image, "n_frames", 1) > 3


@pytest.fixture(scope="module")
def scenes(shared_stage: Stage) -> dict[str, Stored]:
    """What each picture shows."""
    sandbox, make = shared_stage.sandbox, shared_stage.make
    make(*({"prompt": words, "size": "1:1", "wait_seconds": 60} for words in EARLIER))
    sandbox.set_faults(["task:failed=The prompt shows a person who is known to the public."])
    (failed,) = make({"prompt": "The mayor as a knight", "size": "3:2", "wait_seconds": 60})
    sandbox.clear_faults()
    (finished,) = make({**CALL, "wait_seconds": 60})
    sandbox.seconds = FOREVER
    (waiting,) = make({"prompt": "An old harbour, fishing boats, rain on the quay", "size": "3:2", "wait_seconds": 0})
    sandbox.seconds = (0.0, 0.0)
    (gallery,) = make({"limit": len(EARLIER) + 3}, tool="get_task")
    sandbox.set_faults(["submit:lose_answer*1"])
    (unknown,) = make({"prompt": "A letter lost at sea", "size": "3:2"})
    sandbox.clear_faults()
    return {"waiting": waiting, "finished": finished, "failed": failed, "unknown": unknown, "gallery": gallery}


@pytest.fixture(scope="module")
def scale() -> float:
    return 2


def as_in_a_chat(host: Host, said: str) -> None:
    host.page.add_style_tag(content=f':root {{ --said: "{said}" }}{CHAT}')


def taken(host: Host) -> Image.Image:
    """What is seen, as high as it is."""
    host.page.wait_for_timeout(300)
    height = host.page.locator("iframe").bounding_box()
    assert height is not None
    clip: Any = {"x": 0, "y": 0, "width": WIDTH, "height": height["y"] + height["height"] + 20}
    return Image.open(io.BytesIO(host.page.screenshot(clip=clip))).convert("RGB")


@rewritten
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", SHOWN)
def test_take_a_picture(host: Host, scenes: dict[str, Stored], state: str, theme: Any) -> None:
    scene = scenes[state]
    host.open("get_task" if state == "gallery" else "generate_image", theme=theme, width=WIDTH)
    as_in_a_chat(host, scene.given.get("prompt", "Show me my newest pictures"))
    host.show(scene)
    host.expect_state(state)
    if state == "finished":
        expect(host.picture).to_be_visible()
    if state == "gallery":
        expect(host.view.get_by_role("listitem").locator("img")).to_have_count(len(EARLIER) + 1)

    taken(host).save(picture_of(state, theme), quality=88, method=6)


@rewritten
def test_take_an_animation(host: Host) -> None:
    """From the call until the picture is there, some seconds for some more."""
    host.open(width=WIDTH)
    host.page.emulate_media(reduced_motion="no-preference")
    as_in_a_chat(host, "An owl in a birch forest")
    host.stage.sandbox.seconds = (5.0, 5.0)
    host.call("generate_image", **{**CALL, "prompt": "An owl in a birch forest", "wait_seconds": 0})
    host.stage.sandbox.seconds = (0.0, 0.0)
    frames = [taken(host) for _ in range(FRAMES)]
    expect(host.picture).to_be_visible()
    frames += [taken(host)]
    size = (WIDTH, frames[-1].height * WIDTH // frames[-1].width)
    small = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    times = [400] * FRAMES + [4000]
    small[0].save(ANIMATION, save_all=True, append_images=small[1:], duration=times, loop=0, quality=80, method=6)
