"""Real disks that are full, read-only or closed to the user, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = """
import os, sqlite3, subprocess, sys
import anyio
from pathlib import Path
from tests.journal.conftest import intent, reserved, sent
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import SqliteJournal
from vidgo_mcp.models.tasks import Task

async def refusal(step):
    try:
        await step
    except JournalError as error:
        return f"{error.facts.reason}: {error.message}"
    raise AssertionError("it was not refused")

async def main(folder):
"""
FULL = """
    kept = SqliteJournal(folder / "journal.db")
    waiting, under_way = await reserved(kept, intent("a")), await sent(kept, intent("b"))
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
    for step in (kept.check(), reserved(kept, intent("c")), kept.mark_sent(waiting.id),
                 kept.bind(under_way.id, Task("t", "running"))):
        print(await refusal(step))
    filler.unlink()
    assert await kept.newest("me", 5) == [under_way, waiting], await kept.newest("me", 5)
    assert (await kept.bind(under_way.id, Task("t", "running"))).task_id == "t"
    assert (await kept.mark_sent(waiting.id)).state == "sent"
    await kept.aclose()
"""
READ_ONLY = """
    kept = SqliteJournal(folder / "journal.db")
    entry = await reserved(kept)
    await kept.aclose()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    print(await refusal(kept.check()))
    print(await refusal(kept.mark_sent(entry.id)))
    print(await refusal(SqliteJournal(folder / "new.db").check()))
    print(await refusal(SqliteJournal(folder / "new" / "new.db").check()))
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    assert (await kept.mark_sent(entry.id)).state == "sent"
    await kept.aclose()
"""
NOT_WRITABLE = """
    kept = SqliteJournal(folder / "journal.db")
    await reserved(kept)
    await kept.aclose()
    kept.path.chmod(0o400)
    print(await refusal(kept.check()))
    kept.path.chmod(0o600)
    for side in folder.glob("journal.db-*"):
        side.unlink()
    folder.chmod(0o500)
    print(await refusal(kept.check()))
    print(await refusal(SqliteJournal(folder / "new.db").check()))
    print(await refusal(SqliteJournal(folder / "new" / "new.db").check()))
    folder.chmod(0o700)
    await reserved(kept, intent("b"))
    await kept.aclose()
"""


def alone(script: str, folder: Path, *before: str) -> list[str]:
    """Run a script in a process of its own, behind a command; return the lines it printed."""
    whole = f"{ALONE}{script}\nanyio.run(main, Path(sys.argv[1]))\n"
    done = subprocess.run(
        [*before, sys.executable, "-c", whole, str(folder)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def mounted(folder: Path) -> list[str]:
    """Return the command before a script that gives it a file system of 400 KB; skip where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("this system cannot mount a file system for one process")
    own = ["unshare", "--mount", "--map-root-user"]
    mount = f"mount -t tmpfs -o size=400k none '{folder}'"
    if subprocess.run([*own, "sh", "-c", mount], capture_output=True, timeout=30).returncode:
        pytest.skip("this user may not mount a file system")
    return [*own, "sh", "-c", f'{mount} && exec "$@"', "sh"]


def test_on_a_full_disk_nothing_is_sent_and_nothing_is_half_written(tmp_path: Path) -> None:
    lines = alone(FULL, tmp_path, *mounted(tmp_path))
    assert [line.count(f"The journal {tmp_path}/journal.db cannot be used (") for line in lines] == [1] * 4
    assert all("full" in line or "disk I/O error" in line for line in lines)
    assert {line.partition(":")[0] for line in lines} <= {"disk_full", "unwritable"}
    assert "what became of the task t is not recorded" in lines[3]


def test_on_a_read_only_file_system_nothing_is_sent(tmp_path: Path) -> None:
    lines = alone(READ_ONLY, tmp_path, *mounted(tmp_path))
    assert [line.count(str(tmp_path)) for line in lines] == [1] * 4
    assert {line.partition(":")[0] for line in lines} == {"unwritable"}
    assert all("read-only" in line.casefold() or "readonly" in line or "unable to open" in line for line in lines)


def test_a_file_or_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    before: list[str] = []
    if sys.platform == "win32":
        pytest.skip("this system has no file modes")
    if os.geteuid() == 0:
        # Root may write everywhere, unless it lays that right down.
        before = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
        if shutil.which("setpriv") is None or subprocess.run([*before, "true"], timeout=30).returncode:
            pytest.skip("root cannot lay down its rights here")
    (tmp_path / "folder").mkdir()
    lines = alone(NOT_WRITABLE, tmp_path / "folder", *before)
    assert [line.count(str(tmp_path)) for line in lines] == [1] * 4
    assert {line.partition(":")[0] for line in lines} == {"unwritable"}
    assert all("readonly" in line or "unable to open" in line or "Permission denied" in line for line in lines)
