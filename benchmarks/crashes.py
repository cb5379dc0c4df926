"""Processes killed with SIGKILL at every step of the paid workflow: is a picture ever lost, paid for twice, or half?

Claimed: none, ever. Run it with ``python -m benchmarks.crashes``; it takes some minutes, needs a system with SIGKILL,
and exits with 1 when the claim does not hold.

Each call runs in a process of its own, with the service, the real client over a real socket, a SQLite journal that most
processes share, and one folder where all save. Some calls are edits, of a local file or of inline data. A process is
killed at one step, or at a random moment; the same call is then repeated by a fresh process, which may be killed too,
until one ends. The sandbox in this process keeps the vendor's books. A paid picture is *lost* when the call neither
ends with that very task nor says that the outcome is unknown; it may say so only when the kill fell between the *sent*
mark and the record of the task, where nobody can know. At the end every journal is opened once more, as by the next
start, and then each finished picture must be in the folder, once and whole, and nothing else.
"""

from __future__ import annotations

import argparse
import base64
import multiprocessing
import os
import random
import signal
import sqlite3
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import anyio
import httpx
from vidgo_mcp.service.workshop import RESUME_PAUSE

from benchmarks.folder import faults_of
from benchmarks.harness import clock
from benchmarks.world import Thumbnails, thumbnail
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.files import writer
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.files.writer import STALE
from vidgo_mcp.journal import Entry, Intent, Reservation, Reserved, SqliteJournal, rows
from vidgo_mcp.journal.processes import current_process
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running
from vidgo_mcp.service import Disk, Service, account_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

BEFORE_RESERVING: Final = "before the reservation"
RESERVED: Final = "after the reservation"
UPLOADING: Final = "before an upload"
UPLOADED: Final = "after an upload, unanswered"
REMEMBERED: Final = "after recording an upload"
READY: Final = "before the sent mark"
MARKING: Final = "while writing the sent mark"
MARKED: Final = "after the sent mark"
CHARGED: Final = "after the charge"
ANSWERED: Final = "after the answer"
BINDING: Final = "while recording the task"
BOUND: Final = "after recording the task"
WAITING: Final = "while waiting"
ENDING: Final = "while writing the outcome"
ENDED: Final = "after writing the outcome"
CLAIMED: Final = "after claiming the saving"
FETCHING: Final = "while downloading"
WRITING: Final = "while writing the file"
WRITTEN: Final = "after writing the file"
NAMED: Final = "after naming the file"
STORED: Final = "before recording the file"
SAVED: Final = "after recording the file"
DELIVERING: Final = "before the answer to the caller"
RANDOM: Final = "at a random moment"

STEPS: Final = (
    *(BEFORE_RESERVING, RESERVED, UPLOADING, UPLOADED, REMEMBERED, READY, MARKING, MARKED, CHARGED, ANSWERED),
    *(BINDING, BOUND, WAITING, ENDING, ENDED, CLAIMED, FETCHING, WRITING, WRITTEN, NAMED, STORED, SAVED),
    *(DELIVERING, RANDOM, RANDOM, RANDOM, RANDOM),
)
UPLOADS: Final = {UPLOADING, UPLOADED, REMEMBERED, READY}
"""Steps that only an edit of something local comes to."""
ALONE: Final = UPLOADS | {ENDING, CLAIMED, FETCHING, WRITING, WRITTEN, NAMED, STORED, SAVED}
"""Steps with a journal of their own: in a shared one another process, which reads the task too, may come first."""
PHOTOS: Final = 3
"""Pictures that the edits in the shared journal start from: Vidgo takes 5 uploads a minute."""
UNKNOWABLE: Final = {MARKED, CHARGED, ANSWERED, BINDING, RANDOM}
"""Where a kill may leave a submit of which nobody can know whether it was charged."""
VENDOR_SECONDS: Final = (1.0, 3.5)
WHILE_WAITING: Final = 2.0
PATIENCE: Final = 90.0
AGAIN: Final = 0.4
"""The share of repeated calls that are killed too, at a random moment."""
MOST_REPEATS: Final = 8
PRELOADED: Final = [
    "benchmarks.harness",
    "benchmarks.world",
    "vidgo_mcp.client",
    "vidgo_mcp.files.metadata",
    "vidgo_mcp.files.naming",
    "vidgo_mcp.files.images",
    "vidgo_mcp.files.writer",
    "vidgo_mcp.journal.sqlite",
    "vidgo_mcp.sandbox",
    "vidgo_mcp.service",
]


