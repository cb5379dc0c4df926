"""Reads a picture from a folder that may be read, and from nowhere else, whatever its name and its links pretend.

What is checked is what was opened: from the folder's own descriptor each part of the resolved path is opened without
following a link, so that one swapped in after the check leads to an error. No answer reveals what exists outside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from vidgo_mcp.files.images import ReferencePicture, validate_image
from vidgo_mcp.files.paths import composed, looks_like, nearest, parse_path
from vidgo_mcp.files.privacy import without_private_data
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.foreign_text import escape

LARGEST_FILE: Final = 20 * 1024 * 1024
WINDOWS: Final = os.name == "nt"

_MB: Final = 1024 * 1024
_LISTED: Final = 100_000
_COMPARED: Final = 2000
"""Names of a folder that are looked through for the same one in another composition, and for a near one."""
_MOST_TWINS: Final = 32
"""Parts of a path that may be written in another composition. Two links could lead to each other for ever."""
_CHANGED: Final = ("it was moved or replaced while it was read", "try again")
_A_FOLDER: Final = ("it is a folder", "name a picture in it")
_IN_CLOUD: Final = (
    "it lies only in the cloud, not on this machine",
    "download it in the file manager first, or copy it to a local folder",
)
_CLOUD_ERRORS: Final = frozenset({errno.EDEADLK, *range(362, 399), 404, 426, 434})
"""What macOS says of such a file, and Windows: ERROR_CLOUD_FILE_PROVIDER_NOT_RUNNING and those after it
(https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499-)."""
_NO_ANSWER: Final = frozenset(
    getattr(errno, name, 0)
    for name in (
        *("EIO", "ETIMEDOUT", "ESTALE", "ENOTCONN", "ENODEV", "ENXIO", "EREMOTEIO", "EAGAIN", "ECONNRESET"),
        *("ECONNABORTED", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET"),
    )
) | {21, 53, 59, 64, 67, 121, 1231, 1232}
"""What a broken disk says, or a folder whose server is gone; the numbers are Windows' own."""
_STEP: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER: Final = _STEP | getattr(os, "O_DIRECTORY", 0)
_FILE: Final = _STEP | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
"""What a system lacks of these is 0. Opening does not wait for the other end of a pipe."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders from which pictures may be read: absolute, possibly links, possibly missing.

    ``home`` is the folder that ``~`` means in a name. With ``anywhere`` any file may be read, as a person at a shell
    means it: from where they are, links followed first.
    """

    allowed: tuple[Path, ...]
    home: str | None = None
    anywhere: bool = False

    def read(self, text: str, *, largest: int = LARGEST_FILE) -> ReferencePicture:
        """Return the picture of at most ``largest`` bytes that a path or a ``file:`` address names, as it may be sent.

        A relative path is looked for below each folder, in their order. Blocking; call it in a worker thread.

        Raises:
            UnusableError: there is no such picture below the folders, or it cannot be used.
        """
        if not self.allowed and not self.anywhere:
            raise UnusableError("no local file may be read", remedy="add_input_dir")
        path, allowed = Path(parse_path(text, home=self.home, windows=WINDOWS)), self.allowed
        if self.anywhere:
            path = Path(os.path.realpath(path))
            allowed = (path.parent,)
        return without_private_data(validate_image(read_below(path, allowed, largest=largest)))


