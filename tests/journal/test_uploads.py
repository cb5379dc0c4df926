"""What every keeper of the journal remembers of uploads, and how it shares out the turns that Vidgo allows a key."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.conftest import EMPTY, FAILED, FINISHED, RUNNING, START, Clock, accepted, ended, intent
from vidgo_mcp.journal import UPLOADS_PER_MINUTE, Journal
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.journal.upload_quota import LONGEST_HOLD, MINUTE, Pace, hold, settled, turn
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

DIGEST = "ab" * 32
OTHER = "cd" * 32
UPLOAD = "https://storage.vidgo.ai/uploads/1.png"
LATER = START + 1000


async def test_an_upload_is_remembered_until_its_moment(keeper: Journal, clock: Clock) -> None:
    assert await keeper.upload_of("me", DIGEST) is None
    await keeper.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    assert await keeper.upload_of("me", DIGEST) == UPLOAD
    assert await keeper.upload_of("me", OTHER) is None
    assert await keeper.upload_of("you", DIGEST) is None
    clock.at = LATER - 0.5
    assert await keeper.upload_of("me", DIGEST) == UPLOAD
    clock.at = LATER
    assert await keeper.upload_of("me", DIGEST) is None


async def test_a_newer_upload_takes_the_place_of_an_older_one(keeper: Journal, clock: Clock) -> None:
    await keeper.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    await keeper.remember_upload("me", DIGEST, f"{UPLOAD}?2", until=LATER - 500)
    assert await keeper.upload_of("me", DIGEST) == f"{UPLOAD}?2"
    clock.at = LATER - 500
    assert await keeper.upload_of("me", DIGEST) is None


async def test_an_upload_can_be_forgotten(keeper: Journal) -> None:
    for account, digest in (("me", DIGEST), ("me", OTHER), ("you", DIGEST)):
        await keeper.remember_upload(account, digest, UPLOAD, until=LATER)
    await keeper.forget_upload("me", DIGEST)
    await keeper.forget_upload("me", DIGEST)
    assert await keeper.upload_of("me", DIGEST) is None
    assert await keeper.upload_of("me", OTHER) == await keeper.upload_of("you", DIGEST) == UPLOAD


async def test_the_uploads_of_a_failed_task_are_forgotten_for_the_whole_account(keeper: Journal) -> None:
    for account, digest in (("key", DIGEST), ("key", OTHER), ("key", "task:ef"), ("else", DIGEST)):
        await keeper.remember_upload(account, digest, UPLOAD, until=LATER)
    given = intent(owner="key/caller", references=(f"sha256:{DIGEST}", "task:ef", f"sha256:{OTHER}"))
    await ended(keeper, FAILED, given)
    assert await keeper.upload_of("key", DIGEST) is None
    assert await keeper.upload_of("key", OTHER) is None
    assert await keeper.upload_of("key", "task:ef") == await keeper.upload_of("else", DIGEST) == UPLOAD


@pytest.mark.parametrize("task", [RUNNING, FINISHED, EMPTY])
async def test_a_task_that_did_not_fail_keeps_its_uploads(task: Task, keeper: Journal) -> None:
    await keeper.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    await ended(keeper, task, intent(references=(f"sha256:{DIGEST}",)), empty=True)
    assert await keeper.upload_of("me", DIGEST) == UPLOAD


async def test_an_upload_that_is_made_anew_survives_a_second_reading_of_the_failure(keeper: Journal) -> None:
    entry = await ended(keeper, FAILED, intent(references=(f"sha256:{DIGEST}",)))
    await keeper.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    await keeper.record(entry.id, FAILED)
    assert await keeper.upload_of("me", DIGEST) == UPLOAD


async def test_five_uploads_begin_in_any_minute(keeper: Journal, clock: Clock) -> None:
    assert UPLOADS_PER_MINUTE == 5
    for _ in range(5):
        assert await keeper.upload_turn("me") == 0
        clock.move(10)
    assert await keeper.upload_turn("me") == MINUTE - 50
    assert await keeper.upload_turn("me") == MINUTE - 50
    assert await keeper.upload_turn("you") == 0
    clock.move(MINUTE - 50)
    assert await keeper.upload_turn("me") == 0
    assert await keeper.upload_turn("me") == 10


async def test_of_a_hundred_turns_asked_for_at_once_five_are_given(keeper: Journal) -> None:
    waits: list[float] = []

    async def one() -> None:
        waits.append(await keeper.upload_turn("me"))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(one)
    assert sorted(waits) == [0.0] * 5 + [MINUTE] * 95


async def test_no_turn_is_given_while_vidgo_wants_none(keeper: Journal, clock: Clock) -> None:
    await keeper.hold_uploads("me", 20)
    assert await keeper.upload_turn("me") == 20
    assert await keeper.upload_turn("you") == 0
    clock.move(19)
    assert await keeper.upload_turn("me") == 1
    clock.move(1)
    assert await keeper.upload_turn("me") == 0


async def test_a_shorter_hold_does_not_shorten_a_longer_one(keeper: Journal, clock: Clock) -> None:
    await keeper.hold_uploads("me", 100)
    clock.move(10)
    await keeper.hold_uploads("me", 20)
    assert await keeper.upload_turn("me") == 90
    await keeper.hold_uploads("me", 91)
    assert await keeper.upload_turn("me") == 91


@pytest.mark.parametrize("seconds", [301, 1e9, math.inf])
async def test_at_most_five_minutes_of_a_hold_are_believed(seconds: float, keeper: Journal) -> None:
    await keeper.hold_uploads("me", seconds)
    assert await keeper.upload_turn("me") == 300


@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_hold_of_nothing_holds_nothing(seconds: float, keeper: Journal) -> None:
    await keeper.hold_uploads("me", seconds)
    assert await keeper.upload_turn("me") == 0


async def test_when_a_hold_ends_the_turns_of_the_last_minute_still_count(keeper: Journal, clock: Clock) -> None:
    for _ in range(5):
        await keeper.upload_turn("me")
    await keeper.hold_uploads("me", 10)
    assert await keeper.upload_turn("me") == MINUTE
    clock.move(40)
    await keeper.hold_uploads("me", 50)
    assert await keeper.upload_turn("me") == 50


async def test_a_clock_that_was_set_back_delays_the_next_turn_by_a_minute_at_most(
    keeper: Journal, clock: Clock
) -> None:
    for _ in range(5):
        await keeper.upload_turn("me")
    clock.move(-100_000)
    assert await keeper.upload_turn("me") == MINUTE
    clock.move(MINUTE - 1)
    assert await keeper.upload_turn("me") == 1
    clock.move(-100_000)
    await keeper.expire(lambda _: False)
    clock.move(MINUTE)
    assert await keeper.upload_turn("me") == 0


async def test_a_clock_that_was_set_back_begins_a_hold_anew_and_no_more(keeper: Journal, clock: Clock) -> None:
    await keeper.hold_uploads("me", 20)
    clock.move(-100_000)
    assert await keeper.upload_turn("me") == 20
    clock.move(20)
    assert await keeper.upload_turn("me") == 0


async def test_expiry_forgets_nothing_of_uploads_that_still_counts(keeper: Journal, clock: Clock) -> None:
    await keeper.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    for _ in range(5):
        await keeper.upload_turn("me")
    await keeper.hold_uploads("you", 90)
    clock.move(50)
    await keeper.expire(lambda _: True)
    assert await keeper.upload_of("me", DIGEST) == UPLOAD
    assert await keeper.upload_turn("me") == MINUTE - 50
    assert await keeper.upload_turn("you") == 40


async def test_what_is_remembered_of_uploads_does_not_pile_up(tmp_path: Path, clock: Clock) -> None:
    kept = SqliteJournal(tmp_path / "journal.db", now=clock)
    finished = await ended(kept, FINISHED)
    for number in range(20):
        await kept.remember_upload("me", f"{number}", UPLOAD, until=clock() + 10)
        await kept.upload_turn(f"turning {number}")
        await kept.hold_uploads(f"held {number}", 300)
    await kept.claim_saving(finished.id, holder="p1", gone=lambda _: False)
    tables = ("uploads", "paces", "savings")

    def counts() -> list[int]:
        assert kept._connection is not None
        return [kept._connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables]

    assert counts() == [20, 40, 1]
    clock.move(100)
    await kept.expire(lambda _: False)
    assert counts() == [0, 20, 1]
    clock.move(200)
    await kept.expire(lambda _: False)
    assert counts() == [0, 0, 0]
    await kept.aclose()


async def test_two_keepers_of_one_file_share_turns_and_uploads(tmp_path: Path, clock: Clock) -> None:
    first, second = (SqliteJournal(tmp_path / "journal.db", now=clock) for _ in range(2))
    waits = [await kept.upload_turn("me") for _ in range(4) for kept in (first, second)]
    assert waits == [0.0] * 5 + [MINUTE] * 3
    await first.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    assert await second.upload_of("me", DIGEST) == UPLOAD
    entry = await accepted(second, intent(references=(f"sha256:{DIGEST}",)))
    await second.record(entry.id, FAILED)
    assert await first.upload_of("me", DIGEST) is None
    await first.aclose()
    await second.aclose()


async def test_a_task_that_fails_forgets_the_upload_of_the_saved_copy_that_it_was_made_from(keeper: Journal) -> None:
    made = await ended(keeper, FINISHED)
    await keeper.mark_saved(made.id, ["/pictures/fox.png"], DIGEST)
    for owner, forgotten in (("me/another caller", False), ("me", True)):
        await keeper.remember_upload("me", DIGEST, UPLOAD, until=LATER)
        references = (f"task:{made.task_id}", "task:another", "url:https://example.com/a.png")
        task = replace(FAILED, task_id=f"of {owner}")
        await ended(keeper, task, intent(owner=owner, fingerprint=owner, references=references))
        assert (await keeper.upload_of("me", DIGEST) is None) == forgotten


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["turn", "wait", "hold", "settle"]), st.floats(0, 400) | st.sampled_from([0.0, MINUTE, 12.5])
    ),
    max_size=60,
)


@given(moves=MOVES, start=st.sampled_from([0.0, START]))
def test_no_minute_sees_more_than_five_turns_and_no_hold_sees_one(moves: list[tuple[str, float]], start: float) -> None:
    pace, now = Pace(), start
    given_at: list[float] = []
    held_until = start
    for kind, seconds in moves:
        now += seconds
        if kind == "hold":
            pace = hold(pace, seconds, now)
            held_until = max(held_until, now + min(seconds, LONGEST_HOLD))
        elif kind == "settle":
            pace = settled(pace, now)
        else:
            pace, wait = turn(pace, now)
            recent = [at for at in given_at if at + MINUTE > now]
            assert (wait == 0) == (held_until <= now and len(recent) < UPLOADS_PER_MINUTE)
            if wait == 0:
                given_at.append(now)
            elif kind == "wait":
                now += wait + 0.001
                pace, again = turn(pace, now)
                assert again == 0
                given_at.append(now)
    assert len(pace.turns) <= UPLOADS_PER_MINUTE


@given(moves=st.lists(st.tuples(st.booleans(), st.floats(-1e6, 1e6)), max_size=30))
def test_however_the_clock_jumps_turns_alone_never_block_for_longer_than_a_minute(
    moves: list[tuple[bool, float]],
) -> None:
    pace, now = Pace(), START
    for asks, seconds in moves:
        now += seconds
        if asks:
            pace, wait = turn(pace, now)
            assert 0 <= wait <= MINUTE + 1e-6
    pace, wait = turn(pace, now)
    assert turn(pace, now + wait + 0.001)[1] == 0 or wait == 0
