"""A process that makes one picture, and at one point of the paid workflow something happens to it.

The tests of killed processes stop it there, and look at what it leaves; the crash benchmark kills it. A point is
``before``, ``inside`` or ``after``, and a step: a method of the journal or of the client, or ``write`` or ``name`` for
the file of a picture. Inside a step of the journal everything is written, and nothing is committed; inside ``write``
half of the file is written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidgo_mcp.client import Timeouts, VidgoClient, polling
from vidgo_mcp.files import writer
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import Entry, SqliteJournal, processes
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.service import LocalFiles, Principal, Runtime, Service, account_of, picture_saver, service, submission

Act = Callable[[], object]

HURRIED_LEASE = 2.0
HURRIED = Timeouts(connect=2.0, read=3.0, submit=3.0)
"""After 8 s in all the answer to a submit counts as lost."""
FREEZE = 12.0
"""Seconds: longer than both."""
READ_EVERY = 0.1
"""Seconds between two looks at a task: nobody has the time here to wait as long as for a real picture."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one process does.

    Attributes:
        journal: the file.
        base: where the sandbox is.
        prompt: of the picture.
        references: local files or inline data, which make it an edit.
        save: the folder where pictures are saved; None where they are not.
        point: where something happens; empty for nowhere.
        hurried: whether leases and the deadline of a submit are a few seconds, so that a freeze outlasts both.
        wait_seconds: how long the call waits for its picture.
    """

    journal: str
    base: str
    prompt: str = "a fox"
    references: Sequence[str] = ()
    save: str | None = None
    point: str = ""
    hurried: bool = False
    wait_seconds: int = 60

    @property
    def principal(self) -> Principal:
        """Who pays."""
        return Principal(account_of(SANDBOX_KEY, self.base))

    @property
    def arguments(self) -> GenerateArguments:
        """The arguments of the call."""
        given = {"prompt": self.prompt, "wait_seconds": self.wait_seconds}
        if self.references:
            return EditArguments.model_validate({**given, "image_urls": list(self.references)})
        return GenerateArguments.model_validate(given)


def service_of(order: Order, act: Act) -> Service:
    """Return the service of a process, not yet entered; ``act`` is called when it comes to the point of the order."""
    hasten()
    timeouts = Timeouts()
    if order.hurried:
        timeouts = HURRIED
        processes.LEASE = HURRIED_LEASE  # type: ignore[misc]
        submission.RENEWAL = HURRIED_LEASE / 4  # type: ignore[attr-defined]
    journal = SqliteJournal(Path(order.journal))
    client = VidgoClient(SANDBOX_KEY, base_url=order.base, timeouts=timeouts)
    for part in (journal, client):
        interrupt(part, order.point, act)
    interrupt_disk(order.point, act)
    save_dir = None if order.save is None else Path(order.save)
    folders = {Path(path).parent for path in order.references if not path.startswith("data:")}
    return Service(
        journal=journal,
        connect=lambda account: client,
        files=LocalFiles(Folders((*folders, *([save_dir] if save_dir else []))), save_dir),
        runtime=Runtime(processes.current_process(), journal.now),
        account=order.principal.account,
    )


def hasten() -> None:
    """Let this process look and save again at once."""

    def next_read(plan: polling.Plan, elapsed: float, progress: int | None = None) -> float:
        return elapsed + READ_EVERY

    service.RESUME_PAUSE = 0.05  # type: ignore[misc]
    picture_saver.PAUSES = (0.1,)  # type: ignore[misc,assignment]
    polling.CLOSEST_READS = READ_EVERY  # type: ignore[misc]
    polling.Plan.next_read = next_read  # type: ignore[method-assign,assignment]


def interrupt(part: SqliteJournal | VidgoClient, point: str, act: Act) -> None:
    """Act when a journal or a client comes to a point, if that is one of its own."""
    moment, _, name = point.partition(" ")
    step = getattr(part, name, None)
    if step is None:
        return

    async def interrupted(*given: Any, **named: Any) -> Any:
        if name == "record" and given[1].phase != "finished":
            return await step(*given, **named)
        if moment == "before":
            act()
        if moment == "inside":
            # SQLite says so before it does it.
            connection = vars(part)["_connection"]
            connection.set_trace_callback(lambda statement: act() if statement == "COMMIT" else None)
        result = await step(*given, **named)
        # What was not claimed is not claimed.
        if moment == "after" and result is not False:
            act()
        return result

    setattr(part, name, interrupted)


def interrupt_disk(point: str, act: Act) -> None:
    """Act while this process writes a picture, or before or after it gives it its name, if that is the point."""
    write: Callable[..., int] = os.write
    give_name: Callable[[Path, Path], None] = vars(writer)["_give_name"]

    def half_written(file: int, content: memoryview) -> int:
        # Pipes are written too.
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return write(file, content)
        written = write(file, content[: len(content) // 2])
        act()
        return written

    def named(part: Path, path: Path) -> None:
        if point == "before name":
            act()
        give_name(part, path)
        if point == "after name":
            act()

    if point == "inside write":
        vars(os).update(write=half_written)
    if point in {"before name", "after name"}:
        vars(writer).update(_give_name=named)


async def entries_of(path: Path, base: str) -> Sequence[Entry]:
    """Return the entries of a journal that other processes use, newest first."""
    journal = SqliteJournal(path)
    try:
        return await journal.newest(Principal(account_of(SANDBOX_KEY, base)).owner, 1_000_000)
    finally:
        await journal.aclose()
