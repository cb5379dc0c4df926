"""Calls whose process is frozen, whose clock is wrong, or whose journal goes away, with another process beside them.

A frozen process sleeps longer than a lease and than the deadline of a submit, while another asks for the same picture;
then it wakes. Meanwhile its journal may be removed, renamed, or replaced by an older copy, or lose its side file. A
wrong clock is one that ``libfaketime`` gives to a process: it makes the picture, or looks at the journal of others.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks import wrong_clock
from benchmarks.harness import clock
from benchmarks.interrupted import FREEZE, Order
from benchmarks.trials import PATIENCE, Trial, pay_in_words, saved

FROZEN: Final = ("after reserve", "after mark_sent", "after submit_once", "after bind")
SKEWS: Final = ("+91d", "+25h", "+48h", "-400d", "@1970-01-02 00:00:00")


def remove(journal: Path) -> None:
    """Remove the journal with its side files."""
    for file in journal.parent.glob(f"{journal.name}*"):
        file.unlink()


def rename(journal: Path) -> None:
    """Move the journal aside."""
    journal.rename(journal.with_suffix(".aside"))


def restore(journal: Path) -> None:
    """Put an empty journal of the same kind in its place, as from a backup."""
    with closing(sqlite3.connect(journal)) as old, closing(sqlite3.connect(journal.with_suffix(".backup"))) as backup:
        old.backup(backup)
        backup.execute("DELETE FROM entries")
        backup.commit()
    journal.with_suffix(".backup").replace(journal)


def lose_log(journal: Path) -> None:
    """Remove what SQLite has not yet written into the file itself."""
    with suppress(FileNotFoundError):
        journal.with_name(f"{journal.name}-wal").unlink()


LOSSES: Final[Mapping[str, Callable[[Path], None]]] = {
    "removed": remove,
    "renamed": rename,
    "restored from a backup": restore,
    "without its log": lose_log,
}
UPSETS: Final = (
    *((point, "") for point in FROZEN),
    *((point, loss) for point in FROZEN[1:3] for loss in LOSSES),
)


class Upsets:
    """Makes one trial of each kind, each with a journal of its own, and trials in which a clock is wrong."""

    def __init__(self, base: str, folder: Path, seed: int) -> None:
        self._base = base
        self._folder = folder
        self._seed = seed
        self.frozen: list[Trial] = []
        self.elsewhen: list[Trial] = []

    def freeze(self, point: str, loss: str) -> None:
        """Freeze a call at a point; lose its journal, and ask for the same from another process; let it wake."""
        name = f"frozen {point} {loss}".strip().replace(" ", "-")
        order = Order(str(self._folder / f"{name}.db"), self._base, f"a picture that survives, {name}", hurried=True)
        trial = Trial(replace(order, save=str(saved(self._folder))))
        self.frozen.append(trial)
        sleeper = start(replace(trial.order, point=point))
        trial.starts += 1
        process = psutil.Process(sleeper.pid)
        until = clock() + PATIENCE
        while process.status() != psutil.STATUS_STOPPED and sleeper.poll() is None and clock() < until:
            time.sleep(0.02)
        assert sleeper.poll() is None, f"a process did not come to the point: {trial}"
        woken = clock() + FREEZE
        if loss:
            LOSSES[loss](Path(order.journal))
        else:
            trial.answers.append(ended(start(replace(trial.order, wait_seconds=3))))
            trial.starts += 1
        time.sleep(max(0.0, woken - clock()))
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
        trial.answers.append(ended(sleeper))
        trial.end = ended(start(trial.order))
        trial.starts += 1

    def with_wrong_clock(self, number: int) -> None:
        """Make a picture, killed at a random moment, and ask for it again with clocks that are wrong and right."""
        rng = random.Random(f"{self._seed} clock {number}")
        prompt = f"a picture that survives, with clock {number}"
        order = Order(str(self._folder / "shared.db"), self._base, prompt, save=str(saved(self._folder)))
        trial = Trial(order)
        self.elsewhen.append(trial)
        skews = rng.sample(SKEWS, 2)
        first = start(order, "" if number % 2 else skews[0])
        time.sleep(rng.uniform(1.0, 4.0))
        if first.poll() is None:
            first.kill()
            trial.kills.append("at a random moment")
        trial.answers.append(ended(first))
        look(order, rng.choice(SKEWS))
        trial.answers.append(ended(start(order, skews[1])))
        trial.end = ended(start(order))
        trial.starts += 3


def start(order: Order, skew: str = "") -> subprocess.Popen[str]:
    """Start a process that makes a picture and prints what came of it."""
    return in_time(skew, [sys.executable, "-m", "benchmarks.upsets", json.dumps(asdict(order))], {})


def look(order: Order, skew: str) -> None:
    """Look at a journal with a wrong clock."""
    surroundings = {"VIDGO_JOURNAL": order.journal, "VIDGO_API_KEY": "sk-sandbox", "VIDGO_BASE_URL": order.base}
    in_time(skew, [sys.executable, "-m", "vidgo_mcp.cli", "journal"], surroundings).communicate(timeout=PATIENCE)


def in_time(skew: str, command: Sequence[str], surroundings: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command with a clock that is wrong by this much; right when it is empty."""
    environment = {**os.environ, **surroundings, **wrong_clock.environment(skew)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a process said at its end, nothing when it was killed."""
    output, _ = process.communicate(timeout=PATIENCE)
    answer: dict[str, Any] = json.loads(output) if output else {}
    return answer


def sleep_here() -> None:
    """Stop this process until somebody wakes it."""
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(pay_in_words(Order(**given), sleep_here)))
