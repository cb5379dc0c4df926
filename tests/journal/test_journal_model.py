"""The journal compared, step by step, with a model so simple that it can be read at a glance."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.journal.machines import InFile, InMemory, JournalUnderTest
from vidgo_mcp.journal import WINDOW, ConsentUsed, Exhausted, Existing, Intent, Reserved
from vidgo_mcp.journal.processes import LEASE
from vidgo_mcp.models.tasks import Task

OWNERS = st.sampled_from(["me", "you"])
FINGERPRINTS = st.sampled_from(["f1", "f2", "f3"])
PROCESSES = st.sampled_from(["p1", "p2"])
READINGS = st.sampled_from(
    [
        Task("", "running", 10),
        Task("", "reviewing"),
        Task("", "finished", 100, ("https://a.example/1.png",)),
        Task("", "finished", 100),
        Task("", "failed", 0, (), "no"),
    ]
)


class Row:
    """What the model knows of one intent."""

    def __init__(self, key: str, owner: str, fingerprint: str, price: int, process: str) -> None:
        self.key, self.owner, self.fingerprint, self.price, self.process = key, owner, fingerprint, price, process
        self.state = "reserved"
        self.sent_at: float | None = None
        self.delivered = False

    def old(self, now: float) -> bool:
        return self.sent_at is not None and now - self.sent_at >= WINDOW

    def stands(self, now: float) -> bool:
        return self.state != "failed" and not self.old(now)


class JournalMachine(JournalUnderTest):
    """Take any step at any time; the journal and the model must agree on all that can be seen."""

    @initialize()
    def begin(self) -> None:
        self.rows: list[Row] = []
        self.leases: dict[str, float] = {}
        self.answers: dict[tuple[str, str], float] = {}

    def pick(self, data: st.DataObject, *states: str) -> Row | None:
        fitting = [row for row in self.rows if row.state in states]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    def mine(self, owner: str) -> list[Row]:
        return [row for row in self.rows if row.owner == owner]

    def spent(self, owner: str) -> int:
        return sum(row.price for row in self.mine(owner) if row.stands(self.now))

    @rule(
        owner=OWNERS,
        fingerprint=FINGERPRINTS,
        price=st.sampled_from([2, 4, 48]),
        process=PROCESSES,
        budget=st.none() | st.integers(0, 60),
        consent=st.none() | st.sampled_from(["yes-1", "yes-2"]),
    )
    def reserve(
        self, owner: str, fingerprint: str, price: int, process: str, budget: int | None, consent: str | None
    ) -> None:
        given = Intent(
            owner=owner,
            fingerprint=fingerprint,
            request_key="request",
            variation=int(fingerprint[1]),
            model="gpt-image-2",
            prompt="a boat",
            size="1:1",
            tier="1K",
            quality="low",
            credits=price,
        )
        met = self.done(self.journal.reserve(given, process=process, budget=budget, consent=consent))
        standing = [row for row in self.mine(owner) if row.fingerprint == fingerprint and row.stands(self.now)]
        if standing:
            assert isinstance(met, Existing)
            assert met.entry.id == standing[-1].key
        elif consent and self.now - self.answers.get((owner, consent), -WINDOW) < WINDOW:
            assert met == ConsentUsed(self.answers[owner, consent])
        elif budget is not None and self.spent(owner) + price > budget:
            assert isinstance(met, Exhausted)
            assert met.spent == self.spent(owner)
            assert met.frees_at == self.first_moment_with_room(owner, price, budget)
        else:
            assert isinstance(met, Reserved)
            self.rows.append(Row(met.entry.id, owner, fingerprint, price, process))
            self.leases[process] = self.clock.since_boot + LEASE
            if consent:
                self.answers[owner, consent] = self.now

    def first_moment_with_room(self, owner: str, price: int, budget: int) -> float | None:
        """Try every moment at which something leaves the window, in order."""
        alive = [row for row in self.mine(owner) if row.stands(self.now)]
        leaves = [(self.now if row.sent_at is None else row.sent_at) + WINDOW for row in alive]
        for moment in sorted(leaves):
            kept = sum(row.price for row, leaving in zip(alive, leaves, strict=True) if leaving > moment)
            if kept + price <= budget:
                return moment
        return None

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        if row := self.pick(data, "reserved"):
            row.state, row.sent_at = "sent", self.now
            assert self.done(self.journal.mark_sent(row.key)).sent_at == self.now

    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        if row := self.pick(data, "sent", "unknown"):
            row.state, row.sent_at = "reserved", None
            self.done(self.journal.unsend(row.key))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if row := self.pick(data, "reserved"):
            self.rows.remove(row)
            self.done(self.journal.release(row.key))

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        if row := self.pick(data, "sent"):
            row.state = "unknown"
            self.done(self.journal.mark_unknown(row.key, "lost"))

    @rule(data=st.data())
    def bind(self, data: st.DataObject) -> None:
        if row := self.pick(data, "sent", "unknown"):
            row.state = "accepted"
            self.done(self.journal.bind(row.key, Task(f"task-{row.key}", "not_started")))
            assert self.done(self.journal.by_task(row.owner, f"task-{row.key}")).id == row.key

    @rule(data=st.data(), charged=st.booleans())
    def resolve(self, data: st.DataObject, charged: bool) -> None:
        if row := self.pick(data, "unknown"):
            found = self.done(self.journal.resolve(row.key, task=Task("by hand", "running") if charged else None))
            if charged:
                row.state = "accepted"
                assert found.task_id == "by hand"
            else:
                self.rows.remove(row)

    @rule(data=st.data(), reading=READINGS, empty=st.booleans())
    def record(self, data: st.DataObject, reading: Task, empty: bool) -> None:
        if row := self.pick(data, "accepted", "finished", "failed", "empty"):
            if row.state == "accepted":
                if reading.status == "failed":
                    row.state = "failed"
                elif reading.status == "finished" and (reading.file_urls or empty):
                    row.state = "finished" if reading.file_urls else "empty"
            assert self.done(self.journal.record(row.key, reading, empty=empty)).state == row.state

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        if row := self.pick(data, "finished"):
            row.delivered = True
            self.done(self.journal.mark_delivered([row.key]))

    @rule(process=PROCESSES)
    def renew(self, process: str) -> None:
        self.leases[process] = self.clock.since_boot + LEASE
        self.done(self.journal.renew(process))

    @rule(ended=st.none() | PROCESSES)
    def expire(self, ended: str | None) -> None:
        self.dead.clear()
        self.dead.update([ended] if ended else [])
        self.answers = {key: at for key, at in self.answers.items() if self.now - at < WINDOW}
        lost = []
        for row in list(self.rows):
            dead = row.process in self.dead or self.leases[row.process] <= self.clock.since_boot
            if dead and row.state == "reserved":
                self.rows.remove(row)
            elif dead and row.state == "sent":
                row.state = "unknown"
                lost.append(row.key)
        settled = self.done(self.journal.expire())
        assert sorted(entry.id for entry in settled) == sorted(lost)

    @rule(seconds=st.sampled_from([0.0, 1.0, LEASE - 1, LEASE, WINDOW / 2, WINDOW - LEASE, WINDOW]))
    def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(seconds=st.sampled_from([-3600.0, -30.0, 30.0]))
    def set_the_clock(self, seconds: float) -> None:
        self.clock.set(seconds)

    @invariant()
    def agree(self) -> None:
        for owner in ("me", "you"):
            rows = self.mine(owner)
            entries = self.done(self.journal.newest(owner, 1000))
            seen = [(entry.id, entry.state, entry.sent_at, entry.delivered) for entry in entries]
            assert seen == [(row.key, row.state, row.sent_at, row.delivered) for row in reversed(rows)]
            assert self.done(self.journal.spent(owner)) == self.spent(owner)
            last_day = self.done(self.journal.spending(owner, self.now - WINDOW))
            assert sum(one.credits for one in last_day) == self.spent(owner)
            waiting = [
                row.key for row in rows if row.state == "finished" and not row.delivered and row.stands(self.now)
            ]
            assert [entry.id for entry in self.done(self.journal.undelivered(owner))] == waiting
            standing = {row.fingerprint: row.key for row in rows if row.stands(self.now)}
            assert self.done(self.journal.variations(owner, "request")) == {int(name[1]) for name in standing}
            for fingerprint in ("f1", "f2", "f3"):
                found = self.done(self.journal.find(owner, fingerprint))
                assert (found.id if found else None) == standing.get(fingerprint)

        unfinished = [row.key for row in self.rows if row.state == "accepted" and row.stands(self.now)]
        assert [entry.id for entry in self.done(self.journal.unfinished())] == unfinished


class MemoryMachine(InMemory, JournalMachine):
    pass


class SqliteMachine(InFile, JournalMachine):
    pass


TestMemoryJournal = MemoryMachine.TestCase
TestMemoryJournal.settings = settings(max_examples=40, stateful_step_count=40)

TestSqliteJournal = SqliteMachine.TestCase
TestSqliteJournal.settings = settings(max_examples=12, stateful_step_count=25)
