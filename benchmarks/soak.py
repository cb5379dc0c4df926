"""Ten thousand pictures under faults, cancellations, time-outs and repeats: do ledger, journal and disk still agree?

Claimed: to the credit. Each charge in the vendor's books belongs to exactly one entry of the journal; only an entry
whose outcome is unknown may be without one; no request has two live charges unless the state table allows the second;
no two calls say that they paid for the same task; a refund is a failed entry and the other way round. Each finished
picture of the person is on the disk, once and whole, and nothing else is; a result without a copy says why. Run it with
``python -m benchmarks.soak``; it takes some minutes, prints what it tried and what it found, and exits with 1 on any
disagreement. The same seed does the same again; ``--round N`` repeats one round of it.

It goes through the real service, client and sandbox, on a virtual clock with the journal in memory, in rounds of a few
hundred pictures, each over more than a day and with a service that is stopped and started again. ``--journal sqlite``
does it in real time with the durable journal, and needs ``--generations`` to be small.
"""

from __future__ import annotations

import argparse
import base64
import logging
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx
import trio

from benchmarks.folder import faults_of
from benchmarks.harness import clock
from benchmarks.world import ACCOUNT, VirtualJournal, World, on_virtual_clock, thumbnail
from benchmarks.world import now as virtual_now
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import WINDOW, Entry, Journal, SqliteJournal
from vidgo_mcp.models.requests import EditArguments, GenerateArguments, GetTaskArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.sandbox import FAULT_ENDPOINTS, Task, parse_fault
from vidgo_mcp.service import LocalFiles, Service
from vidgo_mcp.service.picture_saver import PAUSES

FUNDS: Final = 10_000_000
CALLERS: Final = ("", "ann", "bob")
PERSON: Final = f"{ACCOUNT}/{CALLERS[0]}"
"""Whose pictures are saved: those of others, made over HTTP, are not this person's."""
FAULTY: Final = {"submit": 0.35, "status": 0.2, "balance": 0.5, "upload": 0.5, "file": 0.5}
"""How likely a request is fault_after."""
TASK_FAULTS: Final = {
    "failed": 0.08,
    "failed_early": 0.05,
    "no_files": 0.02,
    "late_files": 0.04,
    "strange_status": 0.03,
}
STUCK: Final = 0.002
VALUES: Final = {"rate_limited": (None, 1, 5, 60), "hang": (None, 1), "hang_before": (None, 1), "slow": (1, 30, 130)}
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
    photos: int
    """Different pictures that the edits of a round start from: Vidgo takes 5 uploads a minute."""


