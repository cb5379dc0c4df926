"""A folder among the temporary files that nobody but this user can use: for what may be gone tomorrow."""

from __future__ import annotations

import os
import stat
import tempfile
from hashlib import sha256
from pathlib import Path


def private_folder(name: str) -> Path | None:
    """Return this user's folder of a name, made when it is missing; None when it cannot be trusted.

    The temporary folder is everybody's: under the name that is wanted, another user may have put a folder or a link.
    On Windows everybody has a temporary folder of their own. A user is somebody with a home: where tests or containers
    give the same one several homes, those are several.
    """
    try:
        user = sha256(os.fsencode(Path.home())).hexdigest()[:8]
        owner = os.getuid() if os.name == "posix" else None
        folder = Path(tempfile.gettempdir(), f"{name}-{user}" if owner is None else f"{name}-{owner}-{user}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except (OSError, RuntimeError):
        return None
    ours = owner is None or (found.st_uid == owner and not found.st_mode & 0o077)
    return folder if ours and stat.S_ISDIR(found.st_mode) else None
