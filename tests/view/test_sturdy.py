"""Hosts that do it differently: that send twice, late, early or never, that refuse, and that come back days later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.view.hosts import FOREVER, Host, Stage, Stored
from tests.view.messages import UNKNOWN_METHOD


@pytest.fixture(scope="session")
def slow(shared_stage: Stage) -> Stored:
    """A picture that is still being made."""
    shared_stage.sandbox.seconds = FOREVER
    (made,) = shared_stage.make({"prompt": "a snail", "wait_seconds": 0})
    shared_stage.sandbox.seconds = (0.0, 0.0)
    return made


Order = Callable[[Host, Stored], None]


def twice(host: Host, stored: Stored) -> None:
    for _ in range(2):
        host.show(stored)


def result_first(host: Host, stored: Stored) -> None:
    host.run("result", stored.result)
    host.run("input", stored.given)


def result_alone(host: Host, stored: Stored) -> None:
    host.run("result", stored.result)


def again_after_the_end(host: Host, stored: Stored) -> None:
    """A host that mixes old and new up: what it had said while the picture was being made comes after the end."""
    host.show(stored)
    host.expect_state("finished")
    pending = {**stored.result["structuredContent"], "outcome": "pending"}
    host.run("result", {**stored.result, "structuredContent": pending})


def with_strangers(host: Host, stored: Stored) -> None:
    """Notifications and fields that no version has."""
    host.run("notify", "ui/notifications/tool-input-partial", {"arguments": {"prompt": "a f"}})
    host.run("notify", "notifications/of-tomorrow", {"a": [1]})
    host.show(stored)


@pytest.mark.parametrize("order", [twice, result_first, result_alone, again_after_the_end, with_strangers])
def test_the_picture_is_shown_in_whatever_order_a_host_tells(host: Host, fox: Stored, order: Order) -> None:
    host.open()
    order(host, fox)

    host.expect_state("finished")
    expect(host.picture).to_be_visible()
    expect(host.main).to_contain_text("a fox in the snow")
    assert len(host.calls("picture_data")) == 1


def test_what_is_sent_before_the_view_is_ready_is_shown(host: Host, fox: Stored) -> None:
    """Some hosts do not wait until the view has said that it is."""
    host.open(hold=("ui/initialize",))
    host.show(fox)
    host.expect_state("finished")
    host.run("release")

    host.wait_for("ui/notifications/initialized")
    expect(host.picture).to_be_visible()


def test_a_host_that_never_answers_still_gets_what_the_result_carried(host: Host, fox: Stored) -> None:
    host.open(hold=("ui/initialize", "tools/call"))
    host.show(fox)

    host.expect_state("finished")
    expect(host.main).to_contain_text("a fox in the snow")
    expect(host.button("Open original")).to_be_visible()


def test_a_host_that_tells_nothing_is_shown_that_nothing_is_known_yet(host: Host) -> None:
    host.open()
    host.expect_state("waiting")
    assert host.sent("tools/call") == []


def test_a_call_that_was_stopped_says_so(host: Host) -> None:
    host.open()
    host.run("input", {"prompt": "a fox"})
    host.run("notify", "ui/notifications/tool-cancelled", {"reason": "the user pressed stop"})

    host.expect_state("message")
    expect(host.main).to_contain_text("stopped")
    assert host.buttons_that_pay() == []


def test_where_no_tool_may_be_called_the_link_is_shown(host: Host, fox: Stored) -> None:
    """The picture itself cannot come then: a policy as hosts set it lets no page show one from elsewhere."""
    host.open(policy="strict", refuse=("tools/call",))
    host.show(fox)

    expect(host.main).to_contain_text(fox.result["structuredContent"]["image_urls"][0])
    host.button("Open original").click()
    host.wait_for("ui/open-link")
    assert (
        host.frame.evaluate("[...document.images].filter(image => !image.src.startsWith('data:') && image.src)") == []
    )


def test_a_copy_that_cannot_be_asked_for_is_not_called_gone(host: Host, fox: Stored) -> None:
    host.open(refuse=("tools/call",))
    later = {"expires_at": "2020-01-01T00:00:00Z", "saved_paths": ["/pictures/a-fox.png"]}
    host.run("result", {**fox.result, "structuredContent": {**fox.result["structuredContent"], **later}})

    expect(host.main).to_contain_text("could not be fetched")
    expect(host.main).to_contain_text("/pictures/a-fox.png")
    expect(host.main).not_to_contain_text("no longer there")


def test_a_view_that_may_not_ask_stops_asking(host: Host, slow: Stored) -> None:
    host.open(refuse=("tools/call",))
    host.page.clock.install()
    host.show(slow)

    host.expect_state("waiting")
    for _ in range(8):
        host.page.clock.run_for(600_000)
    expect(host.button("Look again")).to_be_visible()
    assert 1 < len(host.calls("get_task")) < 10


def test_an_answer_without_data_is_shown_as_it_is(host: Host) -> None:
    host.open()
    host.run("result", {"content": [{"type": "text", "text": "<b>Only</b> text."}]})

    host.expect_state("message")
    expect(host.main).to_contain_text("<b>Only</b> text.")


@pytest.mark.parametrize(
    "broken",
    [
        {"content": []},
        {"content": [], "structuredContent": {}},
        {"content": [], "structuredContent": {"outcome": "finished"}},
        {"content": [], "structuredContent": {"outcome": "of tomorrow", "task_id": "task-1"}},
        {"content": [], "structuredContent": {"outcome": "pending"}},
        {"content": [], "structuredContent": {"tasks": []}},
        {"content": [], "structuredContent": {"tasks": [{"outcome": "finished"}, {}]}},
        {"content": [], "structuredContent": {"outcome": {"toString": 1}}},
        {"content": [], "structuredContent": {"outcome": "finished"}, "_meta": {"vidgo/view": {"another": True}}},
        {"content": [], "isError": True},
        {"content": [], "isError": True, "structuredContent": {"category": "outcome_unknown"}},
    ],
    ids=lambda result: str(result.get("structuredContent", "nothing")),
)
def test_whatever_is_missing_something_is_shown(host: Host, broken: dict[str, Any]) -> None:
    host.open()
    host.run("result", broken)

    expect(host.main).not_to_have_attribute("data-state", "broken")
    expect(host.view.get_by_role("heading").first).not_to_be_empty()
    assert host.buttons_that_pay() == []


@pytest.mark.parametrize(
    "room",
    [
        {"containerDimensions": {"width": 720, "maxHeight": 0}},
        {"safeAreaInsets": {"top": 1e9, "right": 0, "bottom": 0, "left": 0}},
    ],
    ids=lambda room: next(iter(room)),
)
def test_room_that_no_host_can_mean_is_not_believed(host: Host, fox: Stored, room: dict[str, Any]) -> None:
    """Some tell it before their frame has been laid out."""
    host.open(context=room)
    host.show(fox)

    expect(host.picture).to_be_visible()
    height = host.frame.evaluate("document.body.getBoundingClientRect().height")
    assert 200 < height <= 500


@pytest.mark.parametrize(
    "link", ["javascript:document.title='hacked'", "data:text/html,hacked", "file:///etc/passwd", 7]
)
def test_only_addresses_of_the_web_are_handed_on(host: Host, fox: Stored, link: Any) -> None:
    host.open()
    host.run("result", {**fox.result, "structuredContent": {**fox.result["structuredContent"], "image_urls": [link]}})

    expect(host.picture).to_be_visible()
    expect(host.button("Open original")).to_have_count(0)
    expect(host.button("Copy link")).to_have_count(0)


def test_requests_of_the_host_are_answered(host: Host, slow: Stored) -> None:
    """Also one that it does not know."""
    host.open()
    host.show(slow)
    host.run("request", 900, "ping")
    host.run("request", 901, UNKNOWN_METHOD)
    host.run("teardown")

    answers = {
        one["message"]["id"]: one["message"]
        for one in host.messages()
        if one["from"] == "view" and "method" not in one["message"]
    }
    assert answers[900]["result"] == {}
    assert answers[901]["error"]["code"] == -32601


def test_after_its_end_a_view_asks_nothing(host: Host, slow: Stored) -> None:
    host.open(refuse=("tools/call",))
    host.page.clock.install()
    host.show(slow)
    host.wait_for("tools/call")
    host.run("teardown")

    asked = len(host.sent("tools/call"))
    host.page.clock.run_for(600_000)
    assert len(host.sent("tools/call")) == asked


def test_only_the_host_is_listened_to(host: Host, fox: Stored) -> None:
    host.open()
    forged = {"jsonrpc": "2.0", "method": "ui/notifications/tool-result", "params": fox.result}
    host.frame.evaluate("message => window.postMessage(message, '*')", forged)
    host.page.evaluate(
        "message => { const other = document.body.appendChild(document.createElement('iframe')).contentWindow; "
        "new other.Function('message', 'parent.frames[0].postMessage(message, \"*\")')(message) }",
        forged,
    )
    host.run("input", {"prompt": "an owl"})

    expect(host.main).to_contain_text("an owl")
    host.expect_state("waiting")


def test_a_conversation_opened_again_goes_on_where_it_was(host: Host) -> None:
    """The stored result says that the picture is being made; it has long been finished."""
    (stored,) = host.stage.make({"prompt": "a fox of last week", "wait_seconds": 0})
    host.stage.make({"task_id": stored.task_id, "wait_seconds": 60}, tool="get_task")
    old = {key: value for key, value in stored.result.items() if key != "_meta"}

    host.open()
    host.show(Stored(stored.given, old))

    host.expect_state("finished")
    expect(host.picture).to_be_visible()


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_days_later_the_saved_copy_is_shown_or_that_nothing_is_left(host: Host, transport: Any) -> None:
    """Links end after a day. Over stdio the picture was saved, over HTTP it was not."""
    host.open(transport=transport)
    given = {"prompt": f"a fox of long ago, {transport}", "wait_seconds": 60}
    stored = Stored(given, host.run("ask", "generate_image", given))
    stored.result["structuredContent"]["expires_at"] = "2020-01-01T00:00:00Z"
    host.stage.sandbox.set_faults(["file:refuse=404"])

    host.show(stored)

    host.expect_state("finished")
    if transport == "stdio":
        expect(host.picture).to_be_visible()
    else:
        expect(host.main).to_contain_text("no longer there")
    expect(host.button("Open original")).to_have_count(0)
    host.stage.sandbox.clear_faults()
