"""A whole server whose folder takes no picture: the result is there and says why, and the next start saves it."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.crash.conftest import LOW, Child, charges, journal_of, until
from vidgo_mcp.sandbox import SANDBOX_KEY, Brief, Sandbox, running

COMMAND = shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or "vidgo-mcp"
ROOM = 1_000_000
"""Bytes that a file may have on the full disk: enough for the journal, and not for the picture."""
LIMITED = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({ROOM}, {ROOM})); "
EXECUTE = "os.execv(sys.argv[1], sys.argv[1:])"


def noise(brief: Brief) -> bytes:
    """Draw a picture that does not compress."""
    file = BytesIO()
    Image.frombytes("RGB", (1024, 1024), random.Random(brief.seed).randbytes(3 << 20)).save(file, "PNG")
    return file.getvalue()


class Server(Child):
    """The program as a client starts it."""

    def __init__(self, path: Path, base: str, folder: Path, *before: str) -> None:
        settings = {
            "VIDGO_API_KEY": SANDBOX_KEY,
            "VIDGO_BASE_URL": base,
            "VIDGO_JOURNAL": str(path),
            "VIDGO_SAVE_DIR": str(folder),
        }
        super().__init__([*before, COMMAND], {**os.environ, **settings})
        client = {"name": "test", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result."""
        self.send({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
        while (answer := self.receive()).get("id") != method:
            pass
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def full(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield what goes before a command whose files may not grow beyond some size."""
    yield sys.executable, "-c", LIMITED + EXECUTE
    assert list(folder.iterdir()) == []


@contextmanager
def taken(folder: Path) -> Iterator[tuple[str, ...]]:
    """Put a file in the place of the folder, for a while."""
    folder.write_text("a letter to a friend")
    yield ()
    assert folder.read_text() == "a letter to a friend"
    folder.unlink()


@contextmanager
def serving(path: Path, base: str, folder: Path, *before: str) -> Iterator[Server]:
    server = Server(path, base, folder, *before)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize(
    ("obstacle", "reason"),
    [
        pytest.param(
            full, "file too large", marks=pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
        ),
        (taken, "a file where the folder should be"),
    ],
)
def test_a_picture_that_the_disk_does_not_take_is_saved_by_the_next_start(
    obstacle: Callable[[Path], Any], reason: str, tmp_path: Path
) -> None:
    path, folder = tmp_path / "journal.db", tmp_path / "saved"
    sandbox = Sandbox(seconds=(0.3, 0.3))
    sandbox.draw = noise
    with running(sandbox) as base:
        with obstacle(folder) as before, serving(path, base, folder, *before) as server:
            arguments = {"prompt": "a fox", "wait_seconds": 30}
            result = server.ask("tools/call", {"name": "generate_image", "arguments": arguments})
            found = result["structuredContent"]
            assert not result.get("isError")
            assert (found["outcome"], found.get("saved_paths")) == ("finished", None)
            [note] = [note for note in found["notes"] if "Not saved" in note]
            assert str(folder) in note
            assert reason in note.lower()
            assert journal_of(path, base)[0].saved_paths == ()
        with serving(path, base, folder):
            until(lambda: journal_of(path, base)[0].saved_paths)
        [file] = folder.iterdir()
        assert journal_of(path, base)[0].saved_paths == (str(file),)
        assert file.stat().st_size > ROOM
        with Image.open(file) as picture:
            picture.load()
        assert charges(sandbox) == [("charge", LOW)]
