"""The processes that share a journal: their names, whether one lives, and the leases by which they keep apart.

A lease is a living process, its claim to save a picture, or a turn to upload or to read the balance. All are measured
on the boot clock, which all processes of one boot share: a time of day may be set back, and would then keep what a dead
process holds. Read it inside the transaction, or another process may have renewed a lease after that moment.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self
from uuid import getnode

from vidgo_mcp.journal.clock import linux_boot

LEASE: Final = 30.0
"""Seconds without renewal after which a process counts as dead, unless it provably runs."""
RENEWAL: Final = 5.0
SAVING: Final = 180.0
"""Seconds for which one process has the saving of a picture to itself: more than the longest download takes."""
UPLOADS_PER_MINUTE: Final = 5
"""As many as Vidgo takes from one key before it answers 429."""
UPLOAD_TURN: Final = 61.0
"""Seconds for which an upload takes one of them: Vidgo counts when it arrives, and one may be slow to get there."""
LONGEST_HOLD: Final = 300.0
"""Seconds of waiting that are believed; a vendor who asks for more is asked again after that."""


Fate = Literal["alive", "dead", "unknown"]


class Identity(NamedTuple):
    """What proves which process is meant.

    Attributes:
        machine: on Linux its present boot, elsewhere an address of its network; two machines may have one name.
        namespace: of process ids on Linux, where containers with one name have one each; elsewhere empty.
        start: when it began, by a clock that nobody sets; empty where it cannot be told.
        nonce: a random part, for what has the same id and start.
    """

    host: str
    pid: int
    machine: str
    namespace: str
    start: str
    nonce: str

    @classmethod
    def read(cls, name: str) -> Self | None:
        """Read the name of a process; None for one that says less, as those of earlier versions do."""
        place, _, facts = name.rpartition(":")
        host, _, pid = place.rpartition(":")
        parts = facts.split("/")
        return cls(host, int(pid), *parts) if pid.isdecimal() and len(parts) == 4 else None

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{'/'.join(self[2:])}"


def current_process() -> str:
    """Return the name of this process."""
    return str(_identity(os.getpid()))


@cache
def _identity(pid: int) -> Identity:
    host, nonce = platform.node(), os.urandom(4).hex()
    if not sys.platform.startswith("linux"):
        return Identity(host, pid, f"{getnode():x}", "", running_since(pid) or "", nonce)
    try:
        boot = linux_boot()
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
        # A sandbox may show the processes of another namespace there, under other ids.
        start = running_since(pid) or "" if Path("/proc/self").readlink().name == str(pid) else ""
    except OSError:
        return Identity(host, pid, "", "", "", nonce)
    return Identity(host, pid, boot, namespace, start, nonce)


def fate_of(name: str) -> Fate:
    """Return what can be proven of a process by its name. Blocking; call it in a worker thread."""
    return judge(Identity.read(name), _identity(os.getpid()), running_since)


def judge(named: Identity | None, here: Identity, since: Callable[[int], str | None]) -> Fate:
    """Return the fate of a process, given this one and what ``running_since`` says of an id.

    Of a process elsewhere nothing can be proven, and this one knows best by its lease what it has under way.
    """
    if named is None or not named.start or not here.start:
        return "unknown"
    if (named.host, named.machine, named.namespace) != (here.host, here.machine, here.namespace):
        return "unknown"
    if named.pid == here.pid:
        return "unknown" if named.nonce == here.nonce else "dead"
    start = since(named.pid)
    if start is None:
        return "dead"
    if start == named.start:
        return "alive"
    # Only Linux counts from the boot. Elsewhere, setting the clock may give a process another start.
    return "dead" if start and named.namespace else "unknown"


def running_since(pid: int) -> str | None:
    """Return when a process began; None when there is none or it has ended, empty when that cannot be told."""
    if sys.platform.startswith("linux"):
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except FileNotFoundError:
            return None if _is_free(pid) else ""
        except OSError:
            return ""
        # The name of the program, in brackets, may have any characters. One that was killed keeps its id until its
        # parent, a desktop client for instance, asks how it ended.
        state, *fields = stat.rpartition(b")")[2].decode().split()
        return None if state in {"Z", "X"} else fields[18]
    import psutil  # noqa: PLC0415  # on these systems only: it takes longer than all else that the name needs

    try:
        process = psutil.Process(pid)
        return (
            None if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} else f"{process.create_time():.2f}"
        )
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ""


def _is_free(pid: int) -> bool:
    """Return whether nobody has a process id: /proc may hide the processes of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


@dataclass(frozen=True, slots=True)
class Lease:
    """What one process may do, or all must leave alone; there is one of each name.

    ``process`` is empty for a turn to upload, which outlives its process because Vidgo has counted it. ``until`` is in
    seconds of the boot clock, ``length`` is how long the lease lasts in full.
    """

    name: str
    process: str
    until: float
    length: float

    @classmethod
    def begun(cls, name: str, process: str, length: float, now: float) -> Self:
        return cls(name, process, now + length, length)

    def is_alive(self, now: float) -> bool:
        """Return whether it binds others."""
        # The clock starts anew with each boot: one that would last longer than in full was left by an earlier boot.
        return now < self.until <= now + self.length

    def silence(self, now: float) -> float | None:
        """Return the seconds since it was last renewed; None when that was not in this boot, or cannot be told."""
        named, here = Identity.read(self.process), _identity(os.getpid())
        if named is None or not named.namespace or named.machine != here.machine:
            return None
        return now - self.until + self.length


def lease_name(process: str) -> str:
    """Return the name of the lease that says a process lives."""
    return f"process:{process}"


def claim_name(entry_id: str) -> str:
    """Return the name of the lease on saving one picture."""
    return f"save:{entry_id}"


def reading_name(account: str) -> str:
    """Return the name of the lease on the reading of an account's balance in this minute."""
    return f"balance:{account}"


def turn_names(account: str) -> Sequence[str]:
    """Return the names of the leases on an account's uploads of this minute."""
    return [f"upload:{account}:{number}" for number in range(UPLOADS_PER_MINUTE)]


def upload_turn(account: str, taken: Collection[Lease], now: float) -> Lease | float:
    """Return a turn that is free, or the seconds until one may be, given those that are taken."""
    held = {lease.name for lease in taken}
    free = next((name for name in turn_names(account) if name not in held), None)
    if free is None:
        return min(lease.until for lease in taken) - now
    return Lease.begun(free, "", UPLOAD_TURN, now)


def upload_hold(account: str, taken: Collection[Lease], seconds: float, now: float) -> Sequence[Lease]:
    """Return the leases that occupy every turn for this long, except those that are taken for longer."""
    holds = [Lease.begun(name, "", min(seconds, LONGEST_HOLD), now) for name in turn_names(account)]
    ends = {lease.name: lease.until for lease in taken}
    return [hold for hold in holds if ends.get(hold.name, now) < hold.until]
