"""Copies, uploads and turns compared, step by step, with a model so simple that it can be read at a glance."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.journal.conftest import FAILED, FINISHED, URL, accepted, intent
from tests.journal.machines import InFile, InMemory, JournalUnderTest
from vidgo_mcp.journal import WINDOW
from vidgo_mcp.journal.processes import LONGEST_HOLD, SAVING, UPLOAD_TURN, UPLOADS_PER_MINUTE

OWNERS = st.sampled_from(["me", "me/caller", "you"])
ACCOUNTS = st.sampled_from(["me", "you"])
PROCESSES = st.sampled_from(["p1", "p2"])
DIGESTS = st.sampled_from(["d1", "d2"])
REFERENCES = st.sampled_from(
    [(), ("sha256:d1",), ("task:d1", "sha256:d2"), ("task:task-1",), ("sha256:d1", "sha256:d2")]
)


class Picture:
    """What the model knows of one task."""

    def __init__(self, key: str, owner: str, digests: list[str], from_task: bool, sent_at: float) -> None:
        self.key, self.owner, self.digests, self.from_task, self.sent_at = key, owner, digests, from_task, sent_at
        self.state = "accepted"
        self.saver: tuple[str, float] | None = None
        self.paths: tuple[str, ...] = ()
        self.digest: str | None = None

    def wanted(self, now: float) -> bool:
        return self.state == "finished" and now - self.sent_at < WINDOW and not self.paths


class MarksMachine(JournalUnderTest):
    """Take any step at any time; the journal and the model must agree on all that can be seen."""

    @initialize()
    def begin(self) -> None:
        self.pictures: list[Picture] = []
        self.uploads: dict[tuple[str, str], tuple[str, float]] = {}
        self.turns: dict[str, list[float]] = {"me": [], "you": []}
        self.held = {"me": 0.0, "you": 0.0}

    def pick(self, data: st.DataObject, *states: str) -> Picture | None:
        fitting = [one for one in self.pictures if one.state in states]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    @rule(owner=OWNERS, references=REFERENCES)
    def submit(self, owner: str, references: tuple[str, ...]) -> None:
        given = intent(f"f{len(self.pictures)}", owner=owner, references=references)
        entry = self.done(accepted(self.journal, given))
        digests = [one.removeprefix("sha256:") for one in references if one.startswith("sha256:")]
        self.pictures.append(Picture(entry.id, owner, digests, "task:task-1" in references, self.now))

    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: st.DataObject, fails: bool) -> None:
        if one := self.pick(data, "accepted", "finished", "failed"):
            if one.state == "accepted":
                one.state = "failed" if fails else "finished"
                # All tasks here have the same id, which means the newest one of the owner.
                newest = [other for other in self.pictures if other.owner == one.owner][-1]
                copied = [newest.digest] if one.from_task and newest.digest else []
                for digest in [*one.digests, *copied] if fails else []:
                    self.uploads.pop((one.owner.split("/")[0], digest), None)
            entry = self.done(self.journal.record(one.key, FAILED if fails else FINISHED))
            assert (entry.state, entry.saved_paths, entry.saved_digest) == (one.state, one.paths, one.digest)

    @rule(data=st.data(), process=PROCESSES, ended=st.none() | PROCESSES)
    def claim(self, data: st.DataObject, process: str, ended: str | None) -> None:
        self.dead.clear()
        self.dead.update([ended] if ended else [])
        if one := self.pick(data, "accepted", "finished", "failed"):
            free = one.saver is None or one.saver[1] <= self.clock.since_boot or one.saver[0] in {process, ended}
            may = one.wanted(self.now) and free
            assert self.done(self.journal.claim_saving(one.key, process=process)) is may
            if may:
                one.saver = (process, self.clock.since_boot + SAVING)

    @rule(data=st.data(), process=PROCESSES)
    def give_up(self, data: st.DataObject, process: str) -> None:
        if one := self.pick(data, "accepted", "finished", "failed"):
            if one.saver and one.saver[0] == process:
                one.saver = None
            self.done(self.journal.release_saving(one.key, process=process))

    @rule(data=st.data(), path=st.sampled_from(["/a.png", "/b.png"]), digest=DIGESTS)
    def keep_copy(self, data: st.DataObject, path: str, digest: str) -> None:
        if one := self.pick(data, "finished"):
            if not one.paths:
                one.paths, one.digest = (path,), digest
            entry = self.done(self.journal.mark_saved(one.key, [path], digest))
            assert (entry.saved_paths, entry.saved_digest) == (one.paths, one.digest)

    @rule(account=ACCOUNTS, digest=DIGESTS, url=st.sampled_from([URL, f"{URL}?2"]), seconds=st.sampled_from([1, 900]))
    def upload(self, account: str, digest: str, url: str, seconds: float) -> None:
        self.uploads[account, digest] = (url, self.now + seconds)
        self.done(self.journal.remember_upload(account, digest, url, until=self.now + seconds))

    @rule(account=ACCOUNTS, digest=DIGESTS)
    def forget(self, account: str, digest: str) -> None:
        self.uploads.pop((account, digest), None)
        self.done(self.journal.forget_upload(account, digest))

    @rule(account=ACCOUNTS)
    def take_turn(self, account: str) -> None:
        now = self.clock.since_boot
        recent = [at for at in self.turns[account] if at + UPLOAD_TURN > now]
        free_at = recent[0] + UPLOAD_TURN if len(recent) == UPLOADS_PER_MINUTE else now
        wait = max(free_at, self.held[account], now) - now
        assert self.done(self.journal.upload_turn(account)) == wait
        if not wait:
            self.turns[account].append(now)

    @rule(account=ACCOUNTS, seconds=st.sampled_from([0.5, 30.0, 9000.0]))
    def hold(self, account: str, seconds: float) -> None:
        self.held[account] = max(self.held[account], self.clock.since_boot + min(seconds, LONGEST_HOLD))
        self.done(self.journal.hold_uploads(account, seconds))

    @rule()
    def expire(self) -> None:
        self.uploads = {key: (url, until) for key, (url, until) in self.uploads.items() if self.now < until}
        assert list(self.done(self.journal.expire())) == []

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0, UPLOAD_TURN, SAVING - 1, SAVING, WINDOW - SAVING]))
    def pass_time(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(seconds=st.sampled_from([-3600.0, 30.0]))
    def set_the_clock(self, seconds: float) -> None:
        self.clock.set(seconds)

    @invariant()
    def agree(self) -> None:
        for owner in ("me", "me/caller", "you"):
            mine = [one for one in self.pictures if one.owner == owner]
            newest = self.done(self.journal.newest(owner, 1000))
            seen = [(entry.id, entry.saved_paths, entry.saved_digest) for entry in newest]
            assert seen == [(one.key, one.paths, one.digest) for one in reversed(mine)]
            wanted = [one.key for one in mine if one.wanted(self.now)]
            assert [entry.id for entry in self.done(self.journal.unsaved(owner))] == wanted
        for account in ("me", "you"):
            for digest in ("d1", "d2"):
                url, until = self.uploads.get((account, digest), (None, self.now))
                assert self.done(self.journal.upload_of(account, digest)) == (url if self.now < until else None)


class MemoryMachine(InMemory, MarksMachine):
    pass


class SqliteMachine(InFile, MarksMachine):
    pass


TestMemoryMarks = MemoryMachine.TestCase
TestMemoryMarks.settings = settings(max_examples=40, stateful_step_count=40)

TestSqliteMarks = SqliteMachine.TestCase
TestSqliteMarks.settings = settings(max_examples=12, stateful_step_count=25)
