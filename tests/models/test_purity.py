"""The words and the prices load alone: no HTTP library, no protocol library, no pictures, no event loop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vidgo_mcp

ROOT = Path(vidgo_mcp.__file__).parents[1]
HEAVY = {
    "PIL",
    "anyio",
    "asyncpg",
    "click",
    "httpcore",
    "httpx",
    "mcp",
    "pydantic_settings",
    "rich",
    "sqlite3",
    "starlette",
    "trio",
    "uvicorn",
    "vidgo_mcp.client",
    "vidgo_mcp.journal",
    "vidgo_mcp.server",
    "vidgo_mcp.service",
    "vidgo_mcp.settings",
}


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    # Coverage, where it is on, would start in the child and load modules of its own.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=alone, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["vidgo_mcp.errors", "vidgo_mcp.models", "vidgo_mcp.pricing", "vidgo_mcp"])
def test_a_pure_floor_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_by(module)

    assert module in loaded
    assert loaded & HEAVY == set()
