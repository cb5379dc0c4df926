"""The workflows run what the project says that it supports, and nothing that can change under its name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(ROOT.joinpath(".github", "workflows").glob("*.yml"))

if not WORKFLOWS:
    pytest.skip("only a checkout has .github, a source distribution has not", allow_module_level=True)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_hash_with_the_version_beside_it(workflow: Path) -> None:
    used = re.findall(r"\buses: (?!\./)(.+)$", workflow.read_text("utf-8"), re.MULTILINE)
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


def test_every_python_that_the_package_names_is_tested() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    named = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    matrix = re.search(r"python: \[(.+)\]", ROOT.joinpath(".github", "workflows", "ci.yml").read_text("utf-8"))
    assert matrix
    assert re.findall(r'"([\d.]+)"', matrix[1]) == named
    assert project["requires-python"] == f">={named[0]}"
