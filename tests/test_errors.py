"""The tree of errors is the one that the module draws, and foreign text is made harmless."""

from __future__ import annotations

import re
import unicodedata
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidgo_mcp import errors
from vidgo_mcp.errors import (
    Category,
    Fault,
    InvalidRequestError,
    JournalError,
    Money,
    OutcomeUnknownError,
    RateLimitedError,
    VidgoError,
    plain_text,
    sentence,
)

REPEATABLE = settings(deadline=None, derandomize=True)


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


def test_the_categories_are_the_documented_ones_and_each_has_an_error() -> None:
    documented = (
        "invalid_request authentication insufficient_credits budget declined rate_limited not_found permission "
        "unavailable outcome_unknown internal"
    )

    assert get_args(Category) == tuple(documented.split())
    assert {c.category for c in EVERY_ERROR} == set(get_args(Category))


def test_each_direct_child_of_the_root_has_a_category_of_its_own() -> None:
    children = [c for c in EVERY_ERROR if c.__bases__ == (VidgoError,)]

    assert all("category" in vars(c) for c in children)
    assert len({c.category for c in children}) == len(children)


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_only_a_lost_answer_leaves_it_open_whether_money_moved(error: type[VidgoError]) -> None:
    raised = error("it broke")

    assert raised.money in get_args(Money)
    assert raised.money == ("unknown" if error is OutcomeUnknownError else "nothing_spent")


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_an_error_is_retryable_only_when_the_very_same_call_may_succeed(error: type[VidgoError]) -> None:
    expected = error.category in {"rate_limited", "unavailable"} and error is not JournalError
    assert error("it broke").retryable is expected


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_every_error_says_what_to_do_now_and_explains_itself(error: type[VidgoError]) -> None:
    raised = error("it broke")

    assert raised.next_step.endswith(".")
    assert error.__doc__
    assert (str(raised), raised.message) == ("it broke", "it broke")
    assert (raised.task_id, raised.field, raised.http_status, raised.vendor_text, raised.retry_after) == (None,) * 5


def test_what_is_known_about_one_failure_overrides_the_defaults() -> None:
    raised = RateLimitedError(
        "slow down",
        money="accepted",
        retryable=False,
        next_step="",
        task_id="task-1",
        field="task_id",
        http_status=429,
        vendor_text="Too many requests",
        retry_after=7.5,
    )

    assert vars(raised) == {
        "message": "slow down",
        "money": "accepted",
        "retryable": False,
        "next_step": "",
        "task_id": "task-1",
        "field": "task_id",
        "http_status": 429,
        "vendor_text": "Too many requests",
        "retry_after": 7.5,
    }


def test_one_fault_is_a_sentence_and_several_are_a_list_with_all_of_them() -> None:
    size, quality = Fault("size", "size is odd"), Fault("quality", "quality is odd")

    one = InvalidRequestError.from_faults([size])
    both = InvalidRequestError.from_faults([size, quality], next_step="Change both.")

    assert (one.message, one.field, one.faults) == ("size is odd", "size", (size,))
    assert one.next_step == InvalidRequestError.default_next_step
    assert (both.message, both.field) == ("- size is odd\n- quality is odd", "size")
    assert (both.faults, both.next_step) == ((size, quality), "Change both.")


foreign = st.text(max_size=80) | st.text(alphabet="ab \t\r\n\x00\x1b\u200b\u202e\ufeff\u2028\ud800é", max_size=80)


@REPEATABLE
@given(foreign, st.integers(4, 60))
@example("a\u202e\u200bb\x1b[31mc\r\n\td\ud83d", 60)
@example("x" * 61, 60)
@example("  " * 500 + "late", 5)
def test_foreign_text_becomes_one_trimmed_line_without_invisible_characters(text: str, limit: int) -> None:
    plain = plain_text(text, limit)

    assert len(plain) <= limit
    assert plain == " ".join(plain.split())
    assert not {unicodedata.category(c) for c in plain} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert plain_text(plain, limit) == plain
    plain.encode()


@REPEATABLE
@given(st.lists(st.text(alphabet="abcé漢🦊.,:/", min_size=1, max_size=8), max_size=8))
def test_harmless_text_within_the_limit_stays_as_it_is(words: list[str]) -> None:
    assert plain_text(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize("text", ["No credits (yet)", "No credits (yet).", "No credits!", "What?"])
def test_foreign_words_end_as_a_sentence_before_ours_begin(text: str) -> None:
    assert sentence(text) == (f"{text}." if text == "No credits (yet)" else text)


def test_text_beyond_the_limit_ends_in_three_dots() -> None:
    assert plain_text("a" * 400) == "a" * 297 + "..."
    assert plain_text("one two three", 8) == "one t..."
    assert plain_text("one  two three", 7) == "one..."
