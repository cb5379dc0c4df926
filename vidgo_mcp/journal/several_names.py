"""A journal that has more than one name: SQLite makes side files for each, and two processes then pay at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from vidgo_mcp.journal.tables import UnusableFileError

_ESCAPED: Final = re.compile(r"[ \t\n\\#]")
"""What the kernel's list of mounts has as octal numbers."""


def refuse_several_names(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Refuse a file that is reached by other names too, under which its side files are others.

    Args:
        path: absolute, with its links resolved.
        mounts: the kernel's list of what is mounted where; only Linux has one.
    """
    if path.stat().st_nlink > 1:
        raise UnusableFileError("it has more than one name (hard links), each with side files of its own", "many_names")
    point = _ESCAPED.sub(lambda found: f"\\{ord(found[0]):03o}", str(path))
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    if any(line.split(" ")[1:2] == [point] for line in lines):
        raise UnusableFileError("it is mounted without its folder, and so without its side files", "many_names")
