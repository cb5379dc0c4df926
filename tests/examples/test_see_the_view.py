"""The example for a person: it opens a chat in a browser, in which the view shows what is typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.view.conftest import browser, scale

__all__ = ["browser", "scale"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "see_the_view.py"
PATIENCE = 60


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Start the example, and end it as a person does."""
    folder = tmp_path / "empty"
    folder.mkdir()
    command = [sys.executable, "-W", "error", str(EXAMPLE), "--no-browser"]
    env = {**os.environ, "HOME": str(folder), "PYTHONUTF8": "1"}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        yield said.removeprefix("The view is at ").split(";")[0]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, b"")
    assert list(folder.iterdir()) == []


def test_its_page_comes_without_a_browser(url: str) -> None:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        assert b"See the view" in answer.read()


def test_what_is_typed_is_shown_and_asked_for_again(browser: Browser, url: str) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(url)
    page.get_by_role("textbox", name="Prompt").fill("a fox in the snow")
    page.keyboard.press("Enter")

    view = page.frame_locator("iframe >> nth=0")
    expect(view.get_by_role("main")).to_have_attribute("data-state", "finished")
    expect(view.get_by_role("img", name="a fox in the snow")).to_be_visible()
    view.get_by_role("button", name="Another, 2 credits").click()

    expect(page.get_by_text("generate_image with variation 2")).to_be_visible()
    expect(page.frame_locator("iframe >> nth=1").get_by_role("main")).to_contain_text("a fox in the snow")
    assert complaints == []


def test_where_the_server_is_not_installed_it_says_so(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    done = subprocess.run([python, EXAMPLE], env={"PATH": ""}, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr.count("\n"), "not installed" in done.stderr) == (1, 1, True)