class Round:
    """Some hundred pictures in one world, and the audit after them."""

    def __init__(self, world: World, folder: Path, scale: Scale, draw: random.Random, found: Found) -> None:
        self._world = world
        self._folder = folder
        self._scale = scale
        self._draw = draw
        self._found = found
        self._faulty = True
        self.calls: list[Call] = []
        self._service: Service | None = None
        self._photos: list[Path] = []

    def cast(self, task: Task) -> None:
        """Decide how long a task takes and how it ends."""
        draw = self._draw
        task.seconds = draw.uniform(*self._scale.seconds) * (4 if draw.random() < 0.05 else 1)
        chance = draw.random()
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
        if not self._faulty or self._draw.random() >= FAULTY[endpoint]:
            return
        fits = [name for name, endpoints in FAULT_ENDPOINTS.items() if endpoint in endpoints]
        if not self._scale.hangs:
            fits = [name for name in fits if name not in {"hang", "hang_before", "slow"}]
        name = self._draw.choice(fits)
        value = self._draw.choice(VALUES.get(name, (None,)))
        self._world.sandbox.add_fault(f"{endpoint}:{name}{'' if value is None else f'={value}'}*1")
        self._found.faults[f"{endpoint}:{name}"] += 1

    async def live(self) -> None:
        """Make the pictures, in two lives of the service, and let everything come to its end."""
        photos(self._folder).mkdir(parents=True)
        self._photos = [photos(self._folder) / f"{number}.png" for number in range(self._scale.photos)]
        for photo in self._photos:
            photo.write_bytes(thumbnail(photo.name))
        lives = 2
        for life in range(lives):
            async with self._world.service() as self._service:
                async with trio.open_nursery() as agents:
                    for number in range(life, self._scale.pictures, lives):
                        agents.start_soon(self._agent, number)
                if life + 1 == lives:
                    self._faulty = False
                    self._world.sandbox.clear_faults()
                    await self._settle()
                    await self._collect()

    async def _settle(self) -> None:
        unfinished: Sequence[Entry] = ()
        for _ in range(100):
            await trio.sleep(SETTLING / 10 if self._scale.hangs else 1)
            unfinished = await self._world.journal.unfinished()
            if not any(self._ends(entry) for entry in unfinished):
                return
        self._found.wrong.append(f"{len(unfinished)} tasks were not read to their end")

    async def _collect(self) -> None:
        """Let the attempts be made that earlier failures put off; in real time, ask for what is not saved instead."""
        if self._scale.hangs:
            await trio.sleep(max(PAUSES) + SETTLING)
            return
        assert self._service is not None
        for entry in await self._world.journal.unsaved(PERSON):
            self._look_at_copy(await self._service.task(entry.task_id or "", wait_seconds=1), "")

    def _ends(self, entry: Entry) -> bool:
        task = self._world.sandbox.tasks.get(entry.task_id or "")
        return task is None or task.fault("stuck") is None

    async def _agent(self, number: int) -> None:
        """Want one picture, in the way in which agents do: impatient, forgetful, and again."""
        draw = self._draw
        await trio.sleep(draw.uniform(0, self._scale.span))
        arguments: dict[str, Any] = {
            "prompt": f"picture {number if draw.random() < 0.9 else draw.randrange(self._scale.pictures)}",
            "quality": draw.choice(("low", "low", "medium", "high")),
            "size": draw.choice(("auto", "1:1", "16:9")),
            "variation": draw.choice((1, 1, 1, 2)),
            "wait_seconds": draw.choice(self._scale.wait),
        }
        kind = draw.random()
        if kind < 0.1:
            arguments["image_urls"] = [f"https://pictures.example/{number}.png"]
        elif kind < 0.3:
            arguments["image_urls"] = draw.choices(self._photos, k=draw.choice((1, 1, 1, 2, 3)))
        caller = draw.choices(CALLERS, (4, 1, 1))[0]
        self._found.tried["pictures wanted"] += 1
        again = 1 + min(6, int(draw.expovariate(1 / 1.2)))
        for attempt in range(again):
            self._found.tried["calls" if attempt == 0 else "repeats"] += 1
            if draw.random() < 0.1:
                async with trio.open_nursery() as together:
                    self._found.tried["calls at the same moment"] += 1
                    together.start_soon(self._make, arguments, caller)
                    together.start_soon(self._make, arguments, caller)
            else:
                await self._make(arguments, caller)
            pause = draw.choice((0.0, 0.5, 20.0, 300.0, 3600.0)) if self._scale.hangs else draw.uniform(0, 1)
            await trio.sleep(pause)
            if self._scale.hangs and draw.random() < 0.02:
                self._found.tried["repeats after a day"] += 1
                await trio.sleep(WINDOW + draw.uniform(-100, 3600))
        await self._look_around(caller)

    async def _make(self, arguments: dict[str, Any], caller: str) -> None:
        draw = self._draw
        service = self._service
        assert service is not None
        model: type[GenerateArguments] = GenerateArguments
        if "image_urls" in arguments:
            model = EditArguments
            arguments = {**arguments, "image_urls": [self._spelled(one) for one in arguments["image_urls"]]}
        call = Call(arguments["prompt"], "cancelled")
        self.calls.append(call)
        scope = trio.CancelScope()
        kind = draw.random()
        if kind < 0.12:
            self._found.tried["cancelled at a random moment"] += 1
            scope.deadline = trio.current_time() + draw.uniform(0, self._scale.cancelled_after)
        elif kind < 0.2:
            self._found.tried["cancelled at once"] += 1
            scope.deadline = trio.current_time() + draw.choice((0.0, 1e-6, 0.01))
        elif kind < 0.3:
            self._found.tried["given up by the client"] += 1
            scope.deadline = trio.current_time() + min(45.0, self._scale.cancelled_after)
        with scope:
            try:
                result = await service.make(model.model_validate(arguments), caller=caller)
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
        return self._draw.choice((str(reference), reference.as_uri(), reference.name, data))

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

    async def _look_around(self, caller: str) -> None:
        service = self._service
        assert service is not None
        try:
            if self._draw.random() < 0.1:
                self._found.tried["lists"] += 1
                listed = await service.tasks(GetTaskArguments(limit=5), caller=caller)
                known = [task.task_id for task in listed.tasks if task.task_id is not None]
                if known:
                    self._found.tried["get_task"] += 1
                    task = await service.task(self._draw.choice(known), wait_seconds=1, caller=caller)
                    self._look_at_copy(task, caller)
                    if task.image_urls:
                        self._found.tried["downloads"] += 1
                        await self._world.client().download(task.image_urls[0])
            if self._draw.random() < 0.1:
                self._found.tried["balances"] += 1
                await service.balance(caller=caller)
        except VidgoError as error:
            self._found.answers[f"look around: {error.category}"] += 1

    async def audit(self) -> list[str]:
        """Return every disagreement between the journal, the ledger, and what callers were told."""
        entries = await entries_of(self._world)
        audit = Audit(entries, self._world, self.calls, saved(self._folder))
        self._found.states.update(entry.state for entry in entries)
        self._found.tried["posts"] += self._world.wire.posts
        self._found.tried["status reads"] += self._world.wire.reads
        self._found.tried["uploads"] += self._world.wire.uploads
        return await audit.disagreements(self._found)