def die() -> None:
    """End this process as the system's killer would: no handler, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly(SqliteJournal):
    """The real journal, which kills its process at one step of one intent."""

    def __init__(self, path: Path, step: str) -> None:
        super().__init__(path)
        self._step_to_die = step
        self._mine = ""

    def _at(self, step: str) -> None:
        if self._step_to_die == step:
            die()

    def _inside(self, step: str) -> None:
        """Die at the next write, after it was made and before it is committed."""
        if self._step_to_die != step:
            return

        save = rows.save

        def saved(db: sqlite3.Connection, entry: Entry) -> None:
            save(db, entry)
            if entry.id == self._mine:
                die()

        patch.object(rows, "save", saved).start()

    async def reserve(
        self, intent: Intent, *, process: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        self._at(BEFORE_RESERVING)
        met = await super().reserve(intent, process=process, budget=budget, consent=consent)
        if isinstance(met, Reserved):
            self._mine = met.entry.id
        self._at(RESERVED)
        return met

    async def remember_upload(self, account: str, digest: str, url: str, *, until: float) -> None:
        await super().remember_upload(account, digest, url, until=until)
        self._at(REMEMBERED)

    async def mark_sent(self, entry_id: str) -> Entry:
        self._at(READY)
        self._inside(MARKING)
        entry = await super().mark_sent(entry_id)
        self._at(MARKED)
        return entry

    async def bind(self, entry_id: str, task: Task) -> Entry:
        self._at(ANSWERED)
        self._inside(BINDING)
        entry = await super().bind(entry_id, task)
        self._at(BOUND)
        if self._step_to_die == WAITING:
            timer = threading.Timer(WHILE_WAITING, die)
            timer.daemon = True
            timer.start()
        return entry

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        ends = entry_id == self._mine and task.phase in {"finished", "failed"}
        if ends:
            self._inside(ENDING)
        entry = await super().record(entry_id, task, empty=empty)
        if ends:
            self._at(ENDED)
        return entry

    async def claim_saving(self, entry_id: str, *, process: str) -> bool:
        claimed = await super().claim_saving(entry_id, process=process)
        if claimed:
            self._at(CLAIMED)
        return claimed

    async def mark_saved(self, entry_id: str, paths: Sequence[str], digest: str) -> Entry:
        self._at(STORED)
        entry = await super().mark_saved(entry_id, paths, digest)
        self._at(SAVED)
        return entry

    async def mark_delivered(self, entry_ids: Any) -> None:
        self._at(DELIVERING)
        await super().mark_delivered(entry_ids)


class DeadlyWire(httpx.AsyncHTTPTransport):
    """The real transport, which kills its process around an upload, or when an answer has come and is not read yet."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step

    async def __aexit__(self, *_: object) -> None:
        """Stay open: a download closes its transport, and other requests are under way on this one."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if "/upload/" in path and self._step == UPLOADING:
            die()
        response = await super().handle_async_request(request)
        if (
            (path.endswith("/submit") and self._step == CHARGED)
            or ("/upload/" in path and self._step == UPLOADED)
            or (path.startswith("/files/") and self._step == FETCHING)
        ):
            die()
        return response


def make_disk_deadly(step: str) -> None:
    """Kill this process while it writes a picture, or gives it its name."""
    write: Callable[..., int] = os.write
    give_name: Callable[[Path, Path], None] = vars(writer)["_give_name"]

    def half_written(file: int, content: memoryview) -> int:
        # The answer to the parent, which goes through a pipe, is not meant.
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return write(file, content)
        written = write(file, content[: len(content) // 2])
        die()
        return written

    def named(part: Path, path: Path) -> None:
        if step == WRITTEN:
            die()
        give_name(part, path)
        if step == NAMED:
            die()

    patch.object(writer, "_give_name", named).start()
    if step == WRITING:
        # Nothing else of such a process writes to a descriptor of a regular file.
        patch.object(
            os, "write", lambda file, content: (half_written if is_file(file) else write)(file, content)
        ).start()


def is_file(descriptor: int) -> bool:
    """Return whether it stands for a regular file."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def disk_in(folder: Path) -> Disk:
    """Return what of the disk all processes use."""
    return Disk(Folders((folder / "photos",)), folder / "saved")


