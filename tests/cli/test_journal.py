"""The journal on the command line: what is listed, exported, added up and settled by hand, and what is never done."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidgo_mcp.sandbox import SANDBOX_KEY


@pytest.fixture
def paid(world: Callable[..., Any]) -> Any:
    """A sandbox that lost the answer to the first submit, and the journal that remembers it, with an accepted one."""
    here = world("submit:lose_answer*1")
    assert here.run("generate", "a red fox").exit_code == 5
    here.paid("=an owl, at night", "--quality", "medium", "--size", "16:9")
    return here


def entries(here: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(here.run("journal", "--json").stdout)["entries"]
    return found


def test_the_list_is_newest_first_and_says_what_is_unknown(paid: Any) -> None:
    listed = paid.run("journal")
    assert listed.exit_code == 0
    lines = listed.stdout.splitlines()
    assert lines[0].split()[1:4] == ["accepted", "3", "credits"]
    assert lines[1] == '    16:9, 1K, medium, variation 1: "=an owl, at night"'
    assert lines[2].split()[1:4] == ["unknown", "2", "credits"]
    assert "1 outcome is unknown" in lines[4]
    assert len(paid.run("journal", "--limit", "1").stdout.splitlines()) == 2
    assert [entry["state"] for entry in entries(paid)] == ["accepted", "unknown"]


def test_one_entry_is_shown_by_its_id_its_beginning_or_its_task(paid: Any) -> None:
    accepted, unknown = entries(paid)
    for name in (accepted["id"], accepted["id"][:8], accepted["task_id"], f"task:{accepted['task_id']}"):
        assert json.loads(paid.run("journal", "show", name, "--json").stdout) == accepted
    plain = paid.run("journal", "show", unknown["id"]).stdout
    assert "state        unknown" in plain
    assert "prompt       a red fox" in plain
    for name in ("none-such", "", unknown["id"][:3]):
        missing = paid.run("journal", "show", name)
        assert (missing.exit_code, missing.stdout) == (1, "")
        assert "The journal has no entry" in missing.stderr


def test_an_answer_that_was_not_understood_is_shown_to_the_person_without_the_key(world: Callable[..., Any]) -> None:
    here = world(f'task:says_ended={{"status": "erledigt", "echo": "{SANDBOX_KEY}"}}')
    made = here.run("task", here.paid("a red fox"), "--json")
    assert (made.exit_code, json.loads(made.stdout)["outcome"]) == (0, "finished")
    assert "echo" not in made.stdout
    shown = here.run("journal", "show", entries(here)[0]["id"]).stdout
    assert '"status": "erledigt"' in shown
    assert '"echo": "[key]"' in shown
    assert SANDBOX_KEY not in shown


def test_the_export_has_every_entry_and_never_the_key(paid: Any, tmp_path: Path) -> None:
    assert paid.run("task", entries(paid)[0]["task_id"]).exit_code == 0
    known = entries(paid)
    (saved,) = known[0]["saved_paths"]
    assert Path(saved).is_file()
    assert f"saved_paths  {saved}\n" in paid.run("journal", "show", known[0]["id"]).stdout
    assert json.loads(paid.run("journal", "export").stdout)["entries"] == known
    table = paid.run("journal", "export", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["id"] for row in rows] == [entry["id"] for entry in known]
    assert [row["prompt"] for row in rows] == ["'=an owl, at night", "a red fox"]
    assert rows[0]["image_urls"] == known[0]["image_urls"][0]
    assert rows[1]["task_id"] == ""
    assert SANDBOX_KEY not in table
    file = tmp_path / "paid.csv"
    assert paid.run("journal", "export", "--format", "csv", "-o", str(file)).exit_code == 0
    assert file.read_text("utf-8") == table
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_export_overwrites_nothing_least_of_all_the_journal(paid: Any, tmp_path: Path) -> None:
    (journal,) = (tmp_path / "home").rglob("journal.db")
    before = entries(paid)
    refused = paid.run("journal", "export", "-o", str(journal))
    assert refused.exit_code == 1
    assert "exists already" in refused.stderr
    assert entries(paid) == before
    assert "cannot be written" in paid.run("journal", "export", "-o", str(tmp_path / "none" / "a.json")).stderr


def test_the_summary_adds_up_by_period_quality_and_tier(paid: Any) -> None:
    said = paid.run("journal", "--summary", VIDGO_BUDGET_PER_DAY="9").stdout.splitlines()
    assert said[0] == "last 24 h: 5 credits, 2 pictures"
    assert said[1].split() == ["low", "1K", "1", "2", "credits"]
    assert said[2].split() == ["medium", "1K", "1", "3", "credits"]
    assert said[-1] == "4 credits are left of the 9 of a day."
    periods = json.loads(paid.run("journal", "--summary", "--json").stdout)["periods"]
    assert [(one["period"], one["credits"]) for one in periods] == [("24 h", 5), ("7 d", 5), ("30 d", 5)]


def test_an_unknown_submit_is_settled_by_its_task_which_vidgo_is_asked_for(paid: Any) -> None:
    accepted, unknown = entries(paid)
    lost = next(task_id for task_id in paid.sandbox.tasks if task_id != accepted["task_id"])
    for wrong, says in (("task-none", "Vidgo knows no task task-none"), (accepted["task_id"], "belongs to the entry")):
        refused = paid.run("journal", "resolve", unknown["id"], "--task", wrong)
        assert refused.exit_code == 1
        assert says in refused.stderr
        assert entries(paid) == [accepted, unknown]
    settled = paid.run("journal", "resolve", unknown["id"][:8], "--task", lost)
    assert settled.exit_code == 0
    assert settled.stdout.startswith(f"Settled: the task {lost} is recorded")
    again = json.loads(paid.run("generate", "a red fox", "--json").stdout)
    assert (again["task_id"], again["reused"], again["credits_charged"]) == (lost, True, 0)
    assert paid.movements() == [("charge", 2), ("charge", 3)]
    assert paid.run("journal", "resolve", unknown["id"], "--task", lost).exit_code == 1


def test_an_unknown_submit_is_settled_as_not_charged_and_may_then_be_sent_again(paid: Any) -> None:
    accepted, unknown = entries(paid)
    refused = paid.run("journal", "resolve", accepted["id"], "--not-charged")
    assert refused.exit_code == 1
    assert "is accepted." in refused.stderr
    settled = json.loads(paid.run("journal", "resolve", unknown["id"], "--not-charged", "--json").stdout)
    assert settled == {"settled": unknown["id"], "not_charged": True}
    assert entries(paid) == [accepted]
    paid.paid("a red fox")
    assert paid.movements() == [("charge", 2), ("charge", 3), ("charge", 2)]


@pytest.mark.parametrize("options", [[], ["--task", "task-1", "--not-charged"]])
def test_settling_says_exactly_one_thing(invoke: Callable[..., Any], options: list[str]) -> None:
    refused = invoke("journal", "resolve", "abcd", *options, VIDGO_API_KEY="key")
    assert refused.exit_code == 2
    assert "either --task TASK_ID" in refused.stderr


def test_a_task_that_cannot_be_read_settles_nothing(paid: Any) -> None:
    _, unknown = entries(paid)
    paid.sandbox.add_fault("status:broken_json*9")
    refused = paid.run("journal", "resolve", unknown["id"], "--task", "task-1")
    assert refused.exit_code == 1
    assert entries(paid)[1]["state"] == "unknown"


def test_another_key_sees_nothing_of_it(paid: Any) -> None:
    _, unknown = entries(paid)
    assert json.loads(paid.run("journal", "--json", VIDGO_API_KEY="another").stdout) == {"entries": []}
    for arguments in (["show", unknown["id"]], ["resolve", unknown["id"], "--not-charged"]):
        assert "has no entry" in paid.run("journal", *arguments, VIDGO_API_KEY="another").stderr
    assert entries(paid)[1] == unknown


EVERY = (["journal"], ["journal", "--summary"], ["journal", "export"], ["journal", "show", "abcd"])


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_without_a_key_it_says_which_variable_to_set(invoke: Callable[..., Any], arguments: list[str]) -> None:
    refused = invoke(*arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "VIDGO_API_KEY is not set." in refused.stderr
    error = json.loads(invoke(*arguments, "--json").stdout)
    assert (error["category"], error["money"]) == ("authentication", "nothing_spent")


@pytest.mark.parametrize("arguments", EVERY, ids=" ".join)
def test_a_journal_in_memory_has_nothing_to_show(invoke: Callable[..., Any], arguments: list[str]) -> None:
    shown = invoke(*arguments, VIDGO_JOURNAL="memory", VIDGO_API_KEY="key")
    assert "The journal is in memory" in shown.stderr
    assert "nothing to show" in invoke(*arguments, VIDGO_JOURNAL="memory", VIDGO_SANDBOX="1").stderr


def test_a_journal_that_cannot_be_used_is_named_with_what_to_do(invoke: Callable[..., Any], tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    for arguments in EVERY:
        refused = invoke(*arguments, VIDGO_JOURNAL=str(broken), VIDGO_API_KEY="key")
        assert refused.exit_code == 1
        assert str(broken) in refused.stderr
        assert "VIDGO_JOURNAL" in refused.stderr
