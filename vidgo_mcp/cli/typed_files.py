"""Lets a person at their own shell name a reference by any file that they can read.

What a model names has to lie in folders that were allowed beforehand. What a person types is allowed by being typed:
for this one call, and with the folder that it is really in, links followed, since that is the file they mean.
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
from vidgo_mcp.service import LocalFiles

WINDOWS: Final = os.name == "nt"


def typed_references(texts: Sequence[str], files: LocalFiles) -> tuple[list[str], LocalFiles]:
    """Return the references, files by their whole paths, and what may be read with the folders of these files allowed.

    What is no file stays as it was typed, and so does what cannot be one: the service says what is wrong with it.
    """
    assert files.folders is not None
    references = list(texts)
    allowed = list(files.folders.allowed)
    for index, text in enumerate(texts):
        try:
            if read_reference(text).kind == "file":
                path = Path(os.path.realpath(parse_path(text.strip(), home=files.folders.home, windows=WINDOWS)))
                references[index] = str(path)
                allowed.append(path.parent)
        except UnusableError:
            # The name is refused before any folder is looked into; with no folder at all, that would be the error.
            allowed.append(Path.cwd())
        except ValueError:
            continue
    return references, replace(files, folders=replace(files.folders, allowed=tuple(allowed)))