def call(url: str, folder: str, order: Order, step: str, answers: Connection) -> None:
    """Make one picture, in a process of its own, and send what came of it."""
    answers.send("started")
    make_disk_deadly(step)
    answers.send(anyio.run(_call, url, Path(folder), order, step))


async def _call(url: str, folder: Path, order: Order, step: str) -> dict[str, Any]:
    @asynccontextmanager
    async def connect() -> AsyncGenerator[VidgoClient]:
        async with VidgoClient(SANDBOX_KEY, base_url=url, transport=DeadlyWire(step)) as client:
            yield client

    given = {"prompt": order.prompt, "wait_seconds": 60}
    arguments = GenerateArguments.model_validate(given)
    if order.reference:
        arguments = EditArguments.model_validate({**given, "image_urls": [order.reference]})
    service = Service(
        journal=Deadly(folder / order.journal, step),
        connect=connect,
        account=account_of(SANDBOX_KEY, url),
        disk=disk_in(folder),
        process=current_process(),
    )
    async with service:
        try:
            result = await service.make(arguments)
        except VidgoError as error:
            return {"outcome": error.category, "money": error.money, "message": error.message}
    return result.to_json()


@dataclass(frozen=True, slots=True)
class Order:
    """One call: a generation, or the edit of a local file or of inline data."""

    prompt: str
    journal: str
    reference: str = ""


@dataclass(slots=True)
class Story:
    """One call, the kills it went through, and its end."""

    order: Order
    kills: list[str] = field(default_factory=list)
    starts: int = 0
    end: dict[str, Any] = field(default_factory=dict)


class Slaughter:
    """Tells stories until enough processes were killed."""

    def __init__(self, url: str, folder: Path, kills: int, seed: int) -> None:
        self._url = url
        self._folder = folder
        self._wanted = kills
        self._seed = seed
        self._lock = threading.Lock()
        self._processes = threading.Lock()
        self._number = 0
        self.stories: list[Story] = []
        # A fork of a process that has imported everything starts within milliseconds, so that kills come densely.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    @property
    def killed(self) -> int:
        return sum(len(story.kills) for story in self.stories)

    def work(self) -> None:
        """Tell one story after the other."""
        while True:
            with self._lock:
                # At least every step once, and not many more kills than were wanted.
                if self.killed >= self._wanted and self._number >= len(STEPS):
                    return
                number = self._number
                self._number += 1
                step = STEPS[number % len(STEPS)]
                story = Story(self._order(number, step))
                self.stories.append(story)
            self._tell(story, step, random.Random(f"{self._seed} {number}"))

    def _order(self, number: int, step: str) -> Order:
        prompt = f"a picture that survives, number {number}"
        journal = f"{number}.db" if step in ALONE else "shared.db"
        if step not in UPLOADS and number % 3:
            return Order(prompt, journal)
        photo = self._folder / "photos" / f"{number if step in ALONE else number % PHOTOS}.png"
        photo.write_bytes(thumbnail(photo.name))
        data = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
        return Order(prompt, journal, data if number % 2 else str(photo))

    def _tell(self, story: Story, step: str, draw: random.Random) -> None:
        self._run(story, step, draw)
        while not story.end and story.starts < MOST_REPEATS:
            self._run(story, RANDOM if draw.random() < AGAIN else "", draw)
        if story.end.get("outcome") == "outcome_unknown":
            # Once more: what is unknown must stay unsent.
            story.end = {}
            self._run(story, "", draw)

    def _run(self, story: Story, step: str, draw: random.Random) -> None:
        story.starts += 1
        receiving, sending = self._context.Pipe(duplex=False)
        given = (self._url, str(self._folder), story.order, step, sending)
        process = self._context.Process(target=call, args=given, daemon=True)
        with self._processes:
            process.start()
        sending.close()
        try:
            assert receiving.poll(PATIENCE), "a process did not start"
            receiving.recv()
            if step == RANDOM:
                # Half of the random kills fall into the busy beginning.
                self._exit_code(process, draw.uniform(0, 0.2) if draw.random() < 0.5 else draw.uniform(0, 5))
                process.kill()
            if receiving.poll(PATIENCE):
                story.end = receiving.recv()
        except EOFError:
            story.end = {}
        code = self._exit_code(process, PATIENCE)
        if code == -signal.SIGKILL and not story.end:
            story.kills.append(step)
        elif code is None:
            process.kill()
            raise RuntimeError(f"a process hangs: {story}")

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


