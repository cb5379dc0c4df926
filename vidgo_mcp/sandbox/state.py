"""The sandbox itself: one object that holds what a vendor would keep in its database.

It is served in one thread while tests look at it from another.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

import httpx

from vidgo_mcp.sandbox.answers import ErrorForm, Refusal, invented
from vidgo_mcp.sandbox.faults import FaultPlan
from vidgo_mcp.sandbox.picture import draw_png
from vidgo_mcp.sandbox.record import Record
from vidgo_mcp.sandbox.simulated_tasks import Task, duration_of
from vidgo_mcp.sandbox.storage import RESULT_SECONDS, Brief, Storage, StoredFile
from vidgo_mcp.sandbox.submit_rules import read_submission

SANDBOX_KEY = "vidgo-sandbox-key"
"""The key of the account that exists when none are given."""


@dataclass(frozen=True, slots=True)
class VendorOptions:
    """Choices where Vidgo's documentation disagrees with itself or says nothing, and two for tests on a virtual clock.

    `strict` refuses undocumented fields. `retry_delays` are the seconds between the attempts of a callback.
    `inline_render` draws without a worker thread, `callback_transport` posts callbacks without a socket.
    """

    error_form: ErrorForm = "detail"
    callback_form: Literal["flat", "envelope"] = "flat"
    insufficient_status: Literal[400, 402] = 400
    strict: bool = False
    uploads_per_minute: int = 5
    retry_delays: tuple[float, ...] = (0.2, 0.4, 0.8, 1.6, 3.2)
    inline_render: bool = False
    callback_transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)


@dataclass(slots=True)
class Account:
    """A key's credits. The label is safe to show."""

    label: str
    credits: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement of credits. `account` is a label, never a key; `elsewhere` is what another user of the key spent."""

    kind: Literal["charge", "refund", "elsewhere"]
    credits: int
    task_id: str
    account: str


@dataclass(slots=True)
class RequestRecord:
    """One API request as it arrived. `status` is None until, and unless, it is answered."""

    method: str
    path: str
    body: Any
    status: int | None = None


@dataclass(frozen=True, slots=True)
class CallbackRecord:
    """One attempt to post a callback: answered with `status`, or not delivered because of `error`."""

    task_id: str
    url: str
    body: dict[str, Any]
    status: int | None = None
    error: str | None = None


class Sandbox:
    """Vidgo imitated: accounts, tasks, files and planned faults.

    `accounts` are the starting credits of each key, `seconds` the bounds of how long a task takes, `faults` are written
    `endpoint:name[=VALUE][*N]`. `clock`, in seconds, decides when things happen; `now` is only written into answers.
    With a `record` it goes on where another process with it stopped, and goes along with those at work; all of them
    need the same accounts, and the time of day as their clock.

    Raises:
        ValueError: a fault cannot be read, or the bounds do not rise from 0.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, int] | None = None,
        seconds: tuple[float, float] = (3.0, 8.0),
        faults: Sequence[str] = (),
        options: VendorOptions | None = None,
        record: Record | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not 0 <= seconds[0] <= seconds[1]:
            raise ValueError(f"seconds must be two rising numbers from 0, not {seconds}.")
        self.seconds = seconds
        self.options = options or VendorOptions()
        self.fault_plan = FaultPlan(faults)
        self.tasks: dict[str, Task] = {}
        self.requests: list[RequestRecord] = []
        self.callbacks: list[CallbackRecord] = []
        self.record = record
        self.address: str | None = None
        """Where its files are; None means at the address that was asked."""
        self.storage = Storage(None if record is None else record.secret)
        self.draw: Callable[[Brief], bytes] = draw_png
        """How a result becomes a PNG."""
        funds = {SANDBOX_KEY: 1000} if accounts is None else accounts
        self._accounts = {
            key: Account(f"account-{sha256(key.encode()).hexdigest()[:8]}", amount) for key, amount in funds.items()
        }
        self._ledger: list[LedgerEntry] = []
        self._clock = clock
        self._now = now
        self._advanced = 0.0
        self._uploads: dict[str, deque[float]] = {}
        self._lock = threading.RLock()

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Every charge and refund up to this moment, oldest first."""
        self._settle()
        return list(self._ledger)

    @property
    def keys(self) -> list[str]:
        """The keys of all accounts, as they were given."""
        return list(self._accounts)

    @property
    def accounts(self) -> list[Account]:
        """All accounts, with their credits up to this moment."""
        self._settle()
        return list(self._accounts.values())

    def balance(self, key: str = SANDBOX_KEY) -> int:
        """Return the credits of a key up to this moment. Raises KeyError for an unknown key."""
        self._settle()
        return self._accounts[key].credits

    def set_faults(self, faults: Sequence[str]) -> None:
        """Plan these faults instead of all that were planned. Raises ValueError when one cannot be read."""
        self.fault_plan.replace(faults)

    def add_fault(self, fault: str) -> None:
        """Plan one more fault. Raises ValueError when it cannot be read."""
        self.fault_plan.add(fault)

    def clear_faults(self) -> None:
        """Behave from now on."""
        self.fault_plan.replace(())

    def spend_elsewhere(self, amount: int, key: str = SANDBOX_KEY) -> None:
        """Take credits as another user of the key does; a negative amount is a top-up. KeyError for an unknown key."""
        with self._lock:
            self._book("elsewhere", self._accounts[key], amount, "")

    def advance(self, seconds: float) -> None:
        """Move the clock and the time of day forward. Raises ValueError unless seconds is a number from 0."""
        if not 0 <= seconds < float("inf"):
            raise ValueError("Time moves forward only: seconds must be a number from 0.")
        with self._lock:
            self._advanced += seconds

    def clock(self) -> float:
        """Return the seconds of the sandbox's clock, which `advance` moves."""
        return self._clock() + self._advanced

    def now(self) -> datetime:
        """Return the time of day, which `advance` moves."""
        return self._now() + timedelta(seconds=self._advanced)

    def authorize(self, header: str | None) -> Account:
        """Return the account of an `Authorization` header. Raises `Refusal`, 401, when there is none."""
        self._settle()
        scheme, _, key = (header or "").partition(" ")
        account = self._accounts.get(key.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            raise Refusal(401, invented("Invalid API key" if header else "Missing Authorization header"))
        return account

    def submit(self, account: Account, body: Any, base_url: str) -> Task:
        """Check, charge and accept a submit. Raises `Refusal`, with nothing charged."""
        with self._turn():
            asked = read_submission(body, strict=self.options.strict)
            number, created, started = len(self.tasks) + 1, self.now(), self.clock()
            suffix = sha256(f"{number} {asked.prompt}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
            task_id = f"task-unified-{int(created.timestamp())}-{suffix}"
            references, lost = self._references(asked.image_urls, base_url, started)
            planned = self.fault_plan.take("task", use_up=False)
            task_id = next((fault.text or "" for fault in planned if fault.name == "called"), task_id)
            prices = [fault.price(asked.quality, asked.tier) for fault in planned]
            asked = replace(asked, credits=next((price for price in prices if price is not None), asked.credits))
            if account.credits < asked.credits:
                text = f"Insufficient credits: {asked.credits} needed, {account.credits} left"
                raise Refusal(self.options.insufficient_status, invented(text))
            name, dies_at = f"generated/image-{suffix}-{number}.png", started + RESULT_SECONDS
            brief = Brief(asked.prompt, asked.width, asked.height, asked.quality, asked.tier, suffix, references)
            task = Task(
                task_id=task_id,
                account=account.label,
                submission=asked,
                created=created,
                started=started,
                seconds=duration_of(suffix, self.seconds),
                faults=self.fault_plan.take("task"),
                result=StoredFile(name, dies_at, "image/png", brief.pruned()),
                base_url=base_url,
                lost_reference=lost,
            )
            self._accept(task)
            if self.record is not None:
                self.record.add(task)
            return task

    def read_status(self, account: Account, task_id: str, base_url: str) -> dict[str, Any]:
        """Return the `data` of a status read. Raises `Refusal`: 404 for an unknown task, 403 for somebody else's."""
        with self._turn():
            task = self.tasks.get(task_id)
            if task is None:
                raise Refusal(404, "Task not found")
            if task.account != account.label:
                raise Refusal(403, invented("This task belongs to another account"))
            if task.ended(self.clock()):
                task.finished_reads += 1
            return task.data(self.clock(), self.storage.url(base_url, task.result))

    def keep_upload(self, file: StoredFile) -> StoredFile:
        """Keep an uploaded file."""
        with self._turn():
            if self.record is not None:
                self.record.add(file)
            return self.storage.keep(file)

    def find_file(self, name: str, signature: str) -> StoredFile:
        """Return a living file. Raises `Refusal`: 403 for a wrong signature, 404 for what is unknown or dead."""
        with self._turn():
            return self.storage.find(name, signature, self.clock())

    def own_file(self, url: str, base_url: str) -> StoredFile | None:
        """Return the file behind a URL of this sandbox, as `find_file` does; None for a URL of somebody else."""
        with self._turn():
            return self.storage.own(url, base_url, self.clock())

    def admit_upload(self, account: Account) -> None:
        """Count an upload. Raises `Refusal`, 429, beyond the documented number a minute."""
        with self._lock:
            recent = self._uploads.setdefault(account.label, deque())
            at = self.clock()
            while recent and recent[0] <= at - 60:
                recent.popleft()
            if len(recent) >= self.options.uploads_per_minute:
                raise Refusal(429, invented(f"At most {self.options.uploads_per_minute} uploads a minute"))
            recent.append(at)

    def _references(self, urls: Sequence[str], base_url: str, at: float) -> tuple[tuple[Brief | bytes, ...], bool]:
        """Return what the sandbox knows of the references, and whether one of its own URLs is dead."""
        found: list[Brief | bytes] = []
        lost = False
        for url in urls:
            try:
                file = self.storage.own(url, base_url, at)
            except Refusal:
                lost = True
                continue
            if file is not None:
                found.append(file.content)
        return tuple(found), lost

    def _settle(self) -> None:
        """Refund the tasks that have failed since the last look."""
        with self._turn():
            for task in self.tasks.values():
                if not task.settled and task.ended(self.clock()):
                    task.settled = True
                    if task.fails:
                        self._move("refund", task)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Work alone, knowing what other processes with the same record have accepted."""
        with self._lock:
            if self.record is None:
                yield
                return
            with self.record.turn():
                for item in self.record.news():
                    if isinstance(item, Task):
                        self._accept(item)
                    else:
                        self.storage.keep(item)
                yield

    def _accept(self, task: Task) -> None:
        self._move("charge", task)
        self.storage.keep(task.result)
        self.tasks[task.task_id] = task

    def _move(self, kind: Literal["charge", "refund"], task: Task) -> None:
        account = next(each for each in self._accounts.values() if each.label == task.account)
        self._book(kind, account, task.submission.credits, task.task_id)

    def _book(
        self, kind: Literal["charge", "refund", "elsewhere"], account: Account, amount: int, task_id: str
    ) -> None:
        account.credits += amount if kind == "refund" else -amount
        self._ledger.append(LedgerEntry(kind, amount, task_id, account.label))
