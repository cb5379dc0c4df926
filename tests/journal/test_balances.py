"""What a difference of two balances means, for every history of pictures, and that several processes agree on it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journal.conftest import FAILED, FINISHED, START, Clock, intent, opened, sent
from vidgo_mcp.journal import Entry, Journal, Look, SqliteJournal
from vidgo_mcp.journal.balances import SETTLING, Reading, compare, observed
from vidgo_mcp.models.findings import ObservedPrice
from vidgo_mcp.models.sizes import QUALITIES, TIERS
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PUBLISHED, PriceTable

pytestmark = pytest.mark.anyio

CELLS = [(quality, tier) for quality in QUALITIES for tier in TIERS]
LATER = START + 1000
ACCOUNT = "key"


def picture(number: int, state: Any, cell: Any = ("low", "1K"), *, straddled: bool = False) -> Entry:
    quality, tier = cell
    price = PUBLISHED.price(quality, tier)
    asked = intent(f"f{number}", quality=quality, tier=tier, credits=price, owner=f"{ACCOUNT}/")
    return Entry(f"e{number}", asked, state, "p", START, START + 1, straddled=straddled)


@dataclasses.dataclass(frozen=True)
class History:
    """Pictures of an interval, what Vidgo really took for each between the readings, and which are paid for."""

    entries: list[Entry]
    taken: dict[str, int]
    paid: set[str]

    @property
    def fell(self) -> int:
        return sum(self.taken.values())


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw what Vidgo may do: it takes the price of what ends well, nothing for what fails, and either for the lost."""
    entries, taken, paid_for = [], {}, set()
    for number in range(draw(st.integers(0, 6))):
        state = draw(st.sampled_from(["finished", "finished", "empty", "failed", "unknown"]))
        one = picture(number, state, draw(st.sampled_from(CELLS)), straddled=draw(st.booleans()))
        charge = one.intent.credits
        paid = state in {"finished", "empty"} or (state == "unknown" and draw(st.booleans()))
        before_reading = one.straddled and draw(st.booleans())
        amount = charge * paid * (not before_reading)
        if state == "failed" and one.straddled:
            amount = draw(st.sampled_from([-charge, 0]))
        entries.append(one)
        taken[one.id] = amount
        paid_for |= {one.id} if paid else set()
    return History(entries, taken, paid_for)


@given(histories())
def test_what_is_claimed_at_the_quoted_prices_is_true(history: History) -> None:
    found = compare(Reading(1000.0, START), 1000.0 - history.fell, history.entries, LATER)

    assert not found.shared
    for entry_id, finding in found.findings.items():
        if finding.verdict in {"paid", "unpaid"}:
            assert (finding.verdict == "paid") == (entry_id in history.paid)
    for entry_id, charged in found.charged.items():
        assert charged == history.taken[entry_id]
    assert {entry.id for entry in history.entries if entry.state == "unknown"} == found.findings.keys()


@given(st.integers(1, 4), st.integers(1, 60), st.sampled_from(CELLS))
def test_one_price_that_changed_is_read_off_any_number_of_its_pictures(count: int, price: int, cell: Any) -> None:
    entries = [picture(number, "finished", cell) for number in range(count)]

    found = compare(Reading(1000.0, START), 1000.0 - count * price, entries, LATER)

    assert found.charged == {entry.id: price for entry in entries}
    assert not found.shared


@given(histories(), st.integers(1, 100))
def test_a_rise_claims_nothing_and_accuses_nobody(history: History, credits_added: int) -> None:
    most = sum(entry.intent.credits for entry in history.entries)

    found = compare(Reading(1000.0, START), 1000.0 + most + credits_added, history.entries, LATER)

    assert not found.shared
    assert not found.charged
    assert {finding.verdict for finding in found.findings.values()} <= {"unclear"}


