"""Says which path a typed name means, and which existing name was nearly typed, without looking at a disk."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from vidgo_mcp.files.unusable import UnusableError

LONGEST: Final = 4096
"""Characters of a path. Linux takes as many bytes, macOS fewer, Windows more than anybody types."""

_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ELSEWHERE: Final = re.compile(r"[\\/]{2}|[\\/]\?\?[\\/]")
r"""``\\server\share``, ``//server/share``, ``\\?\C:``, ``\\.\pipe``; ``\??\`` is the kernel's spelling of these."""
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_FOREIGN: Final = re.compile(r"/?[A-Za-z]:[\\/]")
_DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
"""https://learn.microsoft.com/windows/win32/fileio/naming-a-file; with any extension they mean the device as well."""
_EXTENSIONS: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_ALIKE: Final = 0.6
_COMPARED: Final = 64
"""Characters of a name that are looked at for likeness, which takes the square of them."""


def parse_path(text: str, *, home: str | None, windows: bool) -> str:
    """Return the path that a text means; a relative one stays relative, and ``..`` stays as it is.

    A ``file:`` address is decoded once, as RFC 8089 says; on other systems than Windows its bytes need not be UTF-8.

    Args:
        text: a path, or a ``file:`` address.
        home: the folder that ``~`` means.
        windows: whether the path is one of Windows.

    Raises:
        UnusableError: no file of this machine can have that name, or it is one that must not be opened.
    """
    if not text.strip():
        raise UnusableError("it names no file")
    address = text[:5].lower() == "file:"
    # Each byte takes three characters in an address.
    if len(text) > LONGEST * (3 if address else 1):
        raise _too_long()
    try:
        # A lone half of a surrogate pair is no character; the other lone ones stand for bytes that are not UTF-8.
        given = os.fsencode(text)
    except UnicodeEncodeError:
        raise UnusableError("its name has a character that no file name can have") from None
    path = _decoded(given[5:], windows) if address else text
    if len(path) > LONGEST:
        raise _too_long()
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise UnusableError("its name has a control character, such as a line break: no picture has such a name")
    if _ELSEWHERE.match(path):
        raise UnusableError("network and device paths are never opened: name a file on a disk of this machine")
    if windows:
        _refuse_on_windows(path)
    elif _FOREIGN.match(path):
        raise UnusableError("it is a path of Windows, and this server does not run on Windows")
    return _below_home(path, home, "\\/" if windows else "/")


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that was probably meant, None when no name is near.

    First one that differs only in case or in how its accents are composed, then one that was percent-encoded, one with
    the extension of another picture, then the picture that a mistyped extension hides, and last one that merely looks
    alike.
    """
    likings: list[Callable[[str], str]] = [_folded, lambda text: _folded(unquote(text)), _without_extension]
    for liking in likings:
        wanted = liking(name)
        for there in names:
            if wanted in {_folded(there), liking(there)}:
                return there
    stem = _folded(name).rpartition(".")[0]
    for there in names:
        if stem and _folded(there) != _without_extension(there) == stem:
            return there
    # Without extensions: all short names that share theirs would be alike.
    shortened = {_without_extension(there)[:_COMPARED]: there for there in names}
    alike = difflib.get_close_matches(_without_extension(unquote(name))[:_COMPARED], shortened, n=1, cutoff=_ALIKE)
    return shortened[alike[0]] if alike else None


def shown(name: str) -> str:
    r"""Return a name as a message can show it: what is not printable is escaped, such as the byte ``\xff``."""
    return "".join(_escaped(one) if unicodedata.category(one) in _UNPRINTABLE else one for one in name)


def _too_long() -> UnusableError:
    return UnusableError(f"its name has more than {LONGEST:,} characters")


def _decoded(address: bytes, windows: bool) -> str:
    if b"?" in address or b"#" in address:
        raise UnusableError('in a file: address "?" is written %3F and "#" is written %23; or give the plain path')
    if address.startswith(b"//"):
        host, slash, rest = address[2:].partition(b"/")
        if not slash or host.lower() not in {b"", b"localhost"}:
            raise UnusableError(
                "a file: address has three slashes before the path, as in file:///folder/name.png: files of other "
                "machines are never opened"
            )
        address = slash + rest
    if not address.startswith(b"/"):
        raise UnusableError("a file: address needs the whole path, as in file:///folder/name.png; or give a plain path")
    raw = unquote_to_bytes(address)
    if not windows:
        return os.fsdecode(raw)
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise UnusableError("the percent-encoding of its name is not UTF-8") from None
    return path[1:] if _DRIVE.match(path, 1) else path


def _refuse_on_windows(path: str) -> None:
    drive = _DRIVE.match(path)
    names = path[2:] if drive else path
    rooted = names.startswith(("\\", "/"))
    if drive and not rooted:
        raise UnusableError("its folder is missing after the drive: write the whole path, as in C:\\folder\\name.png")
    if rooted and not drive:
        raise UnusableError("its drive is missing: write the whole path, as in C:\\folder\\name.png")
    for name in re.split(r"[\\/]", names):
        if name in {"", ".", ".."}:
            continue
        if ":" in name:
            raise UnusableError("a part of a file behind a colon is never opened")
        if _DEVICE.fullmatch(name.split(".")[0].rstrip(" ")):
            raise UnusableError("it is the name of a device of Windows, not of a file")
        if any(character in '<>"|?*' for character in name) or name.endswith((".", " ")):
            raise UnusableError("Windows has no file of such a name")


def _below_home(path: str, home: str | None, separators: str) -> str:
    if not path.startswith("~"):
        return path
    if path[1:2] not in ("", *separators):
        raise UnusableError("the homes of others are not looked into: a name that begins with ~ is written ./~name")
    if not home:
        raise UnusableError("it is not known which folder ~ means: write the whole path")
    # Not with several separators: two of them begin the name of another machine, if the home is the root.
    below = path[1:].lstrip(separators)
    return f"{home.rstrip(separators)}{path[1]}{below}" if below else home


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _without_extension(name: str) -> str:
    folded = _folded(name)
    stem, dot, extension = folded.rpartition(".")
    return stem if stem and dot + extension in _EXTENSIONS else folded


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
