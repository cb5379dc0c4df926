"""Each state that can be met: what it says, in both themes, to who cannot see it, and with hostile text in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.outsiders.conftest import Node
from tests.view.hosts import FOREVER, Host, Stage, Stored

HOSTILE: Final = {
    "html": "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script><b>bold</b>",
    "script": "javascript:document.title='hacked'",
    "backwards": "a fox \u202egnp.exe \u2066and more\u2069",
    "long": "x" * 4000,
}
REFUSAL = "This picture is against our rules."
States = Mapping[str, Stored]


@pytest.fixture(scope="session")
def states(shared_stage: Stage) -> States:
    """A call for each state, as a conversation keeps it."""
    sandbox, make = shared_stage.sandbox, shared_stage.make
    fox = {"prompt": "a fox in the snow", "size": "3:2", "quality": "medium"}
    sandbox.set_faults(["submit:lose_answer*1"])
    (unknown,) = make({"prompt": "a letter lost at sea"})
    sandbox.set_faults([])
    (message,) = make({"prompt": "a fox", "n": 4})
    waits = [
        {"task_id": one.task_id, "wait_seconds": 60} for one in _failing(shared_stage, [REFUSAL, *HOSTILE.values()])
    ]
    sandbox.seconds = FOREVER
    (waiting,) = make({"prompt": "a slow fox", "wait_seconds": 0})
    sandbox.seconds = (0.0, 0.0)
    (finished,) = make({**fox, "wait_seconds": 60})
    failed, *hostile = make(*waits, tool="get_task")
    gallery, one = make({"limit": 9}, {"limit": 1}, tool="get_task")
    assert failed.result["structuredContent"]["outcome"] == "failed"
    return {
        "waiting": waiting,
        "finished": finished,
        "failed": failed,
        "unknown": unknown,
        "message": message,
        "gallery": gallery,
        "gallery of one": one,
        **dict(zip(HOSTILE, hostile, strict=True)),
    }


def _failing(stage: Stage, words: list[str]) -> list[Stored]:
    """Start pictures that fail with these words, whose prompts are the same words."""
    started = []
    for said in words:
        stage.sandbox.set_faults([f"task:failed={said}"])
        started += stage.make({"prompt": said, "wait_seconds": 0})
    stage.sandbox.set_faults([])
    return started


SEEN: Final = ("waiting", "finished", "failed", "unknown", "message", "gallery")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", SEEN)
def test_nothing_keeps_anybody_out(host: Host, states: States, node: Node, state: str, theme: Any) -> None:
    """axe-core finds no fault in what is shown, and what is shown is at most as high as chats allow."""
    host.open("get_task" if state == "gallery" else "generate_image", theme=theme)
    host.show(states[state])
    host.expect_state(state)
    if state == "finished":
        expect(host.picture).to_be_visible()

    host.frame.evaluate((node.home / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    found = host.frame.evaluate("axe.run(document)")

    assert len(found["passes"]) > 10
    assert [(one["id"], [seen["html"] for seen in one["nodes"]]) for one in found["violations"]] == []
    assert size_of(host)[1] <= 500


@pytest.mark.parametrize(("width", "height"), [(320, 500), (480, 500), (1280, 500), (600, 360)])
def test_it_fits_in_a_phone_and_in_a_wide_chat(host: Host, states: States, width: int, height: int) -> None:
    """Nothing is cut off at the side, and nothing is higher than the host allows."""
    host.open(None, width=width, context={"containerDimensions": {"width": width, "maxHeight": height}})
    for state in SEEN:
        host.run("mount", "get_task" if state == "gallery" else "generate_image")
        host.show(states[state])
        host.expect_state(state)
        if state == "finished":
            expect(host.picture).to_be_visible()
        wide, high = size_of(host)
        assert (state, wide <= width, high <= height) == (state, True, True), (wide, high)


def size_of(host: Host) -> tuple[int, int]:
    """How wide and how high what is shown is, whether it is seen or not."""
    wide, high = host.frame.evaluate(
        "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    return wide, high


def test_the_progress_is_seen_in_forced_colours(host: Host, states: States) -> None:
    host.open()
    host.page.emulate_media(forced_colors="active")
    host.show(states["waiting"])
    expect(host.view.get_by_role("progressbar")).to_be_visible()

    bar, page = host.frame.evaluate(
        "['progress', 'main'].map(name => getComputedStyle(document.querySelector(name)).backgroundColor)"
    )
    assert bar != page


def test_one_picture_is_a_gallery_too(host: Host, states: States) -> None:
    host.open("get_task")
    host.show(states["gallery of one"])

    host.expect_state("gallery")
    expect(host.view.get_by_role("listitem")).to_have_count(1)


def test_a_failed_picture_says_why_and_that_it_cost_nothing(host: Host, states: States) -> None:
    host.open()
    host.show(states["failed"])

    host.expect_state("failed")
    expect(host.main).to_contain_text(f'Vidgo says: "{REFUSAL}"')
    expect(host.main).to_contain_text("refunded")
    assert host.buttons_that_pay() == []


def test_a_picture_of_which_nothing_is_known_offers_nothing_that_pays(host: Host, states: States) -> None:
    host.open()
    host.show(states["unknown"])

    host.expect_state("unknown")
    expect(host.main).to_contain_text("It is not known")
    expect(host.main).to_contain_text("balance")
    assert host.buttons_that_pay() == []


def test_a_refused_call_says_why_and_that_nothing_was_spent(host: Host, states: States) -> None:
    host.open()
    host.show(states["message"])

    host.expect_state("message")
    expect(host.main).to_contain_text("The chat was told why")
    expect(host.main).to_contain_text("Nothing was spent")
    assert host.buttons_that_pay() == []


def test_what_is_known_of_a_finished_picture_is_shown(host: Host, states: States) -> None:
    host.open()
    host.show(states["finished"])

    for words in ("a fox in the snow", "1K", "medium quality", "3 credits", "24 hours", "until"):
        expect(host.main).to_contain_text(words)
    facts = host.calls("picture_data")[0]
    assert facts["task_id"] == states["finished"].task_id


@pytest.mark.parametrize("kind", HOSTILE)
def test_text_of_others_stays_text(host: Host, states: States, kind: str) -> None:
    """The prompt and the vendor's words, at the width of a phone: nothing runs, nothing is pushed out of sight."""
    host.open(width=320)
    host.show(states[kind])

    host.expect_state("failed")
    expect(host.main).to_contain_text("Vidgo says: ")
    title, foreign = host.frame.evaluate(
        "() => [document.title, document.querySelectorAll('main :is(img, script, b, a)').length]"
    )
    assert (title, foreign, size_of(host)[0]) == ("Vidgo picture", 0, 320)