def test_a_fall_without_an_own_picture_is_somebody_elses_and_nothing_is_claimed_for_a_day() -> None:
    assert compare(Reading(1000.0, START), 993.0, [], LATER).shared
    lost = [picture(1, "unknown")]
    for hours, verdict in ((1, "shared"), (23, "shared"), (25, "paid")):
        now = START + hours * 3600
        found = compare(Reading(1000.0, START, shared_at=START), 998.0, lost, now)
        assert found.findings["e1"].verdict == verdict


@pytest.mark.parametrize(
    ("entries", "fell"),
    [
        ([picture(1, "finished"), picture(2, "finished")], 5),
        ([picture(1, "finished", straddled=True)], 0),
        ([picture(1, "finished"), picture(2, "finished", ("medium", "1K"))], 12),
    ],
    ids=["not divisible", "taken before", "two kinds"],
)
def test_what_has_several_answers_or_none_is_no_price(entries: list[Entry], fell: int) -> None:
    assert compare(Reading(1000.0, START), 1000.0 - fell, entries, LATER).charged == {}


@pytest.mark.parametrize(
    ("seen", "charged", "contradictory"),
    [
        ([5], None, False),
        ([5, 5], 5, False),
        ([5, 2, 5], None, False),
        ([5, 7], None, True),
        ([5, 5, 2], 5, False),
        ([5, 5, 2, 2], None, False),
        ([5, 5, 7, 7], 7, False),
    ],
    ids=str,
)
def test_a_price_is_believed_when_it_was_seen_twice_in_a_row(
    seen: list[int], charged: int | None, contradictory: bool
) -> None:
    known, contradicts = ObservedPrice("low", "1K"), False
    for price in seen:
        known, contradicts = observed(known, price, 2)
    assert (known.charged, contradicts) == (charged, contradictory)


async def ended(journal: Journal, number: int, task: Task = FINISHED) -> Entry:
    asked = picture(number, "finished").intent
    entry = await sent(journal, asked)
    task = dataclasses.replace(task, task_id=f"t{number}")
    await journal.bind(entry.id, task)
    return await journal.record(entry.id, task)


async def read(journal: Journal, credits_left: float, table: PriceTable = PUBLISHED) -> None:
    await journal.compare_balance(ACCOUNT, await journal.balance_look(ACCOUNT), credits_left, table)


async def test_two_readings_of_one_interval_count_once(journal: Journal) -> None:
    await read(journal, 1000)
    await ended(journal, 1)
    looks = [await journal.balance_look(ACCOUNT) for _ in range(2)]
    for look in looks:
        await journal.compare_balance(ACCOUNT, look, 995, PUBLISHED)
    assert await journal.observed_prices(ACCOUNT, PUBLISHED) == []
    await ended(journal, 2)
    await read(journal, 990)
    assert await journal.observed_prices(ACCOUNT, PUBLISHED) == [ObservedPrice("low", "1K", charged=5)]
    assert await journal.spent(f"{ACCOUNT}/") == 10


async def test_a_reading_counts_for_nothing_when_a_picture_was_under_way(journal: Journal, clock: Clock) -> None:
    await read(journal, 1000)
    look = await journal.balance_look(ACCOUNT)
    entry = await sent(journal, picture(1, "finished").intent)
    await journal.compare_balance(ACCOUNT, look, 995, PUBLISHED)
    look = await journal.balance_look(ACCOUNT)
    await journal.mark_unknown(entry.id, "lost")
    await journal.compare_balance(ACCOUNT, look, 995, PUBLISHED)
    first = await journal.balance_read(ACCOUNT)
    assert first is not None
    assert first.credits == 1000
    clock.move(SETTLING)
    await read(journal, 998)
    lost = await journal.entry(entry.id)
    assert lost is not None
    assert lost.finding is not None
    assert (lost.state, lost.finding.verdict, lost.finding.before) == ("unknown", "paid", 1000)


