"""The processes that share a journal: their names, whether one has ended, and the leases by which they keep apart.

A lease is a living process, its claim to save a picture, or a turn to upload or to read the balance. All are measured
on the monotonic clock, which all processes of one boot share: a time of day may be set back, and would then keep what a
dead process holds. Read it inside the transaction, or another process may have renewed a lease after that moment.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

LEASE: Final = 30.0
"""Seconds after which a process that no longer renews its lease counts as dead."""
RENEWAL: Final = 5.0
SAVING: Final = 180.0
"""Seconds for which one process has the saving of a picture to itself: more than the longest download takes."""
UPLOADS_PER_MINUTE: Final = 5
"""As many as Vidgo takes from one key before it answers 429."""
UPLOAD_TURN: Final = 61.0
"""Seconds for which an upload takes one of them: Vidgo counts when it arrives, and one may be slow to get there."""
LONGEST_HOLD: Final = 300.0
"""Seconds of waiting that are believed; a vendor who asks for more is asked again after that."""


def current_process() -> str:
    """Return the name of this process: its host, its id, and a random part, because in containers ids repeat."""
    pid = os.getpid()
    return f"{platform.node()}:{pid}:{_nonce(pid)}"


@cache
def _nonce(pid: int) -> str:
    return os.urandom(4).hex()


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


@dataclass(frozen=True, slots=True)
class Lease:
    """What one process may do, or all must leave alone; there is one of each name.

    ``process`` is empty for a turn to upload, which outlives its process because Vidgo has counted it. ``until`` is in
    seconds of the monotonic clock, ``length`` is how long the lease lasts in full.
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
