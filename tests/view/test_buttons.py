"""What can be done with a finished picture. What costs is put into the chat with its price; the view never pays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.view.hosts import CAPABILITIES, Host, Stage, Stored


@pytest.fixture(autouse=True)
def _nothing_is_spent(fox: Stored, stage: Stage) -> Iterator[None]:
    """Whatever is clicked, the vendor's account stays as it was, and no tool is called that could change it."""
    before = stage.sandbox.balance()
    yield
    assert stage.sandbox.balance() == before


@pytest.fixture
def shown(host: Host, fox: Stored) -> Host:
    host.open()
    host.show(fox)
    expect(host.picture).to_be_visible()
    return host


def link_of(stored: Stored) -> str:
    link: str = stored.result["structuredContent"]["image_urls"][0]
    return link


def test_the_original_is_opened_by_the_host(shown: Host, fox: Stored) -> None:
    shown.button("Open original").click()
    assert shown.wait_for("ui/open-link") == {"url": link_of(fox)}


def test_the_original_is_downloaded_by_the_host(shown: Host, fox: Stored) -> None:
    shown.button("Download").click()
    (content,) = shown.wait_for("ui/download-file")["contents"]
    assert (content["type"], content["uri"]) == ("resource_link", link_of(fox))
    assert fox.task_id in content["name"]


def test_a_host_without_downloads_has_no_button_for_one(host: Host, fox: Stored) -> None:
    host.open(capabilities={name: CAPABILITIES[name] for name in CAPABILITIES if name != "downloadFile"})
    host.show(fox)
    expect(host.button("Copy link")).to_be_visible()
    expect(host.button("Download")).to_have_count(0)


def test_the_link_is_copied_where_the_host_lets_it(host: Host, fox: Stored) -> None:
    host.open(allow="clipboard-write; clipboard-read")
    host.show(fox)
    host.button("Copy link").click()
    expect(host.main).to_contain_text("Copied.")
    assert host.frame.evaluate("navigator.clipboard.readText()") == link_of(fox)


def test_what_became_of_a_button_stays_when_the_page_is_drawn_anew(host: Host, fox: Stored) -> None:
    host.open(allow="clipboard-write; clipboard-read")
    host.show(fox)
    expect(host.picture).to_be_visible()
    host.button("Copy link").click()
    expect(host.main).to_contain_text("Copied.")
    host.run("change", {"displayMode": "fullscreen"})
    expect(host.button("Leave full screen")).to_be_visible()
    expect(host.main).to_contain_text("Copied.")


def test_where_nothing_can_be_copied_the_link_is_shown(shown: Host, fox: Stored) -> None:
    shown.frame.evaluate("document.execCommand = () => false")
    shown.button("Copy link").click()
    expect(shown.view.get_by_role("textbox")).to_have_value(link_of(fox))
    assert "permissions policy" in shown.complaints.pop()


@pytest.mark.parametrize(
    ("button", "asked"),
    [
        (
            "Another, 2 credits",
            ("generate_image", "a fox in the snow", '"variation":2', "2 credits", '"max_credits":2'),
        ),
        ("Larger, 2K, 4 credits", ("edit_image", "task:", '"resolution":"2K"', "4 credits", '"max_credits":4')),
    ],
)
def test_another_picture_is_asked_for_in_the_chat(shown: Host, button: str, asked: tuple[str, ...]) -> None:
    """Once: afterwards the button says so, and cannot be pressed again."""
    shown.button(button).click()

    message = shown.wait_for("ui/message")
    assert message["role"] == "user"
    for words in (*asked, '"size":"3:2"'):
        assert words in message["content"][0]["text"]
    expect(shown.main).to_contain_text("Sent to the chat.")
    expect(shown.button(button)).to_be_disabled()
    assert len(shown.sent("ui/message")) == 1


@pytest.mark.parametrize(
    ("late", "prompt"),
    [("ui/notifications/tool-input-partial", "a f"), ("ui/notifications/tool-input", "an owl")],
)
def test_another_one_is_of_the_picture_that_is_shown(shown: Host, late: str, prompt: str) -> None:
    """Whatever the host says of another call, or of half of this one."""
    shown.run("notify", late, {"arguments": {"prompt": prompt}})
    shown.button("Another, 2 credits").click()

    (content,) = shown.wait_for("ui/message")["content"]
    assert '"prompt":"a fox in the snow"' in content["text"]


def test_a_change_is_asked_for_in_the_chat(shown: Host, fox: Stored) -> None:
    shown.button("Edit this").click()
    shown.view.get_by_role("textbox", name="What should change?").fill('make it "night" <b>\n')
    shown.view.get_by_role("textbox").press("Enter")

    (content,) = shown.wait_for("ui/message")["content"]
    for words in ("edit_image", f"task:{fox.task_id}", 'make it \\"night\\" <b>', "2 credits"):
        assert words in content["text"]
    expect(shown.main).to_contain_text("Sent to the chat.")


