"""Print what the list of tools costs a model to read, and how that changed since the last version of it.

A client puts the whole list into the model's context, in every conversation, whether or not a picture is made.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNAPSHOT = "tests/server/tools_list.json"
BYTES_PER_TOKEN = 4
"""Roughly, for English in JSON; every model counts differently."""


def sizes(snapshot: str) -> dict[str, int]:
    """Return the bytes of each tool as it goes over the wire."""
    tools = json.loads(snapshot)
    return {tool["name"]: len(json.dumps(tool, ensure_ascii=False, separators=(",", ":")).encode()) for tool in tools}


def report(now: Mapping[str, int], before: Mapping[str, int]) -> list[str]:
    """Return a line for each tool, past ones included, and one for their sum."""
    names = [*now, *(name for name in before if name not in now)]
    rows = [(name, now.get(name, 0), before.get(name, 0)) for name in names]
    rows.append(("together", sum(now.values()), sum(before.values())))
    return [f"{name:16}{size:7} bytes{size // BYTES_PER_TOKEN:6} tokens{size - was:+7}" for name, size, was in rows]


def committed(snapshot: str) -> tuple[str, str] | None:
    """Return the commit and the text of the last committed snapshot that says something else."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for commit in git("log", "--format=%h", "--", SNAPSHOT).split():
        text = git("show", f"{commit}:{SNAPSHOT}")
        if text != snapshot:
            return commit, text
    return None


def main() -> None:
    snapshot = ROOT.joinpath(SNAPSHOT).read_text("utf-8")
    now = sizes(snapshot)
    commit, text = committed(snapshot) or ("nothing: no other version is committed", snapshot)
    print(f"tools/list, compared with {commit}:")
    before = sizes(text)
    print("\n".join(report(now, before)))


if __name__ == "__main__":
    main()