class Audit:
    """Compares the journal with the vendor's books, and with the disk."""

    def __init__(self, entries: Sequence[Entry], world: World, calls: Sequence[Call], folder: Path) -> None:
        self._entries = entries
        self._world = world
        self._calls = calls
        self._folder = folder

    async def disagreements(self, found: Found) -> list[str]:
        return [
            *self._charges(found),
            *self._live_twice(),
            *self._told(),
            *await self._sums(),
            *self._copies(found),
        ]

    def _charges(self, found: Found) -> list[str]:
        tasks, wrong = self._world.sandbox.tasks, list[str]()
        bound = defaultdict[str, list[Entry]](list)
        unknown = Counter[tuple[str, int]]()
        for entry in self._entries:
            if entry.task_id is not None:
                bound[entry.task_id].append(entry)
            elif entry.state == "unknown":
                unknown[entry.intent.prompt, entry.intent.credits] += 1
            else:
                wrong.append(f"an entry without a task is {entry.state}: {entry}")
        refunded = set[str]()
        for movement in self._world.sandbox.ledger:
            found.credits[movement.kind] += movement.credits
            entries = bound[movement.task_id]
            if movement.kind == "refund":
                refunded.add(movement.task_id)
                wrong += [f"refunded, but {entry}" for entry in entries if entry.state != "failed"]
                continue
            if not entries:
                key = (tasks[movement.task_id].submission.prompt, movement.credits)
                found.credits["charged with an unknown outcome"] += movement.credits
                unknown[key] -= 1
                if unknown[key] < 0:
                    wrong.append(f"a charge without an entry: {movement}, {key}")
            elif len(entries) > 1:
                wrong.append(f"a charge with {len(entries)} entries: {entries}")
            elif entries[0].intent.credits != movement.credits:
                wrong.append(f"{movement.credits} credits were charged for {entries[0]}")
        wrong += [f"never charged: {entries}" for task_id, entries in bound.items() if task_id not in tasks]
        for entry in self._entries:
            if entry.state == "failed" and entry.task_id not in refunded:
                wrong.append(f"failed, but not refunded: {entry}")
        return wrong

    def _live_twice(self) -> list[str]:
        """Two entries of one request may exist only when the first had failed or its window was over."""
        wrong = []
        by_print = defaultdict[str, list[Entry]](list)
        for entry in sorted(self._entries, key=lambda one: one.created_at):
            by_print[entry.intent.fingerprint].append(entry)
        for entries in by_print.values():
            for index, later in enumerate(entries):
                for earlier in entries[:index]:
                    failed = earlier.state == "failed" and (earlier.ended_at or 0) <= later.created_at
                    over = earlier.dies_at is not None and earlier.dies_at <= later.created_at
                    if not failed and not over:
                        wrong.append(f"two live entries of one request: {earlier} and {later}")
        return wrong

    def _told(self) -> list[str]:
        """Each task is paid for by one call at most, and what callers were told exists."""
        tasks = self._world.sandbox.tasks
        paid = Counter(call.task_id for call in self._calls if call.charged and call.task_id)
        wrong = [f"{count} calls say that they paid for {task_id}" for task_id, count in paid.items() if count > 1]
        for call in self._calls:
            task = tasks.get(call.task_id or "")
            if call.task_id is not None and (task is None or task.submission.prompt != call.prompt):
                wrong.append(f"a caller was told of somebody else's task: {call}")
            if task is not None and call.charged not in {0, task.submission.credits}:
                wrong.append(f"a caller was told a wrong price: {call}")
        return wrong

    async def _sums(self) -> list[str]:
        """The balance is what the entries say, but for what is unknown."""
        wrong = []
        ledger = sum(m.credits if m.kind == "charge" else -m.credits for m in self._world.sandbox.ledger)
        if FUNDS - self._world.sandbox.balance() != ledger:
            wrong.append("the sandbox's own books are wrong")
        sure = sum(e.intent.credits for e in self._entries if e.task_id is not None and e.state != "failed")
        most = sure + sum(e.intent.credits for e in self._entries if e.state == "unknown")
        if not sure <= ledger <= most:
            wrong.append(f"{ledger} credits are gone, the journal knows of {sure} to {most}")
        for caller in CALLERS:
            owner = f"{ACCOUNT}/{caller}"
            counted = await self._world.journal.spent(owner)
            pictures = await self._world.journal.spending(owner, 0)
            total = sum(e.intent.credits for e in self._entries if e.intent.owner == owner and e.state != "failed")
            if sum(one.credits for one in pictures) != total or counted > total:
                wrong.append(f"the journal adds up to {pictures}, and {counted} of today, for {total}")
        return wrong

    def _copies(self, found: Found) -> list[str]:
        """What is on the disk is what the journal says; without a copy is only what the vendor once called dead."""
        wrong = faults_of(self._entries, self._folder)
        for entry in self._entries:
            if entry.state != "finished":
                continue
            whose = "of the person" if entry.intent.owner == PERSON else "of other callers"
            found.copies[f"{whose} {'saved' if entry.saved_paths else 'not saved'}"] += 1
            if not entry.saved_paths and entry.intent.owner == PERSON:
                wrong.append(f"not saved: {entry}")
        return wrong


