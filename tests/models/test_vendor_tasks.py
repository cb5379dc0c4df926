"""A reading of a task: only a documented word ends it, or a picture that is there."""

from __future__ import annotations

import pytest

from vidgo_mcp.models.tasks import Task, TaskPhase

PICTURE = ("https://a.b/c.png",)


@pytest.mark.parametrize(
    ("status", "alone", "with_picture"),
    [
        ("not_started", "pending", "pending"),
        ("Running", "pending", "pending"),
        ("finished", "finished", "finished"),
        ("FINISHED", "finished", "finished"),
        ("failed", "failed", "failed"),
        (" Failed\n", "failed", "failed"),
        ("completed", "pending", "finished"),
        ("generating", "pending", "finished"),
        ("cancelled", "pending", "finished"),
        ("FAILURE", "pending", "finished"),
        ("", "pending", "finished"),
    ],
)
def test_only_a_documented_word_or_a_picture_ends_a_task(
    status: str, alone: TaskPhase, with_picture: TaskPhase
) -> None:
    assert (Task("task-1", status).phase, Task("task-1", status, file_urls=PICTURE).phase) == (alone, with_picture)
