"""Several real processes share one journal file, and some of them are killed."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journal.conftest import FINISHED, Clock, ended, intent
from vidgo_mcp.journal import Entry, Reserved, SqliteJournal
from vidgo_mcp.journal.balances import READING_TURN
from vidgo_mcp.journal.processes import UPLOAD_TURN
from vidgo_mcp.pricing import PUBLISHED

pytestmark = pytest.mark.anyio

WAIT = 60.0
"""Seconds for which a test waits for a process before it fails; in the good case it waits for none of them."""
ORDER = ["reserved", "sent", "accepted", "finished"]


class Worker:
    """A process that keeps a journal, see ``worker.py``."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def told(self) -> Any:
        return json.loads(self._lines.get(timeout=WAIT))

    def left(self) -> list[Any]:
        """Return what was said and not heard yet; only of a process that has ended."""
        self._reader.join(timeout=WAIT)
        lines = [self._lines.get_nowait() for _ in range(self._lines.qsize())]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def ask(self, path: Path, *steps: list[Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(path), *steps]) + "\n")
        self.process.stdin.flush()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=WAIT)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=WAIT)
        finally:
            self.process.kill()
            self._reader.join(timeout=WAIT)
            self.process.stdout.close()


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    started = [Worker() for _ in range(6)]
    try:
        assert [worker.told() for worker in started] == ["ready"] * 6
        yield started
    finally:
        for worker in started:
            worker.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    started = Worker()
    try:
        assert started.told() == "ready"
        yield started
    finally:
        started.close()


def together(workers: list[Worker], path: Path, steps: list[list[list[Any]]]) -> list[Any]:
    """Let each process take its steps, all at the same time; return what each said."""
    for one, its_steps in zip(workers, steps, strict=True):
        one.ask(path, *its_steps)
    return [one.told() for one in workers]


async def stored(path: Path) -> dict[str, Entry]:
    kept = SqliteJournal(path)
    entries = {entry.id: entry for entry in await kept.newest("me", 100_000)}
    await kept.aclose()
    return entries


async def test_processes_that_start_together_on_a_missing_file_make_one_journal(
    workers: list[Worker], tmp_path: Path
) -> None:
    for number in range(40):
        path = tmp_path / f"new {number}" / "folder" / "journal.db"
        answers = together(workers, path, [[["reserve", "f", None]]] * 6)
        assert sorted(str(answer[0][0]) for answer in answers) == ["Existing"] * 5 + ["Reserved"], answers
        assert len(await stored(path)) == 1


async def test_of_many_processes_one_reserves_each_picture(workers: list[Worker], tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    names = [f"f{number}" for number in range(40)]
    answers = together(workers, path, [[["reserve", name, None] for name in names]] * 6)
    for met in zip(*answers, strict=True):
        assert Counter(kind for kind, _ in met) == {"Reserved": 1, "Existing": 5}
        assert len({key for _, key in met}) == 1
    assert len(await stored(path)) == 40


@pytest.mark.parametrize("round_", range(4))
async def test_processes_spend_a_budget_together_to_the_credit(
    round_: int, workers: list[Worker], tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    steps = [[["reserve", f"{number} {half}", 10] for half in "ab"] for number in range(6)]
    met = [kind for answer in together(workers, path, steps) for kind, _ in answer]
    assert Counter(met) == {"Reserved": 5, "Exhausted": 7}
    assert sum(entry.intent.credits for entry in (await stored(path)).values()) == 10


async def test_of_many_processes_one_saves_each_picture(workers: list[Worker], tmp_path: Path) -> None:
    kept = SqliteJournal(tmp_path / "journal.db")
    for number in range(20):
        picture = await ended(kept, FINISHED, intent(f"f{number}"))
        answers = together(workers, tmp_path / "journal.db", [[["claim", picture.id, f"p{one}"]] for one in range(6)])
        assert Counter(claimed for (claimed,) in answers) == {True: 1, False: 5}
    await kept.aclose()


async def test_processes_take_five_turns_together(workers: list[Worker], tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"journal {number}.db"
        answers = together(workers, path, [[["noon"], ["turn"], ["turn"]]] * 6)
        waits = [wait for _, *waits in answers for wait in waits]
        assert Counter(waits) == {0.0: 5, UPLOAD_TURN: 7}


async def test_of_many_processes_one_reads_the_balance_in_a_minute(workers: list[Worker], tmp_path: Path) -> None:
    for number in range(10):
        answers = together(workers, tmp_path / f"journal {number}.db", [[["noon"], ["reading"]]] * 6)
        assert Counter(wait for _, wait in answers) == {0.0: 1, READING_TURN: 5}


async def test_processes_that_read_the_balance_together_draw_one_conclusion(
    workers: list[Worker], tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    kept = SqliteJournal(path)
    await kept.compare_balance("me", await kept.balance_look("me"), 1000, PUBLISHED)
    await ended(kept, FINISHED, intent(owner="me/"))
    for one, left in zip(workers, (995, 996, 997, 993, 992, 991), strict=True):
        one.ask(path, ["compare", left])
    assert [one.told() for one in workers] == ["looked"] * 6
    for one in workers:
        one.go_on()
    assert [one.told() for one in workers] == [[None]] * 6
    read = await kept.balance_read("me")
    [entry] = await kept.newest("me/", 5)
    assert read is not None
    # Of the first that came; what the others read is not held against the same picture once more.
    assert entry.charged == 1000 - read.credits
    assert await kept.observed_prices("me", PUBLISHED) == []
    await kept.aclose()


@pytest.mark.parametrize("heard", [0, 1, 2, 3, 5, 10, 30])
async def test_what_a_killed_process_said_is_in_the_journal(heard: int, worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    worker.ask(path, ["pay"])
    said = [worker.told() for _ in range(heard)]
    worker.kill()
    said += worker.left()
    entries = await stored(path)
    last = dict(said)
    for key, state in last.items():
        # The step after the last one it spoke of may be there too, and nothing else.
        assert ORDER.index(entries[key].state) - ORDER.index(state) in {0, 1}
    assert len(entries) - len(last) in {0, 1}
    assert all(entry.task_id == f"task of {entry.id}" for entry in entries.values() if entry.state not in ORDER[:2])


async def test_a_step_that_was_killed_half_way_leaves_nothing_and_blocks_nobody(
    worker: Worker, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "journal.db"
    worker.ask(path, ["reserve", "whole", None])
    whole = worker.told()[0][1]
    # The entry is written and its lease is not when the process dies.
    worker.ask(path, ["stall", "keep"], ["reserve", "half", None])
    assert worker.told() == "stalled"
    worker.kill()
    assert list(await stored(path)) == [whole]
    kept = SqliteJournal(path)
    assert isinstance(await kept.reserve(intent("half"), process="p"), Reserved)
    await kept.aclose()
