"""The sandbox itself: one object that holds what a vendor would keep in its database.

The served application changes it from the event loop while tests look at it from another thread.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from vidgo_mcp.sandbox.accounts import Account, Ledger, LedgerEntry
from vidgo_mcp.sandbox.briefs import Brief
from vidgo_mcp.sandbox.faults import Fault, FaultPlan
from vidgo_mcp.sandbox.gallery import Gallery
from vidgo_mcp.sandbox.refusals import ErrorForm, Refusal, invented
from vidgo_mcp.sandbox.simulated_tasks import Task, duration_of, suffix_of
from vidgo_mcp.sandbox.storage import RESULT_SECONDS, Storage, StoredFile
from vidgo_mcp.sandbox.submit_rules import read_submission

if TYPE_CHECKING:
    import httpx

SANDBOX_KEY = "vidgo-sandbox-key"
"""The key of the account that exists when none are given."""

KEPT_REQUESTS = 10_000
RETRY_DELAYS = (0.2, 0.4, 0.8, 1.6, 3.2)

CallbackForm = Literal["flat", "envelope"]


@dataclass(slots=True)
class RequestRecord:
    """One API request as it arrived. `status` is None until, and unless, it is answered."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]
    status: int | None = None


@dataclass(frozen=True, slots=True)
class CallbackRecord:
    """One attempt to post a callback: answered with `status`, or not delivered because of `error`."""

    task_id: str
    url: str
    body: dict[str, Any]
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class VendorOptions:
    """Choices where the documentation disagrees with itself or says nothing."""

    error_form: ErrorForm = "detail"
    callback_form: CallbackForm = "flat"
    insufficient_status: Literal[400, 402] = 400
    strict: bool = False
    uploads_per_minute: int = 5
    retry_delays: tuple[float, ...] = RETRY_DELAYS
    inline_render: bool = False
    callback_transport: "httpx.AsyncBaseTransport | None" = field(default=None, repr=False)


