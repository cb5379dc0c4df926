"""Name this process in the journal, and tell whether another one has ended."""

from __future__ import annotations

import os
import platform
from functools import cache


def current_process() -> str:
    """Return the name of this process: its host, its id, and a random part, because in containers ids repeat."""
    pid = os.getpid()
    return f"{platform.node()}:{pid}:{_nonce(pid)}"


def is_process_dead(name: str) -> bool:
    """Return whether a process provably ended. Blocking; call it in a worker thread.

    False for one on another host, and for one whose id another program has by now: their leases run out.
    """
    place, _, _ = name.rpartition(":")
    host, _, number = place.rpartition(":")
    if host != platform.node() or not number.isdecimal() or name == current_process():
        return False
    if int(number) == os.getpid():
        return True
    # Loaded when there is somebody to ask about: it takes longer than all else that the name needs at start.
    import psutil

    try:
        # One that was killed keeps its id until its parent, a desktop client for instance, asks how it ended.
        return psutil.Process(int(number)).status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


@cache
def _nonce(pid: int) -> str:
    return os.urandom(4).hex()
