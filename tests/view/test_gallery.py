"""The newest pictures beside each other, as many as a list can name, each of which opens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.outsiders.conftest import Node
from tests.view.conftest import staged
from tests.view.hosts import Host, Stage

MANY = 50
OLDEST, BETWEEN, NEWEST = range(2), range(2, 44), range(44, MANY)


@pytest.fixture(scope="module")
def stage(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One of its own, which has made nothing else."""
    with staged(tmp_path_factory.mktemp("home")) as stage:
        yield stage


@pytest.fixture(scope="module")
def many(stage: Stage) -> None:
    """As many pictures as a list can name: the oldest and the newest are finished, those between are being made."""
    started = {}
    for seconds, numbers in ((0.0, OLDEST), (3600.0, BETWEEN), (0.0, NEWEST)):
        stage.sandbox.seconds = (seconds, seconds)
        started[numbers] = stage.make(
            *({"prompt": f"picture {number} of many", "wait_seconds": 0} for number in numbers)
        )
    ending = [{"task_id": one.task_id, "wait_seconds": 60} for numbers in (OLDEST, NEWEST) for one in started[numbers]]
    outcomes = {one.result["structuredContent"]["outcome"] for one in stage.make(*ending, tool="get_task")}
    assert outcomes == {"finished"}


@pytest.fixture
def listed(host: Host, many: None) -> Host:
    host.open("get_task")
    host.call("get_task", limit=MANY)
    host.expect_state("gallery")
    return host


def test_fifty_are_shown_and_what_nobody_sees_is_not_fetched(listed: Host) -> None:
    items = listed.view.get_by_role("listitem")
    expect(items).to_have_count(MANY)
    expect(items.locator("img")).to_have_count(len(NEWEST))
    assert len(listed.calls("picture_data")) == len(NEWEST)
    assert listed.frame.evaluate("document.documentElement.scrollHeight") <= 500

    items.last.get_by_role("button").focus()
    expect(items.last.locator("img")).to_be_visible()


def test_one_is_opened_and_left_again_by_keyboard(listed: Host) -> None:
    first = listed.view.get_by_role("listitem").first.get_by_role("button")
    name = first.inner_text().strip()
    first.focus()
    listed.page.keyboard.press("Enter")

    listed.expect_state("finished")
    expect(listed.main).to_contain_text(name)
    expect(listed.picture).to_be_visible()
    expect(listed.button("Another, 2 credits")).to_be_visible()

    listed.button("Back to all pictures").focus()
    listed.page.keyboard.press("Enter")
    listed.expect_state("gallery")
    expect(listed.view.get_by_role("listitem")).to_have_count(MANY)


def test_another_of_one_in_the_gallery_names_its_own_arguments(listed: Host, many: None) -> None:
    """The view was opened by a call of get_task: what made each picture is not among its arguments."""
    listed.view.get_by_role("listitem").filter(has_text="picture 1 of many").get_by_role("button").click()
    listed.button("Another, 2 credits").click()

    text = listed.wait_for("ui/message")["content"][0]["text"]
    assert "picture 1 of many" in text
    assert "limit" not in text