@dataclass(slots=True)
class Books:
    """What the vendor's ledger says of the stories."""

    charged: dict[str, list[str]]

    def faults(self, story: Story) -> list[str]:
        """Return what is wrong with a story."""
        charged, end = self.charged.get(story.order.prompt, []), story.end
        known_end = end.get("outcome") == "finished" and [end.get("task_id")] == charged
        unknown = end.get("outcome") == "outcome_unknown" and end.get("money") == "unknown"
        found = []
        if len(charged) > 1:
            found.append("paid twice")
        if charged and not known_end and not unknown:
            found.append("lost")
        if unknown and not UNKNOWABLE.intersection(story.kills):
            found.append("called unknown although it could be known")
        if not charged and not unknown:
            found.append("never made")
        return found


def books_of(sandbox: Sandbox) -> Books:
    charged: dict[str, list[str]] = {}
    for entry in sandbox.ledger:
        assert entry.kind == "charge", entry
        charged.setdefault(sandbox.tasks[entry.task_id].submission.prompt, []).append(entry.task_id)
    return Books(charged)


async def journal_of(path: Path, owner: str) -> Sequence[Entry]:
    journal = SqliteJournal(path)
    try:
        return await journal.newest(owner, 1_000_000)
    finally:
        await journal.aclose()


def age_parts(folder: Path) -> None:
    """Let what was left half done be as old as if an hour had passed."""
    long_ago = time.time() - 2 * STALE
    for part in folder.glob(".*"):
        if part.stat().st_nlink == 1:
            os.utime(part, (long_ago, long_ago))