def read_below(path: Path, folders: Sequence[Path], *, largest: int) -> bytes:
    """Return the content of a regular file below one of the folders. Blocking; call it in a worker thread.

    The path is absolute, or relative to any of the folders. ``..`` is taken away before links are followed: what a link
    would do to it tells of what is outside. The folders are absolute; their links are followed anew at each call.

    Raises:
        UnusableError: it is missing, outside, no regular file, too large, or cannot be read.
    """
    roots = [root for folder in folders if (root := _resolved(folder)) is not None]
    candidates = [path] if path.is_absolute() else [folder / path for folder in folders]
    missing: list[_MissingError] = []
    failed: list[OSError] = []
    rounds = _MOST_TWINS
    # The very name comes first, in whichever folder it is; macOS writes accents apart, and keyboards do not.
    while candidates:
        twins: list[Path] = []
        for candidate in candidates:
            try:
                content = _below(_as_spelled(Path(os.path.normpath(candidate)), [*folders, *roots]), roots, largest)
            except _MissingError as error:
                if error.twin is not None and rounds:
                    twins.append(error.twin)
                else:
                    missing.append(error)
            except OSError as error:
                failed.append(error)
            else:
                if content is not None:
                    return content
        candidates, rounds = twins, rounds - 1
    near = next((error for error in missing if error.near is not None), None)
    if near is not None and near.near is not None:
        there = near.part.with_name(near.near)
        # As an address, where letters would get lost or look like others, so that it can be given back.
        typeable = str(there)
        if not typeable.isprintable() or looks_like(near.near, near.part.name):
            typeable = there.as_uri()
        raise UnusableError("there is no such file", f'did you mean "{typeable}"?')
    if failed:
        raise _unreadable(failed[0])
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
    """A part of a path is missing.

    Attributes:
        part: the path up to it.
        twin: the whole path with the only name that is there and differs in nothing but how its accents are composed.
        near: a name that is there and was probably meant.
    """

    def __init__(self, path: Path, part: Path, names: Sequence[str]) -> None:
        super().__init__(part)
        twins = [name for name in names if composed(name) == composed(part.name)]
        self.part = part
        self.twin = part.with_name(twins[0]).joinpath(path.relative_to(part)) if len(twins) == 1 else None
        self.near = nearest(part.name, names[:_COMPARED])


def _unreadable(error: OSError) -> UnusableError:
    code = getattr(error, "winerror", None) or error.errno
    # What Windows' C library has no number for, it calls EINVAL: of a cloud folder most of all.
    if code in _CLOUD_ERRORS or (WINDOWS and code == errno.EINVAL):
        return UnusableError(*_IN_CLOUD)
    if code in _NO_ANSWER:
        return UnusableError(
            f"its disk, network or cloud folder does not answer ({error.strerror})",
            "try again later, or copy it to a local folder",
        )
    return UnusableError(f"it cannot be read ({error.strerror})")


def _as_spelled(path: Path, folders: Sequence[Path]) -> Path:
    """Return a path whose folder is written as the folder that may be read is, where only the composition differs.

    Nothing is looked at, so that it tells nothing of what else is there.
    """
    if not any(path.is_relative_to(folder) for folder in folders):
        for folder in folders:
            depth = len(folder.parts)
            if composed(str(Path(*path.parts[:depth]))) == composed(str(folder)):
                return folder.joinpath(*path.parts[depth:])
    return path


def _below(path: Path, roots: Sequence[Path], largest: int) -> bytes | None:
    """Return the content of a file below one of the roots; None when it is outside."""
    real = _resolved(path)
    root = next((root for root in roots if real is not None and real.is_relative_to(root)), None)
    return None if real is None or root is None else _content(real, root, largest)


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
            if folder is None:
                above = [part for part in real.parents if part != root and part.is_relative_to(root)]
                part = next((part for part in reversed(above) if not os.path.lexists(part)), real)
                raise _missing(real, part, part.parent) from None
            raise _missing(real, real, folder) from None
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
            raise _MissingError(real, here, []) if folder is None else _missing(real, here, folder) from None
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


def _missing(path: Path, part: Path, folder: int | Path) -> Exception:
    names = _names(folder)
    # iCloud leaves this in place of a file that it has taken off the disk.
    return UnusableError(*_IN_CLOUD) if f".{part.name}.icloud" in names else _MissingError(path, part, names)


def _names(folder: int | Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _LISTED)]
    except OSError:
        return []
    # One that is only known by its path may have been swapped for a link to the outside.
    return names if isinstance(folder, int) or _resolved(folder) == folder else []
