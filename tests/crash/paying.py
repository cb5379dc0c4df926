"""One process that pays: makes the picture that a line of JSON on stdin asks for, and says on stdout what it got.

The line names the journal's file, the sandbox, and where to stop: at that step the process says so and does nothing
any more, until it is killed. It may also name local references, a folder where pictures are saved, and that the
process is to be idle: to look after what earlier ones left, and to make its call only when it is told to go on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import anyio
import anyio.to_thread

from vidgo_mcp.client import VidgoClient
from vidgo_mcp.client.polling import Plan
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.files import writer
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.journal import Entry, Intent, Reservation, SqliteJournal, rows
from vidgo_mcp.journal.processes import current_process
from vidgo_mcp.models.requests import EditArguments, GenerateArguments, GetTaskArguments, ImageRequest
from vidgo_mcp.models.tasks import Task, Upload
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.service import Disk, Service, account_of, picture_saver, workshop

LONGEST_LIFE = 60.0
"""Seconds after which a process that nobody killed ends by itself."""
STATES = {"inside sent": "sent", "inside bind": "accepted", "inside record": "finished"}


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def stop() -> NoReturn:
    say("stopped")
    time.sleep(LONGEST_LIFE)
    os._exit(3)


class StoppingJournal(SqliteJournal):
    """Stops before or after a step."""

    def __init__(self, path: Path, at: str) -> None:
        super().__init__(path)
        self._at = at

    def _reached(self, point: str) -> None:
        if self._at == point:
            stop()

    async def reserve(
        self, intent: Intent, *, process: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        self._reached("before reserve")
        reservation = await super().reserve(intent, process=process, budget=budget, consent=consent)
        self._reached("after reserve")
        return reservation

    async def upload_turn(self, account: str) -> float:
        self._reached("before turn")
        wait = await super().upload_turn(account)
        self._reached("after turn")
        return wait

    async def remember_upload(self, account: str, digest: str, url: str, *, until: float) -> None:
        if self._at == "inside remember":
            assert self._connection is not None
            self._connection.set_trace_callback(lambda statement: stop() if statement == "COMMIT" else None)
        await super().remember_upload(account, digest, url, until=until)
        self._reached("after remember")

    async def mark_sent(self, entry_id: str) -> Entry:
        self._reached("before sent")
        entry = await super().mark_sent(entry_id)
        self._reached("after sent")
        return entry

    async def bind(self, entry_id: str, task: Task) -> Entry:
        self._reached("before bind")
        entry = await super().bind(entry_id, task)
        self._reached("after bind")
        return entry

    async def record(self, entry_id: str, task: Task, *, empty: bool = False) -> Entry:
        if task.phase == "finished":
            self._reached("before record")
        entry = await super().record(entry_id, task, empty=empty)
        if entry.state == "finished":
            self._reached("after record")
        return entry

    async def claim_saving(self, entry_id: str, *, process: str) -> bool:
        claimed = await super().claim_saving(entry_id, process=process)
        if self._at == "telling claims":
            say({"claimed": claimed})
        if claimed:
            self._reached("after claim")
        return claimed

    async def mark_saved(self, entry_id: str, paths: Sequence[str], digest: str) -> Entry:
        self._reached("before saved")
        entry = await super().mark_saved(entry_id, paths, digest)
        self._reached("after saved")
        return entry


class StoppingClient(VidgoClient):
    """Stops when an answer has just arrived."""

    at = ""

    async def submit_once(self, request: ImageRequest, *, callback_url: str | None = None) -> Task:
        task = await super().submit_once(request, callback_url=callback_url)
        if self.at == "after answer":
            stop()
        return task

    async def status(self, task_id: str) -> Task:
        task = await super().status(task_id)
        if self.at == "waiting":
            stop()
        return task

    async def upload(self, content: bytes, *, file_name: str, mime_type: str) -> Upload:
        upload = await super().upload(content, file_name=file_name, mime_type=mime_type)
        if self.at == "after upload":
            stop()
        return upload

    async def download(self, url: str, *, seconds: float = 60.0) -> bytes:
        content = await super().download(url, seconds=seconds)
        if self.at == "after download":
            stop()
        return content


def stop_inside(at: str) -> None:
    """Stop in the middle of a transaction: written, and not yet committed."""
    insert: Callable[..., None] = rows.insert
    save: Callable[..., None] = rows.save

    def inserted(connection: Any, entry: Entry) -> None:
        insert(connection, entry)
        if at == "inside reserve":
            stop()

    def saved(connection: Any, entry: Entry) -> None:
        save(connection, entry)
        if STATES.get(at) == entry.state or (at == "inside saved" and entry.saved_paths):
            stop()

    vars(rows).update(insert=inserted, save=saved)


def stop_on_disk(at: str) -> None:
    """Stop while a picture is written and gets its name."""
    write: Callable[..., int] = os.write
    give_name: Callable[[Path, Path], None] = vars(writer)["_give_name"]

    def half_written(file: int, content: memoryview) -> int:
        write(file, content[: len(content) // 2])
        stop()

    def named(part: Path, path: Path) -> None:
        if at == "after write":
            stop()
        give_name(part, path)
        if at == "after name":
            stop()

    if at == "inside write":
        # Nothing else of such a process writes to a descriptor.
        vars(os).update(write=half_written)
    vars(writer).update(_give_name=named)


def next_read(plan: Plan, elapsed: float, progress: int | None = None) -> float:
    """Return when to read next: nobody has the time here to wait as long as for a real picture."""
    return elapsed + 0.1


def disk_of(order: dict[str, Any]) -> Disk:
    """Return the part of the disk that the process may touch: the folders of its references, and where it saves."""
    save_dir = Path(order["save"]) if "save" in order else None
    folders = {Path(path).parent for path in order.get("references", ())}
    return Disk(Folders((*folders, *([save_dir] if save_dir else []))), save_dir)


def arguments_of(order: dict[str, Any]) -> GenerateArguments:
    given = {"prompt": "a fox", "wait_seconds": 20}
    if "references" in order:
        return EditArguments.model_validate({**given, "image_urls": order["references"]})
    return GenerateArguments.model_validate(given)


async def main() -> None:
    say("ready")
    order = json.loads(sys.stdin.readline())
    at, base = order["stop"], order["base"]
    stop_inside(at)
    stop_on_disk(at)
    workshop.RESUME_PAUSE = 0.05  # type: ignore[misc]
    picture_saver.PAUSES = (0.1,)  # type: ignore[misc,assignment]
    Plan.next_read = next_read  # type: ignore[assignment, method-assign]
    client = StoppingClient(SANDBOX_KEY, base_url=base)
    client.at = at
    async with Service(
        journal=StoppingJournal(Path(order["path"]), at),
        connect=lambda: client,
        account=account_of(SANDBOX_KEY, base),
        disk=disk_of(order),
        process=current_process(),
    ) as service:
        if order.get("idle"):
            say("idle")
            await anyio.to_thread.run_sync(sys.stdin.readline)
        try:
            made = await service.make(arguments_of(order))
            answer = made.to_json()
        except VidgoError as error:
            answer = {"category": error.category, "money": error.money}
        listed = await service.tasks(GetTaskArguments())
        answer["listed"] = [task.outcome for task in listed.tasks]
        say(answer)
        await anyio.to_thread.run_sync(sys.stdin.readline)


anyio.run(main)
