"""Ten thousand pictures under faults, cancellations, time-outs and repeats: do ledger, journal and disk still agree?

Claimed: to the credit. Each charge in the vendor's ledger belongs to exactly one entry of the journal; only an entry
whose outcome is unknown may be without one; no request has two live charges unless the state table allows the second;
no two calls say that they paid for the same task; a refund is a failed entry and the other way round. Each finished
picture of the person is on the disk, once and whole, and nothing else is; a result without a copy says why. Run it with
``python -m benchmarks.soak``; it takes some minutes, prints what it tried and what it found, and exits with 1 on any
disagreement. The same seed does the same again; ``--round N`` repeats one round of it.

It goes through the real service, client and sandbox, on a virtual clock with the journal in memory, in rounds of a few
hundred pictures, each over more than a day and with a service that is stopped and started again. Now and then the clock
is wrong, the machine sleeps, or the disk of the journal is full for a while. ``--journal sqlite`` does it in real time
with the durable journal and without those, and needs ``--generations`` to be small.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx
import trio

from benchmarks.agents import CALLERS, FUNDS, PERSON, Call, Found, Round, Scale, saved
from benchmarks.audit import folder_faults, ledger_faults, repeats
from benchmarks.harness import clock
from benchmarks.world import ACCOUNT, Surroundings, VirtualJournal, World, on_virtual_clock
from benchmarks.world import now as virtual_now
from vidgo_mcp.journal import Entry, Journal, SqliteJournal
from vidgo_mcp.service import Principal

VIRTUAL: Final = Scale(
    500, 20 * 3600.0, (3.0, 60.0), 150.0, (0, 10, 40, 120, 600), hangs=True, now=virtual_now, photos=60
)
REAL: Final = Scale(100, 20.0, (0.5, 3.0), 6.0, (0, 2, 10), hangs=False, now=time.time, photos=3)


@dataclass(frozen=True, slots=True)
class Audit:
    """Compares the journal with the vendor's ledger, with what callers were told, and with the folder."""

    entries: Sequence[Entry]
    world: World
    calls: Sequence[Call]
    folder: Path

    async def disagreements(self, found: Found) -> list[str]:
        """Return every disagreement, and count what there is."""
        self._count(found)
        return [
            *ledger_faults(self.entries, self.world.sandbox),
            *repeats(self.entries),
            *self._told(),
            *await self._sums(),
            *folder_faults(self.entries, self.folder),
            *(f"not saved: {one}" for one in self._finished() if one.intent.owner == PERSON and not one.saved_paths),
        ]

    def _finished(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.state == "finished"]

    def _count(self, found: Found) -> None:
        found.states.update(entry.state for entry in self.entries)
        known = {entry.task_id for entry in self.entries}
        for movement in self.world.sandbox.ledger:
            found.credits[movement.kind] += movement.credits
            if movement.task_id not in known:
                found.credits["charged with an unknown outcome"] += movement.credits
        for entry in self._finished():
            whose = "of the person" if entry.intent.owner == PERSON else "of other callers"
            found.copies[f"{whose} {'saved' if entry.saved_paths else 'not saved'}"] += 1
        wire = self.world.wire
        found.tried.update({"posts": wire.posts, "status reads": wire.reads, "uploads": wire.uploads})

    def _told(self) -> list[str]:
        """Each task is paid for by one call at most, and what callers were told exists."""
        tasks = self.world.sandbox.tasks
        paid = Counter(call.task_id for call in self.calls if call.charged and call.task_id)
        wrong = [f"{count} calls say that they paid for {task_id}" for task_id, count in paid.items() if count > 1]
        for call in self.calls:
            task = tasks.get(call.task_id or "")
            if call.task_id is not None and (task is None or task.submission.prompt != call.prompt):
                wrong.append(f"a caller was told of somebody else's task: {call}")
            if task is not None and call.charged not in {0, task.submission.credits}:
                wrong.append(f"a caller was told a wrong price: {call}")
        return wrong

    async def _sums(self) -> list[str]:
        """The balance is what the entries say, but for what is unknown."""
        wrong = []
        ledger = sum(m.credits if m.kind == "charge" else -m.credits for m in self.world.sandbox.ledger)
        if FUNDS - self.world.sandbox.balance() != ledger:
            wrong.append("the sandbox's own ledger is wrong")
        sure = sum(e.intent.credits for e in self.entries if e.task_id is not None and e.state != "failed")
        most = sure + sum(e.intent.credits for e in self.entries if e.state == "unknown")
        if not sure <= ledger <= most:
            wrong.append(f"{ledger} credits are gone, the journal knows of {sure} to {most}")
        for caller in CALLERS:
            owner = Principal(ACCOUNT, caller).owner
            counted = await self.world.journal.spent(owner)
            pictures = await self.world.journal.spending(owner, 0)
            total = sum(e.intent.credits for e in self.entries if e.intent.owner == owner and e.state != "failed")
            if sum(one.credits for one in pictures) != total or counted > total:
                wrong.append(f"the journal adds up to {pictures}, and {counted} of today, for {total}")
        return wrong