def saved(folder: Path) -> Path:
    """Return where a round saves."""
    return folder / "saved"


def photos(folder: Path) -> Path:
    """Return where the local references of a round are."""
    return folder / "photos"


async def entries_of(world: World) -> list[Entry]:
    """Return the whole journal."""
    entries: list[Entry] = []
    for caller in CALLERS:
        entries += await world.journal.newest(f"{ACCOUNT}/{caller}", 1_000_000)
    return entries


VIRTUAL: Final = Scale(500, 20 * 3600.0, (3.0, 60.0), 150.0, (0, 10, 40, 120, 600), hangs=True, photos=60)
REAL: Final = Scale(100, 20.0, (0.5, 3.0), 6.0, (0, 2, 10), hangs=False, photos=3)


async def _round(number: int, pictures: int, seed: int, found: Found, folder: Path, sqlite: bool) -> None:
    draw = random.Random(f"soak {seed} {number}")
    scale = replace(REAL if sqlite else VIRTUAL, pictures=pictures)
    holder: list[Round] = []

    def cast(task: Task) -> None:
        holder[0].cast(task)

    def plan_fault(endpoint: str) -> None:
        holder[0].plan_fault(endpoint)

    # The durable journal asks for the time in a worker thread, where there is no virtual clock.
    journal: Journal = SqliteJournal(folder / "journal.db") if sqlite else VirtualJournal()
    save_dir = saved(folder)
    world = World(
        journal,
        cast,
        plan_fault,
        funds=FUNDS,
        seed=seed * 1000 + number,
        files=LocalFiles(Folders((photos(folder), save_dir)), save_dir),
        now=time.time if sqlite else virtual_now,
    )
    one = Round(world, folder, scale, draw, found)
    holder.append(one)
    await one.live()
    found.wrong += [f"round {number}: {wrong}" for wrong in [*await one.audit()]]
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
