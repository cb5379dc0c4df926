"""One process of several that share a journal: takes a step for each line of JSON on stdin, and answers on stdout.

A line is a list of lists: the path, then steps, each a name and its arguments. ``stall`` names a function that is
replaced by one that says so and waits, inside the transaction, to be killed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio

from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import Intent, SqliteJournal, tables
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PUBLISHED

PROCESS = "worker:1:1"
NOON = 1_800_000_000.0
"""What the clock shows to the processes that share out turns, however long they take."""


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def intent(fingerprint: str, credits: int = 2) -> Intent:  # noqa: A002  # the journal's word
    return Intent("me", fingerprint, "request", 1, "gpt-image-2", "a boat", "1:1", "1K", "low", credits)


async def take(journal: SqliteJournal, name: str, *given: Any) -> object:
    if name == "reserve":
        fingerprint, budget = given
        met = await journal.reserve(intent(fingerprint), process=PROCESS, budget=budget)
        return [type(met).__name__, met.entry.id if hasattr(met, "entry") else ""]
    if name == "claim":
        entry_id, process = given
        return await journal.claim_saving(entry_id, process=process)
    if name == "reading":
        begun = await journal.begin_reading("me", PUBLISHED, opening=True)
        return begun if isinstance(begun, float) else 0.0
    if name == "compare":
        look = await journal.balance_look("me")
        say("looked")
        sys.stdin.readline()
        await journal.compare_balance("me", look, given[0], PUBLISHED)
        return None
    if name == "turn":
        return await journal.upload_turn("me")
    if name == "noon":
        vars(journal)["_uptime"] = lambda: NOON
        return None
    if name == "stall":

        def stalled(*_: Any, **__: Any) -> None:
            say("stalled")
            sys.stdin.read()

        setattr(tables, given[0], stalled)
        return None
    # Pays until it is killed, and says each step that is on the disk.
    for number in range(10_000):
        met = await journal.reserve(intent(f"f{number}"), process=PROCESS)
        key = met.entry.id  # type: ignore[union-attr]  # each fingerprint is new
        say([key, "reserved"])
        await journal.mark_sent(key)
        say([key, "sent"])
        await journal.bind(key, Task(f"task of {key}", "running"))
        say([key, "accepted"])
        await journal.record(key, Task(f"task of {key}", "finished", 100, ("https://a.example/1.png",)))
        say([key, "finished"])
    return None


async def main() -> None:
    keepers: dict[str, SqliteJournal] = {}
    say("ready")
    for line in sys.stdin:
        path, *steps = json.loads(line)
        journal = keepers.setdefault(path, SqliteJournal(Path(path)))
        try:
            say([await take(journal, *step) for step in steps])
        except JournalError as error:
            say(f"error: {error.message}")
    for journal in keepers.values():
        await journal.aclose()


anyio.run(main)
