"""One call after the other, each in processes that are killed, until one of them ends it."""

from __future__ import annotations

import base64
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from benchmarks.harness import clock
from benchmarks.interrupted import Act, Order, entries_of, service_of
from benchmarks.world import thumbnail
from vidgo_mcp.errors import VidgoError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

RANDOM: Final = "at a random moment"
SHARED: Final = (
    *("before reserve", "inside reserve", "after reserve", "inside mark_sent", "after mark_sent", "after submit_once"),
    *("inside bind", "after bind", "before mark_delivered"),
)
"""Points that only the process comes to whose picture it is: such processes may share a journal."""
UPLOADS: Final = (
    *("before upload_turn", "before upload", "after upload", "inside remember_upload", "after remember_upload"),
)
ALONE: Final = (
    *("after status", "inside record", "after record", "after claim_saving", "after download", "inside write"),
    *("before name", "after name", "before mark_saved", "inside mark_saved", "after mark_saved"),
)
"""Points to which another process, which looks after the same task, may come first."""
POINTS: Final = (*SHARED, *UPLOADS, *ALONE, *[RANDOM] * 7)
UNKNOWABLE: Final = {"after mark_sent", "after submit_once", "inside bind", RANDOM}
"""Where a kill may leave a submit of which nobody can know whether it was charged."""
PHOTOS: Final = 3
"""Pictures that the edits in the shared journal start from: Vidgo takes 5 uploads a minute."""
PATIENCE: Final = 90.0
AGAIN: Final = 0.4
"""The share of repeated calls that are killed too, at a random moment."""
MOST_REPEATS: Final = 8
PRELOADED: Final = [
    "benchmarks.trials",
    "psutil",
    *(f"vidgo_mcp.files.{name}" for name in ("images", "metadata", "naming")),
]


def die() -> None:
    """End this process as the system's killer would: no handler, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


def pay(order: Order, answers: Connection) -> None:
    """Make one picture, in a process of its own, and send what came of it."""
    answers.send("started")
    answers.send(pay_in_words(order, die))


def pay_in_words(order: Order, act: Act) -> dict[str, Any]:
    """Make one picture, and return what came of it; ``act`` is called at the point of the order."""

    async def make() -> dict[str, Any]:
        async with service_of(order, act) as service:
            try:
                return (await service.make(order.principal, order.arguments)).to_json()
            except VidgoError as error:
                return {
                    "outcome": error.category,
                    "money": error.money,
                    "message": error.message,
                    "task_id": error.task_id,
                }

    return anyio.run(make)


@dataclass(slots=True)
class Trial:
    """One call, the kills it went through, and its end."""

    order: Order
    kills: list[str] = field(default_factory=list)
    starts: int = 0
    end: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """What the processes said that came before the last one."""
    left_behind: int = 0
    """Entries in the journal after a kill while uploading."""

    @property
    def unknown(self) -> bool:
        return self.end.get("outcome") == "outcome_unknown" and self.end.get("money") == "unknown"

    def faults(self, charged: Sequence[str]) -> list[str]:
        """Return what is wrong with it, given the tasks that the vendor charged for it."""
        known_end = self.end.get("outcome") == "finished" and [self.end.get("task_id")] == charged
        found = []
        if len(charged) > 1:
            found.append("paid twice")
        if charged and not known_end and not self.unknown:
            found.append("lost")
        if self.unknown and not UNKNOWABLE.intersection(self.kills):
            found.append("called unknown although it could be known")
        if not charged and not self.unknown:
            found.append("never made")
        if self.left_behind:
            found.append("left in the journal while uploading")
        return found


class Trials:
    """Makes trials until enough processes were killed."""

    def __init__(self, base: str, folder: Path, kills: int, seed: int) -> None:
        self._base = base
        self._folder = folder
        self._wanted = kills
        self._seed = seed
        self._lock = threading.Lock()
        self._processes = threading.Lock()
        self.all: list[Trial] = []
        # A fork of a process that has imported everything starts within milliseconds, so that kills come densely.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def work(self) -> None:
        """Make one trial after the other."""
        while True:
            with self._lock:
                # At least every point once, and not many more kills than were wanted.
                number = len(self.all)
                if sum(len(trial.kills) for trial in self.all) >= self._wanted and number >= len(POINTS):
                    return
                point = POINTS[number % len(POINTS)]
                trial = Trial(self._order(number, point))
                self.all.append(trial)
            self._make(trial, point, random.Random(f"{self._seed} {number}"))

    def _order(self, number: int, point: str) -> Order:
        alone = point in UPLOADS or point in ALONE
        journal = self._folder / (f"{number}.db" if alone else "shared.db")
        order = Order(
            str(journal), self._base, f"a picture that survives, number {number}", save=str(saved(self._folder))
        )
        if point not in UPLOADS and number % 3:
            return order
        photo = self._folder / "photos" / f"{number if alone else number % PHOTOS}.png"
        # Written once: another process may be reading it.
        if not photo.exists():
            photo.write_bytes(thumbnail(photo.name))
        data = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
        return replace(order, references=(data if number % 2 else str(photo),))

    def _make(self, trial: Trial, point: str, rng: random.Random) -> None:
        self._run(trial, point, rng)
        while not trial.end and trial.starts < MOST_REPEATS:
            # The last one is let live, or the call would have no end.
            is_killed = rng.random() < AGAIN and trial.starts + 1 < MOST_REPEATS
            self._run(trial, RANDOM if is_killed else "", rng)
        if trial.unknown:
            # Once more: what is unknown must stay unsent.
            trial.end = {}
            self._run(trial, "", rng)

    def _run(self, trial: Trial, point: str, rng: random.Random) -> None:
        trial.starts += 1
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(target=pay, args=(replace(trial.order, point=point), sending), daemon=True)
        with self._processes:
            process.start()
        sending.close()
        try:
            assert receiving.poll(PATIENCE), "a process did not start"
            receiving.recv()
            if point == RANDOM:
                # Half of the random kills fall into the busy beginning.
                self._exit_code(process, rng.uniform(0, 0.2) if rng.random() < 0.5 else rng.uniform(0, 3))
                process.kill()
            if receiving.poll(PATIENCE):
                trial.end = receiving.recv()
        except EOFError:
            trial.end = {}
        code = self._exit_code(process, PATIENCE)
        if code is None:
            process.kill()
            raise RuntimeError(f"a process hangs: {trial}")
        if code == -signal.SIGKILL and not trial.end:
            trial.kills.append(point)
            if point in UPLOADS:
                trial.left_behind += len(anyio.run(entries_of, Path(trial.order.journal), self._base))

    def _exit_code(self, process: ForkServerProcess, seconds: float) -> int | None:
        """Return the exit code, None when the process still runs after so many seconds.

        A start asks after all processes, and whoever asks takes the code out of a pipe: of two threads that ask at the
        same moment, one would get a code that means nothing.
        """
        until = clock() + seconds
        while True:
            with self._processes:
                code = process.exitcode
            if code is not None or clock() >= until:
                return code
            time.sleep(0.01)


def saved(folder: Path) -> Path:
    """Return where all processes save."""
    return folder / "saved"
