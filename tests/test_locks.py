"""The locks that the README installs from, as pip reads them.

pip before 23.3, which Python 3.11 brings, looks for `name[extra]` apart from a pinned `name`: the day a newer release
appears it takes that one and stops, because its hash is not in the lock. A lock that spells the extra holds.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pinned(lock: str) -> dict[str, set[str]]:
    """The packages of a lock, each with the extras it is pinned with."""
    lines = re.findall(r"^[\w.-]+(?:\[[\w,.-]+\])?==[^\\\n]+", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement.extras for requirement in requirements}


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("*.lock")))
def test_every_line_of_a_lock_is_a_package_with_its_hashes(lock: str) -> None:
    blocks = re.split(r"^(?=[^\s#])", (ROOT / lock).read_text("utf-8"), flags=re.MULTILINE)
    pin = re.compile(r"[\w.-]+(\[[\w,.-]+\])?==[^\n]+ \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+(\n +#.*)*\s*")
    assert [block for block in blocks[1:] if not pin.fullmatch(block)] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_extra_that_a_package_asks_for_is_spelled_in_the_lock(lock: str) -> None:
    pins = pinned(lock)
    asked = []
    for name in pins:
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # for another system
            continue
        wanted = [requirement for requirement in map(Requirement, lines) if requirement.extras]
        environments = [{"extra": extra} for extra in pins[name] or {""}]
        asked += [
            (name, requirement)
            for requirement in wanted
            if not requirement.marker or any(requirement.marker.evaluate(extra) for extra in environments)
        ]
    missing = [
        f"{name} asks for {requirement}"
        for name, requirement in asked
        if not requirement.extras <= pins[canonicalize_name(requirement.name)]
    ]
    assert missing == []
    assert asked, "no extra was seen: this test looks at nothing"


SBOM = ROOT / ".ci" / "sbom.py"
PERMITTED = frozenset(
    {"MIT", "MIT-0", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "MPL-2.0"}
    | {"Apache-2.0 OR BSD-3-Clause"}
)


@pytest.fixture(scope="module")
def components() -> list[dict[str, Any]]:
    """What the command of CONTRIBUTING.md writes."""
    if not SBOM.exists():
        pytest.skip("only a checkout has .ci, a source distribution has not")
    ran = subprocess.run([sys.executable, SBOM], capture_output=True, text=True, check=True, timeout=60)
    bill = json.loads(ran.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found: list[dict[str, Any]] = bill["components"]
    return found


def test_the_bill_of_materials_is_the_lock(components: list[dict[str, Any]]) -> None:
    lines = ROOT.joinpath("requirements.lock").read_text("utf-8")
    assert {one["name"] for one in components} == set(pinned("requirements.lock"))
    for one in components:
        (block,) = re.findall(
            rf"^{one['name']}(?:\[.*\])?=={re.escape(one['version'])} .*(?:\n    --.*)+", lines, re.MULTILINE
        )
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert [found["content"] for found in one["hashes"]] == re.findall("sha256:([0-9a-f]+)", block)


def test_every_licence_is_listed_as_it_is_and_permitted(components: list[dict[str, Any]]) -> None:
    table = re.findall(
        r"^\| ([\w-]+) \| ([\w. -]+) \|$", ROOT.joinpath("docs/licences.md").read_text("utf-8"), re.MULTILINE
    )
    listed = {name: licence for name, licence in table if name not in {"package", "---"}}
    assert set(listed) == set(pinned("requirements.lock"))
    assert set(listed.values()) <= PERMITTED
    named = {one["name"]: one["licenses"][0] for one in components if "licenses" in one}
    assert len(named) > 30
    installed = {canonicalize_name(found.name) for found in importlib.metadata.distributions()}
    assert sorted((set(listed) - set(named)) & installed) == [], "installed, and names no licence"
    assert {name: said.get("expression") or said["license"]["id"] for name, said in named.items()} == {
        name: listed[name] for name in named
    }


def test_what_builds_the_package_is_pinned_and_no_installation_fetches_another() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))
    built_with = {canonicalize_name(Requirement(line).name) for line in project["build-system"]["requires"]}
    assert built_with <= set(pinned("requirements-build.lock")) & set(pinned("requirements-dev.lock"))
    assert pinned("requirements-build.lock").items() <= pinned("requirements-dev.lock").items()
    places = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/workflows/*.yml")]
    lines = [line for path in places for line in path.read_text("utf-8").splitlines()]
    from_source = [line for line in lines if re.search(r"pip install\b[^;&]* -e \.", line)]
    assert from_source
    assert [line for line in from_source if "--no-build-isolation" not in line] == []


def test_every_dependency_has_an_upper_bound() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    unbound = [line for line in project["dependencies"] if not re.search(r",<\d+$", line)]
    assert unbound == []