def test_nothing_that_a_host_says_disturbs_who_is_typing(shown: Host, fox: Stored) -> None:
    shown.button("Edit this").click()
    shown.page.keyboard.type("at ni")
    shown.run("change", {"theme": "dark", "containerDimensions": {"width": 600, "maxHeight": 400}})
    shown.show(fox)
    shown.page.keyboard.type("ght")

    expect(shown.view.get_by_role("textbox")).to_have_value("at night")


def test_of_buttons_of_one_name_the_focused_one_keeps_the_focus(host: Host, fox: Stored) -> None:
    host.open()
    said = {**fox.result["structuredContent"], "notes": ["A note. " * 200]}
    host.run("result", {**fox.result, "structuredContent": said, "_meta": {"vidgo/view": {"prompt": "a fox " * 200}}})
    second = host.button("Show all").nth(1)
    second.focus()
    host.run("change", {"displayMode": "inline"})
    expect(second).to_be_focused()


@pytest.mark.parametrize("press", ["mouse", "space", "enter"])
def test_a_button_that_is_held_while_the_page_is_drawn_anew_is_still_pressed(shown: Host, press: str) -> None:
    button = shown.button("Another, 2 credits")
    button.hover()
    button.focus()
    if press == "mouse":
        shown.page.mouse.down()
    else:
        shown.page.keyboard.down(press.title())
    shown.run("change", {"displayMode": "fullscreen"})
    if press == "mouse":
        shown.page.mouse.up()
    else:
        shown.page.keyboard.up(press.title())
    shown.wait_for("ui/message")
    expect(shown.button("Leave full screen")).to_be_visible()


def test_a_release_that_is_never_told_holds_the_page_for_a_moment_only(shown: Host) -> None:
    shown.frame.evaluate("window.dispatchEvent(new PointerEvent('pointerdown'))")
    shown.run("change", {"displayMode": "fullscreen"})
    expect(shown.button("Leave full screen")).to_be_visible()


def test_what_the_chat_refuses_can_be_sent_by_hand(host: Host, fox: Stored) -> None:
    host.open(refuse=("ui/message",))
    host.show(fox)
    host.button("Another, 2 credits").click()

    text = host.wait_for("ui/message")["content"][0]["text"]
    expect(host.view.get_by_role("textbox")).to_have_value(text)


@pytest.mark.parametrize(
    ("button", "tool", "price"),
    [
        ("Another, 2 credits", "generate_image", 2),
        ("Larger, 2K, 4 credits", "edit_image", 4),
        ("Edit this", "edit_image", 2),
    ],
)
def test_what_the_chat_is_asked_is_a_call_that_the_server_takes(
    shown: Host, button: str, tool: str, price: int
) -> None:
    """At the price that the button names: nobody agrees to one price and pays another."""
    shown.button(button).click()
    if button == "Edit this":
        shown.view.get_by_role("textbox").fill("at night")
        shown.view.get_by_role("textbox").press("Enter")
    text = shown.wait_for("ui/message")["content"][0]["text"]
    asked = shown.page.evaluate("text => JSON.parse(text.slice(text.indexOf('{')))", text)
    assert asked["max_credits"] == price

    refused = shown.run("ask", tool, {**asked, "max_credits": 0})["structuredContent"]
    assert (refused["category"], refused["money"]) == ("budget", "nothing_spent")
    assert f"{price} credits" in refused["message"]


def test_everything_can_be_done_by_keyboard(shown: Host) -> None:
    """Each button is reached with Tab, once, with a visible outline; Enter presses it."""
    reached = []
    shown.frame.evaluate("document.body.focus()")
    shown.page.locator("iframe").focus()
    for _ in range(12):
        shown.page.keyboard.press("Tab")
        found = shown.frame.evaluate(
            "() => { const at = document.activeElement; "
            "return [at.ariaLabel ?? at.textContent, getComputedStyle(at).outlineStyle] }"
        )
        if found in reached or not shown.frame.evaluate("document.hasFocus()"):
            break
        reached.append(found)
    names = [name for name, _ in reached]
    for name in ("Show full size", "Edit this", "Another, 2 credits", "Larger, 2K, 4 credits", "Open original"):
        assert name in names
    assert {outline for _, outline in reached} == {"solid"}

    shown.button("Open original").focus()
    shown.page.keyboard.press("Enter")
    shown.wait_for("ui/open-link")


@pytest.mark.parametrize("modes", [["inline", "fullscreen"], ["inline"]])
def test_the_picture_is_shown_in_full_size_and_back(host: Host, fox: Stored, modes: list[str]) -> None:
    """By the host's full screen where it has one, else within the frame; Escape leads back."""
    host.open(context={"availableDisplayModes": modes})
    host.show(fox)
    host.button("Show full size").click()
    if "fullscreen" in modes:
        assert host.wait_for("ui/request-display-mode") == {"mode": "fullscreen"}
        expect(host.button("Leave full screen")).to_be_visible()
    else:
        expect(host.button("Fit the picture")).to_be_visible()
        assert max(call["max_edge"] for call in host.calls("picture_data")) == 2048

    host.page.keyboard.press("Escape")
    expect(host.button("Show full size")).to_be_visible()
    expect(host.button("Edit this")).to_be_visible()
