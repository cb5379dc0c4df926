"""What the outside calls: pictures, tasks, prices, the balance, and looks, over one shared workshop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Literal, Self

import anyio

from vidgo_mcp.errors import JournalError, VidgoError
from vidgo_mcp.journal import Journal, in_window
from vidgo_mcp.models.fields import DEFAULT_WAIT
from vidgo_mcp.models.requests import EstimateArguments, GenerateArguments, GetTaskArguments, ViewArguments
from vidgo_mcp.models.results import (
    BalanceResult,
    Estimate,
    SpendingLine,
    SpendingPeriod,
    SpendingReport,
    TaskList,
    TaskResult,
    View,
)
from vidgo_mcp.pricing import PRICES
from vidgo_mcp.service import task_lookup, task_results
from vidgo_mcp.service.consent import Ask, cannot_ask
from vidgo_mcp.service.generation import Limits, make, priced_picture
from vidgo_mcp.service.local_files import Disk, InThread
from vidgo_mcp.service.waiting import Deadline, Progress, silence
from vidgo_mcp.service.workshop import Account, Connect, Workshop

BALANCE_LIFE: Final = 30.0
PERIODS: Final[Mapping[Literal["24 h", "7 d", "30 d"], int]] = {"24 h": 1, "7 d": 7, "30 d": 30}
WARM_UP_PAUSE: Final = 0.3
"""Seconds that leave the first answers undisturbed by imports in the background."""


class Service:
    """Make pictures, look after their tasks, and price them. Use it as an async context manager.

    Args:
        journal: what was paid for.
        connect: opens the client, when it is first needed.
        account: whose key it is, from ``account_of``; None without a key.
        no_key: what to say to a call that needs the key, when there is none.
        limits: budgets, and the price above which the person is asked.
        callback_url: where Vidgo posts results to, if the operator wants that.
        disk: what of this machine's disk may be used; nothing by default.
        in_thread: runs work that blocks; in worker threads by default.
        default_wait: seconds that a call waits when it does not say.
        process: the name of this process in the journal.
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
        limits: Limits | None = None,
        callback_url: str | None = None,
        disk: Disk | None = None,
        in_thread: InThread | None = None,
        default_wait: int = DEFAULT_WAIT,
        process: str = "this process",
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.default_wait = default_wait
        self._limits = limits or Limits()
        self._workshop = Workshop(
            journal=journal,
            connect=connect,
            account=Account(account, no_key),
            callback_url=callback_url,
            disk=disk or Disk(),
            in_thread=in_thread,
            process=process,
            now=now,
            draw=draw,
        )
        self._warm = False

    async def __aenter__(self) -> Self:
        await self._workshop.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let submits that are under way end, for up to 10 s: an answer that comes then is not lost."""
        await self._workshop.leave()

    @property
    def saved_late(self) -> dict[str, str | None]:
        """After the end: where the pictures are that were still being saved, by task_id; None when they are not."""
        return self._workshop.saved_late

    @property
    def reads_files(self) -> bool:
        """Whether references may be local files, which another caller's disk is not for."""
        return self._workshop.disk.folders is not None

    async def estimate(self, arguments: EstimateArguments, *, caller: str = "") -> Estimate:
        """Return the exact price of a request. Needs neither key nor network."""
        priced = priced_picture(arguments)
        return Estimate(
            credits=priced.credits,
            total_credits=priced.credits * arguments.count,
            count=arguments.count,
            tier=priced.tier,
            size=str(priced.size),
            quality=priced.quality,
            explanation=priced.explanation,
            notes=list(priced.notes) or None,
            budget_left=await self._budget_left(caller),
        )

    async def _budget_left(self, caller: str) -> int | None:
        if self._limits.budget.left(0) is None or not self._workshop.has_key:
            return None
        try:
            return self._limits.budget.left(await self._workshop.journal.spent(self._workshop.owner(caller)))
        except JournalError:
            return None

    async def make(
        self,
        arguments: GenerateArguments,
        *,
        caller: str = "",
        progress: Progress = silence,
        ask: Ask = cannot_ask,
        goes_on: bool = True,
    ) -> TaskResult:
        """Return the picture of a request: the one already paid for, or a new one.

        ``goes_on`` says that references may be uploaded further when the call has waited long enough, and the picture
        be paid for then. A process that ends with the call cannot do that.

        Raises:
            VidgoError: the request could not be answered; its ``money`` says what that means.
        """
        deadline = self._deadline(arguments.wait_seconds)
        return await make(
            self._workshop,
            self._limits,
            arguments,
            deadline,
            caller=caller,
            progress=progress,
            ask=ask,
            goes_on=goes_on,
        )

    async def task(
        self, task_id: str, *, wait_seconds: float | None = None, caller: str = "", progress: Progress = silence
    ) -> TaskResult:
        """Return one task, waiting for its end.

        Raises:
            NotFoundError: neither the journal nor Vidgo knows it.
            VidgoError: its status could not be read.
        """
        return await task_lookup.task(self._workshop, task_id, self._deadline(wait_seconds), caller, progress)

    async def tasks(self, arguments: GetTaskArguments, *, caller: str = "") -> TaskList:
        """Return the newest tasks of the caller, newest first.

        Raises:
            JournalError: the journal cannot be read.
        """
        shop = self._workshop
        owner = shop.owner(caller)
        await shop.journal.expire()
        entries = await shop.journal.newest(owner, arguments.limit)
        now = shop.now()
        await shop.journal.mark_delivered([e.id for e in entries if e.state == "finished" and in_window(e, now)])
        saved = await shop.copies(entries)
        found = [
            task_results.entry_result(entry, now, saved=paths) for entry, paths in zip(entries, saved, strict=True)
        ]
        return TaskList(tasks=found)

    async def spending(self, *, caller: str = "") -> SpendingReport:
        """Return what the caller's pictures cost in the last day, week and month.

        Raises:
            JournalError: the journal cannot be read.
        """
        shop, budget = self._workshop, self._limits.budget
        owner, now = shop.owner(caller), shop.now()
        periods = []
        for period, days in PERIODS.items():
            found = await shop.journal.spending(owner, now - days * 24 * 3600)
            lines = [
                SpendingLine(quality=s.quality, tier=s.tier, pictures=s.pictures, credits=s.credits) for s in found
            ]
            periods.append(
                SpendingPeriod(
                    period=period,
                    credits=sum(line.credits for line in lines),
                    pictures=sum(line.pictures for line in lines),
                    lines=lines,
                )
            )
        return SpendingReport(
            periods=periods,
            budget_per_day=budget.per_day if budget.mode != "off" else None,
            budget_left=budget.left(await shop.journal.spent(owner)),
        )

    async def balance(self, *, caller: str = "") -> BalanceResult:
        """Return the credits of the account, at most 30 s old.

        Raises:
            VidgoError: it could not be read.
        """
        shop = self._workshop
        shop.owner(caller)
        client = await shop.open()
        if shop.balance is not None and anyio.current_time() - shop.balance[1] <= BALANCE_LIFE:
            left = shop.balance[0]
        else:
            changes = shop.balance_changes
            left = await client.balance()
            if changes == shop.balance_changes:
                shop.balance = (left, anyio.current_time())
        buys = {quality: max(0, int(left // prices["1K"])) for quality, prices in PRICES.items()}
        return BalanceResult(
            credits=left, pictures_low=buys["low"], pictures_medium=buys["medium"], pictures_high=buys["high"]
        )

    async def peek_task(self, task_id: str, *, caller: str = "") -> TaskResult:
        """Return one task as it stands. It is still announced to whoever waits for its picture.

        Raises:
            NotFoundError: neither the journal nor Vidgo knows it.
            VidgoError: its status could not be read.
        """
        return await task_lookup.peek_task(self._workshop, task_id, caller)

    async def newest(self, limit: int, *, caller: str = "") -> list[TaskResult]:
        """Return the newest tasks of the caller, newest first, which are still announced to whoever waits for them.

        Raises:
            VidgoError: there is no key, or the journal cannot be read.
        """
        shop = self._workshop
        entries = await shop.journal.newest(shop.owner(caller), limit)
        saved = await shop.copies(entries)
        return [
            task_results.entry_result(entry, shop.now(), saved=paths)
            for entry, paths in zip(entries, saved, strict=True)
        ]

    async def file(self, task_id: str, *, caller: str = "") -> tuple[TaskResult, bytes]:
        """Return a finished picture as it is saved, with the facts about it inside where they are wanted.

        Raises:
            VidgoError: there is no picture, or not yet.
        """
        return await task_lookup.file(self._workshop, task_id, caller)

    async def view(self, arguments: ViewArguments, *, caller: str = "") -> tuple[TaskResult, View]:
        """Return a finished picture, scaled down for looking at.

        Raises:
            VidgoError: there is nothing to look at, or not yet.
        """
        result, content = await task_lookup.picture(self._workshop, arguments.task_id, caller)
        return result, await self._workshop.in_thread(task_lookup.scaled_to, content, arguments.max_edge)

    async def image(self, task_id: str, *, caller: str = "") -> tuple[TaskResult, View]:
        """Return a finished picture for a client that takes at most 700 KB: scaled down only where it must be.

        Raises:
            VidgoError: there is no picture, or not yet.
        """
        result, content = await task_lookup.picture(self._workshop, task_id, caller)
        return result, await self._workshop.in_thread(task_lookup.fitted, content)

    def warm_up(self) -> None:
        """Open the client in the background, once: the first paid call need not wait for imports."""
        if self._warm or not self._workshop.has_key:
            return
        self._warm = True
        self._workshop.tasks.start_soon(self._open_soon)

    async def _open_soon(self) -> None:
        await anyio.sleep(WARM_UP_PAUSE)
        try:
            await self._workshop.open()
        except VidgoError:
            # The call that needs the client will say why it cannot be opened.
            return

    def _deadline(self, wait_seconds: float | None) -> Deadline:
        return Deadline(self.default_wait if wait_seconds is None else wait_seconds)
