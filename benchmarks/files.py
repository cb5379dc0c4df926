"""Ten thousand hostile names and pictures: is a byte ever read from outside the folders that may be read?

Claimed: never; and whatever is refused is refused with a sentence. Run it with ``python -m benchmarks.files`` on a
POSIX system; it takes some seconds, prints what it tried, and exits with 1 on a read from outside, on a message that
tells of what is there, and on any exception but the one for what cannot be used. The same seed does the same again.

Each name starts from a file inside or outside and is then spelled worse: through links, with ``..``, percent-encoded,
as a file: address, with NULs, other Unicode forms and bytes that are no text. Pictures are cut, flipped and spliced,
read from a file or as inline data. What is opened is not asked of the reader: the interpreter's audit events say it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import re
import socket
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from PIL import Image

from benchmarks.harness import clock
from vidgo_mcp.files.images import ReferencePicture
from vidgo_mcp.files.inline import read_inline
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.files.unusable import UnusableError

KINDS: Final = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WEBP": ".webp"}
NAMES: Final = (
    "fox",
    "Owl",
    "my photo",
    "f\u00fcchse",
    "fu\u0308chse",
    "\U0001f98a",
    "100%",
    "a#b?c",
    "x" * 250,
    "~fox",
)
SECRET: Final = "hush"
"""In the name of everything outside, and so in no message."""


@dataclass(slots=True)
class Found:
    """What was tried and what was found."""

    tried: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    wrong: list[str] = field(default_factory=list)


class Tree:
    """Three folders that may be read, one of them by a link, and much around them that may not."""

    def __init__(self, place: Path, rng: random.Random) -> None:
        self._rng = rng
        self.place = place
        self.inside = [place / "in", place / "pictures", place / "real"]
        self.outside = [place / f"in-{SECRET}", place / SECRET, place / f"real{SECRET}"]
        self.link = place / "link"
        self.link.symlink_to("real")
        self.folders = Folders((place / "in", place / "pictures", self.link), home=str(place))
        self.originals = [self._picture(kind) for kind in KINDS]
        self.harmless: set[str] = set()
        self.secrets: set[str] = set()
        self.paths: list[Path] = []
        for folder in self.inside:
            self._fill(folder, "", self.harmless)
        for folder in self.outside:
            self._fill(folder, SECRET, self.secrets)
        self.trap()

    def _picture(self, kind: str) -> bytes:
        file = BytesIO()
        edges = self._rng.randint(1, 20), self._rng.randint(1, 20)
        Image.frombytes("RGB", edges, self._rng.randbytes(3 * edges[0] * edges[1])).save(file, kind)
        return file.getvalue()

    def _fill(self, folder: Path, prefix: str, digests: set[str]) -> None:
        for sub in (folder, folder / f"{prefix}sub", folder / f"{prefix}sub" / f"{prefix}deep"):
            sub.mkdir()
            for kind, extension in KINDS.items():
                for name in self._rng.sample(NAMES, 3):
                    path = sub / f"{(prefix + name)[:250]}{extension}"
                    content = self._picture(kind)
                    path.write_bytes(content)
                    digests.add(hashlib.sha256(content).hexdigest())
                    self.paths.append(path)

    def trap(self) -> None:
        """Put beside the pictures what a reader could stumble over."""
        secrets = [path for path in self.paths if path.parent in self.outside]
        for folder in self.inside:
            secret = self._rng.choice(secrets)
            links = {
                "out.png": str(secret),
                "relative.png": f"../{secret.parent.name}/{secret.name}",
                "outward": str(secret.parent),
                "up": "..",
                "root": "/",
                "dangling.png": str(secret.parent / f"no {SECRET}.png"),
                "around": ".",
                "circle": "circle",
                "one": "two",
                "two": "one",
                "through.png": f"outward/../{folder.name}/sub",
                "null.png": "/dev/zero",
                "environ.png": "/proc/self/environ",
            }
            for name, target in links.items():
                (folder / name).symlink_to(target)
            os.link(secret, folder / "hard.png")
            os.mkfifo(folder / "pipe.png")
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(folder / "s.png"))
            (folder / "empty.png").touch()
            (folder / "text.png").write_text("not a picture")
            (folder / "secret\n.png").write_text("a line break")
            if sys.platform == "linux":
                # Other systems have no names that are not UTF-8.
                (folder / os.fsdecode(b"f\xfcchse.png")).write_bytes(self.originals[0])
            self.paths += [
                folder / name for name in (*links, "hard.png", "pipe.png", "s.png", "empty.png", "missing.png")
            ]
        self.harmless |= {hashlib.sha256(content).hexdigest() for content in self.originals}


class Watch:
    """Sees every file that the interpreter opens while it is on; the hook itself can never be taken away."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = {str(root) for root in roots}
        self.on = False
        self.opened = 0
        self.strange: list[str] = []
        sys.addaudithook(self._hear)

    def hears(self, path: Path) -> bool:
        """Return whether a file that is opened by its whole path is noticed."""
        self.on = True
        path.open("rb").close()
        self.on = False
        heard, self.opened = bool(self.strange), 0
        self.strange.clear()
        return heard

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and self.on:
            self.opened += 1
            path, _, flags = given
            if not self._leads_inside(path, flags):
                self.strange.append(f"opened {path!r}")

    def _leads_inside(self, path: Any, flags: int) -> bool:
        """A folder itself, or one step from what was opened last, not upwards and not along a link."""
        if path in self._roots:
            return True
        return isinstance(path, str) and "/" not in path and path not in {".", ".."} and bool(flags & os.O_NOFOLLOW)


