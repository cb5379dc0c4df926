"""What a person reads: every outcome and every error, with the command to type next."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from vidgo_mcp.cli.session import Report
from vidgo_mcp.errors import (
    DeclinedError,
    Facts,
    InvalidRequestError,
    JournalError,
    JournalReason,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    Remedy,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.settings import load
from vidgo_mcp.wording import for_person
from vidgo_mcp.wording.for_person import Command
from vidgo_mcp.wording.remedies import REMEDIES, Case, next_step

HERE, MEMORY, SANDBOX = Command(), Command(durable=False), Command(sandbox=True)
PAID: dict[str, Any] = {"task_id": "task-1", "size": "1:1", "tier": "1K", "quality": "low", "credits": 2}
DEAD: dict[str, Any] = {**PAID, "outcome": "finished", "expires_at": "2026-01-01T00:00:00Z"}


def result(**fields: Any) -> TaskResult:
    return TaskResult.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"outcome": "finished", "image_urls": ["https://host/a.png"], "credits_charged": 2, **PAID},
            ["Finished. 2 credits.", "\nhttps://host/a.png\n", "task task-1", "1:1, 1K, low", "--image task:task-1"],
        ),
        (
            {"outcome": "finished", "reused": True, "saved_paths": ["/a/b.png"], "notes": ["A note."], **PAID},
            ["Already paid for; this cost nothing.", "saved as /a/b.png", "Note: A note."],
        ),
        ({"outcome": "finished", "image_urls": ["https://host/a.png"]}, ["Finished.\nhttps://host/a.png"]),
        (
            {"outcome": "pending", "status": "running", "progress": 40, **PAID},
            ["Pending (running, 40 %)", "vidgo-mcp task task-1", "finds it, and costs nothing"],
        ),
        ({"outcome": "pending", "credits": 2}, ["may have been paid for (2 credits)", "vidgo-mcp journal resolve"]),
        (
            {"outcome": "pending", "credits": 2, "remedy": "repeat_with_time"},
            ["Not sent: its references are not ready yet. Nothing was spent.", "--wait-seconds"],
        ),
        (
            {"outcome": "failed", "error": "No.", "refunded": True, **PAID},
            ['Failed. Vidgo says: "No.". The credits were refunded.'],
        ),
        ({"outcome": "failed", "error": "No.", **PAID}, ["Failed: No. 2 credits."]),
        ({"outcome": "unknown", "credits": 2}, ["It may have cost 2 credits."]),
        (
            {**DEAD, "saved_paths": ["/a.png"]},
            ["Finished, but its URL has died.", "saved as /a.png", "--image task:task-1"],
        ),
    ],
)
def test_every_outcome_is_told_with_what_to_type_next(fields: dict[str, Any], says: list[str]) -> None:
    told = for_person.task_text(result(**fields), HERE)
    assert all(part in told for part in says), told


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"outcome": "finished"}, 0),
        ({"outcome": "pending", "credits": 2, "remedy": "repeat_with_time"}, 1),
        ({"outcome": "failed"}, 3),
        ({"outcome": "pending", **PAID}, 4),
        ({"outcome": "pending", "credits": 2}, 5),
        ({"outcome": "unknown"}, 5),
    ],
)
def test_the_exit_code_says_what_became_of_the_money(fields: dict[str, Any], code: int) -> None:
    assert Report(load({})).show(result(**fields)) == code


def test_a_picture_that_just_cost_credits_and_is_gone_is_still_paid_for() -> None:
    gone = NotFoundError("It is gone.")
    assert Report(load({}), output="a.png").show(result(**DEAD, credits_charged=2), gone) == 4
    assert Report(load({}), output="a.png").show(result(**DEAD, credits_charged=0), gone) == 1


def test_what_can_no_longer_be_fetched_is_not_offered() -> None:
    assert "task:task-1" not in for_person.task_text(result(**DEAD), HERE)
    assert "vidgo-mcp task " not in for_person.task_text(result(outcome="pending", **PAID), SANDBOX)
    paid = UnavailableError("Broken.", money="accepted", task_id="task-1")
    assert for_person.undelivered_text(paid, SANDBOX) == "Broken."
    assert for_person.undelivered_text(NotFoundError("Gone."), HERE) == "Gone."


def test_a_journal_in_memory_says_that_the_same_command_pays_again() -> None:
    assert "would pay again" in for_person.task_text(result(outcome="pending", status="running", **PAID), MEMORY)
    assert "would pay again" in for_person.error_text(OutcomeUnknownError("Lost."), MEMORY)
    assert "The journal is in memory" in for_person.list_text(TaskList(tasks=[]), MEMORY)
    assert "memory" not in for_person.list_text(TaskList(tasks=[]), HERE)


def test_stopping_tells_what_goes_on() -> None:
    pending = result(outcome="pending", **PAID)
    goes_on = for_person.stopped_text(pending, Command(options=" -o fox.png"))
    assert goes_on.startswith("Stopped waiting. Task task-1 was accepted (2 credits) and goes on.\nFetch it with: ")
    assert "vidgo-mcp task task-1 -o fox.png\n" in goes_on
    assert for_person.stopped_text(pending, SANDBOX).startswith("Stopped. The sandbox ended with this command")
    assert "may have been paid for" in for_person.stopped_text(result(outcome="pending", credits=2), HERE)
    assert for_person.stopped_waiting_text(None, HERE) == "Stopped."


def test_a_picture_that_finished_while_the_wait_was_stopped_is_said_to_be_unwritten() -> None:
    done = result(outcome="finished", image_urls=["https://vidgo.example/a"], **PAID)
    said = for_person.stopped_text(done, Command(options=" -o fox.png"))
    assert said.startswith("Finished. 2 credits.")
    assert said.endswith("Not written. Fetch it with: vidgo-mcp task task-1 -o fox.png")
    assert for_person.stopped_text(done, HERE) == for_person.task_text(done, HERE)


def test_a_picture_that_was_saved_late_is_named() -> None:
    assert for_person.saved_late_text("/a.png") == "Saved as /a.png"
    assert for_person.saved_late_text(None).startswith("Not saved yet: ")


def test_a_list_has_two_lines_for_each_task() -> None:
    fox = result(outcome="finished", prompt="a\nred fox", created_at="2026-06-01T12:00:00Z", **PAID)
    lines = for_person.list_text(TaskList(tasks=[fox, result(outcome="unknown")]), HERE).splitlines()
    assert lines[0].startswith("task-1  finished  2 credits  2026-0")
    assert lines[1:] == ['    "a red fox"', "(no task id)  unknown"]


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (UnavailableError("Down.", money="accepted", task_id="task-1"), "Fetch it with: vidgo-mcp task task-1"),
        (UnavailableError("Down."), "Run the command again a little later; `vidgo-mcp doctor` shows"),
        (RateLimitedError("Slow.", retry_after=7), "Run the command again in 7 s; "),
        (OutcomeUnknownError("Lost."), "Compare the balance (`vidgo-mcp doctor` shows it)"),
        (DeclinedError("No.", consent="cannot_ask", remedy="raise_confirm_above"), "Run it at a terminal"),
        (NotFoundError("No.", remedy="use_nearest_task", facts=Facts(other_task="t2")), "If that one was meant: t2"),
        (
            NotFoundError("No.", remedy="use_nearest_task", facts=Facts(other_task="t2"), field="image_urls"),
            "If that one was meant: --image task:t2",
        ),
        (NotFoundError("No.", remedy="use_other_reference", facts=Facts(path="/a.png")), "meant: /a.png. Else: Use"),
        (NotFoundError("Dead.", remedy="make_again", facts=Facts(price=4)), "makes it again, and costs 4 credits"),
    ],
)
def test_an_error_says_what_it_means_for_the_money_and_what_to_do(error: VidgoError, step: str) -> None:
    lines = for_person.error_text(error, HERE).splitlines()
    assert lines[:2] == [f"Error: {error.message}", for_person.MONEY[error.money]]
    assert step in lines[2]


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        (
            Facts(example={"prompt": 'a "fox"', "size": "16:9", "image_urls": ["task:t1", "a b.png"]}, price=2),
            'generate "a \\"fox\\"" --size 16:9 --image task:t1 --image "a b.png" (2 credits a picture)',
        ),
        (Facts(example={"quality": "low", "count": 3}, price=2), "price --quality low --count 3 (2 credits a picture)"),
        (Facts(example={"task_id": "task-1", "wait_seconds": 5}), "task task-1 --wait-seconds 5"),
    ],
)
def test_a_corrected_example_is_a_command(facts: Facts, command: str) -> None:
    said = for_person.error_text(InvalidRequestError("Wrong.", facts=facts), HERE)
    assert said.splitlines()[-1] == f"For example: vidgo-mcp {command}"
    assert "Correct the command" in for_person.error_text(InvalidRequestError("Wrong."), HERE)


def test_a_journal_has_a_remedy_for_each_reason() -> None:
    reasons = get_args(JournalReason)
    said = {for_person.error_text(JournalError("No.", facts=Facts(reason=name)), HERE) for name in reasons}
    assert len(said) == len(reasons)
    assert "VIDGO_JOURNAL" in for_person.error_text(JournalError("No."), HERE)


@pytest.mark.parametrize("remedy", get_args(Remedy))
def test_a_person_is_never_told_to_call_a_tool(remedy: Remedy) -> None:
    facts = Facts(price=2, limit=1, affordable=1, other_task="t2", path="/a.png", example={"prompt": "a fox"})
    said = next_step(remedy, "person", Case(facts, task_id="task-1", field="image_urls"))
    assert said or remedy in {"show_picture", "tell_user", "tell_refund", "respect_refusal"}
    for tool in ("get_task", "generate_image", "edit_image", "get_balance", "estimate_cost", "the user"):
        assert tool not in said


def test_every_remedy_has_words() -> None:
    assert set(REMEDIES) == set(get_args(Remedy))
