"""What the journal remembers of uploads, and how processes share the turns that Vidgo allows a key."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.conftest import (
    BOOTED,
    EMPTY,
    FAILED,
    FINISHED,
    RUNNING,
    START,
    Clock,
    ended,
    intent,
    opened,
    reserved,
)
from vidgo_mcp.journal import WINDOW, Journal
from vidgo_mcp.journal.processes import LONGEST_HOLD, UPLOAD_TURN, UPLOADS_PER_MINUTE, Lease, upload_hold, upload_turn
from vidgo_mcp.models.tasks import Task

pytestmark = pytest.mark.anyio

DIGEST = "ab" * 32
OTHER = "cd" * 32
UPLOAD = "https://storage.vidgo.ai/uploads/1.png"
LATER = START + 1000


async def test_an_upload_is_remembered_until_its_moment(journal: Journal, clock: Clock) -> None:
    assert await journal.upload_of("me", DIGEST) is None
    await journal.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    assert await journal.upload_of("me", DIGEST) == UPLOAD
    assert await journal.upload_of("me", OTHER) is None
    assert await journal.upload_of("you", DIGEST) is None
    clock.move(LATER - 0.5 - clock())
    assert await journal.upload_of("me", DIGEST) == UPLOAD
    clock.move(LATER - clock())
    assert await journal.upload_of("me", DIGEST) is None


async def test_the_uploads_of_a_failed_task_are_forgotten_for_the_whole_account(journal: Journal) -> None:
    for account, digest in (("key", DIGEST), ("key", OTHER), ("key", "task:ef"), ("else", DIGEST)):
        await journal.remember_upload(account, digest, UPLOAD, until=LATER)
    given = intent(owner="key/caller", references=(f"sha256:{DIGEST}", "task:ef", f"sha256:{OTHER}"))
    await ended(journal, FAILED, given)
    assert await journal.upload_of("key", DIGEST) is None
    assert await journal.upload_of("key", OTHER) is None
    assert await journal.upload_of("key", "task:ef") == await journal.upload_of("else", DIGEST) == UPLOAD


@pytest.mark.parametrize("task", [RUNNING, FINISHED, EMPTY])
async def test_a_task_that_did_not_fail_keeps_its_uploads(task: Task, journal: Journal) -> None:
    await journal.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    await ended(journal, task, intent(references=(f"sha256:{DIGEST}",)), empty=True)
    assert await journal.upload_of("me", DIGEST) == UPLOAD


async def test_an_upload_that_is_made_anew_survives_a_second_reading_of_the_failure(journal: Journal) -> None:
    entry = await ended(journal, FAILED, intent(references=(f"sha256:{DIGEST}",)))
    await journal.remember_upload("me", DIGEST, UPLOAD, until=LATER)
    await journal.record(entry.id, FAILED)
    assert await journal.upload_of("me", DIGEST) == UPLOAD


async def test_five_uploads_begin_in_any_minute(journal: Journal, clock: Clock) -> None:
    assert UPLOADS_PER_MINUTE == 5
    for _ in range(5):
        assert await journal.upload_turn("me") == 0
        clock.move(10)
    assert await journal.upload_turn("me") == UPLOAD_TURN - 50
    assert await journal.upload_turn("me") == UPLOAD_TURN - 50
    assert await journal.upload_turn("you") == 0
    clock.move(UPLOAD_TURN - 50)
    assert await journal.upload_turn("me") == 0
    assert await journal.upload_turn("me") == 10


async def test_no_turn_is_given_while_vidgo_wants_none(journal: Journal, clock: Clock) -> None:
    await journal.hold_uploads("me", -5)
    await journal.hold_uploads("me", 20)
    assert await journal.upload_turn("me") == 20
    assert await journal.upload_turn("you") == 0
    clock.move(19)
    await journal.hold_uploads("me", 0.5)
    assert await journal.upload_turn("me") == 1, "a shorter hold does not shorten a longer one"
    clock.move(1)
    for _ in range(5):
        assert await journal.upload_turn("me") == 0
    await journal.hold_uploads("me", 10)
    assert await journal.upload_turn("me") == UPLOAD_TURN, "when a hold ends the turns of the last minute still count"
    for seconds in (301, 1e9, math.inf):
        await journal.hold_uploads("me", seconds)
        assert await journal.upload_turn("me") == 300, "no more is believed"


async def test_turns_and_holds_of_an_earlier_boot_are_free(journal: Journal, clock: Clock) -> None:
    for _ in range(5):
        await journal.upload_turn("me")
    await journal.hold_uploads("you", 90)
    clock.since_boot = BOOTED / 2
    assert await journal.upload_turn("me") == await journal.upload_turn("you") == 0


async def test_what_has_run_out_does_not_pile_up(clock: Clock) -> None:
    journal = opened(None, clock)
    finished = await ended(journal, FINISHED)
    for number in range(20):
        await journal.reserve(intent(f"f{number}"), process=f"p{number}", consent=f"yes-{number}")
        await journal.remember_upload("me", f"{number}", UPLOAD, until=clock() + 10)
        await journal.upload_turn(f"turning {number}")
        await journal.hold_uploads(f"held {number}", 300)
    await journal.claim_saving(finished.id, process="p1")

    def counts() -> list[int]:
        assert journal._connection is not None
        tables = ("uploads", "leases", "consents")
        return [journal._connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables]

    assert counts() == [20, 20 + 20 + 20 * 5 + 1, 20]
    journal.hear_time(clock())
    clock.move(100)
    await reserved(journal, intent("one"))
    await journal.expire()
    assert counts() == [0, 20 * 5 + 1 + 1, 20]
    clock.move(200)
    await journal.expire()
    assert counts() == [0, 0, 20]
    clock.move(WINDOW - 300)
    await reserved(journal, intent("two"))
    assert counts() == [0, 1, 0]


async def test_a_failed_task_forgets_the_upload_of_the_saved_copy_it_was_made_from(journal: Journal) -> None:
    made = await ended(journal, FINISHED)
    await journal.mark_saved(made.id, ["/pictures/fox.png"], DIGEST)
    for owner, forgotten in (("me/another caller", False), ("me", True)):
        await journal.remember_upload("me", DIGEST, UPLOAD, until=LATER)
        references = (f"task:{made.task_id}", "task:another", "url:https://example.com/a.png")
        task = replace(FAILED, task_id=f"of {owner}")
        await ended(journal, task, intent(owner=owner, fingerprint=owner, references=references))
        assert (await journal.upload_of("me", DIGEST) is None) == forgotten


@given(
    st.lists(
        st.tuples(st.sampled_from(["turn", "wait", "hold"]), st.floats(0, 400) | st.just(UPLOAD_TURN)), max_size=60
    )
)
def test_no_minute_sees_more_than_five_turns_and_no_hold_sees_one(moves: list[tuple[str, float]]) -> None:
    leases: dict[str, Lease] = {}
    now = held_until = BOOTED
    given_at: list[float] = []

    def ask() -> float:
        turn = upload_turn("me", [lease for lease in leases.values() if lease.is_alive(now)], now)
        if isinstance(turn, float):
            return turn
        leases[turn.name] = turn
        given_at.append(now)
        return 0.0

    for kind, seconds in moves:
        now += seconds
        if kind == "hold":
            taken = [lease for lease in leases.values() if lease.is_alive(now)]
            leases |= {lease.name: lease for lease in upload_hold("me", taken, seconds, now)}
            held_until = max(held_until, now + min(seconds, LONGEST_HOLD))
            continue
        free = held_until <= now and sum(at + UPLOAD_TURN > now for at in given_at) < UPLOADS_PER_MINUTE
        wait = ask()
        assert (wait == 0) == free
        if kind == "wait" and wait:
            now += wait + 0.001
            assert ask() == 0
    assert len(leases) <= UPLOADS_PER_MINUTE
