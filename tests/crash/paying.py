"""One process that pays: makes the picture that a line of JSON on stdin asks for, and says on stdout what it got.

At the point that the order names it says ``stopped``, and does nothing any more until it is killed. An idle one looks
after what earlier ones left, and makes its call only when it is told to go on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, NoReturn

import anyio
import anyio.to_thread

from benchmarks.interrupted import Order, service_of
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.journal import SqliteJournal

LONGEST_LIFE = 60.0
"""Seconds after which a process that nobody killed ends by itself."""


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def stop() -> NoReturn:
    say("stopped")
    time.sleep(LONGEST_LIFE)
    os._exit(3)


def say_claims() -> None:
    """Say of each claim to save a picture whether it was granted."""
    claim = SqliteJournal.claim_saving

    async def claim_saving(self: SqliteJournal, entry_id: str, *, process: str) -> bool:
        claimed = await claim(self, entry_id, process=process)
        say({"claimed": claimed})
        return claimed

    SqliteJournal.claim_saving = claim_saving  # type: ignore[method-assign]


async def pay(order: Order, *, idle: bool) -> None:
    async with service_of(order, stop) as service:
        if idle:
            say("idle")
            await anyio.to_thread.run_sync(sys.stdin.readline)
        answer: dict[str, Any]
        try:
            answer = (await service.make(order.principal, order.arguments)).to_json()
        except VidgoError as error:
            answer = {"category": error.category, "money": error.money}
        listed = await service.tasks(order.principal).listed(10)
        say({**answer, "listed": [task.outcome for task in listed.tasks]})
        await anyio.to_thread.run_sync(sys.stdin.readline)


def main() -> None:
    say("ready")
    given = json.loads(sys.stdin.readline())
    idle, claims = given.pop("idle", False), given.pop("claims", False)
    if claims:
        say_claims()

    async def run() -> None:
        await pay(Order(**given), idle=idle)

    anyio.run(run)


if __name__ == "__main__":
    main()
