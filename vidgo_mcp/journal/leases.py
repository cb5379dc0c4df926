"""Who may do something, and until when: one rule for a living process, a picture to save, and a turn to upload.

Leases are measured on the monotonic clock, which all processes of one boot share: a time of day may be set back, and
would then keep what a dead process holds. Read it inside the transaction, or another process may have renewed a lease
after that moment.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

LEASE: Final = 30.0
"""Seconds after which a process that no longer renews its lease counts as dead."""
RENEWAL: Final = 5.0
SAVING: Final = 180.0
"""Seconds for which one process has the saving of a picture to itself: more than the longest download takes."""
UPLOADS_PER_MINUTE: Final = 5
"""As many as Vidgo takes from one key before it answers 429."""
UPLOAD_TURN: Final = 61.0
"""Seconds for which an upload takes one of them. Vidgo counts when it arrives: one that was slow to get there must not
make the sixth come a little less than a minute after it."""
LONGEST_HOLD: Final = 300.0
"""Seconds of waiting that are believed; a vendor who asks for more is asked again after that."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What one process may do, or all must leave alone.

    Attributes:
        name: what it is about; there is one of each name.
        process: who has it; empty for a turn to upload, which outlives its process because Vidgo has counted it.
        until: when it ends, in seconds of the monotonic clock.
        length: seconds that it lasts in full.
    """

    name: str
    process: str
    until: float
    length: float

    def is_alive(self, now: float) -> bool:
        """Return whether it binds others."""
        # The clock starts anew with each boot: one that would last longer than in full was left by an earlier boot.
        return now < self.until <= now + self.length


def process_name(process: str) -> str:
    """Return the name of the lease that a living process renews."""
    return f"process:{process}"


def of_process(process: str, now: float) -> Lease:
    """Return the lease of a process that is alive right now."""
    return Lease(process_name(process), process, now + LEASE, LEASE)


def saving_name(entry_id: str) -> str:
    """Return the name of the claim to save a picture."""
    return f"save:{entry_id}"


def to_save(entry_id: str, process: str, now: float) -> Lease:
    """Return the claim of a process to save a picture."""
    return Lease(saving_name(entry_id), process, now + SAVING, SAVING)


def upload_names(account: str) -> Sequence[str]:
    """Return the names of an account's turns to upload."""
    return [f"upload:{account}:{number}" for number in range(UPLOADS_PER_MINUTE)]


def upload_turn(account: str, taken: Collection[Lease], now: float) -> Lease | float:
    """Return a turn that is free, or the seconds until one may be, given those that are taken."""
    held = {lease.name for lease in taken}
    free = next((name for name in upload_names(account) if name not in held), None)
    if free is None:
        return min(lease.until for lease in taken) - now
    return Lease(free, "", now + UPLOAD_TURN, UPLOAD_TURN)


def upload_hold(account: str, taken: Collection[Lease], seconds: float, now: float) -> Sequence[Lease]:
    """Return the leases that occupy every turn for this long, except those that are taken for longer."""
    length = min(seconds, LONGEST_HOLD)
    ends = {lease.name: lease.until for lease in taken}
    return [
        Lease(name, "", now + length, length) for name in upload_names(account) if ends.get(name, now) < now + length
    ]
