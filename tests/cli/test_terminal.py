"""How the command line speaks: the bar, the one line instead of it, and words for every outcome."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

import anyio
import pytest
from rich.console import Console

from vidgo_mcp.cli import words
from vidgo_mcp.cli.terminal import is_terminal, plain_reason, shown_wait, use_utf8
from vidgo_mcp.errors import DeclinedError, JournalError, NotFoundError, OutcomeUnknownError, UnavailableError
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.settings import load

SETTINGS = load({"VIDGO_API_KEY": "key"})
MEMORY = load({"VIDGO_API_KEY": "key", "VIDGO_JOURNAL": "memory"})
PAID: dict[str, Any] = {"task_id": "task-1", "size": "1:1", "tier": "1K", "quality": "low", "credits": 2}


class Screen(io.StringIO):
    """A stream with a person in front of it."""

    def isatty(self) -> bool:
        return True


def wait_on(console: Console | None) -> None:
    async def tell() -> None:
        with shown_wait(console) as show:
            await show(5, "accepted after 0 s, task task-1")
            await show(42, "running after 4 s, task [task-1]")

    anyio.run(tell)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    wait_on(None)
    assert "42%" in screen.getvalue()
    assert "running after 4 s, task [task-1]" in screen.getvalue()


def test_no_color_means_a_bar_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("NO_COLOR", "1")
    wait_on(Console(file=screen, force_terminal=True, width=100))
    assert "42%" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue()


def test_a_script_gets_one_line_with_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    wait_on(None)
    assert capsys.readouterr() == ("", "accepted after 0 s, task task-1\n")


def test_streams_are_turned_to_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    monkeypatch.setattr(sys, "stderr", None)
    use_utf8()
    sys.stdout.write("大 \udc80")
    sys.stdout.flush()
    assert raw.getvalue() == "大 \\udc80".encode()


def test_a_program_without_streams_has_no_terminal() -> None:
    closed = Screen()
    closed.close()
    assert not is_terminal(None)
    assert not is_terminal(closed)
    assert is_terminal(Screen())


def test_the_systems_reason_is_told_without_additions() -> None:
    assert (
        plain_reason(OSError(errno.EADDRINUSE, "Address already in use (while attempting)")) == "Address already in use"
    )
    assert plain_reason(OSError(-2, "Name or service not known")) == "Name or service not known"
    assert plain_reason(OSError("The sandbox did not start.")) == "The sandbox did not start."


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (
            {"outcome": "finished", "image_urls": ["https://host/a.png"], "credits_charged": 2, **PAID},
            ["Finished. 2 credits.", "\nhttps://host/a.png\n", "task task-1", "1:1, 1K, low", "--image task:task-1"],
        ),
        (
            {"outcome": "finished", "reused": True, "saved_paths": ["/a/b.png"], "notes": ["A note."], **PAID},
            ["Finished. Already paid for; this cost nothing.", "saved as /a/b.png", "Note: A note."],
        ),
        ({"outcome": "finished", "image_urls": ["https://host/a.png"]}, ["Finished.\nhttps://host/a.png"]),
        (
            {"outcome": "pending", "status": "running", "progress": 40, **PAID},
            ["Pending (running, 40 %)", "vidgo-mcp task task-1", "finds it, and costs nothing"],
        ),
        ({"outcome": "pending", "credits": 2}, ["may have been paid for (2 credits)", "vidgo-mcp journal resolve"]),
        ({"outcome": "failed", "error": "No.", "refunded": True, **PAID}, ["Failed: No. The credits were refunded."]),
        ({"outcome": "failed", "error": "No.", **PAID}, ["Failed: No. 2 credits."]),
        ({"outcome": "unknown", "credits": 2}, ["it may have cost 2 credits"]),
    ],
)
def test_every_outcome_is_told_with_what_to_type_next(result: dict[str, Any], says: list[str]) -> None:
    told = words.of_task(TaskResult.model_validate(result), SETTINGS)
    assert all(part in told for part in says), told


def test_a_journal_in_memory_says_that_the_same_again_pays_again() -> None:
    pending = TaskResult.model_validate({"outcome": "pending", "status": "running", **PAID})
    assert "would pay again" in words.of_task(pending, MEMORY)
    assert "The journal is in memory" in words.of_list(TaskList(tasks=[]), MEMORY)
    assert "memory" not in words.of_list(TaskList(tasks=[]), SETTINGS)


def test_a_question_is_not_hidden_by_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")

    async def tell() -> None:
        with shown_wait() as show:
            with show.hidden():
                before = screen.getvalue()
                await show(42, "running")
                await anyio.sleep(0.3)
                assert screen.getvalue() == before
            await show(43, "goes on")

    anyio.run(tell)
    assert "43%" in screen.getvalue()


def test_stopping_tells_what_goes_on() -> None:
    finished = TaskResult(outcome="finished", task_id="task-1", image_urls=["https://host/a.png"])
    assert "https://host/a.png" in words.of_stopped(finished, SETTINGS)
    unanswered = TaskResult(outcome="pending", credits=2)
    assert "may have been paid for (2 credits)" in words.of_stopped(unanswered, SETTINGS)
    inside = words.of_stopped(TaskResult(outcome="pending", task_id="task-1"), load({}, sandbox=True))
    assert inside.startswith("Stopped. The sandbox ended with this command")


def test_a_list_has_two_lines_for_each_task() -> None:
    listed = TaskList(
        tasks=[
            TaskResult.model_validate(
                {"outcome": "finished", "prompt": "a\nred fox", "created_at": "2026-06-01T12:00:00Z", **PAID}
            ),
            TaskResult(outcome="unknown"),
        ]
    )
    lines = words.of_list(listed, SETTINGS).splitlines()
    assert lines[0].startswith("task-1  finished  2 credits  2026-0")
    assert lines[1:] == ["    a red fox", "(no task id)  unknown"]


def test_an_error_says_what_it_means_for_the_money() -> None:
    pending = UnavailableError("Down.", money="accepted", task_id="task-1")
    assert words.of_error(pending, SETTINGS).splitlines() == [
        "Error: Down.",
        "The task exists and is paid for.",
        "Fetch it with: vidgo-mcp task task-1",
    ]
    assert "vidgo-mcp doctor" in words.of_error(UnavailableError("Down."), SETTINGS)
    assert "vidgo-mcp journal resolve" in words.of_error(OutcomeUnknownError("Lost."), SETTINGS)
    assert "would pay again" in words.of_error(OutcomeUnknownError("Lost."), MEMORY)
    assert "VIDGO_JOURNAL" in words.of_error(JournalError("Broken."), SETTINGS)
    assert "--yes" in words.of_error(DeclinedError("No.", consent="cannot_ask"), SETTINGS)
    said = words.of_error(NotFoundError("No such task; nothing was spent."), SETTINGS)
    assert said.lower().count("nothing was spent") == 1


def test_a_dead_url_with_a_copy_says_where_the_copy_is() -> None:
    dead = {**PAID, "outcome": "finished", "expires_at": "2026-01-01T00:00:00Z"}
    kept = words.of_task(TaskResult.model_validate({**dead, "saved_paths": ["/pictures/fox.png"]}), SETTINGS)
    assert "  the URL has died, but the picture is saved as /pictures/fox.png" in kept.splitlines()
    assert "--image task:task-1" in kept
    assert "--image task:task-1" not in words.of_task(TaskResult.model_validate(dead), SETTINGS)
    alive = TaskResult.model_validate({**dead, "saved_paths": ["/a", "/b"], "image_urls": ["https://vidgo.example/a"]})
    assert "\n  saved as /a\n  saved as /b\n" in words.of_task(alive, SETTINGS)


def test_a_picture_that_finished_while_the_wait_was_stopped_is_said_to_be_unwritten() -> None:
    done = TaskResult.model_validate({**PAID, "outcome": "finished", "image_urls": ["https://vidgo.example/a"]})
    said = words.of_stopped(done, SETTINGS, options=" -o fox.png")
    assert said.startswith("Finished. 2 credits.")
    assert said.endswith("Not written. Fetch it with: vidgo-mcp task task-1 -o fox.png")
    assert words.of_stopped(done, SETTINGS) == words.of_task(done, SETTINGS)
