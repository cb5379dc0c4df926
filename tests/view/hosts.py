"""A host in a page, steered by a test: what it offers, what it shows the view, and what the view answers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import anyio
from mcp import Client
from mcp.client.extension import advertise
from playwright.sync_api import Frame, FrameLocator, Locator, Page, expect

from tests.view.pages import Pages, Policy
from vidgo_mcp.sandbox import Sandbox
from vidgo_mcp.server.view import EXTENSION, MIME_TYPE

Transport = Literal["http", "stdio"]

PATIENCE: Final = 20_000
"""Milliseconds after which what should appear is missing."""
SHOWS_VIEWS: Final = advertise(EXTENSION, {"mimeTypes": [MIME_TYPE]})
FOREVER: Final = (1e7, 1e7)
"""How long a task of the sandbox takes that is to be seen while it runs."""
CAPABILITIES: Final[Mapping[str, Any]] = {
    "openLinks": {},
    "downloadFile": {},
    "serverTools": {},
    "logging": {},
    "updateModelContext": {"text": {}},
    "message": {"text": {}},
}
"""What a host offers that offers everything."""


@dataclass(frozen=True)
class Stored:
    """A call as a conversation keeps it."""

    given: dict[str, Any]
    result: dict[str, Any]

    @property
    def task_id(self) -> str:
        found: str = self.result["structuredContent"]["task_id"]
        return found


@dataclass
class Stage:
    """A vendor, and what makes a server use it."""

    sandbox: Sandbox
    environment: Mapping[str, str]
    url: str
    """The server over HTTP."""

    def make(self, *given: dict[str, Any], tool: str = "generate_image") -> list[Stored]:
        """Call a tool for a client that shows views, several times at once, with nobody looking."""

        async def calls() -> list[Stored]:
            answers: dict[int, Stored] = {}

            async def one(client: Client, place: int) -> None:
                result = await client.call_tool(tool, given[place])
                told = result.model_dump(by_alias=True, exclude_none=True, mode="json")
                answers[place] = Stored(given[place], told)

            async with Client(self.url, extensions=[SHOWS_VIEWS]) as client, anyio.create_task_group() as group:
                for place in range(len(given)):
                    group.start_soon(one, client, place)
            return [answers[place] for place in range(len(given))]

        # In a thread: the browser's own loop may be running in this one.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(anyio.run, calls).result(120)


@dataclass
class Host:
    """A host in a page, and the view in its frame."""

    page: Page
    pages: Pages
    frames: Pages
    stage: Stage
    options: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """What the browser's console called an error."""

    def open(
        self,
        tool: str | None = "generate_image",
        *,
        transport: Transport = "http",
        policy: Policy = "standard",
        theme: Literal["light", "dark"] = "light",
        width: int = 720,
        capabilities: Mapping[str, Any] = CAPABILITIES,
        context: Mapping[str, Any] | None = None,
        refuse: tuple[str, ...] = (),
        hold: tuple[str, ...] = (),
        allow: str = "",
    ) -> None:
        """Connect to the server and load the view; no tool means that only the server is connected to."""
        self.pages.environment = self.stage.environment
        self.page.set_viewport_size({"width": width, "height": 720})
        self.page.emulate_media(color_scheme=theme)
        self.page.goto(self.pages.url())
        self.options = {
            "url": self.stage.url if transport == "http" else None,
            "frames": self.frames.url("localhost"),
            "policy": policy,
            "capabilities": dict(capabilities),
            "context": {
                "theme": theme,
                "locale": "en",
                "displayMode": "inline",
                "availableDisplayModes": ["inline", "fullscreen"],
                "containerDimensions": {"width": width, "maxHeight": 500},
                **(context or {}),
            },
            "refuse": refuse,
            "hold": hold or None,
            "allow": allow,
        }
        self.run("connect", self.options)
        if tool is not None:
            self.run("mount", tool)

    def run(self, name: str, *arguments: Any) -> Any:
        """Have the host in the page do something, and return what came of it."""
        return self.page.evaluate("([name, given]) => host[name](...given)", [name, list(arguments)])

    def call(self, tool: str, **given: Any) -> dict[str, Any]:
        """Call a tool as a model does: the view is shown what it was called with, and its result."""
        result: dict[str, Any] = self.run("call", tool, given)
        return result

    def show(self, stored: Stored) -> None:
        """Show the view a call of earlier, as a host does that loads a conversation again."""
        self.run("input", stored.given)
        self.run("result", stored.result)

    @property
    def view(self) -> FrameLocator:
        return self.page.frame_locator("iframe[title=View]")

    @property
    def main(self) -> Locator:
        return self.view.get_by_role("main")

    @property
    def picture(self) -> Locator:
        return self.view.get_by_role("img", name="Picture made from the prompt")

    @property
    def frame(self) -> Frame:
        """The document of the view."""
        return next(frame for frame in self.page.frames if frame.parent_frame is not None)

    def buttons_that_pay(self) -> list[str]:
        """The names of what asks for another picture."""
        return [name for name in self.view.get_by_role("button").all_inner_texts() if "credit" in name]

    def button(self, name: str) -> Locator:
        return self.view.get_by_role("button", name=name, exact=True)

    def expect_state(self, state: str) -> None:
        expect(self.main).to_have_attribute("data-state", state)

    def messages(self) -> list[dict[str, Any]]:
        """Every message between view and host, oldest first, each with who sent it."""
        found: list[dict[str, Any]] = self.page.evaluate("host.messages")
        return found

    def sent(self, method: str) -> list[dict[str, Any]]:
        """What the view sent by a method: the parameters of each."""
        return [
            one["message"].get("params", {})
            for one in self.messages()
            if one["from"] == "view" and one["message"].get("method") == method
        ]

    def calls(self, tool: str) -> list[dict[str, Any]]:
        """The arguments of each call of a tool by the view."""
        return [params["arguments"] for params in self.sent("tools/call") if params["name"] == tool]

    def wait_for(self, method: str) -> dict[str, Any]:
        """Wait until the view has sent something by a method, and return the last such."""
        test = "method => host.messages.some(({from, message}) => from === 'view' && message.method === method)"
        self.page.wait_for_function(test, arg=method, timeout=PATIENCE)
        return self.sent(method)[-1]
