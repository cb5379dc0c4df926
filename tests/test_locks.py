"""The locks that the README installs from, as pip reads them.

pip before 23.3, which Python 3.11 brings, looks for `name[extra]` apart from a pinned `name`: the day a newer release
appears it takes that one and stops, because its hash is not in the lock. A lock that spells the extra holds.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pinned(lock: str) -> dict[str, set[str]]:
    """The packages of a lock, each with the extras it is pinned with."""
    lines = re.findall(r"^[\w.-]+(?:\[[\w,.-]+\])?==[^\\\n]+", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement.extras for requirement in requirements}


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
