"""The doctor: one line for each thing that can be wrong, a remedy for each problem, and never the key."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import anyio
import pytest

from vidgo_mcp.cli.doctor import clock_check, encoding_check, journal_check
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.settings import load

NOON = 1_780_000_000.0


@pytest.fixture
def examined(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Runs the doctor; returns its exit code and its checks by name."""

    def examine(*arguments: str, **variables: str) -> tuple[int, dict[str, dict[str, str]]]:
        ran = invoke(["doctor", "--json", *arguments], **variables)
        said = json.loads(ran.stdout)
        assert said["ok"] is (ran.exit_code == 0)
        assert SANDBOX_KEY not in ran.output
        return ran.exit_code, {check["name"]: check for check in said["checks"]}

    return examine


def test_a_setup_in_order_is_told_in_one_line_each(world: Callable[..., Any]) -> None:
    here = world(balance=17)
    ran = here.vidgo.run("doctor")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["ok", name]
        for name in ("variables", "key", "api", "clock", "journal", "saving", "input", "uploads", "encoding")
    ]
    assert "17 credits left" in ran.stdout
    assert here.url in ran.stdout
    assert lines[-1] == "Everything is in order."
    assert SANDBOX_KEY not in ran.stdout
    assert here.movements() == []
    assert {record.method for record in here.sandbox.requests} == {"GET"}


def test_a_problem_has_a_remedy_and_is_counted(world: Callable[..., Any]) -> None:
    here = world()
    ran = here.vidgo.run("doctor", VIDGO_API_KEY="")
    assert ran.returncode == 1
    assert "problem  key        VIDGO_API_KEY is set but empty." in ran.stdout
    assert "`vidgo-mcp demo`" in ran.stdout
    assert ran.stdout.endswith("\n1 problem.\n")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("balance:refuse=401", "key"),
        ("balance:refuse=500", "the balance cannot be read"),
    ],
)
def test_a_key_that_cannot_be_used_is_a_problem(
    world: Callable[..., Any], examined: Callable[..., Any], fault: str, says: str
) -> None:
    here = world(fault)
    code, checks = examined(VIDGO_BASE_URL=here.url, VIDGO_API_KEY=SANDBOX_KEY)
    assert (code, checks["key"]["state"], checks["api"]["state"]) == (1, "problem", "ok")
    assert says in checks["key"]["message"]
    assert checks["key"]["remedy"]


def test_an_account_that_cannot_pay_for_the_cheapest_picture_is_a_problem(
    world: Callable[..., Any], examined: Callable[..., Any]
) -> None:
    here = world(balance=1)
    code, checks = examined(VIDGO_BASE_URL=here.url, VIDGO_API_KEY=SANDBOX_KEY)
    assert (code, checks["key"]["state"]) == (1, "problem")
    assert "1 credits left, and the cheapest picture costs 2" in checks["key"]["message"]


def test_an_api_that_cannot_be_reached_is_the_one_problem(examined: Callable[..., Any]) -> None:
    code, checks = examined(VIDGO_BASE_URL="http://127.0.0.1:1", VIDGO_API_KEY="some-key")
    assert code == 1
    assert {name: check["state"] for name, check in checks.items()} == {
        "variables": "ok",
        "key": "skipped",
        "api": "problem",
        "clock": "skipped",
        "journal": "ok",
        "saving": "ok",
        "input": "ok",
        "uploads": "ok",
        "encoding": "ok",
    }
    assert "http://127.0.0.1:1 cannot be reached" in checks["api"]["message"]


def test_the_sandbox_inside_the_process_needs_nothing(examined: Callable[..., Any]) -> None:
    code, checks = examined("--sandbox")
    assert code == 0
    assert {checks[name]["state"] for name in ("key", "api", "clock")} == {"skipped"}


def test_a_setting_that_cannot_be_used_is_named_and_the_rest_is_still_examined(examined: Callable[..., Any]) -> None:
    code, checks = examined(VIDGO_BASE_URL="http://example.com", VIDGO_API_KEY="some-key")
    assert code == 1
    assert checks["settings"]["message"].startswith("VIDGO_BASE_URL cannot be used")
    assert checks["key"]["state"] == "skipped"
    assert checks["encoding"]["state"] == "ok"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("VIDGO_APIKEY", "x", "did you mean VIDGO_API_KEY?"),
        ("VIDGO_BUDGET", "10", "VIDGO_BUDGET is not known and has no effect"),
        ("VIDGO_LOG_LEVEL", "${env:LEVEL}", "VIDGO_LOG_LEVEL was passed on without being filled in"),
        ("VIDGO_CALLBACK_URL", "https://${HOST}/hook", "VIDGO_CALLBACK_URL was passed on without being filled in"),
    ],
)
def test_a_variable_without_effect_is_a_problem(
    examined: Callable[..., Any], variable: str, value: str, says: str
) -> None:
    code, checks = examined("--sandbox", **{variable: value})
    assert (code, checks["variables"]["state"]) == (1, "problem")
    assert says in checks["variables"]["message"]


