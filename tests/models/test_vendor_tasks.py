"""A reading of a task draws no conclusion from a word that is not documented."""

from __future__ import annotations

import pytest

from vidgo_mcp.models.tasks import Task


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