async def entries_of(journal: Journal) -> list[Entry]:
    """Return the whole journal."""
    return [entry for caller in CALLERS for entry in await journal.newest(Principal(ACCOUNT, caller).owner, 1_000_000)]


async def _round(number: int, pictures: int, seed: int, found: Found, folder: Path, sqlite: bool) -> None:
    # The durable journal asks for the time in a worker thread, where there is no virtual clock.
    around = Surroundings()
    journal: Journal = SqliteJournal(folder / "journal.db") if sqlite else VirtualJournal(around)
    scale = replace(REAL if sqlite else VIRTUAL, pictures=pictures)
    one = Round(journal, folder, scale, f"soak {seed} {number}", found, around)
    await one.live()
    audit = Audit(await entries_of(journal), one.world, one.calls, saved(folder))
    found.wrong += [f"round {number}: {wrong}" for wrong in await audit.disagreements(found)]
    await journal.aclose()


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=10_000, help="pictures wanted (default: %(default)s)")
    parser.add_argument("--journal", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--round", type=int, help="only this round")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(given)
    logging.disable(logging.ERROR)
    sqlite = options.journal == "sqlite"
    each = (REAL if sqlite else VIRTUAL).pictures
    rounds = [min(each, options.generations - done) for done in range(0, options.generations, each)]
    found, start = Found(), clock()
    # Nothing is encrypted here, and loading the certificates for each download would take half of the time.
    contexts = patch.object(httpx, "create_ssl_context", cache(httpx.create_ssl_context))
    with tempfile.TemporaryDirectory() as folder, contexts:
        for number, pictures in enumerate(rounds):
            if options.round in {None, number}:
                run: Callable[..., Any] = trio.run if sqlite else on_virtual_clock
                run(_round, number, pictures, options.seed, found, Path(folder) / str(number), sqlite)
    report(found, clock() - start)
    if found.wrong:
        raise SystemExit(1)


def report(found: Found, seconds: float) -> None:
    """Print what was tried and what was found."""

    def words(counter: Counter[str]) -> str:
        return ", ".join(f"{count} {name}" for name, count in counter.most_common())

    print(f"tried, in {seconds:.0f} s: {words(found.tried)}")
    print(f"faults: {found.faults.total()} of {len(found.faults)} kinds")
    print(f"answers: {words(found.answers)}")
    print(f"entries: {words(found.states)}")
    print(f"credits: {words(found.credits)}")
    print(f"finished pictures: {words(found.copies)}")
    print(f"disagreements of ledger, journal and disk: {len(found.wrong)}")
    for wrong in found.wrong[:20]:
        print(f"  {wrong}")


if __name__ == "__main__":
    main()