def test_a_prompt_of_any_length_can_be_read_whole(host: Host) -> None:
    host.open(width=320)
    host.run("input", {"prompt": HOSTILE["long"]})
    host.button("Show all").click()

    expect(host.main).to_contain_text(HOSTILE["long"])
    wide, high = size_of(host)
    assert (wide, high <= 500) == (320, True)


@pytest.mark.parametrize(("locale", "direction"), [("ar-EG", "rtl"), ("de", "ltr"), ("not a locale", "ltr")])
def test_it_is_laid_out_in_the_direction_of_the_locale(host: Host, states: States, locale: str, direction: str) -> None:
    host.open(width=480, context={"locale": locale, "timeZone": "Nowhere/Land"})
    host.show(states["finished"])

    expect(host.picture).to_be_visible()
    assert host.frame.evaluate("getComputedStyle(document.querySelector('main')).direction") == direction


def test_the_colours_of_the_host_are_taken(host: Host, states: States) -> None:
    variables = {"--color-background-primary": "rgb(1, 2, 3)", "--color-text-primary": "rgb(250, 251, 252)"}
    host.open(context={"styles": {"variables": variables}})
    host.show(states["failed"])

    host.expect_state("failed")
    colours = "main => [getComputedStyle(main).backgroundColor, getComputedStyle(main).color]"
    assert host.main.evaluate(colours) == ["rgb(1, 2, 3)", "rgb(250, 251, 252)"]
    assert host.frame.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"


def test_a_change_of_theme_is_followed(host: Host, states: States) -> None:
    host.open(theme="light")
    host.show(states["failed"])
    host.expect_state("failed")
    colour = "main => getComputedStyle(main).color"
    before = host.main.evaluate(colour)

    host.run("change", {"theme": "dark"})
    expect(host.main).not_to_have_css("color", before)
