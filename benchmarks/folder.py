"""Holds a folder of finished pictures against the journal that says what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vidgo_mcp.journal import Entry


def faults_of(entries: Sequence[Entry], folder: Path) -> list[str]:
    """Return what is wrong: a copy that is missing, half, doubled or somebody else's, and a file that nobody knows.

    Args:
        entries: of all journals that save there.
        folder: where they save; a missing one is empty.
    """
    kept = {entry.task_id: entry.saved_paths for entry in entries if entry.saved_paths}
    wrong = [f"{len(paths)} copies of {task_id}" for task_id, paths in kept.items() if len(paths) != 1]
    named = Counter(path for paths in kept.values() for path in paths)
    wrong += [f"{count} pictures are said to be in {path}" for path, count in named.items() if count > 1]
    for task_id, paths in kept.items():
        for path in map(Path, paths):
            fault = "it is elsewhere" if path.parent != folder else fault_of(path, task_id or "")
            wrong += [] if fault is None else [f"{path.name}: {fault}"]
    found = list(folder.iterdir()) if folder.is_dir() else []
    wrong += [f"{path.name} is in the folder, and no entry names it" for path in found if str(path) not in named]
    return wrong


def fault_of(path: Path, task_id: str) -> str | None:
    """Return what is wrong with a copy."""
    try:
        with Image.open(path) as picture:
            picture.load()
            task = getattr(picture, "text", {}).get("Task")
    except OSError as error:
        return f"it cannot be read ({error})"
    if task != task_id:
        return f"it is the picture of {task}, not of {task_id}"
    return None if path.stat().st_nlink == 1 else "it has a second name"
