"""Names the process that works on an entry, and tells whether such a process is still there."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


def current_holder() -> str:
    """Return the name of this process: host, process id and start time, so that a reused id is not mistaken for it."""
    return f"{platform.node()}:{os.getpid()}:{started_at(os.getpid()) or ''}"


def is_gone(
    holder: str,
    *,
    host: str | None = None,
    exists: Callable[[int], bool] | None = None,
    started: Callable[[int], str | None] | None = None,
) -> bool:
    """Return whether a holder provably ended; one on another host only its lease can tell about."""
    place, _, start = holder.rpartition(":")
    name, _, number = place.rpartition(":")
    if name != (platform.node() if host is None else host) or not number.isdecimal():
        return False
    pid = int(number)
    if not (exists or process_exists)(pid):
        return True
    now_started = (started or started_at)(pid)
    return bool(start) and now_started is not None and now_started != start


def process_exists(
    pid: int, *, system: str = os.name, kill: Callable[[int, int], None] = os.kill, proc: Path = PROC
) -> bool:
    """Return whether a process is there; True where the system cannot be asked without harm."""
    if system == "nt":
        # os.kill would end the process there; the lease decides instead.
        return True
    try:
        kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    # One that was killed keeps its id until its parent, a desktop client for instance, looks after it.
    return _after_name(pid, proc)[:1] not in (["Z"], ["X"])


def started_at(pid: int, proc: Path = PROC) -> str | None:
    """Return when a process started, in the kernel's own words; None where the system does not tell."""
    fields = _after_name(pid, proc)
    return fields[19] if len(fields) > 19 else None


def _after_name(pid: int, proc: Path) -> Sequence[str]:
    """Return what the kernel says of a process after its name, which may hold blanks and brackets; proc(5)."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
