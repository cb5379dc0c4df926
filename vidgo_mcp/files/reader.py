"""Reads a picture from a folder that may be read, and from nowhere else, whatever its name and its links pretend.

What is checked is what was opened: from the folder's own descriptor each part of the resolved path is opened without
following a link, so that one swapped in after the check leads to an error. No answer reveals what exists outside.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from vidgo_mcp.files.images import ReferencePicture, validate_image
from vidgo_mcp.files.paths import escape, nearest, parse_path
from vidgo_mcp.files.privacy import without_private_data
from vidgo_mcp.files.unusable import UnusableError

LARGEST_FILE: Final = 20 * 1024 * 1024
WINDOWS: Final = os.name == "nt"

_MB: Final = 1024 * 1024
_LISTED: Final = 2000
"""Names of a folder that are looked through for a near one."""
_CHANGED: Final = ("it was moved or replaced while it was read", "try again")
_A_FOLDER: Final = ("it is a folder", "name a picture in it")
_STEP: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER: Final = _STEP | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = _STEP | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
"""What a system lacks of these is 0. Opening does not wait for the other end of a pipe."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders from which pictures may be read: absolute, possibly links, possibly missing.

    A file may have ``largest`` bytes; ``home`` is the folder that ``~`` means in a name.
    """

    allowed: tuple[Path, ...]
    largest: int = LARGEST_FILE
    home: str | None = None

    def read(self, text: str) -> ReferencePicture:
        """Return the picture that a path or a ``file:`` address names, as it may be sent.

        A relative path is looked for below each folder, in their order. Blocking; call it in a worker thread.

        Raises:
            UnusableError: there is no such picture below the folders, or it cannot be used.
        """
        if not self.allowed:
            raise UnusableError("no local file may be read", remedy="add_input_dir")
        path = Path(parse_path(text, home=self.home, windows=WINDOWS))
        return without_private_data(validate_image(read_below(path, self.allowed, largest=self.largest)))


def read_below(path: Path, folders: Sequence[Path], *, largest: int) -> bytes:
    """Return the content of a regular file below one of the folders. Blocking; call it in a worker thread.

    The path is absolute, or relative to any of the folders. ``..`` is taken away before links are followed: what a link
    would do to it tells of what is outside. The folders are absolute; their links are followed anew at each call.

    Raises:
        UnusableError: it is missing, outside, no regular file, too large, or cannot be read.
    """
    missing: list[_MissingError] = []
    failed: list[OSError] = []
    roots = [root for folder in folders if (root := _resolved(folder)) is not None]
    for candidate in [path] if path.is_absolute() else [folder / path for folder in folders]:
        real = _resolved(Path(os.path.normpath(candidate)))
        root = next((root for root in roots if real is not None and real.is_relative_to(root)), None)
        if real is None or root is None:
            continue
        try:
            return _content(real, root, largest)
        except _MissingError as error:
            missing.append(error)
        except OSError as error:
            failed.append(error)
    near = next((error.near for error in missing if error.near is not None), None)
    if near is not None:
        # As an address, where letters would get lost or look like others, so that it can be given back.
        typeable = str(near) if str(near).isprintable() else near.as_uri()
        raise UnusableError("there is no such file", f'did you mean "{typeable}"?')
    if failed:
        raise UnusableError(f"it cannot be read ({failed[0].strerror})")
    if missing and path.is_absolute():
        raise UnusableError("there is no such file")
    what = "there is no such file in" if missing else "it is outside"
    listed = ", ".join(escape(str(folder)) for folder in folders)
    raise UnusableError(f"{what} the folders that may be read ({listed})", remedy="add_input_dir")


def too_large(largest: int) -> UnusableError:
    """Return the error for a picture with more bytes than that."""
    reason = f"it has more than {largest / _MB:g} MB, the most that a picture may have"
    return UnusableError(reason, "make it smaller", remedy="raise_max_upload")


class _MissingError(Exception):
    """A part of a path is missing; ``near`` is the path up to it with a name that exists."""

    def __init__(self, part: Path, names: Sequence[str]) -> None:
        super().__init__(part)
        found = nearest(part.name, names)
        self.near = None if found is None else part.with_name(found)


def _resolved(path: Path) -> Path | None:
    """Return the path without links; None when it cannot be told, as for what this process may not look at."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, RecursionError):
        return None


def _content(real: Path, root: Path, largest: int) -> bytes:
    if real == root:
        raise UnusableError(*_A_FOLDER)
    with ExitStack() as descriptors:
        folder = None if WINDOWS else _descend(root, real, descriptors)
        # Windows has no descriptors of folders: there a whole path is opened, and looked at again afterwards.
        name = real if folder is None else real.name
        try:
            # Opening a device can have effects.
            _refuse_unless_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
            file = os.open(name, _FILE, dir_fd=folder)
        except FileNotFoundError:
            raise _MissingError(real, _names(real.parent if folder is None else folder)) from None
        descriptors.callback(os.close, file)
        found = os.fstat(file)
        _refuse_unless_regular(found)
        # The size is not believed: files of /proc have none, and others grow.
        content = b"" if found.st_size > largest else _read(file, largest + 1)
        if folder is None and _resolved(real) != real:
            raise UnusableError(*_CHANGED)
        try:
            # Asked last, and of the name: a hard link to a file from outside may have been removed since it was
            # opened. One name, and this is it: so the file lies here.
            last = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise UnusableError(*_CHANGED) from None
        if not os.path.samestat(last, found):
            raise UnusableError(*_CHANGED)
        if last.st_nlink > 1:
            raise UnusableError("it is a hard link, so the same file may lie elsewhere", "make a copy and name that")
    if max(len(content), found.st_size) > largest:
        raise too_large(largest)
    return content


def _descend(root: Path, real: Path, descriptors: ExitStack) -> int:
    """Return the descriptor of the folder of a file, reached from its root without following a link."""
    folder, here = None, root
    for part in [str(root), *real.relative_to(root).parts[:-1]]:
        here = here / part
        try:
            below = os.open(part, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            raise _MissingError(here, [] if folder is None else _names(folder)) from None
        descriptors.callback(os.close, below)
        folder = below
    assert folder is not None
    return folder


def _read(descriptor: int, most: int) -> bytes:
    content = bytearray()
    while len(content) < most and (piece := os.read(descriptor, min(most - len(content), _MB))):
        content += piece
    return bytes(content)


def _refuse_unless_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise UnusableError(*_A_FOLDER)
    if not stat.S_ISREG(found.st_mode):
        raise UnusableError("it is not a regular file")


def _names(folder: int | Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _LISTED)]
    except OSError:
        return []
    # One that is only known by its path may have been swapped for a link to the outside.
    return names if isinstance(folder, int) or _resolved(folder) == folder else []
