"""The clocks of this machine: the time of day, which anybody may set, and the boot clock, which nobody can."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_UPTIME: Final = Path("/proc/uptime")
_OFFSETS: Final = Path("/proc/self/timens_offsets")


@cache
def boot_id() -> str:
    """Return the name of this boot of the machine, empty where the system has none. Blocking at the first call."""
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        if sys.platform == "win32":
            return _windows_boot()
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            said = subprocess.run(command, capture_output=True, check=True, text=True, timeout=5)  # noqa: S603  # ours
            return said.stdout.strip()
        # Without the clock that belongs to it the name is worth nothing.
        if _uptime_file() is not None:
            return linux_boot()
    return ""


def linux_boot() -> str:
    """Return the name of this boot of a Linux kernel and of its clock; OSError where it is hidden.

    It is the same in all containers, except where one has a boot clock that is ahead of the machine's, or behind it.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with suppress(OSError):  # older kernels have one clock
        # https://man7.org/linux/man-pages/man7/time_namespaces.7.html
        for clock, *off in map(str.split, _OFFSETS.read_text(encoding="ascii").splitlines()):
            if clock in {"boottime", "7"} and off != ["0", "0"]:
                return f"{boot}+{'.'.join(off)}"
    return boot


def uptime() -> float:
    """Return the seconds since this boot, with those that the machine slept; all its processes agree on them."""
    if sys.platform == "darwin":
        # Unlike ``time.monotonic`` this one goes on while the machine sleeps.
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
    file = _uptime_file()
    if file is None:
        return time.monotonic()
    # From the kernel itself: the clocks of the C library can be faked for one process, and one of them stops in sleep.
    return float(os.pread(file, 100, 0).split()[0])


@cache
def _uptime_file() -> int | None:
    """Return the kernel's file of the boot clock, open for good: a process may run out of files, never out of time.

    None where there is none, or where lxcfs gives each container a clock of its own in its place.
    """
    if sys.platform in {"linux", "android"} and _UPTIME.exists():
        with suppress(OSError):
            if _UPTIME.stat().st_dev == _UPTIME.parent.stat().st_dev:
                return os.open(_UPTIME, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _windows_boot() -> str:
    import winreg  # noqa: PLC0415  # on Windows only

    path = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:  # type: ignore[attr-defined,unused-ignore]
        return str(winreg.QueryValueEx(key, "BootId")[0])  # type: ignore[attr-defined,unused-ignore]


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time.

    Attributes:
        wall: the time of day, in seconds since the epoch.
        uptime: a clock that nobody sets and that all processes of one boot share, in seconds.
        boot: the name of this boot, empty where it has none: then only the wall clock tells the age of anything.
    """

    wall: Callable[[], float] = time.time
    uptime: Callable[[], float] = uptime
    boot: Callable[[], str] = boot_id
