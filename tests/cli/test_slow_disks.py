"""A picture that is slow to be saved holds neither the result of a command nor, for ever, its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

HUNG = """
import importlib, sys, threading, time

main = importlib.import_module("vidgo_mcp.cli.main")
threading.Thread(target=time.sleep, args=(600,)).start()
main.cli = type("Command", (), {"main": staticmethod(lambda **_: sys.exit(3))})
print("told")  # not flushed
main.main()
"""


def test_a_result_is_told_before_its_picture_is_saved_and_the_last_line_says_where(world: Callable[..., Any]) -> None:
    here = world("file:slow=8*1")
    here.paid("a red fox")
    made = here.run("task", here.task_id())
    assert made.exit_code == 0
    assert made.stdout.startswith("Finished.")
    assert "saved as " not in made.stdout
    assert made.stderr.splitlines()[-1].startswith("Saved as ")


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    """As one does that reads or writes in a network folder whose server is gone."""
    ended = subprocess.run([sys.executable, "-c", HUNG], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "told\n", "")
