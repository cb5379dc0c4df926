"""Keeps finished pictures on the person's disk: each one whole or not at all, and never in the place of another file.

A picture is written under a hidden temporary name in its folder and gets its own name when all of it is on the disk.
Everything here is blocking; call it in a worker thread.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from unicodedata import normalize

MOST_NUMBERS: Final = 1_000
"""How many names are tried for one picture."""
STALE: Final = 3600.0
"""Seconds after which an unfinished file belongs to a killed process, and is swept away."""
WINDOWS: Final = os.name == "nt"
_PART: Final = re.compile(r"\.vidgo-[0-9a-f]{16}\.part")
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Only Windows has O_BINARY: without it, bytes that look like line ends would be changed there."""
_LOOK: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Neither follows a symbolic link nor waits for the other end of a pipe."""
_NO_HARD_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""What file systems such as exFAT, Android's storage and some network folders answer to a hard link."""


def save(content: bytes, folder: Path, name_for: Callable[[int], str]) -> Path:
    """Save a picture in a folder, and return its absolute path.

    The folder is made when it is missing. A file of that name with the very same bytes is this picture: a process
    saved it and ended before it could tell. Where anything else has the name, the next one is tried: ``name_for``
    gives those for the numbers 1, 2, 3 ...

    Raises:
        OSError: it could not be saved, and nothing is left behind.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, MOST_NUMBERS + 1):
        path = folder / name_for(number)
        if _created_or_found(path, content):
            return path
    raise FileExistsError(errno.EEXIST, f"{MOST_NUMBERS:,} names for this picture are taken", str(folder))


def write_to(path: Path, content: bytes) -> None:
    """Write a picture to a new file that a person named, in a folder that exists.

    A file with the very same bytes is left as it is.

    Raises:
        FileExistsError: something else is there.
        OSError: it could not be written.
    """
    if not _created_or_found(path, content):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def sweep(folder: Path, *, older_than: float, now: float) -> None:
    """Remove the temporary files of processes that were killed, as far as they can be found and removed.

    Those last written less than ``older_than`` seconds before ``now`` may belong to a process that is at work.
    """
    for part in _parts(folder):
        with suppress(OSError):
            found = part.lstat()
            if stat.S_ISREG(found.st_mode) and now - found.st_mtime > older_than:
                part.unlink()


def _created_or_found(path: Path, content: bytes) -> bool:
    """Return whether the picture is under this name now; False when something else is."""
    if not os.path.lexists(path):
        # Another process may take the name first, with its picture or with this one.
        with suppress(FileExistsError):
            with _part(path.parent, content) as part:
                _give_name(part, path)
            _sync_names(path.parent)
            return True
    return _adopted(path, content)


@contextmanager
def _part(folder: Path, content: bytes) -> Iterator[Path]:
    """Write a temporary file to the disk, and remove its temporary name at the end if it still has it."""
    part = folder / f".vidgo-{secrets.token_hex(8)}.part"
    file = os.open(part, _NEW, 0o666)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        finally:
            os.close(file)
        yield part
    finally:
        with suppress(OSError):
            part.unlink()


def _give_name(part: Path, path: Path) -> None:
    """Give a complete file its name; ``FileExistsError`` means that the name is taken."""
    if WINDOWS:
        # It does not overwrite there. https://docs.python.org/3/library/os.html#os.rename
        part.rename(path)
        return
    try:
        path.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _rename_unlinked(part, path)


def _rename_unlinked(part: Path, path: Path) -> None:
    """Give a name where renaming would overwrite, and the file system has no hard links that would not.

    A second temporary file stands for the name, so that only one of our processes renames at a time. A foreign program
    that makes a file of that name between the last look and the renaming would lose it: a tiny gap, which is left.
    """
    # Such file systems also take "Fox.png" and "fox.png" for one name.
    one_name = normalize("NFC", path.name).casefold()
    turn = path.with_name(f".vidgo-{sha256(os.fsencode(one_name)).hexdigest()[:16]}.part")
    # One that a killed process left is swept away like any other; until then the next name is taken.
    os.close(os.open(turn, _NEW, 0o666))
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        part.rename(path)
    finally:
        with suppress(OSError):
            turn.unlink()


def _adopted(path: Path, content: bytes) -> bool:
    """Return whether a regular file with these very bytes has the name, and leave it only that name."""
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, _LOOK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size != len(content) or file.read() != content:
                return False
    except OSError:
        return False
    if found.st_nlink > 1:
        # A process was killed when it had given the name and not yet removed the temporary one. A file with two names
        # is refused as a reference picture, because it may be one from outside the folder.
        for part in _parts(path.parent):
            with suppress(OSError):
                if os.path.samestat(part.lstat(), found):
                    part.unlink()
    _sync_names(path.parent)
    return True


def _parts(folder: Path) -> Sequence[Path]:
    try:
        return [path for path in folder.iterdir() if _PART.fullmatch(path.name)]
    except OSError:
        return []


def _sync_names(folder: Path) -> None:
    """Bring a folder's names to the disk where that can be done, which Windows and some network folders do not let."""
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
