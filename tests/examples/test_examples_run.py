"""Each example is a program that ends with assertions: it runs here as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FOR_A_PERSON = "see_the_view"
"""Waits for somebody to type, and has a test of its own."""
EXAMPLES = sorted(
    path for path in Path(__file__).parents[2].joinpath("examples").glob("*.py") if path.stem != FOR_A_PERSON
)
PATIENCE = 60


@dataclass(frozen=True)
class Run:
    """One example under way, in an empty folder that is also its home."""

    process: subprocess.Popen[str]
    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Run]]:
    """Start all examples at once: most of their time they wait."""
    started = {}
    for example in EXAMPLES:
        folder = tmp_path_factory.mktemp(example.stem)
        # The sandbox inside a server remembers for a day, in the temporary folder.
        temporary = tmp_path_factory.mktemp(f"{example.stem}-temporary")
        env = {"HOME": str(folder), "TMPDIR": str(temporary), "PATH": os.defpath, "PYTHONUTF8": "1"}
        command = [sys.executable, "-W", "error", str(example)]
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        started[example] = Run(process, folder)
    yield started
    for run in started.values():
        run.process.kill()
        run.process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_by_itself_and_keeps_its_assertions(example: Path, runs: dict[Path, Run]) -> None:
    run = runs[example]
    out, err = run.process.communicate(timeout=PATIENCE)
    assert run.process.returncode == 0, err
    assert out
    assert not err
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_enough_to_read(example: Path) -> None:
    lines = example.read_text("utf-8").splitlines()
    assert len(lines) < 80
    assert any(line.lstrip().startswith("assert ") for line in lines)


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "client_alone",
        "edit_a_file",
        "http_three_pictures",
        "stdio_three_pictures",
    ]
