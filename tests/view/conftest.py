"""A host in a browser: what the tests of the view share.

A page runs the official host side of MCP Apps (``host.js``) against a real server and the sandbox, and shows the view
in a frame of another origin, under a content policy as hosts set it. Skipped without Debian's Chromium or without
the npm packages, which the tests with programs of others need too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.outsiders.conftest import Node, node, serving_http
from tests.view.hosts import PATIENCE, Host, Stage, Stored
from tests.view.messages import MessageSchema
from tests.view.pages import serving_pages
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

__all__ = ["node"]

HOST_SCRIPT = str(Path(__file__).with_name("host.js"))


@pytest.fixture(scope="session")
def host_script(node: Node, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The host's side with everything it imports, in one file for a browser."""
    bundle = tmp_path_factory.mktemp("host") / "host.js"
    done = subprocess.run(
        [str(node.node), node.program("esbuild"), HOST_SCRIPT, "--bundle", "--minify", f"--outfile={bundle}"],
        env={"NODE_PATH": str(node.home / "node_modules"), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return bundle.read_bytes()


@pytest.fixture(scope="module")
def scale() -> float:
    """Pixels of the screen for one of the page."""
    return 1


@pytest.fixture(scope="module")
def browser(scale: float) -> Iterator[Browser]:
    """One for the tests of a module: no other test may run while the loop of Playwright's synchronous side does."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # What a page says of its scale holds for it, and not for the processes of the frames inside.
        arguments = ["--no-sandbox", f"--force-device-scale-factor={scale}"]
        yield playwright.chromium.launch(executable_path=chromium, args=arguments)


@pytest.fixture(scope="session")
def message_schema(node: Node) -> MessageSchema:
    return MessageSchema(node.home)


@contextmanager
def staged(home: Path) -> Iterator[Stage]:
    """Start a vendor whose tasks take no time, and a server over HTTP."""
    sandbox = Sandbox(seconds=(0.0, 0.0))
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("VIDGO_", "XDG_"))}
    with running(sandbox) as base_url:
        environment = {**kept, "HOME": str(home), "VIDGO_BASE_URL": base_url, "VIDGO_API_KEY": SANDBOX_KEY}
        with serving_http(environment) as url:
            yield Stage(sandbox, environment, url)


@pytest.fixture(scope="session")
def shared_stage(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("home")) as stage:
        yield stage


@pytest.fixture(scope="session")
def fox(shared_stage: Stage) -> Stored:
    """A finished picture."""
    (made,) = shared_stage.make({"prompt": "a fox in the snow", "size": "3:2", "wait_seconds": 60})
    assert made.result["structuredContent"]["outcome"] == "finished"
    return made


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    """What a test's host uses; a module may have one of its own."""
    return shared_stage


@pytest.fixture
def host(
    browser: Browser, host_script: bytes, message_schema: MessageSchema, stage: Stage, scale: float
) -> Iterator[Host]:
    """A page with a host in it. At its end every message that crossed has to be as the schema says."""
    with serving_pages(host_script) as pages, serving_pages(host_script) as frames:
        context = browser.new_context(reduced_motion="reduce", device_scale_factor=scale)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        host = Host(page, pages, frames, stage)
        page.on("pageerror", lambda error: host.complaints.append(str(error)))
        page.on("console", lambda said: host.complaints.append(said.text) if said.type == "error" else None)
        yield host
        if host.options:
            message_schema.check(host.messages())
            assert page.evaluate("host.faults") == []
        context.close()
        assert host.complaints == []
