"""Processes killed with SIGKILL at every step of the paid workflow: is a picture ever lost, paid for twice, or half?

Claimed: none, ever. Run it with ``python -m benchmarks.crashes``; it takes some minutes, needs a system with SIGKILL,
and exits with 1 when the claim does not hold.

Each call runs in a process of its own, with the service, the real client over a real socket, and a SQLite journal; all
processes save into one folder, and half of them share one journal. Some calls are edits, of a local file or of inline
data. A process is killed at one point, or at a random moment; the same call is then repeated by a fresh process, which
may be killed too, until one ends. The sandbox in this process keeps the vendor's ledger. A paid picture is *lost* when
the call neither ends with that very task nor says that the outcome is unknown; it may say so only when the kill fell
between the *sent* mark and the record of the task, where nobody can know. A process that is killed while it uploads
leaves no entry behind. At the end every journal is opened once more, as by the next start, and then each finished
picture must be in the folder, once and whole, and nothing else.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import anyio

from benchmarks import wrong_clock
from benchmarks.audit import folder_faults, ledger_faults
from benchmarks.harness import clock
from benchmarks.interrupted import Order, entries_of, service_of
from benchmarks.trials import PATIENCE, POINTS, UPLOADS, Trial, Trials, die, saved
from benchmarks.upsets import UPSETS, Upsets
from benchmarks.world import thumbnail
from vidgo_mcp.files.writer import STALE
from vidgo_mcp.journal import Entry
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, VendorOptions, running

VENDOR_SECONDS: Final = (0.5, 2.0)
WRONG_CLOCKS: Final = 12
"""Pictures in whose making a clock is wrong."""


async def start_again(base: str, folder: Path, journals: Sequence[Path]) -> None:
    """Start once more with each journal, until nothing is left to do, or it takes too long."""
    for part in parts(folder):
        if part.stat().st_nlink == 1:
            # As if an hour had passed: what was left half done is swept away when it is old.
            os.utime(part, (time.time() - 2 * STALE,) * 2)

    async def start(path: Path) -> None:
        with anyio.move_on_after(PATIENCE):
            async with service_of(Order(str(path), base, save=str(saved(folder))), die):
                while parts(folder) or not all(map(settled, await entries_of(path, base))):  # noqa: ASYNC110 - there is no event
                    await anyio.sleep(0.2)

    async with anyio.create_task_group() as tasks:
        for path in journals:
            tasks.start_soon(start, path)


def parts(folder: Path) -> list[Path]:
    """Return the files that were left half done."""
    return list(saved(folder).glob(".*"))


def settled(entry: Entry) -> bool:
    """Return whether a start has nothing left to do for it."""
    return entry.state == "unknown" or bool(entry.saved_paths)


def charges(sandbox: Sandbox) -> dict[str, list[str]]:
    """Return the tasks that were charged for each prompt."""
    charged: dict[str, list[str]] = {}
    for entry in sandbox.ledger:
        charged.setdefault(sandbox.tasks[entry.task_id].submission.prompt, []).append(entry.task_id)
    return charged


def journal_faults(entries: Sequence[Entry], journals: Sequence[Path]) -> list[str]:
    """Return what is wrong with the journals themselves: more than one entry of a picture, or a damaged file."""
    counted = Counter(entry.intent.prompt for entry in entries)
    wrong = [f"{count} entries for {prompt!r}" for prompt, count in counted.items() if count != 1]
    for path in journals:
        with closing(sqlite3.connect(path)) as connection:
            (intact,) = connection.execute("PRAGMA integrity_check").fetchone()
        wrong += [] if intact == "ok" else [f"{path.name} is damaged: {intact}"]
    return wrong


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="at least so many (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=12, help="processes at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(given)
    vendor = VendorOptions(strict=True, uploads_per_minute=10_000)
    sandbox = Sandbox(accounts={SANDBOX_KEY: 10_000_000}, seconds=VENDOR_SECONDS, options=vendor)
    sandbox.draw = lambda brief: thumbnail(brief.seed)
    start = clock()
    with tempfile.TemporaryDirectory() as temporary, running(sandbox) as base:
        folder = Path(temporary)
        (folder / "photos").mkdir()
        trials = Trials(base, folder, options.kills, options.seed)
        upsets = Upsets(base, folder, options.seed)
        with ThreadPoolExecutor(options.at_once) as pool:
            for worker in [pool.submit(trials.work) for _ in range(options.at_once)]:
                worker.result()
        upset(upsets, options.at_once)
        journals = sorted(folder.glob("*.db"))
        anyio.run(start_again, base, folder, journals)
        entries = [entry for path in journals for entry in anyio.run(entries_of, path, base)]
        misplaced = folder_faults(entries, saved(folder))
        wrong = [*ledger_faults(entries, sandbox), *journal_faults(entries, journals)]
    misplaced += [f"not saved: {one}" for one in entries if one.state == "finished" and not one.saved_paths]
    wrong += [*report(trials.all, charges(sandbox), clock() - start), *misplaced]
    wrong += report_upsets(upsets, charges(sandbox))
    print(f"finished pictures: {sum(one.state == 'finished' for one in entries)}")
    print(f"pictures or files that are missing, half, doubled or left over: {len(misplaced)}")
    print(f"ledger, journal and folder: {'; '.join(wrong) if wrong else 'they agree to the credit'}")
    if wrong:
        raise SystemExit(1)


def upset(upsets: Upsets, at_once: int) -> None:
    """Freeze processes, take their journals away, and give them wrong clocks."""
    with ThreadPoolExecutor(at_once) as pool:
        work = [pool.submit(upsets.freeze, point, loss) for point, loss in UPSETS]
        if wrong_clock.available():
            work += [pool.submit(upsets.with_wrong_clock, number) for number in range(WRONG_CLOCKS)]
        for one in work:
            one.result()


def report_upsets(upsets: Upsets, charged: dict[str, list[str]]) -> list[str]:
    """Print what came of frozen processes, lost journals and wrong clocks; return what is wrong."""
    wrong = []
    for what, trials in (("frozen", upsets.frozen), ("with wrong clocks", upsets.elsewhen)):
        faults = [(trial, fault) for trial in trials for fault in trial.faults(charged.get(trial.order.prompt, []))]
        unknown = sum(trial.unknown for trial in trials)
        print(f"{len(trials)} pictures {what}: {len(faults)} faults, {unknown} unknown")
        for trial, fault in faults:
            print(f"  {fault}: {trial}; charged: {charged.get(trial.order.prompt)}")
            wrong.append(f"{fault} {what}")
    if not upsets.elsewhen:
        print("no clock was wrong: libfaketime is not installed")
    return wrong


def report(trials: Sequence[Trial], charged: dict[str, list[str]], seconds: float) -> list[str]:
    """Print what was tried and what was found; return what is wrong."""
    kills = Counter(point for trial in trials for point in trial.kills)
    ends = Counter(str(trial.end.get("outcome")) for trial in trials)
    unknown = [trial for trial in trials if trial.unknown]
    faults = [(trial, fault) for trial in trials for fault in trial.faults(charged.get(trial.order.prompt, []))]
    counted = Counter(fault for _, fault in faults)
    starts = sum(trial.starts for trial in trials)
    print(f"{kills.total()} kills in {starts} processes, for {len(trials)} pictures, in {seconds:.0f} s:")
    for point in dict.fromkeys(POINTS):
        print(f"  {point + ':':<24} {kills[point]}")
    print(f"ends: {', '.join(f'{count} {name}' for name, count in sorted(ends.items()))}")
    paid = sum(trial.order.prompt in charged for trial in unknown)
    print(f"of the unknown, {paid} were charged and {len(unknown) - paid} were not; nobody could know")
    print(f"charges: {sum(len(tasks) for tasks in charged.values())}")
    print(f"tasks lost: {counted['lost']}")
    print(f"pictures paid twice: {counted['paid twice']}")
    left = sum(trial.left_behind for trial in trials)
    print(f"entries left by {sum(kills[point] for point in UPLOADS)} kills while uploading: {left}")
    for trial, fault in faults:
        print(f"  {fault}: {trial}; charged: {charged.get(trial.order.prompt)}")
    return [f"{count} {fault}" for fault, count in sorted(counted.items())]


if __name__ == "__main__":
    main()
