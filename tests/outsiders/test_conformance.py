"""The protocol's conformance suite over HTTP: every scenario that needs no special test tools, for both eras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.outsiders.conftest import Node, serving_http

SCENARIOS: Final = {
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "server-session-lifecycle",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "resources-list",
        "prompts-list",
    ),
    "2026-07-28": (
        "tools-list",
        "http-header-validation",
        "dns-rebinding-protection",
        "server-sse-multiple-streams",
        "sep-2164-resource-not-found",
        "resources-list",
        "prompts-list",
        "caching",
        "input-required-result-unsupported-methods",
        "input-required-result-missing-input-response",
        "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
    ),
}


NOTHING_TO_CHECK: Final = {"server-session-lifecycle", "server-sse-multiple-streams"}
"""These begin with a session in the older era, and this server keeps none: they pass without a check."""


@pytest.fixture(scope="module")
def url(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all scenarios, so that none of them depends on a fresh one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIDGO_")}
    with serving_http({**kept, "HOME": str(tmp_path_factory.mktemp("home"))}, "--sandbox") as address:
        yield address


@pytest.mark.parametrize(
    ("version", "scenario"), [(version, name) for version, names in SCENARIOS.items() for name in names]
)
def test_the_protocol_is_kept(
    node: Node, url: str, surroundings: dict[str, str], tmp_path: Path, version: str, scenario: str
) -> None:
    arguments = ["server", "--url", url, "--scenario", scenario, "--spec-version", version]

    done = node.run(node.program("conformance"), *arguments, environment=surroundings)

    report = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, report
    assert "0 failed" in done.stdout, report
    vacuous = version == "2025-11-25" and scenario in NOTHING_TO_CHECK
    assert ("Passed: 0/" in done.stdout) == vacuous, report
