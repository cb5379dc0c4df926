"""How the journal looks things up: by an index, and without reading what is too old to count."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

import pytest

from tests.journal.conftest import START, URL, Clock, intent, opened
from vidgo_mcp.journal import WINDOW, Entry, Exhausted, Journal, Reserved, SqliteJournal
from vidgo_mcp.journal.tables import insert, save
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PUBLISHED

pytestmark = pytest.mark.anyio

MANY = 10_000


async def compared(kept: Journal) -> None:
    await kept.compare_balance("me", await kept.balance_look("me"), 1000, PUBLISHED)


async def pruning(kept: Journal) -> None:
    kept.hear_time(START)
    await kept.reserve(intent("new"), process="p")


async def corrected(kept: Journal) -> None:
    kept.hear_time(START + WINDOW)
    await kept.needs_time()


PICTURE, UNDER_WAY = "picture", "under way"
LOOKUPS: dict[str, tuple[Callable[[Journal], Awaitable[object]], str]] = {
    "find": (lambda kept: kept.find("me", "f"), "entries_by_fingerprint (owner=? AND fingerprint=?)"),
    "reserve": (
        lambda kept: kept.reserve(intent("new"), process="p", budget=9),
        "entries_by_sending (owner=? AND sent_at>?)",
    ),
    "by_task": (lambda kept: kept.by_task("me", "t"), "entries_by_task (owner=? AND task_id=?)"),
    "by_url": (lambda kept: kept.by_url("me", URL), "COVERING INDEX entries_by_urls (owner=?)"),
    "newest": (lambda kept: kept.newest("me", 5), "entries_by_owner (owner=?)"),
    "undelivered": (lambda kept: kept.undelivered("me"), "entries_by_sending (owner=? AND sent_at>?)"),
    "unsaved": (lambda kept: kept.unsaved("me"), "entries_by_sending (owner=? AND sent_at>?)"),
    "claim_saving": (
        lambda kept: kept.claim_saving(PICTURE, process="p"),
        "leases USING INDEX sqlite_autoindex_leases_1 (name=?)",
    ),
    "mark_saved": (lambda kept: kept.mark_saved(PICTURE, ["/a.png"], "ab"), "sqlite_autoindex_entries_1 (id=?)"),
    "release_saving": (
        lambda kept: kept.release_saving(PICTURE, process="p"),
        "leases USING INDEX sqlite_autoindex_leases_1 (name=?)",
    ),
    "record a failure": (
        lambda kept: kept.record(UNDER_WAY, Task("t1", "failed")),
        "uploads USING PRIMARY KEY (account=? AND digest=?)",
    ),
    "upload_of": (lambda kept: kept.upload_of("me", "d"), "uploads USING PRIMARY KEY (account=? AND digest=?)"),
    "upload_turn": (lambda kept: kept.upload_turn("me"), "leases USING INDEX sqlite_autoindex_leases_1 (name=?)"),
    "hold_uploads": (lambda kept: kept.hold_uploads("me", 9), "leases USING INDEX sqlite_autoindex_leases_1 (name=?)"),
    "prune uploads": (pruning, "INDEX uploads_by_age (until<?)"),
    "balance_look": (lambda kept: kept.balance_look("me"), "entries_to_compare (owner>? AND owner<?)"),
    "compare_balance": (compared, "entries_misquoted (owner>? AND owner<?)"),
    "variations": (lambda kept: kept.variations("me", "request"), "entries_by_request_key (owner=? AND request_key=?)"),
    "spent": (lambda kept: kept.spent("me"), "entries_by_sending (owner=? AND sent_at>?)"),
    "spending": (lambda kept: kept.spending("me", START), "entries_by_sending (owner=? AND sent_at>?)"),
    "durations": (lambda kept: kept.durations("low", "1K", 5), "entries_by_state (state=? AND quality=? AND tier=?)"),
    "unfinished": (lambda kept: kept.unfinished(), "entries_by_state (state=?)"),
    "expire": (lambda kept: kept.expire(), "entries_by_state (state=?)"),
    "prune": (pruning, "entries_by_age (created_at<?)"),
    "correct": (corrected, "entries_by_boot (boot=?)"),
}


@pytest.fixture
async def kept(clock: Clock) -> SqliteJournal:
    kept = opened(None, clock)
    await kept.check()
    return kept


def fill(connection: sqlite3.Connection) -> None:
    """Add what the steps that need an entry work on: a finished picture, a task with an upload, an observed price."""
    given = intent(references=("sha256:d",))
    for entry in (
        Entry(PICTURE, intent("g"), "finished", "p", START, START, "t0", image_urls=(URL,)),
        Entry(UNDER_WAY, given, "accepted", "p", START, START, "t1"),
    ):
        insert(connection, entry)
        save(connection, entry)
    observed = ("me", PUBLISHED.identity, "low", "1K", 5, None)
    connection.execute("INSERT INTO observed_prices VALUES (?, ?, ?, ?, ?, ?)", observed)


def explained(connection: sqlite3.Connection, statements: list[str]) -> list[str]:
    queries = [one for one in statements if one.startswith(("SELECT", "DELETE", "UPDATE"))]
    return [row[3] for one in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {one}")]


@pytest.mark.parametrize("name", LOOKUPS)
async def test_a_lookup_uses_its_index_and_never_scans_the_entries(name: str, kept: SqliteJournal) -> None:
    look, index = LOOKUPS[name]
    connection = kept._connection
    assert connection is not None
    fill(connection)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    await look(kept)
    connection.set_trace_callback(None)
    plan = explained(connection, statements)
    assert any(index in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN") and "entries" in line]
    if name in {"newest", "by_task", "durations", "find"}:
        assert not [line for line in plan if "TEMP B-TREE" in line]
    await kept.aclose()


async def test_with_ten_thousand_entries_only_what_counts_is_read(kept: SqliteJournal, clock: Clock) -> None:
    connection = kept._connection
    assert connection is not None
    connection.execute("BEGIN")
    for number in range(MANY):
        at = START - 2 * WINDOW if number < MANY - 10 else START
        given = intent(f"f{number}")
        entry = Entry(f"e{number}", given, "finished", "p", at, at, f"t{number}", image_urls=(f"{URL}?{number}",))
        insert(connection, entry)
        save(connection, entry)
    connection.execute("COMMIT")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 100)
    assert await kept.spent("me") == 20
    assert isinstance(await kept.reserve(intent("new"), process="p", budget=20), Exhausted)
    assert isinstance(await kept.reserve(intent("new"), process="p", budget=22), Reserved)
    assert len(await kept.newest("me", 50)) == 50
    found = [await kept.find("me", "f9999"), await kept.by_task("me", "t9999")]
    assert [entry.id for entry in found if entry] == ["e9999"] * 2
    # Each row that is looked at takes several steps of SQLite's machine: all rows once would be hundreds of these.
    assert steps < 100
    connection.set_progress_handler(None, 0)
    last = await kept.by_url("me", f"{URL}?9999")
    assert last is not None
    assert last.id == "e9999"
    await kept.aclose()
