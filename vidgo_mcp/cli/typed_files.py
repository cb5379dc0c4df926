"""Lets a person at their own shell name a reference by any file that they can read.

What a model names has to lie in folders that were allowed beforehand. What a person types is allowed by its being
typed: for this one call, and with the folder that it is really in, links followed, since that is the file they mean.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from vidgo_mcp.files.paths import parse_path
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.models.references import read_reference
from vidgo_mcp.service import Disk

WINDOWS: Final = os.name == "nt"


def typed_references(texts: Sequence[str], disk: Disk) -> tuple[list[str], Disk]:
    """Return the references, files by their whole paths, and the disk with the folders of these files allowed.

    What is no file stays as it was typed, as does what cannot be one: the service says what is wrong with it.
    """
    assert disk.folders is not None
    references: list[str] = []
    allowed = list(disk.folders.allowed)
    for text in texts:
        try:
            path = _typed_file(text.strip(), disk.folders.home)
        except UnusableError:
            # A name that is refused before any folder is looked into; with no folder at all, that would be the error.
            references.append(text)
            allowed.append(Path.cwd())
        else:
            references.append(text if path is None else str(path))
            allowed += [] if path is None else [path.parent]
    return references, replace(disk, folders=replace(disk.folders, allowed=tuple(allowed)))


def _typed_file(text: str, home: str | None) -> Path | None:
    """Return the file that a text names, None when it names something else.

    Raises:
        UnusableError: no file can have that name.
    """
    try:
        if read_reference(text).kind != "file":
            return None
    except ValueError:
        return None
    return Path(os.path.realpath(parse_path(text, home=home, windows=WINDOWS)))
