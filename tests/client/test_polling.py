"""When a task's status is read: what holds for every plan, whatever was learned, and for every course of a task."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgo_mcp.client.polling import (
    CLOSEST_READS,
    EMPTY_FILES_SECONDS,
    FIRST_READ,
    LONGEST_LEARNED,
    REFUSED_READ_PAUSE,
    Plan,
    Polling,
)
from vidgo_mcp.errors import NotFoundError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.models.tasks import Task

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


RUNNING = Task("task-1", "running", 40)
EMPTY = Task("task-1", "finished")
DONE = Task("task-1", "finished", 100, ("https://a.example/c.png",))
FAILED = Task("task-1", "failed")
BUSY = UnavailableError("busy")
GONE = NotFoundError("gone")

trouble = st.sampled_from([BUSY, GONE]) | st.floats(0, 100).map(lambda wait: RateLimitedError("wait", retry_after=wait))
course = st.lists(st.tuples(trouble | st.sampled_from([RUNNING, EMPTY]), st.floats(0, 20), st.booleans()), max_size=40)


def after(polling: Polling, event: Task | VidgoError, now: float) -> Polling:
    return polling.seen(event, now) if isinstance(event, Task) else polling.missed(event, now)


def of_submitted(submitted: float = 0.0, now: float = 0.0, number: float = 1.0) -> Polling:
    return Polling.of_submitted(Plan(), submitted, now, lambda: number)


@pytest.mark.parametrize("seconds", [3600.0, 3601.0, 60_000.0, 30 * 86_400.0])
def test_a_retry_after_that_would_outlast_the_picture_is_not_believed(seconds: float) -> None:
    assert of_submitted().missed(RateLimitedError("wait", retry_after=seconds), 10.0).soonest == 3610.0


@given(course, st.floats(0, 1), st.floats(0, 300))
def test_reads_keep_their_distance_and_every_retry_after_whatever_happens(
    events: list[tuple[Task | VidgoError, float, bool]], number: float, age: float
) -> None:
    polling, now = of_submitted(1000 - age, 1000, number), 1000.0
    for event, delay, asked in events:
        polling = polling.poll_now() if asked else polling
        assert polling.due >= polling.soonest
        now = max(now, polling.due) + delay
        polling = after(polling, event, now)
        pause = polling.due - now
        assert pause >= CLOSEST_READS - 1e-9
        if isinstance(event, VidgoError):
            assert pause >= max(event.retry_after or 0, 0 if event.retryable else REFUSED_READ_PAUSE) - 1e-9
            assert pause <= max(event.retry_after or 0, REFUSED_READ_PAUSE) + 1e-9
            assert polling.failure is event
        else:
            assert pause <= 60.1
            assert (polling.latest, polling.failure) == (event, None)
        assert polling.poll_now().due >= now + CLOSEST_READS - 1e-9
        if polling.ended:
            assert polling.empty
            return


def test_a_new_task_is_first_read_after_4_s_and_on_demand_after_2() -> None:
    polling = of_submitted(100, 100)
    assert (polling.due, polling.poll_now().due) == (104, 102)
    assert [polling.needs_poll(at) for at in (101.9, 102)] == [False, True]
    assert polling.poll_now().seen(RUNNING, 103).due == 105
    old = of_submitted(100, 400)
    assert old.due > 400
    assert old.poll_now().due <= 400


def test_a_task_of_which_nothing_is_known_is_read_at_once_unless_it_was_just_read() -> None:
    for last_read, due in ((-math.inf, 100), (50, 100), (99, 101)):
        polling = Polling.of_unknown(100, last_read, lambda: 1.0)
        assert (polling.due, polling.poll_now().due) == (due, due)
        assert polling.needs_poll(100)


def test_pauses_after_failed_reads_grow_until_one_succeeds() -> None:
    polling, pauses = of_submitted(), list[float]()
    for event in (BUSY, BUSY, BUSY, BUSY, BUSY, RUNNING, BUSY):
        polling = after(polling, event, 100)
        pauses.append(polling.due - 100)
    assert [*pauses[:5], pauses[6]] == [2, 2, 4, 8, 8, 2]
    assert (polling.readings, polling.misses, polling.latest) == (1, 1, RUNNING)


@pytest.mark.parametrize(("task", "ended"), [(RUNNING, False), (EMPTY, False), (DONE, True), (FAILED, True)])
def test_a_file_or_a_failure_ends_the_reads(task: Task, ended: bool) -> None:
    assert of_submitted().seen(task, 10).ended is ended


def test_a_finish_without_a_file_is_believed_after_a_minute_of_reading_again() -> None:
    polling = of_submitted().seen(EMPTY, 10).missed(BUSY, 20).seen(RUNNING, 30)
    for now in (40, 69.9):
        polling = polling.seen(EMPTY, now)
        assert (polling.empty, polling.ended) == (False, False)
    assert polling.seen(EMPTY, 68).due == 10 + EMPTY_FILES_SECONDS
    assert polling.seen(EMPTY, 70).ended
    assert not polling.seen(DONE, 80).empty
    assert not polling.seen(RUNNING, 80).ended
