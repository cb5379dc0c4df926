"""Agents that want pictures, impatient, forgetful and again, from a vendor that misbehaves."""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

from benchmarks.world import ACCOUNT, Surroundings, World, thumbnail
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import WINDOW, Entry, Journal
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.sandbox import Task, every_fault, parse_fault
from vidgo_mcp.service import LocalFiles, Principal, Service
from vidgo_mcp.service.picture_saver import PAUSES
from vidgo_mcp.service.watches import ProgressReporter

FUNDS: Final = 10_000_000
CALLERS: Final = ("", "ann", "bob")
PERSON: Final = Principal(ACCOUNT).owner
"""Whose pictures are saved: those of others, made over HTTP, are not this person's."""
FAULTY: Final = {"submit": 0.35, "status": 0.2, "balance": 0.5, "upload": 0.5, "file": 0.5}
"""How likely something goes wrong with a request."""
TASK_FAULTS: Final = {
    "failed": 0.08,
    "failed_early": 0.05,
    "no_files": 0.02,
    "late_files": 0.04,
    "strange_status": 0.03,
}
STUCK: Final = 0.002
VALUES: Final = {"rate_limited": (None, 1, 5, 60), "hang": (None, 1), "hang_before": (None, 1), "slow": (1, 30, 130)}
SKEWS: Final = (91 * 86400.0, 25 * 3600.0, 48 * 3600.0, -400 * 86400.0, -1_700_000_000.0)
"""Seconds by which a clock is wrong."""
SETTLING: Final = 700.0
"""Seconds that every task needs at most to end and to be read, once the vendor behaves."""


@dataclass(slots=True)
class Call:
    """One call, and what its caller was told."""

    prompt: str
    answer: str
    task_id: str | None = None
    charged: int = 0


@dataclass(slots=True)
class Found:
    """What was tried and what was found, over all rounds."""

    tried: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    credits: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scale:
    """How time runs: hours on the virtual clock, seconds in real time."""

    pictures: int
    span: float
    seconds: tuple[float, float]
    cancelled_after: float
    wait: tuple[int, ...]
    hangs: bool
    now: Callable[[], float]
    photos: int
    """Different pictures that the edits of a round start from: Vidgo takes 5 uploads a minute."""


