"""What the benchmarks share: servers as processes of their own, the plainest possible client, and the printing.

The client writes and reads the protocol's own JSON, so that what is measured is the server and not a client's library.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import psutil

BARE: Final = [sys.executable, str(Path(__file__).with_name("bare_server.py"))]
PRODUCT: Final = [str(Path(sys.executable).with_name("vidgo-mcp"))]
VERSION: Final = "2025-11-25"
SERVING: Final = "Serving MCP at "
IMITATING: Final = "The sandbox imitates Vidgo at "
HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": VERSION,
}
PATIENCE: Final = 30.0


@contextmanager
def clean_environment() -> Iterator[dict[str, str]]:
    """Yield an environment without settings and with a home of its own, for a server as it is by default."""
    # Without bytecode only the product would be compiled at each start: packages are when they are installed.
    dropped = ("VIDGO_", "XDG_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    with tempfile.TemporaryDirectory() as home:
        yield {**kept, "HOME": home}


class Pipe:
    """A session with a server over stdio, one message a line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._stdin: IO[bytes] = process.stdin
        self._stdout: IO[bytes] = process.stdout
        self._id = 0

    def open(self) -> None:
        """Shake hands."""
        client = {"name": "benchmark", "version": "1"}
        self.ask("initialize", {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client})
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result."""
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        while line := self._stdout.readline():
            answer = json.loads(line)
            if answer.get("id") == self._id:
                result: dict[str, Any] = answer["result"]
                return result
        raise RuntimeError(f"the server ended before it answered {method}")

    def _send(self, message: dict[str, Any]) -> None:
        self._stdin.write(json.dumps(message).encode() + b"\n")
        self._stdin.flush()


@contextmanager
def over_stdio(command: Sequence[str], surroundings: dict[str, str]) -> Iterator[Pipe]:
    """Start a server and hold a session with it, not yet opened."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=surroundings,
    )
    try:
        yield Pipe(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        _end(process)


@contextmanager
def announcing(command: Sequence[str], surroundings: dict[str, str], prefix: str) -> Iterator[tuple[str, int]]:
    """Start a server that says its address; yield the address that follows the prefix, and the process id."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**surroundings, "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout
    try:
        line = next((line for line in output if prefix in line), None)
        if line is None:
            raise RuntimeError(f"{' '.join(command)} did not start")
        # A pipe that nobody reads would stop the server once it is full.
        threading.Thread(target=lambda: [None for _ in output], daemon=True).start()
        yield line.partition(prefix)[2].split()[0].rstrip(";"), process.pid
    finally:
        process.terminate()
        _end(process)


def result_of(events: str) -> dict[str, Any]:
    """Return the result in an answer over HTTP, which is a stream of events: progress first, the answer last."""
    messages = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: {")]
    result: dict[str, Any] = messages[-1]["result"]
    return result


def peak_memory(pid: int) -> float | None:
    """Return the greatest memory that a process has used so far, in MB; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def processor_time(pid: int) -> float:
    """Return the seconds that a process has kept a processor busy so far: other work on the machine adds none."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def clock() -> float:
    """Return the seconds of a clock that never jumps."""
    return time.perf_counter()


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Return the median with the quartiles, in words."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return f"{middle:.2f} (half of the runs between {low:.2f} and {high:.2f}, {len(values)} runs)"


def _end(process: subprocess.Popen[Any]) -> None:
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
