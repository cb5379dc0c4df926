"""The suite would notice: a copy of the package in which one step is missing, or comes too late, turns it red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("benchmarks", "vidgo_mcp", "tests", "pyproject.toml")
UPLOADED = """\
        ready = await upload_references(self._tasks, references, self._deadline, self._reporter)
"""
RESERVED_EARLY = f"""\
        await self._reserve(intent, None)
{UPLOADED}"""
NAMED = """\
            with _part(path.parent, content) as part:
                _give_name(part, path)
"""
NAMED_EARLY = """\
            with _part(path.parent, b"") as part:
                _give_name(part, path)
                file = os.open(path, os.O_WRONLY)
                os.write(file, content)
                os.close(file)
"""
PAYING = "tests/crash/test_killed_anywhere.py::test_a_killed_process_loses_nothing_and_the_next_one_pays_nothing_twice"
UPLOADING = "tests/crash/test_killed_while_uploading.py::test_the_next_process_uploads_what_is_missing_and_pays_once"
SAVING = "tests/crash/test_killed_while_saving.py::test_the_next_start_leaves_one_whole_file_and_records_it"
BREAKS = {
    "the sent mark is not written": (
        "vidgo_mcp/service/submission.py",
        "                submission.entry = await self._journal.mark_sent(submission.entry.id)\n",
        "                pass\n",
        f"{PAYING}[charged]",
    ),
    "the sent mark comes after the answer": (
        "vidgo_mcp/journal/transitions.py",
        'return replace(entry, state="sent", sent_at=now)',
        'return replace(entry, state="reserved", sent_at=None)',
        f"{PAYING}[charged]",
    ),
    "the step that reserves is not atomic": (
        "vidgo_mcp/journal/connection.py",
        'connection.execute("BEGIN IMMEDIATE")',
        'connection.execute("BEGIN")',
        "tests/journal/test_sqlite_processes.py",
    ),
    "the intent is reserved before its references are ready": (
        "vidgo_mcp/service/generation.py",
        UPLOADED,
        RESERVED_EARLY,
        f"{UPLOADING}[before upload_turn]",
    ),
    "an upload is not remembered": (
        "vidgo_mcp/journal/sqlite.py",
        "db.execute(query, (account, digest, url, until))",
        "pass",
        f"{UPLOADING}[after remember_upload]",
    ),
    "a file gets its name before it is written": (
        "vidgo_mcp/files/writer.py",
        NAMED,
        NAMED_EARLY,
        f"{SAVING}[inside write]",
    ),
    "everybody may save": (
        "vidgo_mcp/journal/sqlite.py",
        "            if lease.process not in {process, instead_of}:\n",
        "            if False:\n",
        "tests/crash/test_two_at_once.py",
    ),
}


def suite(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    # ``-m`` puts the copy, which is the working directory, before the installed package; PYTHONPATH does so for the
    # processes that the tests start.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTEST_"))}
    alone["PYTHONPATH"] = str(copy)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=alone, capture_output=True, text=True, timeout=240, check=False)


def copied(to: Path) -> Path:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, to / name)
    return to


@pytest.mark.parametrize("what", BREAKS)
def test_the_suite_goes_red(what: str, tmp_path: Path) -> None:
    file, sound, broken, tests = BREAKS[what]
    copy = copied(tmp_path)
    text = (copy / file).read_text(encoding="utf-8")
    assert text.count(sound) == 1
    (copy / file).write_text(text.replace(sound, broken), encoding="utf-8")
    run = suite(copy, tests)
    assert run.returncode == 1, run.stdout
    assert "failed" in run.stdout


def test_the_copy_is_green_while_nothing_is_broken(tmp_path: Path) -> None:
    run = suite(copied(tmp_path), *sorted({tests for _, _, _, tests in BREAKS.values()}))
    assert run.returncode == 0, run.stdout