class Round:
    """Some hundred pictures in one world."""

    def __init__(
        self, journal: Journal, folder: Path, scale: Scale, seed: str, found: Found, around: Surroundings
    ) -> None:
        self._folder = folder
        self._scale = scale
        self._rng = random.Random(seed)
        self._found = found
        self._around = around
        self._faulty = True
        self.calls: list[Call] = []
        self._photos: list[Path] = []
        self.world = World(
            journal,
            self.plan_task,
            self.plan_fault,
            funds=FUNDS,
            seed=seed,
            files=LocalFiles(Folders((photos(folder), saved(folder))), saved(folder)),
            now=scale.now,
        )

    def plan_task(self, task: Task) -> None:
        """Decide how long a task takes and how it ends."""
        rng = self._rng
        task.seconds = rng.uniform(*self._scale.seconds) * (4 if rng.random() < 0.05 else 1)
        chance = rng.random()
        if chance < STUCK and self._scale.hangs:
            task.faults = (parse_fault("task:stuck"),)
            return
        for name, share in TASK_FAULTS.items():
            chance -= share
            if chance < 0:
                task.faults = (parse_fault(f"task:{name}"),)
                self._found.faults[f"task:{name}"] += 1
                return

    def plan_fault(self, endpoint: str) -> None:
        """Let the vendor misbehave for this request, now and then."""
        if not self._faulty or self._rng.random() >= FAULTY[endpoint]:
            return
        # Other bytes are no picture of this task, and the audit would say so.
        fits = [fault for fault in every_fault(endpoint) if fault != "bytes"]
        if not self._scale.hangs:
            fits = [fault for fault in fits if fault not in {"hang", "hang_before", "slow"}]
        fault = self._rng.choice(fits)
        value = self._rng.choice(VALUES.get(fault, (None,)))
        self.world.sandbox.add_fault(f"{endpoint}:{fault}{'' if value is None else f'={value}'}*1")
        self._found.faults[f"{endpoint}:{fault}"] += 1

    async def live(self) -> None:
        """Make the pictures, in two lives of the service, and let everything come to its end."""
        photos(self._folder).mkdir(parents=True)
        self._photos = [photos(self._folder) / f"{number}.png" for number in range(self._scale.photos)]
        for photo in self._photos:
            photo.write_bytes(thumbnail(photo.name))
        async with self.world.service() as service:
            await self._let_agents_want(service, 0)
        async with self.world.service() as service:
            await self._let_agents_want(service, 1)
            self._faulty = False
            self.world.sandbox.clear_faults()
            await self._settle()
            await self._collect(service)

    async def _let_agents_want(self, service: Service, first: int) -> None:
        async with trio.open_nursery() as upsets:
            if self._scale.hangs:
                upsets.start_soon(self._upset_surroundings)
            async with trio.open_nursery() as agents:
                for number in range(first, self._scale.pictures, 2):
                    agents.start_soon(self._agent, service, number)
            upsets.cancel_scope.cancel()
        self._around.skew, self._around.full = 0.0, False

    async def _upset_surroundings(self) -> None:
        """Set the clock wrong, let the machine sleep, or fill the disk of the journal, for a while each."""
        while True:
            await trio.sleep(self._rng.uniform(0, self._scale.span / 10))
            upset = self._rng.choice(("wrong clock", "asleep", "disk full"))
            self._found.tried[upset] += 1
            if upset == "asleep":
                clock = trio.lowlevel.current_clock()
                assert isinstance(clock, trio.testing.MockClock)
                clock.jump(self._rng.choice((40.0, 165.0, 3600.0)))
                continue
            self._around.skew = self._rng.choice(SKEWS) if upset == "wrong clock" else 0.0
            self._around.full = upset == "disk full"
            await trio.sleep(self._rng.choice((1.0, 60.0, 600.0)))
            self._around.skew, self._around.full = 0.0, False

    async def _settle(self) -> None:
        unfinished: Sequence[Entry] = ()
        for _ in range(100):
            await trio.sleep(SETTLING / 10 if self._scale.hangs else 1)
            unfinished = await self.world.journal.unfinished()
            if not any(self._ends(entry) for entry in unfinished):
                return
        self._found.wrong.append(f"{len(unfinished)} tasks were not read to their end")

    async def _collect(self, service: Service) -> None:
        """Let the attempts be made that earlier failures put off; in real time, ask for what is not saved instead."""
        if self._scale.hangs:
            await trio.sleep(max(PAUSES) + SETTLING)
            return
        for entry in await self.world.journal.unsaved(PERSON):
            await self._get(service, "", entry.task_id or "")

    def _ends(self, entry: Entry) -> bool:
        task = self.world.sandbox.tasks.get(entry.task_id or "")
        return task is None or task.fault("stuck") is None

    async def _agent(self, service: Service, number: int) -> None:
        """Want one picture, in the way in which agents do: impatient, forgetful, and again."""
        rng = self._rng
        await trio.sleep(rng.uniform(0, self._scale.span))
        arguments: dict[str, Any] = {
            "prompt": f"picture {number if rng.random() < 0.9 else rng.randrange(self._scale.pictures)}",
            "quality": rng.choice(("low", "low", "medium", "high")),
            "size": rng.choice(("auto", "1:1", "16:9")),
            "variation": rng.choice((1, 1, 1, 2)),
            "wait_seconds": rng.choice(self._scale.wait),
        }
        kind = rng.random()
        if kind < 0.1:
            arguments["image_urls"] = [f"https://pictures.example/{number}.png"]
        elif kind < 0.3:
            arguments["image_urls"] = rng.choices(self._photos, k=rng.choice((1, 1, 1, 2, 3)))
        caller = rng.choices(CALLERS, (4, 1, 1))[0]
        self._found.tried["pictures wanted"] += 1
        again = 1 + min(6, int(rng.expovariate(1 / 1.2)))
        for attempt in range(again):
            self._found.tried["calls" if attempt == 0 else "repeats"] += 1
            if rng.random() < 0.1:
                async with trio.open_nursery() as together:
                    self._found.tried["calls at the same moment"] += 1
                    together.start_soon(self._make, service, arguments, caller)
                    together.start_soon(self._make, service, arguments, caller)
            else:
                await self._make(service, arguments, caller)
            pause = rng.choice((0.0, 0.5, 20.0, 300.0, 3600.0)) if self._scale.hangs else rng.uniform(0, 1)
            await trio.sleep(pause)
            if self._scale.hangs and rng.random() < 0.02:
                self._found.tried["repeats after a day"] += 1
                await trio.sleep(WINDOW + rng.uniform(-100, 3600))
        await self._look_around(service, caller)

    async def _make(self, service: Service, arguments: dict[str, Any], caller: str) -> None:
        rng = self._rng
        model: type[GenerateArguments] = GenerateArguments
        if "image_urls" in arguments:
            model = EditArguments
            arguments = {**arguments, "image_urls": [self._spelled(one) for one in arguments["image_urls"]]}
        call = Call(arguments["prompt"], "cancelled")
        self.calls.append(call)
        scope = trio.CancelScope()
        kind = rng.random()
        if kind < 0.12:
            self._found.tried["cancelled at a random moment"] += 1
            scope.deadline = trio.current_time() + rng.uniform(0, self._scale.cancelled_after)
        elif kind < 0.2:
            self._found.tried["cancelled at once"] += 1
            scope.deadline = trio.current_time() + rng.choice((0.0, 1e-6, 0.01))
        elif kind < 0.3:
            self._found.tried["given up by the client"] += 1
            scope.deadline = trio.current_time() + min(45.0, self._scale.cancelled_after)
        with scope:
            try:
                result = await service.make(Principal(ACCOUNT, caller), model.model_validate(arguments))
            except VidgoError as error:
                call.answer = f"{error.category}, {error.money}"
                call.task_id = error.task_id
            else:
                call.answer = result.outcome
                call.task_id, call.charged = result.task_id, result.credits_charged or 0
                self._look_at_copy(result, caller)
        self._found.answers[call.answer] += 1

    def _spelled(self, reference: Path | str) -> str:
        """Name a local picture in one of the ways in which the same bytes are the same picture."""
        if isinstance(reference, str):
            return reference
        data = f"data:image/png;base64,{base64.b64encode(reference.read_bytes()).decode()}"
        return self._rng.choice((str(reference), reference.as_uri(), reference.name, data))

    def _look_at_copy(self, result: TaskResult, caller: str) -> None:
        """A living picture has a copy, or the person is told why not; those of other callers are not saved here."""
        if caller or result.outcome != "finished" or not result.image_urls:
            return
        if result.saved_paths:
            self._found.tried["told where the copy is"] += 1
        elif any(note.startswith("Not saved to") for note in result.notes or ()):
            self._found.tried["told why there is no copy yet"] += 1
        else:
            self._found.wrong.append(f"neither a copy nor a reason: {result}")

    async def _look_around(self, service: Service, caller: str) -> None:
        try:
            if self._rng.random() < 0.1:
                self._found.tried["lists"] += 1
                listed = await service.tasks(Principal(ACCOUNT, caller)).listed(5)
                known = [task.task_id for task in listed.tasks if task.task_id is not None]
                if known:
                    await self._get(service, caller, self._rng.choice(known))
            if self._rng.random() < 0.1:
                self._found.tried["balances"] += 1
                await service.balance(Principal(ACCOUNT, caller))
        except VidgoError as error:
            self._found.answers[f"look around: {error.category}"] += 1

    async def _get(self, service: Service, caller: str, task_id: str) -> None:
        self._found.tried["get_task"] += 1
        tasks = service.tasks(Principal(ACCOUNT, caller))
        task = await tasks.get(task_id, service.deadline(1), ProgressReporter())
        self._look_at_copy(task, caller)
        if task.image_urls:
            self._found.tried["downloads"] += 1
            await self.world.client().download(task.image_urls[0])


def saved(folder: Path) -> Path:
    """Return where a round saves."""
    return folder / "saved"


def photos(folder: Path) -> Path:
    """Return where the local references of a round are."""
    return folder / "photos"
