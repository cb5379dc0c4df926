"""What the tests of the command line share: the command, in this process or as one of its own, and a sandbox."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from vidgo_mcp.cli.main import cli
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

TIMEOUT = 120.0


def command() -> list[str]:
    """Return the installed command, or the module where no script is installed."""
    script = Path(sys.executable).with_name("vidgo-mcp.exe" if os.name == "nt" else "vidgo-mcp")
    return [str(script)] if script.exists() else [sys.executable, "-m", "vidgo_mcp.cli"]


@dataclass
class Process:
    """A command that runs; its stderr is read line by line, and it never outlives the test."""

    popen: subprocess.Popen[str]
    lines: queue.Queue[str | None] = field(default_factory=queue.Queue)
    seen: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()

    def until(self, text: str) -> str:
        """Return the first line on stderr that has a text."""
        while (line := self.lines.get(timeout=TIMEOUT)) is not None:
            self.seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"ended without saying {text!r}: {self.seen}")

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and everything that was said on stderr."""
        self.popen.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and everything that was said on stderr."""
        code = self.popen.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        while not self.lines.empty():
            self.seen.append(self.lines.get() or "")
        return code, "".join(self.seen)

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.put(line)
        self.lines.put(None)


@dataclass
class Vidgo:
    """The command as a process of its own, in a folder and with an environment of its own."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            [*command(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            cwd=self.folder,
            env=self.environment | environment,
            check=False,
        )

    def piped(self, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
        """Run the command to its end, for output that is no text."""
        return subprocess.run(
            [*command(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )

    def start(self, *arguments: str, stdin: int = subprocess.PIPE, **environment: str) -> Process:
        """Start the command; use the result as a context manager."""
        return Process(
            subprocess.Popen(
                [*command(), *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                cwd=self.folder,
                env=self.environment | environment,
            )
        )


@pytest.fixture
def vidgo(tmp_path: Path) -> Vidgo:
    """The installed command, without settings."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Vidgo(folder, dict(os.environ))


def run_here(*arguments: str, **environment: str) -> Result:
    """Run the command in this process, which is cheap."""
    return CliRunner().invoke(cli, arguments, env=environment)


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Runs the command in this process, without settings."""
    return run_here


@dataclass
class World:
    """A served sandbox, and the command with the variables that point to it."""

    sandbox: Sandbox
    url: str
    vidgo: Vidgo

    def run(self, *arguments: str, **environment: str) -> Result:
        """Run the command in this process."""
        return run_here(*arguments, **({"VIDGO_BASE_URL": self.url, "VIDGO_API_KEY": SANDBOX_KEY} | environment))

    def paid(self, *arguments: str, **environment: str) -> str:
        """Pay for a picture without waiting for it; return its task, which finishes at once."""
        known = set(self.sandbox.tasks)
        ran = self.run("generate", *arguments, "--wait-seconds", "0", **environment)
        assert ran.exit_code == 4, ran.output
        self.sandbox.advance(600)
        (task_id,) = set(self.sandbox.tasks) - known
        return task_id

    def movements(self) -> list[tuple[str, int]]:
        """Return every charge and refund, oldest first."""
        return [(entry.kind, entry.credits) for entry in self.sandbox.ledger]

    def posts(self) -> list[Any]:
        """Return the body of every submit, oldest first."""
        return [record.body["input"] for record in self.sandbox.requests if record.method == "POST"]

    def task_id(self) -> str:
        """Return the id of the only task."""
        (task_id,) = self.sandbox.tasks
        return task_id


@pytest.fixture
def world(vidgo: Vidgo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Serves sandboxes whose tasks take ten minutes by default; the command runs in the folder ``vidgo.folder``."""
    monkeypatch.chdir(vidgo.folder)
    with ExitStack() as stack:

        def serve(*faults: str, seconds: float = 600, balance: int = 1000) -> World:
            sandbox = Sandbox(accounts={SANDBOX_KEY: balance}, seconds=(seconds, seconds), faults=faults)
            url = stack.enter_context(running(sandbox))
            variables = {"VIDGO_BASE_URL": url, "VIDGO_API_KEY": SANDBOX_KEY}
            return World(sandbox, url, Vidgo(vidgo.folder, vidgo.environment | variables))

        yield serve
