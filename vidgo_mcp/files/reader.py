"""Reads a picture from a folder that may be read, and from nowhere else, whatever its name and its links pretend.

What is checked is what was opened: from the folder's own descriptor each part of the resolved path is opened without
following a link, so that one swapped in after the check leads to an error. Of what is outside nothing is told, also not
whether it exists.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from unicodedata import category

from vidgo_mcp.files.images import ReferencePicture, checked
from vidgo_mcp.files.paths import nearest, parse_path, shown
from vidgo_mcp.files.unusable import UnusableError

LARGEST_FILE: Final = 20 * 1024 * 1024
WINDOWS: Final = os.name == "nt"

_MB: Final = 1024 * 1024
_LISTED: Final = 2000
"""Names of a folder that are looked through for a near one."""
_CHANGED: Final = "it was moved or replaced while it was read: try again"
_CIRCLE: Final = "its symbolic links lead in a circle, or were changed while it was read"
_ALLOW_IT: Final = "ask the user to copy it there, or to add its folder to VIDGO_INPUT_DIRS and restart this server"
_FOLDER: Final = "it is a folder: name a picture in it"
_KINDS: Final[Sequence[tuple[Callable[[int], bool], str]]] = (
    (stat.S_ISDIR, _FOLDER),
    (stat.S_ISLNK, _CIRCLE),
    (stat.S_ISFIFO, "it is a named pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
)
_REASONS: Final[Mapping[int, str]] = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), "this server has no permission to read it"),
    # Which one a link is answered with depends on the system.
    **dict.fromkeys((errno.ELOOP, errno.EMLINK), _CIRCLE),
    errno.ENAMETOOLONG: "a part of its name is longer than the 255 bytes that a name can have",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
}


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders from which pictures may be read: absolute, possibly links, possibly missing.

    Attributes:
        largest: bytes that a file may have.
        home: the folder that ``~`` means in a name.
    """

    allowed: tuple[Path, ...]
    largest: int = LARGEST_FILE
    home: str | None = None

    def read(self, text: str) -> ReferencePicture:
        """Return the picture that a path or a ``file:`` address names. It takes a thread's time.

        A relative path is looked for below each folder, in their order.

        Raises:
            UnusableError: there is no such picture below the folders, or it cannot be used.
        """
        if not self.allowed:
            raise UnusableError(
                "no local file may be read: set VIDGO_INPUT_DIRS to the folders of the pictures that may be, and "
                "restart this server"
            )
        path = Path(parse_path(text, home=self.home, windows=WINDOWS))
        return checked(read_below(path, self.allowed, largest=self.largest))


def read_below(path: Path, folders: Sequence[Path], *, largest: int) -> bytes:
    """Return the content of a regular file below one of the folders. It takes a thread's time.

    Args:
        path: absolute, or relative to any of the folders. ``..`` is taken away before links are followed, so that
            the way through what is outside cannot be felt for.
        folders: absolute; what they are now is found out at each call.
        largest: bytes that the file may have.

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
        raise UnusableError(f'there is no such file: did you mean "{_typeable(near)}"?')
    if failed:
        raise UnusableError(_REASONS.get(failed[0].errno or 0) or f"it cannot be read ({failed[0].strerror})")
    listed = ", ".join(shown(str(folder)) for folder in folders)
    if not missing:
        raise UnusableError(f"it is outside the folders that may be read ({listed}): {_ALLOW_IT}")
    if path.is_absolute():
        raise UnusableError("there is no such file")
    raise UnusableError(f"there is no such file in the folders that may be read ({listed}): {_ALLOW_IT}")


class _MissingError(Exception):
    """A part of a path is missing; ``near`` is the path up to it with a name that exists."""

    def __init__(self, folder: Path, name: str, names: Sequence[str]) -> None:
        super().__init__(name)
        found = nearest(name, names)
        self.near = None if found is None else folder / found


def _typeable(path: Path) -> str:
    """Return a path as it can be given back: a ``file:`` address, where letters would get lost or look like others."""
    text = str(path)
    plain = shown(text) == text and not any(one.isspace() and one != " " for one in text)
    return text if plain else path.as_uri()


def _resolved(path: Path) -> Path | None:
    """Return the path without links; None when it cannot be told, as for what this process may not look at."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, RecursionError):
        return None


