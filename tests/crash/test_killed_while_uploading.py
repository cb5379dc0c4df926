"""A process is killed around the uploads of an edit: the next one uploads what is missing, and pays once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.crash.conftest import ANEW, FOUND, UNKNOWN, Payers, check, journal_of, until
from vidgo_mcp.sandbox import Sandbox, running
from vidgo_mcp.sandbox.storage import Storage, StoredFile

POINTS = {
    "before upload_turn": (ANEW, 0, []),
    "after upload_turn": (ANEW, 0, []),
    "accepted": (ANEW, 0, []),
    "after upload": (ANEW, 0, []),
    "inside remember_upload": (ANEW, 0, []),
    "after remember_upload": (ANEW, 1, []),
    "before reserve": (ANEW, 2, []),
    "before mark_sent": (ANEW, 2, ["reserved"]),
    "after mark_sent": (UNKNOWN, 2, ["sent"]),
    "after bind": (FOUND, 2, ["accepted"]),
}
"""What the next process makes of a request whose process was killed there; how many uploads it finds at least; and
what the journal holds: nothing, as long as references are uploaded."""


class Shelves(Storage):
    """The vendor's storage, which writes down the digest of each upload."""

    def __init__(self) -> None:
        super().__init__()
        self.uploaded: list[str] = []

    def keep(self, file: StoredFile) -> StoredFile:
        if isinstance(file.content, bytes):
            self.uploaded.append(sha256(file.content).hexdigest())
        return super().keep(file)


class Vendor(Sandbox):
    """A sandbox with such a storage."""

    def __init__(self, *faults: str) -> None:
        super().__init__(seconds=(0.3, 0.3), faults=faults)
        self.storage: Shelves = Shelves()


@pytest.fixture
def references(tmp_path: Path) -> list[Path]:
    """Return two different pictures."""
    paths = [tmp_path / name for name in ("cat.png", "dog.png")]
    for shade, path in enumerate(paths):
        file = BytesIO()
        Image.new("RGB", (32, 16), (shade, 7, 7)).save(file, "PNG")
        path.write_bytes(file.getvalue())
    return paths


def remembered(path: Path) -> set[str]:
    """Return the digests of the uploads that the journal knows."""
    with closing(sqlite3.connect(path)) as rows:
        return {digest for (digest,) in rows.execute("SELECT digest FROM uploads")}


@pytest.mark.parametrize("point", POINTS)
def test_the_next_process_uploads_what_is_missing_and_pays_once(
    point: str, payers: Payers, references: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    fate, least, left = POINTS[point]
    vendor = Vendor("upload:hang*1") if point == "accepted" else Vendor()
    given = [str(reference) for reference in references]
    with running(vendor) as base:
        victim, heir = payers.take(), payers.take()
        victim.ask(path, base, point, references=given)
        if point == "accepted":
            until(lambda: len(vendor.storage.uploaded) == 2)
        else:
            assert victim.receive() == "stopped"
        paid = bool(vendor.ledger)
        victim.close()
        assert len(vendor.tasks) == paid
        known, before = remembered(path), len(vendor.storage.uploaded)
        assert len(known) >= least
        assert [entry.state for entry in journal_of(path, base)] == left
        heir.ask(path, base, references=given)
        check(fate, heir.receive(), vendor, paid_before=paid)
        missing = [sha256(reference.read_bytes()).hexdigest() for reference in references]
        assert sorted(vendor.storage.uploaded[before:]) == sorted(digest for digest in missing if digest not in known)
        # The victim asked for each at most once.
        assert before <= 2


def test_an_upload_under_way_keeps_no_other_process_from_paying(
    payers: Payers, references: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    vendor = Vendor()
    given = [str(reference) for reference in references]
    with running(vendor) as base:
        uploading, other = payers.take(), payers.take()
        uploading.ask(path, base, "after upload_turn", references=given)
        assert uploading.receive() == "stopped"
        other.ask(path, base, references=given)
        check(ANEW, other.receive(), vendor, paid_before=False)
        assert len(vendor.storage.uploaded) == 2
