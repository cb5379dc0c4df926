"""Errors are a tree of frozen facts, the one that the module draws."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import anyio
import pytest

from vidgo_mcp import errors
from vidgo_mcp.errors import (
    NO_FACTS,
    Category,
    DeclinedError,
    Facts,
    Fault,
    InvalidRequestError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    Remedy,
    VidgoError,
)


def subclasses(of: type[VidgoError]) -> list[type[VidgoError]]:
    below = [c for c in of.__subclasses__() if c.__module__ == errors.__name__]
    return below + [deeper for c in below for deeper in subclasses(c)]


EVERY_ERROR = subclasses(VidgoError)


def drawn_parents(drawing: str) -> dict[str, str]:
    """Return the parent of each class in a tree drawn with branches of four columns."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for branch, name in re.findall(r"^ {4}([│├└─ ]*)(\w+Error)\b", drawing, re.MULTILINE):
        depth = len(branch) // 4
        path = [*path[:depth], name]
        if depth:
            parents[name] = path[depth - 1]
    return parents


def test_the_tree_drawn_at_the_top_of_the_module_is_the_tree_of_classes() -> None:
    assert errors.__doc__ is not None

    assert drawn_parents(errors.__doc__) == {c.__name__: c.__bases__[0].__name__ for c in EVERY_ERROR}


def test_each_category_has_one_branch_of_the_tree() -> None:
    branches = [c for c in EVERY_ERROR if c.__bases__ == (VidgoError,)]

    assert all("category" in vars(c) for c in branches)
    assert sorted(c.category for c in branches) == sorted(get_args(Category))


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_the_defaults_of_an_error_fit_its_kind(error: type[VidgoError]) -> None:
    """Only a lost answer leaves the money open; retryable is what may succeed when the same call is made again."""
    raised = error("it broke")

    assert raised.money == ("unknown" if error is OutcomeUnknownError else "nothing_spent")
    assert raised.retryable == (error.category in {"rate_limited", "unavailable"} and error is not JournalError)
    assert raised.remedy in get_args(Remedy)
    assert (str(raised), raised.message, raised.facts) == ("it broke", "it broke", NO_FACTS)
    assert (raised.task_id, raised.field, raised.http_status, raised.vendor_text, raised.retry_after) == (None,) * 5
    assert error.__doc__


KNOWN: dict[str, Any] = {
    "message": "slow down",
    "money": "accepted",
    "retryable": False,
    "remedy": "wait_for_task",
    "facts": Facts(price=2),
    "task_id": "task-1",
    "field": "task_id",
    "http_status": 429,
    "vendor_text": "Too many requests",
    "retry_after": 7.5,
}


def test_what_is_known_about_one_failure_overrides_the_defaults() -> None:
    assert vars(RateLimitedError(**KNOWN)) == KNOWN


@pytest.mark.parametrize("name", [*KNOWN, "consent", "faults", "anything"])
def test_an_error_cannot_be_changed(name: str) -> None:
    error = DeclinedError("no", consent="dismissed")

    with pytest.raises(AttributeError, match=rf"use changed\({name}=...\)"):
        setattr(error, name, "x")


def test_a_changed_error_is_another_one_with_the_rest_kept() -> None:
    error = DeclinedError(**KNOWN, consent="dismissed")

    other = error.changed(message="go on", money="nothing_spent")

    assert type(other) is DeclinedError
    assert vars(other) == {**KNOWN, "consent": "dismissed", "message": "go on", "money": "nothing_spent"}
    assert (str(other), str(error), error.money) == ("go on", "slow down", "accepted")


def test_a_misspelt_attribute_is_refused() -> None:
    with pytest.raises(TypeError, match="NotFoundError has no attribute consent, task"):
        NotFoundError("no such task").changed(task="task-1", consent="declined", money="accepted")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copied_or_pickled_error_is_equal_and_as_frozen(again: Callable[[VidgoError], VidgoError]) -> None:
    error = DeclinedError(**KNOWN, consent="dismissed")

    other = again(error)

    assert (type(other), str(other), vars(other)) == (DeclinedError, "slow down", vars(error))
    with pytest.raises(AttributeError, match="frozen"):
        other.money = "unknown"


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_what_is_not_worth_repeating_does_not_say_to_repeat_it(error: type[VidgoError]) -> None:
    assert error("it broke", retryable=False).remedy != "repeat_later"
    assert error("it broke", retryable=False, remedy="use_url").remedy == "use_url"


def test_a_changed_error_leaves_behind_where_the_first_was_raised() -> None:
    with pytest.raises(JournalError) as caught:
        raise JournalError("it broke")

    assert caught.value.changed(task_id="task-1").__traceback__ is None


@pytest.mark.anyio
async def test_context_managers_and_task_groups_carry_an_error() -> None:
    """Both set attributes on what they carry."""
    error = NotFoundError("no such task", task_id="task-1")

    @asynccontextmanager
    async def entered() -> AsyncGenerator[None]:
        yield

    async def fail() -> None:
        async with entered():
            raise error

    with pytest.raises(ExceptionGroup) as caught:
        async with entered(), anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
    assert caught.value.exceptions == (error,)
    assert error.task_id == "task-1"


def test_one_fault_is_a_sentence_and_several_are_a_list_with_all_of_them() -> None:
    size, quality = Fault("size", "size is odd"), Fault("quality", "quality is odd")

    one = InvalidRequestError.from_faults([size])
    both = InvalidRequestError.from_faults([size, quality], facts=Facts(price=2))

    assert (one.message, one.field, one.faults) == ("size is odd", "size", (size,))
    assert (both.message, both.field) == ("- size is odd\n- quality is odd", "size")
    assert (both.faults, both.facts, both.remedy) == ((size, quality), Facts(price=2), "correct_arguments")
