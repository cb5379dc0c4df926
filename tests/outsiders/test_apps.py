"""What other programs find of the view in the chat: MCPJam's checks of MCP Apps, and the Inspector's look at them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.outsiders.conftest import SERVER, Node, Serve
from tests.outsiders.test_inspector import Era, both_eras, inspect

PROBE = ("--app-info", "--method", "tools/call", "--tool-name")
NO_APP = 2
"""How the Inspector exits when a tool has no view."""
CHECKS = Path(__file__).with_name("apps.mjs")


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_every_check_of_mcpjam_passes(node: Node, surroundings: dict[str, str], serve: Serve, transport: str) -> None:
    over_stdio = {"command": SERVER, "args": [], "env": surroundings}
    server = over_stdio if transport == "stdio" else {"url": serve(surroundings)}

    done = node.run(str(CHECKS), environment=surroundings, stdin=json.dumps(server))

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [(check["id"], check.get("error")) for check in result["checks"] if check["status"] != "passed"] == []
    assert len(result["checks"]) == 7
    assert [check["warnings"] for check in result["checks"] if check.get("warnings")] == []
    assert (result["discovery"]["uiToolCount"], result["discovery"]["checkedUiResourceCount"]) == (4, 1)


@both_eras
@pytest.mark.parametrize(("tool", "visibility"), [("get_task", ["model", "app"]), ("picture_data", ["app"])])
def test_the_inspector_finds_the_view_of_a_tool(
    node: Node, surroundings: dict[str, str], era: Era, tool: str, visibility: list[str]
) -> None:
    found, complaints = inspect(node, surroundings, era, "--advertise-apps", *PROBE, tool)

    assert complaints == ""
    assert found == {
        "hasApp": True,
        "toolName": tool,
        "resourceUri": "ui://vidgo/picture",
        "visibility": visibility,
        "csp": {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []},
        "prefersBorder": True,
        "resourceMimeType": "text/html;profile=mcp-app",
    }


@both_eras
def test_a_client_that_shows_no_views_is_told_of_none(node: Node, surroundings: dict[str, str], era: Era) -> None:
    found, _ = inspect(node, surroundings, era, *PROBE, "generate_image", expected=NO_APP)

    assert found == {"hasApp": False, "toolName": "generate_image"}