@pytest.mark.parametrize(
    ("ahead", "state", "says"),
    [
        (0, "ok", "within 5 minutes"),
        (-299, "ok", "within 5 minutes"),
        (3600, "problem", "60 minutes ahead of"),
        (-86400, "problem", "1440 minutes behind"),
    ],
)
def test_the_clock_is_compared_with_vidgos(ahead: float, state: str, says: str) -> None:
    check = clock_check(NOON + ahead, formatdate(NOON, usegmt=True))
    assert check.state == state
    assert says in check.message
    assert bool(check.remedy) is (state == "problem")


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_date_tells_nothing_about_the_clock(date: str | None) -> None:
    assert clock_check(NOON, date).state == "skipped"


def test_streams_that_are_not_utf8_are_named() -> None:
    check = encoding_check([("stdout", "cp1252"), ("stderr", "utf-8"), ("file names", None)])
    assert check.state == "problem"
    assert "stdout (cp1252), file names (None)" in check.message
    assert "PYTHONUTF8=1" in check.remedy
    assert encoding_check([("stdout", "UTF-8"), ("stderr", "utf8")]).state == "ok"


def journal_of(examined: Callable[..., Any], path: object) -> dict[str, str]:
    _, checks = examined(VIDGO_BASE_URL="http://127.0.0.1:1", VIDGO_API_KEY="some-key", VIDGO_JOURNAL=str(path))
    found: dict[str, str] = checks["journal"]
    return found


def test_a_journal_that_is_not_there_yet_is_not_made(examined: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    check = journal_of(examined, path)
    assert (check["state"], check["message"]) == ("ok", f"{path} will be made by the first paid call")
    assert not path.parent.exists()


def test_a_journal_that_is_there_is_proved_writable(examined: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    anyio.run(SqliteJournal(path).check)
    check = journal_of(examined, path)
    assert (check["state"], check["message"]) == ("ok", f"{path} can be written")


def test_a_journal_in_memory_is_said_to_end(examined: Callable[..., Any]) -> None:
    check = journal_of(examined, "memory")
    assert (check["state"], check["message"].split(":")[0]) == ("ok", "in memory")


@pytest.mark.parametrize(
    ("content", "says", "remedy"),
    [
        (b"no database, but as long as one. " * 200, "not a database", "Keep it"),
        ("PRAGMA user_version = 99", "a newer vidgo-mcp wrote it", "Update vidgo-mcp"),
        ("CREATE TABLE songs (title TEXT); PRAGMA application_id = 7", "another program", "Name another file"),
    ],
)
def test_a_journal_that_cannot_be_used_has_a_remedy_and_is_left_as_it_is(
    examined: Callable[..., Any], tmp_path: Path, content: bytes | str, says: str, remedy: str
) -> None:
    path = tmp_path / "journal.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        if "99" in content:
            anyio.run(SqliteJournal(path).check)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(content)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    check = journal_of(examined, path)
    assert check["state"] == "problem"
    assert str(path) in check["message"]
    assert says in check["message"]
    assert check["remedy"].startswith(remedy)
    assert "VIDGO_JOURNAL" in check["remedy"]
    assert path.read_bytes() == before


def test_a_damaged_journal_is_told_apart(examined: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    anyio.run(SqliteJournal(path).check)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    check = journal_of(examined, path)
    assert (check["state"], check["remedy"][:7]) == ("problem", "Keep it")


def test_a_folder_is_no_journal(examined: Callable[..., Any], tmp_path: Path) -> None:
    check = journal_of(examined, tmp_path)
    assert (check["state"], check["remedy"]) == ("problem", "Name a file in VIDGO_JOURNAL, not a folder.")
    (tmp_path / "file").touch()
    below = journal_of(examined, tmp_path / "file" / "journal.db")
    assert below["state"] == "problem"
    assert "file is not a folder" in below["message"]


def test_a_folder_that_cannot_be_written_and_a_network_folder_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"VIDGO_JOURNAL": str(tmp_path / "share" / "journal.db")})
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nhost:/b {tmp_path} nfs4 rw 0 0\n")
    check = anyio.run(journal_check, settings, mounts)
    assert check.state == "problem"
    assert "network folder (nfs4)" in check.message
    assert "on a disk of this computer" in check.remedy
    monkeypatch.setattr(os, "access", lambda *_: False)
    check = anyio.run(journal_check, settings)
    assert check.state == "problem"
    assert f"{tmp_path} is not writable" in check.message