class Speller:
    """Spells the name of a file as an attacker, a careless model or an unlucky person would."""

    def __init__(self, tree: Tree, rng: random.Random) -> None:
        self._tree = tree
        self._rng = rng
        self._worsenings: list[Callable[[str], str]] = [
            lambda text: self._stepped(text, "./"),
            lambda text: self._stepped(text, "/"),
            lambda text: self._stepped(text, "sub/../"),
            lambda text: self._stepped(text, "../"),
            lambda text: self._stepped(text, rng.choice(["around/", "up/in/", "outward/", "up/", "root/"])),
            lambda text: self._stepped(text, f"../{rng.choice([*tree.inside, *tree.outside]).name}/"),
            lambda text: self._inserted(text, rng.choice(["\0", "%00", "\n", "\x1b[2J", "\u202e", "\ud800", "\udcff"])),
            lambda text: self._inserted(text, rng.choice(["%", "%2e%2e/", "%2F", "\\", ":", "?", "#", "%c0%ae", "~"])),
            lambda text: self._inserted(text, os.fsdecode(rng.randbytes(rng.randint(1, 4)))),
            lambda text: self._inserted(text, "y" * rng.choice([1, 5, 200, 300, 5000])),
            lambda text: unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC"]), text),
            lambda text: "".join(rng.choice([one.upper(), one.lower()]) for one in text),
            lambda text: (
                rng.choice(["//", "\\\\?\\", "\\\\server\\", "C:", "~", "~/", "/proc/self/root", " ", "."]) + text
            ),
            lambda text: text + rng.choice(["/", "/.", "/..", "::$DATA", " ", ".", "/fox.png", ".png"]),
            lambda text: text[: rng.randrange(len(text) + 1)],
            lambda text: quote(os.fsencode(text)) if "\ud800" not in text else text,
        ]

    def name(self) -> str:
        """Return a name that nobody has thought of yet."""
        path, rng = self._rng.choice(self._tree.paths), self._rng
        text = str(path)
        form = rng.randrange(6)
        if form == 0:
            text = os.path.relpath(path, rng.choice(self._tree.inside))
        elif form == 1:
            text = path.name
        elif form == 2:
            text = f"~/{path.relative_to(self._tree.place)}"
        elif form == 3:
            text = text.replace(f"{self._tree.place}/real/", f"{self._tree.link}/")
        address = rng.random() < 0.3
        if address:
            text = quote(os.fsencode(text), safe=rng.choice(["/", "/", "/.~", ""]))
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 5])):
            text = rng.choice(self._worsenings)(text)
        if address:
            text = (
                rng.choice(["file://", "file://", "file:", "file://localhost", "FILE://", "file:///", "file:////"])
                + text
            )
        return text

    def _stepped(self, text: str, step: str) -> str:
        """Put a step before a random part of the path."""
        places = [0, *(found.end() for found in re.finditer("/", text))]
        return put(text, step, self._rng.choice(places))

    def _inserted(self, text: str, piece: str) -> str:
        return put(text, piece, self._rng.randrange(len(text) + 1))


