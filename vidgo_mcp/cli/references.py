"""Lets a person at their own shell name a reference by any file that they can read.

What a model names has to lie in folders that were allowed beforehand. What a person types is allowed by its being
typed: for this one call, and with the folder that it is really in, links followed, since that is the file they mean.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidgo_mcp.files.locating import located
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.models.references import read_reference
from vidgo_mcp.service import Disk

WINDOWS = os.name == "nt"


def typed_references(texts: Sequence[str], disk: Disk) -> tuple[list[str], Disk]:
    """Return the references, files by their whole paths, and the disk with the folders of these files allowed.

    What is no file, or cannot be one, stays as it was typed: the service says what is wrong with it.
    """
    references: list[str] = []
    allowed: list[Path] = []
    for text in texts:
        path = _typed_file(text.strip(), disk)
        references.append(text if path is None else str(path))
        allowed += [] if path is None else [path.parent]
    if disk.folders is None or not allowed:
        return references, disk
    return references, replace(disk, folders=replace(disk.folders, allowed=(*disk.folders.allowed, *allowed)))


def _typed_file(text: str, disk: Disk) -> Path | None:
    try:
        if read_reference(text).kind != "file":
            return None
        home = None if disk.folders is None else disk.folders.home
        return Path(os.path.realpath(located(text, home=home, windows=WINDOWS)))
    except (ValueError, UnusableError, OSError):
        return None
