"""Results say what is known and leave out the rest: null never goes on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vidgo_mcp.models.results import BalanceResult, ErrorResult, Estimate, Result, TaskList, TaskResult


def some(model: type[Result]) -> st.SearchStrategy[Result]:
    """Return results with any known fields, each optional one absent, None or filled."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        annotation: Any = field.annotation
        filled = st.lists(some(TaskResult), max_size=3) if name == "tasks" else st.from_type(annotation)
        fields[name] = filled.filter(lambda value: not isinstance(value, float) or abs(value) < 1e12)
    required = [name for name in fields if model.model_fields[name].is_required()]
    return st.fixed_dictionaries(
        {name: fields[name] for name in required},
        optional={name: fields[name] for name in fields if name not in required},
    ).map(lambda values: model(**values))


results = st.one_of(*(some(model) for model in (TaskResult, TaskList, Estimate, BalanceResult, ErrorResult)))


def values_in(node: Any) -> Iterator[Any]:
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from values_in(child)


@settings(derandomize=True)
@given(results)
def test_a_result_never_contains_null(result: Result) -> None:
    sent = result.to_json()

    assert all(value is not None for value in values_in(sent))
    assert type(result).model_validate(json.loads(json.dumps(sent, allow_nan=False))) == result


def test_what_is_known_to_be_nothing_is_said() -> None:
    """0, False and an empty list are knowledge; only what is not known is left out."""
    pending = TaskResult(outcome="pending", progress=0, credits=2, credits_charged=0, reused=False, notes=[])

    assert pending.to_json() == {
        "outcome": "pending",
        "progress": 0,
        "credits": 2,
        "credits_charged": 0,
        "reused": False,
        "notes": [],
    }


def test_a_list_of_tasks_leaves_out_what_each_task_does_not_know() -> None:
    listed = TaskList(tasks=[TaskResult(outcome="unknown"), TaskResult(outcome="failed", task_id="t", refunded=True)])

    assert listed.to_json() == {
        "tasks": [{"outcome": "unknown"}, {"outcome": "failed", "task_id": "t", "refunded": True}]
    }


@pytest.mark.parametrize("odd", [{"outcome": "done"}, {"outcome": "failed", "colour": "red"}, {}])
def test_a_result_outside_the_contract_cannot_be_made(odd: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TaskResult(**odd)
