"""Processes with the same record are one sandbox, whether they run at once or one after another."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY, Record, Sandbox, running, storage
from vidgo_mcp.sandbox.storage import StoredFile

BASE = "http://127.0.0.1:1"
HEADERS = {"Authorization": f"Bearer {SANDBOX_KEY}"}
NOON = 1_780_000_000.0
DAY = 24 * 3600.0
FOX: dict[str, Any] = {"model": "gpt-image-2", "input": {"prompt": "a fox"}}
Begin = Callable[..., Sandbox]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "sandbox.db"


@pytest.fixture
def begin(path: Path) -> Any:
    """Begins the sandbox of one more process, at a time of day."""
    with ExitStack() as stack:

        def begin(at: float = NOON, **more: Any) -> Sandbox:
            record = stack.enter_context(closing(Record(path, now=lambda: at)))
            return Sandbox(record=record, clock=lambda: at, seconds=(5, 5), **more)

        yield begin


def submit(sandbox: Sandbox, **fields: Any) -> str:
    account = sandbox.authorize(HEADERS["Authorization"])
    return sandbox.submit(account, {**FOX, "input": {**FOX["input"], **fields}}, BASE).task_id


def status(sandbox: Sandbox, task_id: str) -> Any:
    return sandbox.read_status(sandbox.authorize(HEADERS["Authorization"]), task_id, BASE)


def test_a_later_process_knows_the_task_its_price_and_its_picture(begin: Begin) -> None:
    task_id = submit(begin(), quality="high")
    later = begin(NOON + 6)
    found = status(later, task_id)
    assert (found["status"], later.balance()) == ("finished", 988)
    [file] = found["files"]
    own = later.own_file(file["file_url"], BASE)
    assert own is not None
    assert getattr(own.content, "prompt", None) == "a fox"


def test_processes_at_once_share_one_account(begin: Begin) -> None:
    first, second = begin(), begin()
    made = [submit(first), submit(second), submit(first)]
    assert len(set(made)) == 3
    assert [status(sandbox, task_id)["task_id"] for sandbox in (first, second) for task_id in made] == made * 2
    assert (first.balance(), second.balance()) == (994, 994)
    assert first.ledger == second.ledger


def test_a_failed_task_is_refunded_in_every_process(begin: Begin) -> None:
    first = begin(faults=["task:failed"])
    task_id = submit(first)
    assert first.balance() == 998
    later = begin(NOON + 6)
    assert (status(later, task_id)["status"], later.balance()) == ("failed", 1000)


def test_an_upload_of_one_process_is_the_reference_of_another(begin: Begin) -> None:
    content = b"\x89PNG\r\n\x1a\n\x00\xff"
    first = begin()
    url = first.storage.url(BASE, first.keep_upload(StoredFile("temp/1/fox.png", NOON + 3 * DAY, "image/png", content)))
    later = begin(NOON + 60)
    body = {"model": "gpt-image-2-edit", "input": {"prompt": "at night", "image_urls": [url]}}
    task = later.submit(later.authorize(HEADERS["Authorization"]), body, BASE)
    assert not task.lost_reference
    for sandbox in (later, begin(NOON + 61)):
        status(sandbox, task.task_id)
        brief = sandbox.tasks[task.task_id].result.content
        assert isinstance(brief, storage.Brief)
        assert brief.references == (content,)


def test_after_a_day_it_is_gone_and_so_is_what_it_cost(begin: Begin) -> None:
    first = begin()
    task_id, early = submit(first), begin(NOON + DAY - 60)
    late = submit(early)
    fresh = begin(NOON + DAY + 1)
    assert list(fresh.tasks) == []
    assert status(fresh, late)["task_id"] == late
    assert (fresh.balance(), list(fresh.tasks)) == (998, [late])
    # The process that has forgotten nothing yet, and a new one, still read on from each other.
    newest = submit(fresh)
    assert newest != task_id
    assert status(early, newest)["task_id"] == newest


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def another_form(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE kept SET item = '{}'")


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE songs (name)")


@pytest.mark.parametrize("spoil", [garbage, cut, emptied, newer, another_form, of_another_program])
def test_a_file_that_cannot_be_read_is_begun_anew(begin: Begin, path: Path, spoil: Callable[[Path], None]) -> None:
    submit(begin())
    spoil(path)
    fresh = begin()
    assert (fresh.balance(), fresh.tasks) == (1000, {})
    task_id = submit(fresh)
    assert status(begin(), task_id)["task_id"] == task_id
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_that_another_process_holds_is_left_alone(
    begin: Begin, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = submit(begin())
    monkeypatch.setattr("vidgo_mcp.sandbox.record.BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            begin()
    assert status(begin(), task_id)["task_id"] == task_id


def picture_url(address: str, sandbox: Sandbox) -> str:
    task_id = submit(sandbox)
    data = httpx.get(f"{address}/api/generate/status/{task_id}", headers=HEADERS, trust_env=False).json()["data"]
    return str(data["files"][0]["file_url"])


def of_now(path: Path, stack: ExitStack) -> Sandbox:
    return Sandbox(record=stack.enter_context(closing(Record(path))), seconds=(0, 0), clock=lambda: NOON * 2)


def test_a_url_is_alive_wherever_one_of_the_processes_is(path: Path) -> None:
    with ExitStack() as outer:
        second = of_now(path, outer)
        with ExitStack() as inner:
            first = of_now(path, inner)
            url = picture_url(inner.enter_context(running(first)), first)
            assert httpx.get(url, trust_env=False).status_code == 200
            outer.enter_context(running(second))
        assert httpx.get(url, trust_env=False).content.startswith(b"\x89PNG")
        assert httpx.head(url, trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    with ExitStack() as again:
        again.enter_context(running(of_now(path, again)))
        assert httpx.get(url, trust_env=False).status_code == 200


def test_a_port_that_somebody_else_has_is_given_up(path: Path) -> None:
    with ExitStack() as stack:
        first = of_now(path, stack)
        with running(first) as address:
            old = picture_url(address, first)
        other = stack.enter_context(socket.create_server(("127.0.0.1", first.record.port if first.record else 0)))
        second = of_now(path, stack)
        with running(second) as address:
            new = picture_url(address, second)
            assert httpx.get(new, trust_env=False).status_code == 200
        assert httpx.URL(old).port == other.getsockname()[1] != httpx.URL(new).port
