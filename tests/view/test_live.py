"""From the call to the picture, as a person sees it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.view.hosts import Host


def test_a_picture_comes(host: Host) -> None:
    host.open()
    made = host.call("generate_image", prompt="a fox", wait_seconds=0)
    print(made)
    print(host.page.evaluate("host.tools"))
    for one in host.messages():
        print(str(one)[:300])