def inline(content: bytes) -> str:
    """Return a picture as inline data."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def put(text: str, piece: str, place: int) -> str:
    """Return the text with a piece put in."""
    return text[:place] + piece + text[place:]


def damaged_picture(tree: Tree, rng: random.Random) -> bytes:
    """Return a picture that is cut, flipped, spliced or followed by something."""
    content = bytearray(rng.choice(tree.originals))
    for _ in range(rng.choice([0, 1, 1, 2, 8])):
        place = rng.randrange(len(content) + 1)
        match rng.randrange(5):
            case 0:
                del content[place:]
            case 1 if place < len(content):
                content[place] ^= 1 << rng.randrange(8)
            case 2:
                content[place : place + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
            case 3:
                content[place:] = rng.choice(tree.originals)[place:]
            case _:
                content += rng.choice([b"PK\3\4", b"<script>", bytes(50), *tree.originals])
    return bytes(content)


def attempt(found: Found, watch: Watch, what: str, read: Callable[[], ReferencePicture]) -> ReferencePicture | None:
    """Read once, and note what came of it."""
    found.tried[what] += 1
    picture = None
    watch.on = True
    try:
        picture = read()
    except UnusableError as error:
        message = str(error)
        found.refused[re.sub(r"[0-9][0-9.,]*|\(.*\)", "N", error.reason)] += 1
        if SECRET in message or not message.isprintable():
            found.wrong.append(f"a message tells too much: {message!r}")
    except Exception as error:  # noqa: BLE001 - whatever else comes is what this program looks for
        found.wrong.append(f"{type(error).__name__} instead of a refusal: {error}")
    else:
        found.accepted[what] += 1
    finally:
        watch.on = False
    return picture


def try_names(tree: Tree, watch: Watch, rng: random.Random, count: int, found: Found) -> None:
    """Read generated names; what is accepted must be a picture from inside."""
    speller = Speller(tree, rng)
    for _ in range(count):
        name = speller.name()
        picture = attempt(found, watch, "names", lambda name=name: tree.folders.read(name))  # type: ignore[misc]
        if picture is not None and (picture.digest in tree.secrets or picture.digest not in tree.harmless):
            found.wrong.append(f"read from outside: {name!r}")
        found.wrong += [f"{strange} for {name!r}" for strange in watch.strange]
        watch.strange.clear()


def try_pictures(tree: Tree, watch: Watch, rng: random.Random, count: int, found: Found) -> None:
    """Read damaged pictures, from a file and inline; what is accepted must be accepted again just as it is."""
    file = tree.inside[0] / "damaged.bin"
    for _ in range(count):
        content = damaged_picture(tree, rng)
        file.write_bytes(content)
        digits = base64.b64encode(content).decode()
        if rng.random() < 0.3:
            digits = put(digits, rng.choice(["=", " ", "\n", "%0A", "!", "\u00e9"]), rng.randrange(len(digits) + 1))
        address = (
            rng.choice(["data:image/png;base64,", "data:image/png,", "DATA:image/x; base64,", "data:;base64,"]) + digits
        )
        pictures = (
            attempt(found, watch, "files", lambda: tree.folders.read(file.name)),
            attempt(found, watch, "inline data", lambda address=address: read_inline(address)),  # type: ignore[misc]
        )
        for picture in pictures:
            if picture is not None and read_inline(inline(picture.content)) != picture:
                found.wrong.append(f"what would be sent is no sound picture: {content!r}")
    found.wrong += watch.strange


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=10_000, help="names to try (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(given)
    rng, found, start = random.Random(options.seed), Found(), clock()
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder).resolve(), rng)
        watch = Watch(tree.inside)
        for content in tree.originals:
            # The decoders are loaded before anybody watches.
            read_inline(inline(content))
        if not watch.hears(tree.paths[-1].parent / "text.png"):
            found.wrong.append("the watch sees nothing, so that it proves nothing")
        try_names(tree, watch, rng, options.paths, found)
        try_pictures(tree, watch, rng, max(1, options.paths // 4), found)
        found.opened = watch.opened
    report(found, clock() - start)
    if found.wrong:
        raise SystemExit(1)


def report(found: Found, seconds: float) -> None:
    """Print what was tried and what was found."""
    print(f"tried, in {seconds:.0f} s: " + ", ".join(f"{count} {what}" for what, count in found.tried.items()))
    print("accepted: " + ", ".join(f"{count} {what}" for what, count in found.accepted.items()))
    print(f"refused: {found.refused.total()}")
    for reason, count in found.refused.most_common():
        print(f"  {count:6} {reason}")
    print(f"opened: {found.opened}, each a folder that may be read or a step down from one")
    print(f"read from outside, told of it, or crashed: {len(found.wrong)}")
    for wrong in found.wrong[:20]:
        print(f"  {wrong}".encode("ascii", "backslashreplace").decode())


if __name__ == "__main__":
    main()
