"""A reading of a task draws no conclusion from a word that is not documented."""

from __future__ import annotations

import pytest

from vidgo_mcp.models.tasks import Task, Upload


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("not_started", "pending"),
        ("running", "pending"),
        ("finished", "finished"),
        ("failed", "failed"),
        ("FINISHED", "pending"),
        ("cancelled", "pending"),
        ("", "pending"),
    ],
)
def test_only_the_two_documented_final_words_end_a_task(status: str, phase: str) -> None:
    assert Task("task-1", status).phase == phase


def test_what_the_vendor_did_not_say_is_absent() -> None:
    task, upload = Task("task-1", "running"), Upload("https://example.com/a.png")

    assert (task.progress, task.file_urls, task.error_message) == (None, (), None)
    assert upload.lifetime is None
