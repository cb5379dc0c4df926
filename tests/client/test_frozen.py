"""A process that is frozen while its submit is under way finds the answer in the socket when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

PATIENCE = 60.0
DEADLINE = 4.0
"""Seconds that the time-outs below leave for all of a submit."""
SUBMIT = """
import sys, anyio
from vidgo_mcp.client import ImageRequest, Timeouts, VidgoClient

input()


async def main():
    timeouts = Timeouts(connect=1, read=1, submit=2)
    async with VidgoClient(sys.argv[1], base_url=sys.argv[2], timeouts=timeouts) as client:
        print((await client.submit(ImageRequest(prompt="a boat"))).task_id)

anyio.run(main)
"""


class Freezing(Sandbox):
    """Freezes whoever submits before its answer leaves."""

    def __init__(self) -> None:
        super().__init__(seconds=(0, 0))
        self.submitted = threading.Event()
        self.pid = 0

    def submit(self, *given: Any, **more: Any) -> Any:
        task = super().submit(*given, **more)
        os.kill(self.pid, signal.SIGSTOP)
        self.submitted.set()
        return task


@pytest.mark.skipif(sys.platform == "win32", reason="no process is frozen by a signal there")
def test_an_answer_that_came_while_the_process_was_frozen_is_read() -> None:
    sandbox = Freezing()
    with running(sandbox) as url:
        child = subprocess.Popen(
            [sys.executable, "-c", SUBMIT, SANDBOX_KEY, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        sandbox.pid = child.pid
        try:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
            assert sandbox.submitted.wait(PATIENCE)
            # Until every deadline has passed, with the answer in the socket.
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(DEADLINE + 2)
            os.kill(child.pid, signal.SIGCONT)
            said, _ = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
            child.communicate(timeout=PATIENCE)
    assert said.split() == list(sandbox.tasks)
