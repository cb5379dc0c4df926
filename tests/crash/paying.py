"""One process that pays: makes the picture that a line of JSON on stdin asks for, and says on stdout what it got.

The line names the journal's file, the sandbox, and where to stop: at that step the process says so and does nothing
any more, until it is killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import anyio

from vidgo_mcp.client import VidgoClient
from vidgo_mcp.client.schedule import Plan
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.journal import Entry, Intent, Reservation, rows, sqlite
from vidgo_mcp.journal.holders import current_holder, is_gone
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.requests import GenerateArguments, GetTaskArguments, ImageRequest
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.service import Service, account_of, workshop

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
        self, intent: Intent, *, holder: str, budget: int | None = None, consent: str | None = None
    ) -> Reservation:
        self._reached("before reserve")
        reservation = await super().reserve(intent, holder=holder, budget=budget, consent=consent)
        self._reached("after reserve")
        return reservation

    async def mark_sent(self, entry_id: str) -> Entry:
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
        if STATES.get(at) == entry.state:
            stop()

    vars(sqlite).update(insert=inserted, save=saved)


def next_read(plan: Plan, elapsed: float, progress: int | None = None) -> float:
    """Return when to read next: nobody has the time here to wait as long as for a real picture."""
    return elapsed + 0.1


async def main() -> None:
    say("ready")
    order = json.loads(sys.stdin.readline())
    at, base = order["stop"], order["base"]
    stop_inside(at)
    workshop.RESUME_PAUSE = 0.05  # type: ignore[misc]
    Plan.next_read = next_read  # type: ignore[assignment, method-assign]
    client = StoppingClient(SANDBOX_KEY, base_url=base)
    client.at = at
    async with Service(
        journal=StoppingJournal(Path(order["path"]), at),
        connect=lambda: client,
        account=account_of(SANDBOX_KEY, base),
        holder=current_holder(),
        gone=is_gone,
    ) as service:
        try:
            made = await service.make(GenerateArguments(prompt="a fox", wait_seconds=20))
            answer = made.to_json()
        except VidgoError as error:
            answer = {"category": error.category, "money": error.money}
        listed = await service.tasks(GetTaskArguments())
        answer["listed"] = [task.outcome for task in listed.tasks]
        say(answer)
        sys.stdin.readline()


anyio.run(main)
