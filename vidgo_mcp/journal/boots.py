"""The time that all processes with one journal share: the boot clock, set once in each boot and corrected by Vidgo.

A wall clock may be wrong for a moment, in one process or in all, and must neither end the 24 hours in which nothing is
paid twice nor delete a record. So it is read once, at the first step in a boot; Vidgo's answers then say whether it was
right.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from vidgo_mcp.journal.clock import Clock
from vidgo_mcp.journal.connection import Database, step

TOLERANCE: Final = 300.0
"""Seconds by which two clocks may differ and still agree."""


class JournalTime:
    """The journal's time of day, for one process. Call it for the seconds since the epoch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._zero: float | None = None
        """The time of day at which the boot clock showed 0; None before the first step, and where boots have no name"""
        self._heard: float | None = None
        """The same by Vidgo's clock, until the next step takes it in."""
        self._confirmed = False
        self.boot = ""

    def __call__(self) -> float:
        zero = self._zero
        return self._clock.wall() if zero is None else zero + self._clock.uptime()

    def hear(self, date: float | None) -> None:
        """Note the time of an answer of Vidgo's, None where it does not say: then the wall clock has to do.

        It does nothing else, so that no answer ever waits for the journal.
        """
        zero = self._zero  # a step in a thread may correct it meanwhile
        if zero is None:
            self._confirmed = date is None or abs(date - self._clock.wall()) <= TOLERANCE
        elif date is not None:
            heard = date - self._clock.uptime()
            if not self._confirmed or abs(heard - zero) > TOLERANCE:
                self._heard = heard
        elif not self._confirmed:
            self._heard = self._clock.wall() - self._clock.uptime()

    def begin(self, db: sqlite3.Connection) -> None:
        """Begin a step: take over what the processes of this boot agree on, and what Vidgo said since the last step.

        In an older copy of the file, or in one that another process began anew, they may not know yet what Vidgo said.
        """
        self.boot = self._clock.boot()
        if not self.boot:
            return
        found = db.execute("SELECT zero, confirmed FROM boots WHERE boot = ?", (self.boot,)).fetchone()
        if found is None:
            # In a file that took the place of another one the time goes on.
            zero = self._clock.wall() - self._clock.uptime() if self._zero is None else self._zero
            found = (zero, self._confirmed)
            db.execute("INSERT INTO boots (boot, zero, confirmed) VALUES (?, ?, ?)", (self.boot, *found))
        known = self._zero if self._confirmed and not found[1] else None
        self._zero, self._confirmed = found[0], bool(found[1])
        heard, self._heard = known if self._heard is None else self._heard, None
        if heard is not None:
            self._correct(db, heard - found[0])

    @property
    def zero(self) -> float:
        """The time of day at which the boot clock showed 0, the same in all steps where boots have no name."""
        return 0.0 if self._zero is None else self._zero

    def is_to_be_confirmed(self) -> bool:
        """Return whether nobody has confirmed the clock of this boot; without a boot the wall clock has to do."""
        return bool(self.boot) and not self._confirmed

    def may_prune(self) -> bool:
        """Return whether the time is certain enough to delete by it."""
        return self._confirmed and abs(self() - self._clock.wall()) <= TOLERANCE

    def _correct(self, db: sqlite3.Connection, off: float) -> None:
        """Confirm the time of this boot; what was recorded by a wrong one moves along, and keeps its age."""
        zero, now = self._zero, self()
        if abs(off) > TOLERANCE and zero is not None:
            values = {"boot": self.boot, "off": off, "zero": zero, "now": now}
            db.execute(
                "UPDATE entries SET created_at = created_at + :off, sent_at = sent_at + :off, "
                "ended_at = ended_at + :off WHERE boot = :boot",
                values,
            )
            # These do not say in which boot they were written; an earlier one has no times between these two.
            for table, column in (("consents", "used_at"), ("balances", "read_at"), ("balances", "shared_at")):
                moved = f"UPDATE {table} SET {column} = {column} + :off WHERE {column} BETWEEN :zero AND :now"  # noqa: S608
                db.execute(moved, values)
            # To upload again is free; one that is believed to live for too long fails a picture.
            db.execute("DELETE FROM uploads")
            self._zero = zero + off
        db.execute("UPDATE boots SET zero = ?, confirmed = 1 WHERE boot = ?", (self._zero, self.boot))
        self._confirmed = True


class TimedDatabase(Database):
    """A database whose every step begins with the time."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        super().__init__(path)
        self._now = JournalTime(clock)

    def now(self) -> float:
        return self._now()

    def hear_time(self, date: float | None) -> None:
        self._now.hear(date)

    @step
    def needs_time(self, db: sqlite3.Connection) -> bool:
        return self._now.is_to_be_confirmed()

    def _put_back_lost(self, connection: sqlite3.Connection, *, replaced: bool) -> None:
        self._now.begin(connection)
