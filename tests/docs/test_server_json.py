"""server.json is what the MCP registry takes: its schema, the rules beyond it, and nothing that is out of step."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from vidgo_mcp import __version__

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("server.schema.json").read_text("utf-8"))
SERVER: dict[str, Any] = json.loads(ROOT.joinpath("server.json").read_text("utf-8"))
PROJECT: dict[str, Any] = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]


def known_keys(node: Any) -> Iterator[str]:
    """Yield every property name that the schema defines anywhere."""
    if isinstance(node, dict):
        properties = node.get("properties")
        yield from properties if isinstance(properties, dict) else ()
        for value in node.values():
            yield from known_keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from known_keys(value)


def keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
        for value in node.values():
            yield from keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys(value)


def test_it_fits_the_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(SERVER)
    assert SERVER["$schema"] == SCHEMA["$id"]


def test_no_key_is_a_typo() -> None:
    """Unknown keys pass the schema."""
    allowed = set(known_keys(SCHEMA))
    assert set(keys(SERVER)) <= allowed
    assert "versoin" not in allowed


def test_the_name_is_reverse_dns_and_the_readme_proves_it() -> None:
    namespace, _, name = SERVER["name"].partition("/")
    for part in (namespace, name):
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", part)
    assert f"<!-- mcp-name: {SERVER['name']} -->\n" in ROOT.joinpath("README.md").read_text("utf-8")
    assert PROJECT["readme"] == "README.md"


def test_version_and_description_are_those_of_the_package() -> None:
    versions = {SERVER["version"], PROJECT["version"], __version__, *(p["version"] for p in SERVER["packages"])}
    assert versions == {__version__}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert f"## [{__version__}]" in ROOT.joinpath("CHANGELOG.md").read_text("utf-8")
    assert SERVER["description"] == PROJECT["description"]
    assert len(SERVER["description"]) <= 100


def test_the_package_is_started_as_the_readme_says() -> None:
    (package,) = SERVER["packages"]
    assert {key: value for key, value in package.items() if key not in {"version", "environmentVariables"}} == {
        "registryType": "pypi",
        "identifier": PROJECT["name"],
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
    }
    assert package["identifier"] in PROJECT["scripts"]


def test_only_the_key_is_a_secret() -> None:
    (package,) = SERVER["packages"]
    assert [v["name"] for v in package["environmentVariables"] if v.get("isSecret")] == ["VIDGO_API_KEY"]