class Sandbox:
    """Vidgo imitated: accounts, tasks, files and planned faults.

    `accounts` gives the starting credits of each key. A task takes between the two `seconds`. `strict` refuses
    undocumented fields. `retry_delays` are the seconds between the attempts of a callback. `inline_render` draws
    pictures without a worker thread and `callback_transport` posts callbacks without a socket: both are for tests
    on a virtual clock. `clock` is in seconds and decides when things happen; `now` is only written into answers.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, int] | None = None,
        seconds: tuple[float, float] = (3.0, 8.0),
        error_form: ErrorForm = "detail",
        callback_form: CallbackForm = "flat",
        insufficient_status: Literal[400, 402] = 400,
        strict: bool = False,
        uploads_per_minute: int = 5,
        retry_delays: Sequence[float] = RETRY_DELAYS,
        inline_render: bool = False,
        callback_transport: "httpx.AsyncBaseTransport | None" = None,
        faults: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not 0 <= seconds[0] <= seconds[1]:
            raise ValueError(f"seconds must be two rising numbers from 0, not {seconds}.")
        self.habits = VendorOptions(
            error_form=error_form,
            callback_form=callback_form,
            insufficient_status=insufficient_status,
            strict=strict,
            uploads_per_minute=uploads_per_minute,
            retry_delays=tuple(retry_delays),
            inline_render=inline_render,
            callback_transport=callback_transport,
        )
        self.seconds = seconds
        self.tasks: dict[str, Task] = {}
        self.requests: list[RequestRecord] = []
        self.callbacks: list[CallbackRecord] = []
        self.storage = Storage()
        self.gallery = Gallery()
        self._faults = FaultPlan(faults)
        self._ledger = Ledger({SANDBOX_KEY: 1000} if accounts is None else accounts)
        self._clock = clock
        self._now = now
        self._advanced = 0.0
        self._uploads: dict[str, deque[float]] = {}
        self._lock = threading.RLock()

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Every charge and refund up to this moment, oldest first."""
        with self._lock:
            self._settle()
            return list(self._ledger.entries)

    @property
    def accounts(self) -> list[Account]:
        """All accounts, with their credits up to this moment."""
        with self._lock:
            self._settle()
            return self._ledger.accounts

    def balance(self, key: str = SANDBOX_KEY) -> int:
        """Return the credits of a key. Raises KeyError for an unknown one."""
        account = self._ledger.account(key)
        if account is None:
            raise KeyError("no account has this key")
        return self.credits_of(account)

    def credits_of(self, account: Account) -> int:
        """Return the credits of an account up to this moment."""
        with self._lock:
            self._settle()
            return account.credits

    def set_faults(self, faults: Sequence[str]) -> None:
        """Plan these faults instead of all that were planned. Raises ValueError when one cannot be read."""
        self._faults.replace(faults)

    def add_fault(self, fault: str) -> None:
        """Plan one more fault. Raises ValueError when it cannot be read."""
        self._faults.add(fault)

    def clear_faults(self) -> None:
        """Behave from now on."""
        self._faults.replace(())

    @property
    def faults(self) -> list[str]:
        """The faults that are still to come, as they are written."""
        return self._faults.listed()

    def take_faults(self, endpoint: str) -> tuple[Fault, ...]:
        """Use up what spoils the next request of an endpoint."""
        return self._faults.take(endpoint)

    def advance(self, seconds: float) -> None:
        """Move the clock and the time of day forward."""
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

    def log(self, record: RequestRecord) -> None:
        """Remember a request; the oldest is forgotten beyond `KEPT_REQUESTS`."""
        with self._lock:
            self.requests.append(record)
            del self.requests[:-KEPT_REQUESTS]

    def authorize(self, header: str | None) -> Account:
        """Return the account of an `Authorization` header. Raises `Refusal`, 401."""
        scheme, _, key = (header or "").partition(" ")
        account = self._ledger.account(key.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            text = "Invalid API key" if header else "Missing Authorization header"
            raise Refusal(401, invented(text))
        return account

    def submit(self, account: Account, body: Any, base_url: str) -> Task:
        """Check, charge and accept a submit. Raises `Refusal`, with nothing charged."""
        with self._lock:
            self._settle()
            asked = read_submission(body, strict=self.habits.strict)
            suffix = suffix_of(len(self.tasks) + 1, asked.prompt)
            created, started = self.now(), self.clock()
            task_id = f"task-unified-{int(created.timestamp())}-{suffix}"
            references, lost = self._references(asked.image_urls, base_url, started)
            self._ledger.charge(account, asked.credits, task_id, insufficient_status=self.habits.insufficient_status)
            brief = Brief(
                prompt=asked.prompt,
                width=asked.width,
                height=asked.height,
                quality=asked.quality,
                tier=asked.tier,
                seed=suffix,
                references=references,
            ).pruned()
            name = f"generated/image-{suffix}-{len(self.tasks) + 1}.png"
            self.tasks[task_id] = Task(
                task_id=task_id,
                account=account.label,
                submission=asked,
                created=created,
                started=started,
                seconds=duration_of(suffix, self.seconds),
                faults=self._faults.take("task"),
                result=self.storage.keep(StoredFile(name, started + RESULT_SECONDS, "image/png", brief)),
                base_url=base_url,
                lost_reference=lost,
            )
            return self.tasks[task_id]

    def read_status(self, account: Account, task_id: str, base_url: str) -> dict[str, Any]:
        """Return the `data` of a status read. Raises `Refusal` for an unknown task or somebody else's."""
        with self._lock:
            self._settle()
            task = self.tasks.get(task_id)
            if task is None:
                raise Refusal(404, "Task not found")
            if task.account != account.label:
                raise Refusal(403, invented("This task belongs to another account"))
            if task.ended(self.clock()):
                task.finished_reads += 1
            return task.data(self.clock(), self.storage.url(base_url, task.result))

    def admit_upload(self, account: Account) -> None:
        """Count an upload. Raises `Refusal`, 429, beyond the documented number a minute."""
        with self._lock:
            recent = self._uploads.setdefault(account.label, deque())
            at = self.clock()
            while recent and recent[0] <= at - 60:
                recent.popleft()
            if len(recent) >= self.habits.uploads_per_minute:
                raise Refusal(429, invented(f"At most {self.habits.uploads_per_minute} uploads a minute"))
            recent.append(at)

    def record_callback(self, record: CallbackRecord) -> None:
        """Remember an attempt to post a callback."""
        with self._lock:
            self.callbacks.append(record)

    def _references(self, urls: Sequence[str], base_url: str, at: float) -> tuple[tuple[Brief | bytes, ...], bool]:
        found: list[Brief | bytes] = []
        lost = False
        for url in urls:
            try:
                file = self.storage.own(url, base_url, at)
            except Refusal:
                lost = True
            else:
                if file is not None:
                    found.append(file.content)
        return tuple(found), lost

    def _settle(self) -> None:
        at = self.clock()
        for task in self.tasks.values():
            if not task.settled and task.ended(at):
                task.settled = True
                if task.fails:
                    self._ledger.refund(task.account, task.submission.credits, task.task_id)
