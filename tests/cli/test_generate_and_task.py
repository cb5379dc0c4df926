"""Pictures from the command line: what is printed, what is charged, and what the exit code says."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from vidgo_mcp.models.results import ErrorResult, TaskResult

on_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX terminals")


def test_a_picture_and_its_edit_are_two_charges_and_two_urls(world: Callable[..., Any]) -> None:
    here = world(seconds=0.5)
    made = here.vidgo.run("generate", "a red fox", "--size", "16x9", "--quality", "HIGH")
    task_id = here.task_id()
    url = next(line for line in made.stdout.splitlines() if line.startswith("http"))
    assert httpx.get(url).headers["content-type"] == "image/png"
    assert made.stdout.startswith("Finished. 12 credits.")
    assert f"--image task:{task_id}" in made.stdout
    assert (made.returncode, made.stderr) == (0, f"accepted after 0 s, task {task_id}\n")

    edited = here.run("generate", "the same at night", "--image", f"task:{task_id}", "--json")
    result = TaskResult.model_validate_json(edited.stdout)
    assert json.loads(edited.stdout) == result.to_json()
    assert (result.outcome, result.sources, result.credits_charged) == ("finished", [f"task:{task_id}"], 2)
    assert edited.exit_code == 0
    assert here.movements() == [("charge", 12), ("charge", 2)]
    first, second = here.posts()
    assert first == {"prompt": "a red fox", "size": "16:9", "resolution": "1K", "quality": "high"}
    assert second["image_urls"] == [url]


def test_a_picture_that_is_not_ready_is_fetched_later_by_its_id(world: Callable[..., Any]) -> None:
    here = world()
    started = here.run("generate", "a red fox", "--wait-seconds", "0")
    task_id = here.task_id()
    assert started.exit_code == 4
    assert f"vidgo-mcp task {task_id}" in started.stdout
    assert "The same command again finds it" in started.stdout

    waiting = here.run("task", task_id, "--wait-seconds", "0", "--json")
    assert (waiting.exit_code, json.loads(waiting.stdout)["outcome"]) == (4, "pending")
    here.sandbox.advance(600)
    fetched = here.run("task", f"task:{task_id}")
    assert fetched.exit_code == 0
    assert any(line.startswith(here.url) for line in fetched.stdout.splitlines())
    assert here.movements() == [("charge", 2)]


def test_the_same_command_again_is_free_and_another_process_lists_it(world: Callable[..., Any]) -> None:
    here = world()
    task_id = here.paid("a red fox")
    again = TaskResult.model_validate_json(here.run("generate", "a red fox", "--json").stdout)
    assert (again.outcome, again.task_id, again.credits_charged, again.reused) == ("finished", task_id, 0, True)
    assert here.movements() == [("charge", 2)]
    listed = here.vidgo.run("task")
    assert listed.stdout.startswith(f"{task_id}  finished  2 credits")


def test_a_failed_task_says_why_and_that_it_was_refunded(world: Callable[..., Any]) -> None:
    here = world("task:failed=no foxes today")
    here.paid("a red fox")
    made = here.run("task", here.task_id())
    assert made.exit_code == 3
    assert made.stdout.startswith('Failed. Vidgo says: "no foxes today". The credits were refunded.')
    assert here.movements() == [("charge", 2), ("refund", 2)]


def test_a_lost_answer_is_told_apart_from_a_refusal(world: Callable[..., Any]) -> None:
    here = world("submit:lose_answer")
    made = here.run("generate", "a red fox", "--json")
    error = ErrorResult.model_validate_json(made.stdout)
    assert (error.category, error.money, made.exit_code) == ("outcome_unknown", "unknown", 5)
    again = here.run("generate", "a red fox")
    assert (again.exit_code, again.stdout) == (5, "")
    assert "vidgo-mcp journal resolve" in again.stderr
    assert here.movements() == [("charge", 2)]


def test_a_journal_in_memory_pays_again_and_says_so(world: Callable[..., Any]) -> None:
    here = world()
    for _ in range(2):
        started = here.run("generate", "a red fox", "--wait-seconds", "0", VIDGO_JOURNAL="memory")
        assert "would pay again" in started.stdout
    assert here.movements() == [("charge", 2)] * 2


def test_what_only_reads_makes_no_journal(world: Callable[..., Any], tmp_path: Path) -> None:
    here = world()
    for arguments in (
        *(["price"], ["task"], ["task", "task-unknown"], ["doctor"], ["journal"], ["journal", "--summary"]),
        *(["journal", "export"], ["journal", "show", "abcd"], ["journal", "resolve", "abcd", "--not-charged"]),
    ):
        here.run(*arguments, VIDGO_BUDGET_PER_DAY="10")
    assert list((tmp_path / "home").rglob("*")) == []
    here.paid("a red fox")
    assert [path.name for path in (tmp_path / "home").rglob("*.db")] == ["journal.db"]


def test_a_budget_holds_across_commands_and_tells_what_is_left(world: Callable[..., Any]) -> None:
    here = world()
    budget = {"VIDGO_BUDGET_PER_DAY": "5", "VIDGO_BUDGET_PER_CALL": "3"}
    here.paid("a red fox", "--quality", "medium", **budget)
    assert '"budget_left": 2' in here.run("price", "--json", **budget).stdout
    too_much = here.run("generate", "an owl", "--quality", "medium", **budget)
    assert too_much.exit_code == 1
    assert "2 are left" in too_much.stderr
    too_dear = here.run("generate", "an owl", "--quality", "high", **budget)
    assert "VIDGO_BUDGET_PER_CALL" in too_dear.stderr
    assert here.movements() == [("charge", 3)]


def test_above_the_threshold_a_script_is_refused_and_yes_agrees(world: Callable[..., Any]) -> None:
    here = world()
    threshold = {"VIDGO_CONFIRM_ABOVE": "2"}
    fox = ("a red fox", "--quality", "medium")
    refused = here.run("generate", *fox, **threshold)
    assert refused.exit_code == 1
    assert "--yes" in refused.stderr
    said = ErrorResult.model_validate_json(here.run("generate", *fox, "--json", **threshold).stdout)
    assert (said.category, said.consent, said.money) == ("declined", "cannot_ask", "nothing_spent")
    assert here.movements() == []
    here.paid(*fox, "--yes", **threshold)
    again = here.run("generate", *fox, "--wait-seconds", "0", **threshold)
    assert "may have" not in again.stdout
    assert again.exit_code in {0, 4}, "what is paid for needs no consent"
    assert here.movements() == [("charge", 3)]


@on_posix
@pytest.mark.parametrize(
    ("typed", "code", "says"), [("YES\n", 4, "accepted after"), ("\n", 1, "declined"), ("\x04", 1, "closed")]
)
def test_a_person_at_a_terminal_is_asked_above_the_threshold(
    world: Callable[..., Any], typed: str, code: int, says: str
) -> None:
    here = world()
    keyboard, terminal = os.openpty()
    fox = ("generate", "a red fox", "--wait-seconds", "0")
    try:
        with here.vidgo.start(*fox, stdin=terminal, VIDGO_CONFIRM_ABOVE="1") as running:
            running.until("there is no daily limit")
            assert here.movements() == []
            os.write(keyboard, typed.encode())
            ended, said = running.ended()
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert "Spend 2 credits on one picture" in said
    assert (ended, says in said) == (code, True), said
    assert here.movements() == ([("charge", 2)] if code == 4 else [])


@on_posix
def test_ctrl_c_instead_of_an_answer_spends_nothing(world: Callable[..., Any]) -> None:
    here = world()
    keyboard, terminal = os.openpty()
    try:
        with here.vidgo.start("generate", "a red fox", stdin=terminal, VIDGO_CONFIRM_ABOVE="1") as running:
            running.until("there is no daily limit")
            ended, said = running.stop()
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert ended == 130
    assert "Stopped before anything was sent; nothing was spent." in said
    assert "Fatal" not in said
    assert here.movements() == []


@pytest.mark.parametrize(
    ("arguments", "category", "says"),
    [
        (["generate", "a fox", "--max-credits", "1"], "budget", "costs 2 credits"),
        (["generate", "a fox", "--size", "1920x1080"], "invalid_request", "1920x1088 with resolution 2K costs 4"),
        (["generate", ""], "invalid_request", "prompt is required"),
        (["generate", "a fox", "--quality", "best"], "invalid_request", "allowed: low, medium or high"),
        (["generate", "a fox", "--image", "ftp://host/a.png"], "invalid_request", "ftp: addresses are not supported"),
        (["task", "task-unknown"], "not_found", "No task task-unknown"),
        (["task", "two words"], "invalid_request", "is no task_id"),
        (["price", "--count", "0"], "invalid_request", "at least 1"),
    ],
)
def test_a_refusal_is_the_tools_own_error_and_spends_nothing(
    world: Callable[..., Any], arguments: list[str], category: str, says: str
) -> None:
    here = world()
    plain = here.run(*arguments)
    assert (plain.exit_code, plain.stdout) == (1, "")
    assert says in plain.stderr
    assert "Nothing was spent." in plain.stderr
    as_json = here.run(*arguments, "--json")
    error = ErrorResult.model_validate_json(as_json.stdout)
    assert (as_json.exit_code, error.category, error.money) == (1, category, "nothing_spent")
    assert says in error.message
    assert here.movements() == []


def test_a_corrected_example_has_only_what_was_typed(invoke: Callable[..., Any]) -> None:
    said = invoke("generate", "a fox", "--size", "1920x1080", VIDGO_API_KEY="key").stderr
    assert said.endswith(
        'For example: vidgo-mcp generate "a fox" --size 1920x1088 --resolution 2K (4 credits a picture)\n'
    )


def test_without_a_key_it_says_which_variable_to_set(invoke: Callable[..., Any]) -> None:
    for arguments in (["generate", "a fox"], ["task"], ["task", "task-1"]):
        refused = invoke(*arguments)
        assert refused.exit_code == 1
        assert "VIDGO_API_KEY is not set." in refused.stderr
        assert "--sandbox" in refused.stderr


def test_an_id_may_begin_with_a_dash_and_a_mistyped_option_is_none(invoke: Callable[..., Any]) -> None:
    found = invoke("task", "-abc", "--wait-seconds", "0", "--sandbox")
    assert (found.exit_code, "-abc" in found.stderr) == (1, True)
    mistyped = invoke("task", "--jsn", "--sandbox")
    assert (mistyped.exit_code, "--jsn" in mistyped.stderr) == (2, True)


def test_a_setting_that_cannot_be_used_is_named_and_is_a_mistake_of_the_start(invoke: Callable[..., Any]) -> None:
    for arguments in (["generate", "a fox"], ["task"], ["price"]):
        refused = invoke(*arguments, VIDGO_WAIT_SECONDS="soon", VIDGO_BASE_URL="http://example.com")
        assert refused.exit_code == 2
        assert refused.stderr.count("cannot be used") == 2
        assert "VIDGO_WAIT_SECONDS" in refused.stderr
        assert "VIDGO_BASE_URL" in refused.stderr


def test_an_empty_list_says_truthfully_why_it_is_empty(invoke: Callable[..., Any]) -> None:
    listed = invoke("task", "--sandbox", VIDGO_JOURNAL="memory")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert "The journal is in memory" in listed.stdout
    assert json.loads(invoke("--sandbox", "task", "--json", "--limit", "3").stdout)["tasks"] == []


def test_a_picture_of_the_sandbox_inside_the_process_says_that_it_ends_with_it(invoke: Callable[..., Any]) -> None:
    made = invoke("generate", "a fox", "--sandbox", "--wait-seconds", "0", VIDGO_JOURNAL="memory")
    assert made.exit_code == 4
    assert "The sandbox ended with this command" in made.stdout
    assert "vidgo-mcp task " not in made.stdout


def test_the_sandbox_inside_the_process_is_remembered_by_the_next_command(invoke: Callable[..., Any]) -> None:
    made = invoke("generate", "a fox", "--sandbox", "--wait-seconds", "0")
    assert made.exit_code == 4
    found = re.search(r"Fetch it with: vidgo-mcp (task \S+ --sandbox)", made.stdout)
    assert found, made.stdout
    fetched = invoke(*found[1].split(), "--wait-seconds", "0")
    assert (fetched.exit_code, "Pending" in fetched.stdout) == (4, True)
    assert "a fox" in invoke("task", "--sandbox").stdout
    assert "Nothing is recorded" in invoke("journal", VIDGO_API_KEY="any-key").stdout


@pytest.mark.parametrize("part", ["service.account.Account.await_end", "cli.session.deliver"])
def test_a_bug_is_never_taken_for_a_refusal(
    part: str, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(f"vidgo_mcp.{part}", broken)
    made = invoke("generate", "a fox", "--sandbox")
    assert made.exit_code == 4
    assert "vidgo-mcp failed" in made.stderr


def test_a_bug_before_anything_is_sent_cost_nothing(world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    here = world()
    with monkeypatch.context() as while_broken:
        while_broken.setattr("vidgo_mcp.client.wire.submit_body", broken)
        made = here.run("generate", "a fox")
    assert (made.exit_code, here.movements()) == (1, [])
    assert "othing was spent" in made.stderr
    assert here.paid("a fox")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_a_wait_says_which_task_goes_on_and_how_to_fetch_it(
    world: Callable[..., Any], number: int, code: int
) -> None:
    here = world()
    with here.vidgo.start("generate", "a red fox", "--json", "-o", "fox.png") as running:
        running.until("accepted")
        ended, said = running.stop(number)
        assert running.popen.stdout.read() == ""
    fetch = f"vidgo-mcp task {here.task_id()} -o fox.png\n"
    assert ended == code
    assert f"Task {here.task_id()} was accepted (2 credits) and goes on." in said
    assert fetch in said
    assert "Traceback" not in said
    with here.vidgo.start("task", here.task_id(), "-o", "fox.png") as running:
        running.until("task")
        ended, said = running.stop(number)
    assert (ended, said.endswith(fetch)) == (code, True)
    assert list(here.vidgo.folder.iterdir()) == []
    assert here.movements() == [("charge", 2)]


def test_ctrl_c_while_the_submit_is_under_way_still_learns_the_task(world: Callable[..., Any]) -> None:
    here = world("submit:slow=2")
    with here.vidgo.start("generate", "a red fox") as running:
        _until(lambda: here.sandbox.tasks)
        ended, said = running.stop()
    assert ended == 130
    assert f"Task {here.task_id()} was accepted" in said


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT], ids=str)
def test_no_signal_while_the_submit_is_under_way_loses_the_task(world: Callable[..., Any], first: int) -> None:
    here = world("submit:slow=4")
    with here.vidgo.start("generate", "a red fox") as running:
        _until(lambda: here.sandbox.tasks)
        running.popen.send_signal(first)
        for _ in range(2):
            threading.Event().wait(1.0)  # signals that come at once have no order
            running.popen.send_signal(signal.SIGINT)
        ended, said = running.ended()
    assert ended == 128 + first
    assert said.count("another signal or Ctrl-C changes nothing") == 1
    assert f"Task {here.task_id()} was accepted" in said
    assert here.movements() == [("charge", 2)]


def test_ctrl_c_while_the_answer_gets_lost_says_that_it_may_be_paid_for(world: Callable[..., Any]) -> None:
    here = world("submit:slow=2", "submit:missing_task_id")
    with here.vidgo.start("generate", "a red fox") as running:
        _until(lambda: here.sandbox.tasks)
        ended, said = running.stop()
    assert ended == 130
    assert "It is not known whether credits were spent." in said
    assert here.movements() == [("charge", 2)]


def test_ctrl_c_before_the_submit_spends_nothing(world: Callable[..., Any]) -> None:
    here = world()
    here.run("generate", "a red fox", "--wait-seconds", "0")
    with here.vidgo.start("generate", "at night", "--image", f"task:{here.task_id()}") as running:
        running.until("waiting for a reference")
        ended, said = running.stop()
    assert ended == 130
    assert said.splitlines()[-1] == "Stopped before anything was sent; nothing was spent."
    assert here.movements() == [("charge", 2)]


def test_a_reader_that_went_away_ends_the_command_without_a_trace(world: Callable[..., Any]) -> None:
    here = world()
    read, write = os.pipe()
    os.close(read)
    ended = here.vidgo.piped("generate", "a red fox", "--wait-seconds", "0", stdout=write)
    os.close(write)
    assert b"Traceback" not in ended.stderr
    assert here.movements() == [("charge", 2)]


def _until(happened: Callable[[], Any]) -> None:
    tick = threading.Event()
    for _ in range(2000):
        if happened():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")
