"""The MCP Inspector, the protocol's own client, in both eras: schemas that every host can take, and calls that work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from tests.outsiders.conftest import SERVER, Node, Vendor

Era = Literal["legacy", "modern"]

both_eras = pytest.mark.parametrize("era", ["legacy", "modern"])
IS_ERROR = 5
"""How the Inspector exits when a tool's result is an error."""


def inspect(
    node: Node, environment: Mapping[str, str], era: Era, *options: str, expected: int = 0
) -> tuple[dict[str, Any], str]:
    """Run the Inspector against a server over stdio; return what it printed, and its complaints."""
    handed_on = [f"{name}={environment[name]}" for name in environment if name.startswith(("VIDGO_", "COVERAGE_"))]
    arguments = ["--cli", SERVER, *(part for pair in handed_on for part in ("-e", pair)), "--protocol-era", era]
    arguments += ["--connect-timeout", "60000"]
    done = node.run(node.program("inspector"), *arguments, *options, environment=environment)
    assert done.returncode == expected, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told, done.stderr


@both_eras
def test_no_schema_is_a_problem_for_any_host(node: Node, surroundings: dict[str, str], era: Era) -> None:
    listed, complaints = inspect(node, surroundings, era, "--method", "tools/list", "--strict")

    assert complaints == ""
    assert len(listed["tools"]) == 6


@both_eras
def test_a_picture_can_be_made(node: Node, vendor: Vendor, era: Era) -> None:
    """The URL is in the text; the link beside it is only for clients of the era that takes links."""
    call = json.dumps({"prompt": "a fox", "wait_seconds": 30})
    options = ("--method", "tools/call", "--tool-name", "generate_image", "--tool-args-json", call)

    made, _ = inspect(node, vendor(), era, *options)

    assert made["structuredContent"]["outcome"] == "finished"
    assert made["structuredContent"]["image_urls"][0] in made["content"][0]["text"]
    links = [block["uri"] for block in made["content"] if block["type"] == "resource_link"]
    assert links == (made["structuredContent"]["image_urls"] if era == "modern" else [])


@both_eras
def test_an_error_is_an_answer(node: Node, surroundings: dict[str, str], era: Era) -> None:
    call = json.dumps({"size": "1920x1080"})
    options = ("--method", "tools/call", "--tool-name", "estimate_cost", "--tool-args-json", call)

    refused, _ = inspect(node, surroundings, era, *options, expected=IS_ERROR)

    assert refused["isError"] is True
    assert (refused["structuredContent"]["category"], refused["structuredContent"]["field"]) == (
        "invalid_request",
        "size",
    )
