"""When a task's status is read: what holds for every plan, whatever was learned."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgo_mcp.client.polling import CLOSEST_READS, FIRST_READ, LONGEST_LEARNED, Plan

ANY_DURATIONS = st.lists(st.floats() | st.integers(-10, 10**6).map(float), max_size=300)
ANY_PROGRESS = st.none() | st.integers(-5, 105)


def reads(plan: Plan, until: float) -> list[float]:
    """Return when a task that lasts that long is read."""
    times = [plan.next_read(0)]
    while times[-1] < until:
        times.append(plan.next_read(times[-1]))
    return times


def gaps(plan: Plan, start: float, end: float) -> list[float]:
    """Return the seconds between reads of which the first is in this span."""
    return [after - before for before, after in pairwise(reads(plan, end + 100)) if start <= before < end]


@pytest.mark.parametrize("durations", [[], [5.0] * 200, [100.0] * 200])
def test_the_first_read_comes_after_4_s_whatever_was_learned(durations: list[float]) -> None:
    assert Plan(durations).next_read(0) == FIRST_READ == 4
    assert Plan(durations).next_read(3.9) == FIRST_READ


@given(ANY_DURATIONS, st.floats(0.001, 10), ANY_PROGRESS)
def test_no_two_reads_are_closer_than_2_s_or_for_ever_apart(
    durations: list[float], price: float, progress: int | None
) -> None:
    plan = Plan(durations, read_price=price)
    elapsed = plan.next_read(0, progress)
    assert elapsed == FIRST_READ
    while elapsed < 3 * LONGEST_LEARNED:
        due = plan.next_read(elapsed, progress)
        assert CLOSEST_READS <= due - elapsed + 1e-9 <= 60.1
        elapsed = due


@given(ANY_DURATIONS, st.floats(4, 86_400), st.floats(0, 100))
def test_a_later_read_is_never_followed_by_an_earlier_one(durations: list[float], at: float, later: float) -> None:
    plan = Plan(durations)
    assert plan.next_read(at) <= plan.next_read(at + later) + 1e-6


@given(ANY_DURATIONS, st.floats(4, 900), ANY_PROGRESS)
def test_a_hint_only_ever_brings_a_read_forward_and_not_too_far(
    durations: list[float], at: float, progress: int | None
) -> None:
    plan = Plan(durations)
    planned, hinted = plan.next_read(at), plan.next_read(at, progress)
    assert hinted <= planned
    assert hinted - at >= max(CLOSEST_READS, (planned - at) / 3) - 1e-9


def test_progress_that_says_little_is_not_believed() -> None:
    plan = Plan()
    for progress in (0, 5, 19, 100, 101, -1):
        assert plan.next_read(10, progress) == plan.next_read(10)
    assert plan.next_read(10, 95) < plan.next_read(10)


def test_without_history_reads_are_dense_from_15_to_60_s_and_sparse_later() -> None:
    plan = Plan()
    assert max(gaps(plan, 25, 45)) < 4
    assert min(gaps(plan, 4, 12)) > max(gaps(plan, 25, 45))
    assert min(gaps(plan, 300, 500)) > 2 * max(gaps(plan, 25, 45))
    assert gaps(plan, 700, 1000) == pytest.approx([60] * len(gaps(plan, 700, 1000)))


def test_reads_are_dense_around_what_was_learned_and_sparse_before_and_after() -> None:
    learned = Plan([90 + number % 10 for number in range(200)])
    assert min(gaps(learned, 20, 60)) > 2 * max(gaps(learned, 84, 98))
    assert min(gaps(learned, 200, 500)) > 2 * max(gaps(learned, 84, 98))
    assert len(reads(learned, 95)) < len(reads(Plan(), 95))


def test_a_picture_noticed_hours_later_or_a_clock_that_jumped_teaches_nothing() -> None:
    known = [30.0, 40.0] * 50
    absurd = [LONGEST_LEARNED + 1, 20_000.0, 86_400.0, -5.0, math.nan, math.inf, -math.inf] * 30
    assert reads(Plan(known + absurd), 1000) == reads(Plan(known), 1000)
    assert reads(Plan([*known, LONGEST_LEARNED]), 1000) != reads(Plan(known), 1000)


def test_a_higher_price_of_reads_makes_fewer_of_them() -> None:
    counts = [len(reads(Plan(read_price=price), 120)) for price in (0.05, 0.1, 0.2, 0.4, 0.8)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
