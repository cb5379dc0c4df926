"""A picture that is slow to be saved holds neither the result of a command nor, for ever, its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

HUNG = """
import importlib, sys, threading, time

main = importlib.import_module("vidgo_mcp.cli.main")
threading.Thread(target=time.sleep, args=(600,)).start()
main.cli = type("Command", (), {"main": staticmethod(lambda **_: sys.exit(3))})
print("told")  # not flushed
main.main()
"""


@pytest.mark.parametrize(
    ("slow", "ending"), [(8, "Saved as "), (25, "Not saved yet: another vidgo-mcp that runs, or the next one,")]
)
def test_a_result_is_told_before_its_picture_is_saved_and_what_became_of_that_at_the_end(
    world: Callable[..., Any], slow: int, ending: str
) -> None:
    here = world(f"file:slow={slow}*1")
    made = here.vidgo.run("generate", "a red fox")
    assert made.returncode == 0
    assert made.stdout.startswith("Finished.")
    assert "yet; that goes on" in made.stdout
    assert made.stderr.splitlines()[-1].startswith(ending)
    # The next command that runs finds it saved, or saves it.
    again = here.vidgo.run("generate", "a red fox")
    assert "  saved as " in again.stdout


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    """As one does that reads or writes in a network folder whose server is gone."""
    ended = subprocess.run([sys.executable, "-c", HUNG], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "told\n", "")