async def test_other_callers_of_the_account_are_counted_and_other_accounts_are_not(journal: Journal) -> None:
    await read(journal, 1000)
    for number, owner in enumerate([f"{ACCOUNT}/alice", f"{ACCOUNT}/bob", "key2/", "ke/"]):
        entry = await sent(journal, dataclasses.replace(picture(number, "finished").intent, owner=owner))
        await journal.bind(entry.id, Task(f"t{number}", "finished"))
        await journal.record(entry.id, Task(f"t{number}", "finished", 100, ("https://a.example/1.png",)))
    look = await journal.balance_look(ACCOUNT)
    assert {entry.intent.owner for entry in look.entries} == {f"{ACCOUNT}/alice", f"{ACCOUNT}/bob"}


async def test_a_failed_picture_costs_nothing(journal: Journal) -> None:
    await read(journal, 1000)
    await ended(journal, 1, FAILED)
    await ended(journal, 2)
    await ended(journal, 3)
    await read(journal, 990)
    assert [one.charged for one in await journal.observed_prices(ACCOUNT, PUBLISHED)] == [5]


async def test_of_two_stores_on_one_file_one_reads_in_a_minute(tmp_path: Path, clock: Clock) -> None:
    first, second = (opened(tmp_path / "journal.db", clock) for _ in range(2))
    assert isinstance(await first.begin_reading(ACCOUNT, PUBLISHED, opening=True), Look)
    assert await second.begin_reading(ACCOUNT, PUBLISHED, opening=True) == 60.0
    clock.move(59)
    assert await second.begin_reading(ACCOUNT, PUBLISHED, opening=True) == 1.0
    clock.move(1)
    assert isinstance(await second.begin_reading(ACCOUNT, PUBLISHED, opening=True), Look)
    await first.aclose()
    await second.aclose()


async def test_stores_that_compare_at_the_same_time_draw_one_conclusion(tmp_path: Path, clock: Clock) -> None:
    """Each step is one transaction: the connections of six stores contend as those of six processes do."""
    stores: list[SqliteJournal] = [opened(tmp_path / "journal.db", clock) for _ in range(6)]
    await read(stores[0], 1000)
    await ended(stores[0], 1)
    looks = [await store.balance_look(ACCOUNT) for store in stores]
    async with anyio.create_task_group() as tasks:
        for store, look, left in zip(stores, looks, (995, 996, 997, 993, 992, 991), strict=True):
            tasks.start_soon(store.compare_balance, ACCOUNT, look, left, PUBLISHED)
    known = await stores[0].balance_read(ACCOUNT)
    [entry] = await stores[0].newest(f"{ACCOUNT}/", 5)
    assert known is not None
    assert entry.charged == 1000 - known.credits
    assert await stores[0].observed_prices(ACCOUNT, PUBLISHED) == []
    for store in stores:
        await store.aclose()


def test_a_lost_answer_that_cost_something_else_is_unclear_and_accuses_nobody() -> None:
    found = compare(Reading(1000.0, START), 995.0, [picture(1, "unknown")], LATER)

    assert (found.findings["e1"].verdict, found.shared) == ("unclear", False)


def test_a_refund_that_is_late_accuses_nobody() -> None:
    assert not compare(Reading(1000.0, START), 998.0, [picture(1, "failed")], LATER).shared


@pytest.mark.parametrize(("state", "fell"), [("unknown", 0), ("unknown", 2), ("finished", 2), ("empty", 2)])
def test_nothing_follows_for_one_that_was_put_back_after_the_reading_that_followed_it(state: str, fell: int) -> None:
    put_back, later = picture(1, state), dataclasses.replace(picture(2, "finished"), sent_at=START + 3)
    found = compare(Reading(1000.0, START + 2), 1000.0 - fell, [put_back, *[later] * (fell > 0)], LATER)

    assert {finding.verdict for finding in found.findings.values()} <= {"unclear"}
    assert found.charged == ({later.id: 2} if fell else {})


def test_no_price_follows_where_a_guess_at_how_many_were_paid_for_makes_it_fit() -> None:
    made, lost = [
        [picture(number, state) for number in range(count)] for state, count in (("finished", 10), ("unknown", 4))
    ]
    others = 24
    assert compare(Reading(1000.0, START), 1000.0 - 12 * 2 - others, [*made, *lost], LATER).charged == {}