def _content(real: Path, root: Path, largest: int) -> bytes:
    if real == root:
        raise UnusableError(_FOLDER)
    folder: int | None = None
    if WINDOWS:
        descriptor = opened_by_name(real, root, final_path)
    else:
        folder, descriptor = _opened_step_by_step(root, real.relative_to(root).parts)
    try:
        found = os.fstat(descriptor)
        _refuse_unless_regular(found.st_mode)
        # The size is not believed: files of /proc have none, and others grow.
        content = b"" if found.st_size > largest else _read(descriptor, largest + 1)
        # Asked last, and of the name: a hard link to a file from outside may have been taken away since it was opened.
        # One name, and this is it: so the file lies here.
        last = os.stat(real if folder is None else real.name, dir_fd=folder, follow_symlinks=False)
        if not os.path.samestat(last, found):
            raise UnusableError(_CHANGED)
        if last.st_nlink > 1:
            raise UnusableError("it is a hard link, so the same file may lie elsewhere: make a copy and name that")
    except FileNotFoundError:
        raise UnusableError(_CHANGED) from None
    finally:
        os.close(descriptor)
        if folder is not None:
            os.close(folder)
    if max(len(content), found.st_size) > largest:
        raise too_large(largest)
    return content


def too_large(largest: int) -> UnusableError:
    """Return the error for a picture with more bytes than that."""
    return UnusableError(
        f"it has more than {largest / _MB:g} MB, the most that a picture may have: make it smaller, or ask the user to "
        "raise VIDGO_MAX_UPLOAD_MB"
    )


def _read(descriptor: int, most: int) -> bytes:
    content = bytearray()
    while len(content) < most and (piece := os.read(descriptor, min(most - len(content), _MB))):
        content += piece
    return bytes(content)


def _opened_step_by_step(root: Path, parts: Sequence[str]) -> tuple[int, int]:
    """Return the descriptors of the file's folder and of the file, reached from its root without following a link."""
    step = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        here = _open_folder(str(root), None, step | os.O_DIRECTORY)
    except FileNotFoundError:
        raise _MissingError(root, "", ()) from None
    try:
        for depth, part in enumerate(parts):
            try:
                if depth == len(parts) - 1:
                    # To open a device can have effects; to open a pipe can take for ever.
                    _refuse_unless_regular(os.stat(part, dir_fd=here, follow_symlinks=False).st_mode)
                    return here, os.open(part, step | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=here)
                there = _open_folder(part, here, step | os.O_DIRECTORY)
            except FileNotFoundError:
                raise _MissingError(root.joinpath(*parts[:depth]), part, _names(here)) from None
            os.close(here)
            here = there
    except BaseException:
        os.close(here)
        raise
    raise AssertionError("a path below its root has at least one part")


def _open_folder(name: str, folder: int | None, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except NotADirectoryError:
        # Linux says so of a link as well.
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise UnusableError(_CIRCLE) from None
        raise


def _refuse_unless_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnusableError(next((words for is_kind, words in _KINDS if is_kind(mode)), "it is a device, not a file"))


def _names(folder: int | Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            # One with a line break in its name cannot be given back.
            return [entry.name for entry in islice(entries, _LISTED) if "Cc" not in map(category, entry.name)]
    except OSError:
        return []


def opened_by_name(real: Path, root: Path, final_path: Callable[[int], str]) -> int:
    """Return the descriptor of a file, for systems where a folder's descriptor leads nowhere, which is Windows.

    Args:
        real: resolved, below the root.
        root: resolved.
        final_path: the path of what a descriptor stands for. A link swapped in after the check shows there.
    """
    try:
        _refuse_unless_regular(real.lstat().st_mode)
        descriptor = os.open(real, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0))
    except FileNotFoundError:
        raise _MissingError(real.parent, real.name, _names(real.parent)) from None
    try:
        if not Path(without_prefix(final_path(descriptor))).is_relative_to(root):
            raise UnusableError(_CIRCLE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def without_prefix(path: str) -> str:
    r"""Return a path of Windows as it is written: ``\\?\C:\a`` is ``C:\a``, ``\\?\UNC\server\a`` is ``\\server\a``."""
    if path.startswith("\\\\?\\UNC\\"):
        return "\\\\" + path[8:]
    return path.removeprefix("\\\\?\\")


def final_path(descriptor: int) -> str:
    """Return where an open file of Windows is. https://learn.microsoft.com/windows/win32/api/fileapi"""
    if sys.platform != "win32":
        raise NotImplementedError
    import ctypes
    import msvcrt
    from ctypes import wintypes

    ask = ctypes.WinDLL("kernel32", use_last_error=True).GetFinalPathNameByHandleW
    ask.argtypes = (wintypes.HANDLE, wintypes.LPWSTR, wintypes.DWORD, wintypes.DWORD)
    ask.restype = wintypes.DWORD
    answer = ctypes.create_unicode_buffer(1 << 15)
    length = ask(msvcrt.get_osfhandle(descriptor), answer, len(answer), 0)
    if not 0 < length < len(answer):
        raise ctypes.WinError(ctypes.get_last_error())
    return answer.value