async def tidy(url: str, folder: Path, journals: Sequence[Path]) -> None:
    """Start once more with each journal, until no picture is unsaved."""

    async def start(path: Path) -> None:
        journal = SqliteJournal(path)
        account = account_of(SANDBOX_KEY, url)
        service = Service(
            journal=journal,
            connect=lambda: VidgoClient(SANDBOX_KEY, base_url=url),
            account=account,
            disk=disk_in(folder),
            process=current_process(),
        )
        async with service:
            with anyio.move_on_after(PATIENCE):
                await anyio.sleep(2 * RESUME_PAUSE)
                while await journal.unsaved(f"{account}/"):  # noqa: ASYNC110 - the journal has no event for it
                    await anyio.sleep(0.1)

    async with anyio.create_task_group() as tasks:
        for path in journals:
            tasks.start_soon(start, path)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="at least so many (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=12, help="processes at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(given)
    sandbox = Sandbox(
        accounts={SANDBOX_KEY: 10_000_000}, seconds=VENDOR_SECONDS, strict=True, uploads_per_minute=10_000
    )
    sandbox.gallery = Thumbnails()
    start = clock()
    with tempfile.TemporaryDirectory() as folder, running(sandbox) as url:
        (Path(folder) / "photos").mkdir()
        slaughter = Slaughter(url, Path(folder), options.kills, options.seed)
        with ThreadPoolExecutor(options.at_once) as pool:
            for worker in [pool.submit(slaughter.work) for _ in range(options.at_once)]:
                worker.result()
        journals = sorted(Path(folder).glob("*.db"))
        age_parts(Path(folder) / "saved")
        anyio.run(tidy, url, Path(folder), journals)
        entries: list[Entry] = []
        damaged: list[str] = []
        for path in journals:
            entries += anyio.run(journal_of, path, f"{account_of(SANDBOX_KEY, url)}/")
            rows = sqlite3.connect(path)
            (intact,) = rows.execute("PRAGMA integrity_check").fetchone()
            rows.close()
            damaged += [] if intact == "ok" else [f"{path.name} is damaged: {intact}"]
        books = books_of(sandbox)
        misplaced = faults_of(entries, Path(folder) / "saved")
    misplaced += [f"not saved: {one}" for one in entries if one.state == "finished" and not one.saved_paths]
    wrong = report(slaughter.stories, books, clock() - start)
    print(f"finished pictures: {sum(one.state == 'finished' for one in entries)}")
    print(f"pictures or files that are missing, half, doubled or left over: {len(misplaced)}")
    wrong += misplaced
    wrong += [*check_journal(entries, books), *damaged]
    print(f"the journal against the ledger: {'; '.join(wrong) if wrong else 'they agree to the credit'}")
    if wrong:
        raise SystemExit(1)


def report(stories: Sequence[Story], books: Books, seconds: float) -> list[str]:
    """Print what was tried and what was found; return what is wrong."""
    steps = Counter(step for story in stories for step in story.kills)
    ends = Counter(str(story.end.get("outcome")) for story in stories)
    unknown = [story for story in stories if story.end.get("outcome") == "outcome_unknown"]
    faults = [(story, fault) for story in stories for fault in books.faults(story)]
    counted = Counter(fault for _, fault in faults)
    starts = sum(story.starts for story in stories)
    print(f"{steps.total()} kills in {starts} processes, for {len(stories)} pictures, in {seconds:.0f} s:")
    for step in dict.fromkeys(STEPS):
        print(f"  {step + ':':<33} {steps[step]}")
    print(f"ends: {', '.join(f'{count} {name}' for name, count in sorted(ends.items()))}")
    charged = sum(bool(books.charged.get(story.order.prompt)) for story in unknown)
    print(f"of the unknown, {charged} were charged and {len(unknown) - charged} were not; nobody could know")
    print(f"charges: {sum(len(tasks) for tasks in books.charged.values())}")
    print(f"tasks lost: {counted['lost']}")
    print(f"pictures paid twice: {counted['paid twice']}")
    for story, fault in faults:
        print(f"  {fault}: {story}; charged: {books.charged.get(story.order.prompt)}")
    return [f"{count} {fault}" for fault, count in sorted(counted.items())]


def check_journal(entries: Sequence[Entry], books: Books) -> list[str]:
    """Return where the journal and the ledger disagree."""
    wrong = [
        f"{count} entries for {prompt!r}"
        for prompt, count in Counter(entry.intent.prompt for entry in entries).items()
        if count != 1
    ]
    bound = {entry.task_id for entry in entries if entry.task_id is not None}
    unknown = {entry.intent.prompt for entry in entries if entry.state == "unknown"}
    for prompt, tasks in books.charged.items():
        wrong += [f"no entry for the charge of {task}" for task in tasks if task not in bound and prompt not in unknown]
    charged = {task for tasks in books.charged.values() for task in tasks}
    wrong += [f"{task} was never charged" for task in bound - charged]
    wrong += [f"{entry.intent.prompt!r} is {entry.state}" for entry in entries if entry.state in {"reserved", "sent"}]
    return wrong


if __name__ == "__main__":
    main()
