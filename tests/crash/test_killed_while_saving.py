"""A process is killed around the saving of a picture: the next one's start leaves one whole file, unasked."""

from __future__ import annotations

import os
import sys
import time
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.crash.conftest import LOW, Payer, Payers, charges, journal_of, until
from vidgo_mcp.files.writer import STALE
from vidgo_mcp.sandbox import Sandbox, running
from vidgo_mcp.service import LocalFiles
from vidgo_mcp.service.picture_saver import with_metadata

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="there a process cannot be asked whether it is gone, and its claim lasts minutes"
)

POINTS = (
    *(
        "after bind",
        "after record",
        "after claim_saving",
        "after download",
        "inside write",
        "before name",
        "after name",
    ),
    *("before mark_saved", "inside mark_saved", "after mark_saved"),
)


def in_folder(folder: Path) -> list[Path]:
    """Return all that is in a folder, temporary files too."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def parts(folder: Path) -> list[Path]:
    return [path for path in in_folder(folder) if path.name.startswith(".")]


def downloads(sandbox: Sandbox) -> int:
    return sum(record.path.startswith("/files/") for record in sandbox.requests)


def expected(path: Path, base: str) -> bytes:
    """Return what the file of the only picture in a journal must hold."""
    [entry] = journal_of(path, base)
    content = httpx.get(entry.image_urls[0], trust_env=False).content
    return with_metadata(LocalFiles(), content, entry)


def check_file(file: Path, content: bytes) -> None:
    """Hold a file against what the vendor made, and look at it as a person would."""
    assert file.read_bytes() == content
    assert file.stat().st_nlink == 1
    with Image.open(BytesIO(content)) as picture:
        picture.load()
        assert getattr(picture, "text", {})["Description"] == "a fox"


@pytest.mark.parametrize("point", POINTS)
def test_the_next_start_leaves_one_whole_file_and_records_it(point: str, payers: Payers, tmp_path: Path) -> None:
    path, folder = tmp_path / "journal.db", tmp_path / "saved"
    sandbox = Sandbox(seconds=(0.3, 0.3))
    with running(sandbox) as base:
        victim, heir = payers.take(), payers.take()
        victim.ask(path, base, point, save=str(folder))
        assert victim.receive() == "stopped"
        victim.close()
        left = parts(folder)
        assert len(left) == (point in {"inside write", "before name", "after name"})
        for part in left:
            if part.stat().st_nlink == 1:
                # Half a file of its own is swept away when it is old; a second name goes with the adoption.
                os.utime(part, (time.time() - 2 * STALE,) * 2)
        early = [file for file in in_folder(folder) if file not in left]
        assert len(early) == (point in {"after name", "before mark_saved", "inside mark_saved", "after mark_saved"})
        fetched = downloads(sandbox)
        if early:
            assert early[0].read_bytes() == expected(path, base)
            fetched += 1

        heir.ask(path, base, save=str(folder), idle=True)
        assert heir.receive() == "idle"
        until(lambda: journal_of(path, base)[0].saved_paths and len(in_folder(folder)) == 1)
        assert downloads(sandbox) - fetched == (point != "after mark_saved")
        [file] = in_folder(folder)
        assert journal_of(path, base)[0].saved_paths == (str(file),)
        check_file(file, expected(path, base))
        assert file in early or not early
        check_answer(heir, file)
        assert charges(sandbox) == [("charge", LOW)]


def check_answer(heir: Payer, file: Path) -> None:
    """The same call finds the picture, and the file."""
    heir.send("go on")
    answer = heir.receive()
    assert (answer["outcome"], answer["reused"], answer["credits_charged"]) == ("finished", True, 0)
    assert answer["saved_paths"] == [str(file)]


def test_a_live_process_takes_over_what_a_killed_one_was_saving(payers: Payers, tmp_path: Path) -> None:
    path, folder = tmp_path / "journal.db", tmp_path / "saved"
    sandbox = Sandbox(seconds=(0.3, 0.3))
    with running(sandbox) as base:
        victim, heir = payers.take(), payers.take()
        victim.ask(path, base, "after download", save=str(folder))
        assert victim.receive() == "stopped"
        heir.ask(path, base, claims=True, save=str(folder))
        assert heir.receive() == {"claimed": False}
        victim.close()
        # It looks for a while whether the other one comes to an end, and tries again after that.
        assert heir.receive()["outcome"] == "finished"
        assert heir.receive() == {"claimed": True}
        until(lambda: journal_of(path, base)[0].saved_paths)
        [file] = in_folder(folder)
        check_file(file, expected(path, base))
        assert charges(sandbox) == [("charge", LOW)]
