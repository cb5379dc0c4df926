"""Says which path a typed name means, and which existing name was nearly typed, without looking at a disk."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote_to_bytes

from vidgo_mcp.files.unusable import UnusableError

LONGEST: Final = 3 * 4096
"""Characters of a name. Linux takes paths of 4,096 bytes, and a ``file:`` address may write each one with three."""

_ELSEWHERE: Final = re.compile(r"[\\/]{2}|[\\/]\?\?[\\/]")
r"""``\\server\share``, ``//server/share``, ``\\?\C:``, ``\\.\pipe``; ``\??\`` is the kernel's spelling of these."""
_DEVICE: Final = re.compile(
    r"(?:^|[\\/:])(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(?:[.:\\/]|$)", re.IGNORECASE
)
"""https://learn.microsoft.com/windows/win32/fileio/naming-a-file. ``PureWindowsPath.is_reserved`` is on its way out."""
_COMPARED: Final = 64
"""Characters of a name that are compared: the time grows with their square."""


def parse_path(text: str, *, home: str | None, windows: bool) -> str:
    """Return the path that a text means; a relative one stays relative, and ``..`` stays as it is.

    It may be a ``file:`` address (RFC 8089); ``home`` is the folder that ``~`` means.

    Raises:
        UnusableError: no file of this machine can have that name, or merely opening it could do harm.
    """
    if not text.strip():
        raise UnusableError("it names no file")
    if len(text) > LONGEST:
        raise UnusableError(f"its name has more than {LONGEST:,} characters")
    try:
        given = os.fsencode(text)
        path = _from_address(given[5:], windows) if text[:5].lower() == "file:" else text
    except UnicodeError:
        raise UnusableError("its name has a character that no file name can have") from None
    if "\0" in path:
        raise UnusableError("its name has a character that no file name can have")
    if _ELSEWHERE.match(path):
        # Windows would sign in to that server, and so hand it the user's name and a hash of the password.
        raise UnusableError("network and device paths are never opened", "name a file on a disk of this machine")
    if windows and _DEVICE.search(path):
        raise UnusableError("it is the name of a device of Windows, not of a file")
    if path == "~" or path.startswith(("~/", "~\\") if windows else "~/"):
        if not home:
            raise UnusableError("it is not known which folder ~ means", "write the whole path")
        # Below a home of / the path must not begin with two of them.
        return home.rstrip("/\\") + re.sub(r"^([\\/])[\\/]+", r"\1", path[1:]) or home
    return path


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that was probably meant, None when no name is near.

    Extensions are not compared, nor case, nor how accents are composed.
    """
    # The last of several with one stem is kept: the one that differs in no more than case or composition.
    stems = {_stem(there): there for there in sorted(names, key=lambda there: _folded(there) == _folded(name))}
    alike = difflib.get_close_matches(_stem(name), stems, n=1, cutoff=0.6)
    return stems[alike[0]] if alike else None


def composed(name: str) -> str:
    """Return a name as all that differ from it only in how accents are composed are written."""
    return unicodedata.normalize("NFC", name)


def looks_like(name: str, other: str) -> bool:
    """Return whether two names may look the same where they are shown: they differ in white space, or beyond ASCII."""
    return "".join(name.split()) == "".join(other.split()) or any(not one.isascii() for one in {*name} ^ {*other})


def _from_address(address: bytes, windows: bool) -> str:
    if address.startswith(b"//"):
        host, _, rest = address[2:].partition(b"/")
        if host.lower() not in {b"", b"localhost"}:
            raise UnusableError(
                "a file: address has three slashes before the path, as in file:///folder/name.png",
                "files of other machines are never opened",
            )
        address = b"/" + rest
    if not address.startswith(b"/"):
        raise UnusableError("a file: address needs the whole path, as in file:///folder/name.png")
    path = os.fsdecode(unquote_to_bytes(address))
    return path[1:] if windows and re.match("/[A-Za-z]:", path) else path


def _folded(name: str) -> str:
    return composed(name).casefold()


def _stem(name: str) -> str:
    return _folded(PurePath(name).stem)[:_COMPARED]
