"""From the call to the picture, as a person sees it come."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.view.hosts import CAPABILITIES, FOREVER, Host, Transport
from tests.view.pages import Policy

AN_HOUR = 3600.0
FREE = {"get_task", "estimate_cost", "picture_data"}


@pytest.mark.parametrize(("transport", "policy"), [("http", "standard"), ("stdio", "strict")])
def test_a_picture_comes_while_it_is_watched(host: Host, transport: Transport, policy: Policy) -> None:
    """The model's call ends at once; the view asks on by itself, shows the picture, and tells the model of it."""
    sandbox = host.stage.sandbox
    paid = sandbox.ledger
    sandbox.seconds = (AN_HOUR, AN_HOUR)

    host.open(transport=transport, policy=policy)
    called = host.call("generate_image", prompt=f"a fox seen over {transport}", size="16:9", wait_seconds=0)
    assert called["structuredContent"]["outcome"] == "pending"
    host.expect_state("waiting")
    for words in (f"a fox seen over {transport}", "2 credits", re.compile(r"usually take \d+ to \d+ seconds")):
        expect(host.main).to_contain_text(words)

    sandbox.advance(AN_HOUR)
    sandbox.seconds = (0.0, 0.0)
    host.expect_state("finished")
    expect(host.picture).to_be_visible()
    assert host.picture.get_attribute("alt") == f"Picture made from the prompt: a fox seen over {transport}"
    source, width = host.picture.evaluate("image => [image.src, image.naturalWidth]")
    assert (source.startswith("data:image/"), width > 600) == (True, True)
    told = host.wait_for("ui/update-model-context")["content"][0]["text"]
    assert told.startswith("Finished")
    assert called["structuredContent"]["task_id"] in told
    assert {params["name"] for params in host.sent("tools/call")} <= FREE
    assert [entry.credits for entry in sandbox.ledger[len(paid) :]] == [2]


def test_the_price_is_shown_while_the_call_still_waits(host: Host) -> None:
    host.open()
    host.run("input", {"prompt": "a palace", "size": "16:9", "resolution": "4K", "quality": "high"})

    expect(host.main).to_contain_text("48 credits")
    host.expect_state("waiting")
    assert host.calls("estimate_cost") == [{"size": "16:9", "resolution": "4K", "quality": "high"}]


def test_the_progress_is_told_to_who_cannot_see_it(host: Host) -> None:
    host.stage.sandbox.seconds = FOREVER
    host.open()
    host.call("generate_image", prompt="a slow fox", wait_seconds=0)
    host.stage.sandbox.seconds = (0.0, 0.0)

    expect(host.view.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(host.view.get_by_role("status")).to_contain_text("Your picture is being made")


def test_a_host_that_takes_no_context_is_sent_none(host: Host) -> None:
    host.open(capabilities={name: CAPABILITIES[name] for name in CAPABILITIES if name != "updateModelContext"})
    host.call("generate_image", prompt="a quiet fox", wait_seconds=0)

    host.expect_state("finished")
    expect(host.picture).to_be_visible()
    assert host.sent("ui/update-model-context") == []
