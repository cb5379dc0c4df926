"""The paid workflow: the gates in their order, one submit, one watch, and an answer that says what was paid."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from difflib import get_close_matches
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import anyio
import anyio.abc

from vidgo_mcp.errors import (
    AuthenticationError,
    BudgetError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.journal import Entry, Existing, Intent, Journal, Reserved, in_window
from vidgo_mcp.models.fields import DEFAULT_WAIT
from vidgo_mcp.models.outcomes import BalanceResult, Estimate, TaskList, TaskResult, View
from vidgo_mcp.models.references import ReferenceSource
from vidgo_mcp.models.requests import (
    EDIT,
    TEXT_TO_IMAGE,
    EstimateArguments,
    GenerateArguments,
    GetTaskArguments,
    ImageRequest,
    Picture,
    ViewArguments,
)
from vidgo_mcp.models.size import parse_size
from vidgo_mcp.pricing import PRICES, Quote, UnpriceableError, quote
from vidgo_mcp.service import answers, references
from vidgo_mcp.service.following import Deadline, Progress, Watches, follow
from vidgo_mcp.service.identity import intent_of, owner_of
from vidgo_mcp.service.submitting import Flight, Flights

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

Connect = Callable[[], AbstractAsyncContextManager["VidgoClient"]]

BALANCE_LIFE: Final = 30.0
SHUTDOWN_PATIENCE: Final = 10.0
"""Seconds for which a stopping process waits for the answers to its submits."""
WARM_UP_PAUSE: Final = 0.3
"""Seconds that leave the first answers undisturbed by imports in the background."""
JOURNAL_LOOK: Final = 0.5
"""Seconds between looks at an entry that another process is submitting."""


async def silence(progress: float, message: str) -> None:
    """Tell nobody."""


class Service:
    """Make pictures, look after their tasks, and price them. Use it as an async context manager.

    Args:
        journal: what was paid for.
        connect: opens the client, when it is first needed.
        account: whose key it is, from ``account_of``; None without a key.
        no_key: what to say to a call that needs the key, when there is none.
        callback_url: where Vidgo posts results to, if the operator wants that.
        default_wait: seconds that a call waits when it does not say.
        holder: the name of this process in the journal.
        now: the time of day in seconds since the epoch.
        draw: a random number between 0 and 1, for jitter.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        connect: Connect,
        account: str | None,
        no_key: str = "VIDGO_API_KEY is not set.",
        callback_url: str | None = None,
        default_wait: int = DEFAULT_WAIT,
        holder: str = "this process",
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._journal = journal
        self._connect = connect
        self.default_wait = default_wait
        self._account = account
        self._no_key = no_key
        self._holder = holder
        self._now = now
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._client: VidgoClient | None = None
        self._flights = Flights(journal, callback_url=callback_url, draw=draw)
        self._watches = Watches(journal, self._open, on_failed=self._forget_balance, now=now, draw=draw)
        self._awaited: Counter[str] = Counter()
        self._balance: tuple[float, float] | None = None
        self._balance_changes = 0
        self._warm = False

    async def __aenter__(self) -> Self:
        self._tasks: anyio.abc.TaskGroup = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let submits that are under way end, for up to 10 s: an answer that comes then is not lost."""
        with anyio.CancelScope(shield=True):
            await self._flights.drop_unstarted()
            with anyio.move_on_after(SHUTDOWN_PATIENCE):
                await self._flights.all_landed()
            self._flights.cut()
            await self._flights.all_landed()
        self._tasks.cancel_scope.cancel()
        try:
            # Without the error of the body, which so stays itself and is not wrapped in a group.
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stack.aclose()

    def estimate(self, arguments: EstimateArguments) -> Estimate:
        """Return the exact price of a request. Needs neither key nor network."""
        priced = _priced(arguments)
        return Estimate(
            credits=priced.credits,
            total_credits=priced.credits * arguments.count,
            count=arguments.count,
            tier=priced.tier,
            size=str(priced.size),
            quality=priced.quality,
            explanation=priced.explanation,
            notes=list(priced.notes) or None,
        )

    async def make(self, arguments: GenerateArguments, *, caller: str = "", progress: Progress = silence) -> TaskResult:
        """Return the picture of a request: the one already paid for, or a new one.

        Raises:
            VidgoError: the request could not be answered; its ``money`` says what that means.
        """
        deadline = Deadline(self.default_wait if arguments.wait_seconds is None else arguments.wait_seconds)
        priced = _priced(arguments)
        sources = references.sources_of(arguments)
        owner = self._owner(caller)
        intent = intent_of(
            owner=owner,
            model=EDIT if sources else TEXT_TO_IMAGE,
            prompt=arguments.prompt,
            priced=priced,
            references=[await references.identity_of(self._journal, owner, source) for source in sources],
            variation=arguments.variation,
        )
        while True:
            entry = await self._journal.find(owner, intent.fingerprint)
            charged = False
            if entry is None:
                _check_max_credits(arguments.max_credits, priced)
                entry, charged = await self._start(intent, arguments, sources, deadline)
            self._awaited[entry.id] += 1
            try:
                landed = await self._landed(entry, deadline)
                if landed is not None:
                    return await self._made(landed, charged, list(priced.notes), deadline, progress)
            finally:
                self._awaited[entry.id] -= 1

    async def _start(
        self, intent: Intent, arguments: GenerateArguments, sources: list[ReferenceSource], deadline: Deadline
    ) -> tuple[Entry, bool]:
        """Reserve the intent and send it; return its entry, and whether this call is the one that pays."""
        client = await self._open()
        with anyio.CancelScope(shield=True):
            reservation = await self._journal.reserve(intent, holder=self._holder, budget=None)
            if isinstance(reservation, Existing):
                return reservation.entry, False
            assert isinstance(reservation, Reserved)
            entry = reservation.entry
            flight = self._flights.announce(entry)
        try:
            urls = [await self._reference_url(intent.owner, source, deadline) for source in sources]
            request = ImageRequest.model_validate(
                {
                    "prompt": arguments.prompt,
                    "size": arguments.size,
                    "resolution": arguments.resolution,
                    "quality": arguments.quality,
                    "image_urls": urls or None,
                }
            )
            if flight.error is not None:
                # The service was left meanwhile.
                raise flight.error
            self._tasks.start_soon(self._fly, flight, client, request)
            flight.started = True
        finally:
            if not flight.started:
                await self._flights.abandon(flight)
        self._forget_balance()
        return entry, True

    async def _fly(self, flight: Flight, client: VidgoClient, request: ImageRequest) -> None:
        entry = await self._flights.submit(flight, client, request)
        self._forget_balance()
        if entry is not None:
            self._watches.own(self._tasks, entry)

    async def _landed(self, entry: Entry, deadline: Deadline) -> Entry | None:
        """Return the entry once its fate is known or time is over; None when it was given up before it was sent.

        Raises:
            VidgoError: the submit failed.
        """
        while entry.state in {"reserved", "sent"} and (left := deadline.left_for_id()) > 0:
            flight = self._flights.of(entry.id)
            with anyio.move_on_after(left):
                if flight is None:
                    await anyio.sleep(JOURNAL_LOOK)
                else:
                    await flight.landed.wait()
            if flight is not None and flight.error is not None:
                raise flight.error
            known = await self._journal.entry(entry.id)
            if known is None:
                return None
            entry = known
        return entry

    async def _made(
        self, entry: Entry, charged: bool, notes: list[str], deadline: Deadline, progress: Progress
    ) -> TaskResult:
        if entry.state == "accepted":
            entry, failure = await self._await_end(entry, deadline, progress, look=not charged)
            if failure is not None:
                notes.append(f"Its status could not be read just now. {failure.message}")
        if entry.state == "unknown":
            raise answers.lost_answer(entry)
        if entry.state == "empty" and not charged:
            raise answers.paid_nothing(entry)
        return await self._delivered(entry, charged=charged, notes=notes)

    async def _delivered(self, entry: Entry, *, charged: bool | None, notes: list[str]) -> TaskResult:
        owner = entry.intent.owner
        another = None
        if entry.state == "finished":
            await self._journal.mark_delivered([entry.id])
            if charged is False:
                used = await self._journal.variations(owner, entry.intent.family)
                another = next(number for number in range(1, len(used) + 2) if number not in used)
        news = await self._news(owner)
        return answers.entry_result(entry, self._now(), charged=charged, another=another, notes=[*notes, *news])

    async def _news(self, owner: str) -> list[str]:
        waiting = await self._journal.undelivered(owner)
        return answers.undelivered_notes([entry for entry in waiting if not self._awaited[entry.id]])

    async def _reference_url(self, owner: str, source: ReferenceSource, deadline: Deadline) -> str:
        if source.kind == "url":
            return source.value
        entry = await self._journal.by_task(owner, source.value)
        if entry is None:
            try:
                result = await self._foreign(owner, source.value, deadline, silence, field="image_urls")
            except VidgoError as error:
                # It speaks of the reference; of the picture that was asked for, nothing was sent.
                error.money, error.field = "nothing_spent", "image_urls"
                raise
            return references.url_of_result(result)
        if entry.state == "accepted":
            entry, _ = await self._await_end(entry, deadline, silence)
        return references.url_of_result(answers.entry_result(entry, self._now()))

    async def task(
        self, task_id: str, *, wait_seconds: float | None = None, caller: str = "", progress: Progress = silence
    ) -> TaskResult:
        """Return one task, waiting for its end.

        Raises:
            NotFoundError: neither the journal nor Vidgo knows it.
            VidgoError: its status could not be read.
        """
        return await self._task(task_id, wait_seconds, caller, progress, delivers=True)

    async def _task(
        self, task_id: str, wait_seconds: float | None, caller: str, progress: Progress, *, delivers: bool
    ) -> TaskResult:
        deadline = Deadline(self.default_wait if wait_seconds is None else wait_seconds)
        owner = self._owner(caller)
        entry = await self._journal.by_task(owner, task_id)
        if entry is None:
            return await self._foreign(owner, task_id, deadline, progress)
        notes: list[str] = []
        self._awaited[entry.id] += 1
        try:
            if entry.state == "accepted" and in_window(entry, self._now()):
                entry, failure = await self._await_end(entry, deadline, progress)
                if isinstance(failure, NotFoundError | PermissionDeniedError):
                    notes.append(f"It was accepted and paid for, but its status cannot be read. {failure.message}")
                elif failure is not None:
                    raise failure
            if not delivers:
                return answers.entry_result(entry, self._now(), notes=notes)
            return await self._delivered(entry, charged=None, notes=notes)
        finally:
            self._awaited[entry.id] -= 1

    async def tasks(self, arguments: GetTaskArguments, *, caller: str = "") -> TaskList:
        """Return the newest tasks of the caller, newest first."""
        entries = await self._journal.newest(self._owner(caller), arguments.limit)
        now = self._now()
        await self._journal.mark_delivered([e.id for e in entries if e.state == "finished" and in_window(e, now)])
        return TaskList(
            tasks=[answers.entry_result(entry, now) for entry in entries],
            next_step=answers.list_next_step(entries),
        )

    async def _foreign(
        self, owner: str, task_id: str, deadline: Deadline, progress: Progress, *, field: str = "task_id"
    ) -> TaskResult:
        """Return a task that the journal does not know, as Vidgo describes it to this key."""
        await self._open()
        watch = self._watches.foreign(self._tasks, task_id)
        failure = await follow(watch, deadline, progress)
        if isinstance(failure, NotFoundError | PermissionDeniedError):
            known = [entry.task_id for entry in await self._journal.newest(owner, 200) if entry.task_id]
            raise answers.no_such_task(failure, task_id, get_close_matches(task_id, known, n=1), field) from None
        if failure is not None:
            raise failure
        if watch.latest is None:
            raise UnavailableError(
                f"The status of {task_id} could not be read in time.", money="accepted", task_id=task_id
            )
        return answers.foreign_result(watch.latest, empty=watch.empty, notes=await self._news(owner))

    async def _await_end(
        self, entry: Entry, deadline: Deadline, progress: Progress, *, look: bool = True
    ) -> tuple[Entry, VidgoError | None]:
        """Wait until a task has ended or time is over; return its entry, and why it could not be read if so."""
        await self._open()
        failure = await follow(self._watches.own(self._tasks, entry), deadline, progress, look=look)
        return await self._journal.entry(entry.id) or entry, failure

    async def balance(self, *, caller: str = "") -> BalanceResult:
        """Return the credits of the account, at most 30 s old.

        Raises:
            VidgoError: it could not be read.
        """
        self._owner(caller)
        client = await self._open()
        if self._balance is not None and anyio.current_time() - self._balance[1] <= BALANCE_LIFE:
            left = self._balance[0]
        else:
            changes = self._balance_changes
            left = await client.balance()
            if changes == self._balance_changes:
                self._balance = (left, anyio.current_time())
        buys = {quality: max(0, int(left // prices["1K"])) for quality, prices in PRICES.items()}
        return BalanceResult(
            credits=left, pictures_low=buys["low"], pictures_medium=buys["medium"], pictures_high=buys["high"]
        )

    async def view(self, arguments: ViewArguments, *, caller: str = "") -> tuple[TaskResult, View]:
        """Return a finished picture, scaled down for looking at.

        Raises:
            VidgoError: there is nothing to look at, or not yet.
        """
        # A look does not hand over the URL, so the picture is still announced to whoever waits for it.
        result = await self._task(arguments.task_id, 0, caller, silence, delivers=False)
        url = answers.viewable_url(result)
        client = await self._open()
        content = await client.download(url)
        return result, await anyio.to_thread.run_sync(_scaled, content, arguments.max_edge)

    def warm_up(self) -> None:
        """Open the client in the background, once: the first paid call need not wait for imports."""
        if self._warm or self._account is None:
            return
        self._warm = True
        self._tasks.start_soon(self._open_soon)

    async def _open_soon(self) -> None:
        await anyio.sleep(WARM_UP_PAUSE)
        try:
            await self._open()
        except VidgoError:
            # The call that needs the client will say why it cannot be opened.
            return

    def _owner(self, caller: str) -> str:
        if self._account is None:
            raise AuthenticationError(self._no_key)
        return owner_of(self._account, caller)

    def _forget_balance(self) -> None:
        self._balance = None
        self._balance_changes += 1

    async def _open(self) -> VidgoClient:
        async with self._opening:
            if self._client is None:
                self._client = await self._stack.enter_async_context(self._connect())
            return self._client


def _priced(picture: Picture) -> Quote:
    try:
        return quote(parse_size(picture.size), picture.resolution, picture.quality)
    except UnpriceableError as error:
        raise InvalidRequestError(str(error), field=error.field) from None


def _check_max_credits(max_credits: int | None, priced: Quote) -> None:
    if max_credits is None or priced.credits <= max_credits:
        return
    if max_credits == 0:
        raise BudgetError(
            f"This picture has not been paid for yet, and max_credits is 0; it would cost {priced.credits} credits.",
            field="max_credits",
            next_step=f"To make it, call again with max_credits {priced.credits} or without max_credits.",
        )
    raise BudgetError(
        f"This picture costs {priced.credits} credits and max_credits is {max_credits}; nothing was sent.",
        field="max_credits",
        next_step=f"Raise max_credits to {priced.credits} if the user agrees{_cheaper(priced)}.",
    )


def _cheaper(priced: Quote) -> str:
    least = PRICES["low"]["1K"]
    return f", or ask for a cheaper picture: quality low at 1K costs {least}" if priced.credits > least else ""


def _scaled(content: bytes, max_edge: int) -> View:
    # Imported here, in the worker thread: Pillow is not needed before the first look at a picture.
    from vidgo_mcp.service.viewing import scaled

    return scaled(content, max_edge)
