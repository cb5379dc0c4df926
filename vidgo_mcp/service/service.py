"""Public API of the paid workflow: pictures, tasks, prices and the balance, and the life of all that serves them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

import anyio
import anyio.abc

from vidgo_mcp.client.polling import Plan
from vidgo_mcp.errors import BudgetError, InvalidRequestError, JournalError, VidgoError
from vidgo_mcp.journal import Journal
from vidgo_mcp.models.fields import DEFAULT_WAIT
from vidgo_mcp.models.requests import EstimateArguments, GenerateArguments
from vidgo_mcp.models.results import (
    BalanceResult,
    Estimate,
    SpendingLine,
    SpendingPeriod,
    SpendingReport,
    TaskResult,
)
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.pricing import PUBLISHED, PriceTable, price_picture
from vidgo_mcp.service import task_results
from vidgo_mcp.service.account import Account
from vidgo_mcp.service.caller_tasks import CallerTasks
from vidgo_mcp.service.generation import Generation
from vidgo_mcp.service.limits import Ask, CallInterrupted, cannot_ask
from vidgo_mcp.service.local_files import LocalFiles
from vidgo_mcp.service.principal import Principal
from vidgo_mcp.service.runtime import Runtime
from vidgo_mcp.service.watches import Deadline, Progress, ProgressReporter, silence

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

PERIODS: Final[Mapping[Literal["24 h", "7 d", "30 d"], int]] = {"24 h": 1, "7 d": 7, "30 d": 30}
"""The days of each period of a spending report."""
SHUTDOWN_SECONDS: Final = 10.0
"""How long a stopping process waits for the answers to its submits, and for pictures that are being saved."""
RESUME_PAUSE: Final = 1.0
"""Seconds that leave the first answers undisturbed by the journal's opening in the background."""

log = logging.getLogger(__name__)


class Service:
    """Make pictures, look after their tasks, and price them. Use it as an async context manager.

    Every method takes the principal who calls.

    Args:
        journal: what was paid for.
        connect: opens the client of an account, by its name, when it is first needed.
        files: what of this machine's disk may be used; nothing by default.
        default_wait: seconds that a call waits when it does not say.
        callback_url: where Vidgo posts results to, if the operator wants that.
        prices: the price table that the operator names.
        runtime: clock, dice, threads, and the name of this process.
        account: whose earlier tasks are looked after from the start; others from their first call on.
    """

    def __init__(  # noqa: PLR0913  # each thing that a service is made of, by name
        self,
        *,
        journal: Journal,
        connect: Callable[[str], AbstractAsyncContextManager[VidgoClient]],
        files: LocalFiles | None = None,
        default_wait: int = DEFAULT_WAIT,
        callback_url: str | None = None,
        prices: PriceTable = PUBLISHED,
        runtime: Runtime | None = None,
        account: str | None = None,
    ) -> None:
        self.default_wait = default_wait
        self.price_table = prices
        self.saved_late: dict[str, str | None] = {}
        """After the end: where the pictures are that were still being saved, by task_id; None when they are not."""
        self._journal = journal
        self._connect = connect
        self._files = files or LocalFiles()
        self._callback_url = callback_url
        self._runtime = runtime or Runtime()
        self._first = account
        self._accounts: dict[str, Account] = {}
        self._end = math.inf
        self._background: anyio.abc.TaskGroup

    async def __aenter__(self) -> Self:
        self._background = await anyio.create_task_group().__aenter__()
        if self._first is not None:
            self._account(self._first)
        return self

    def begin_end(self) -> None:
        """Start the clock of the end: what is under way gets 10 s from the first call of this, or from leaving.

        Calls that wait for a picture answer that it is pending, and new ones send nothing. Calls whose submits are not
        answered by the end say so: what they may have cost is not known.
        """
        if self._end == math.inf:
            self._end = anyio.current_time() + SHUTDOWN_SECONDS
            self._background.start_soon(self._give_up_at_end)
        for account in self._accounts.values():
            account.stop()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let submits and copies under way end, for up to 10 s: an answer that comes then is not lost."""
        self.begin_end()
        accounts = list(self._accounts.values())
        with anyio.CancelScope(shield=True):
            late = [job for account in accounts for job in account.saver.unfinished()]
            with anyio.CancelScope(deadline=self._end):
                async with anyio.create_task_group() as closing:
                    for account in accounts:
                        closing.start_soon(account.submissions.close)
                for account in accounts:
                    await account.saver.settle()
            self.saved_late = {
                job.task_id: None if job.path is None else str(job.path) for job in late if job.task_id is not None
            }
            for account in accounts:
                await account.submissions.cancel_all()
        self._background.cancel_scope.cancel()
        try:
            # Without the error of the body, which so stays itself and is not wrapped in a group.
            await self._background.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                for account in accounts:
                    await account.aclose()
                await self._journal.aclose()

    @property
    def reads_files(self) -> bool:
        """Whether references may be local files; another caller's disk is not for that."""
        return self._files.folders is not None

    def warm_up(self, principal: Principal) -> None:
        """Open the client in the background: the first paid call need not wait for imports."""
        if principal.account is not None:
            self._background.start_soon(self._open_soon, self._account(principal.account))

    def tasks(self, principal: Principal) -> CallerTasks:
        """Return the caller's tasks: to list, wait for, and look at.

        Raises:
            AuthenticationError: there is no key.
        """
        return CallerTasks(self._account(principal.paying), principal.owner)

    def deadline(self, wait_seconds: float | None, patience: float | None = None) -> Deadline:
        """Return how long a call may wait, from now; ``wait_seconds`` is None when it does not say.

        ``patience``: after how many seconds whoever calls would give up.
        """
        return Deadline(self.default_wait if wait_seconds is None else wait_seconds, patience)

    def prices(self, principal: Principal) -> PriceTable:
        """Return the prices in force for the caller, as far as this process knows them."""
        account = self._accounts.get(principal.account or "")
        return self.price_table if account is None else account.reconciliation.prices

    async def prices_in_force(self, principal: Principal) -> PriceTable:
        """Return the prices in force for the caller, with what any process has found by now."""
        if principal.account is None:
            return self.price_table
        reconciliation = self._account(principal.account).reconciliation
        try:
            return await reconciliation.refresh()
        except JournalError:
            return reconciliation.prices

    async def estimate(self, principal: Principal, arguments: EstimateArguments) -> Estimate:
        """Return the exact price of a request. Needs neither key nor network."""
        prices = await self.prices_in_force(principal)
        quote, budget = price_picture(arguments, prices), principal.limits.budget
        spent = await self._spent(principal)
        return Estimate(
            credits=quote.credits,
            total_credits=quote.credits * arguments.count,
            count=arguments.count,
            tier=quote.tier,
            size=str(quote.size),
            quality=quote.quality,
            explanation=quote.explanation,
            notes=[*quote.notes, *(budget.in_words(spent, quote.credits) if spent is not None else [])] or None,
            budget_left=None if spent is None else budget.left(spent),
        )

    async def usual_seconds(self, principal: Principal, quality: Quality, tier: Tier) -> tuple[int, int]:
        """Return how long most of such pictures take: from so many seconds to so many."""
        if principal.account is None:
            return Plan().usual
        return (await self._account(principal.account).watches.plan(quality, tier)).usual

    async def make(
        self,
        principal: Principal,
        arguments: GenerateArguments,
        *,
        progress: Progress = silence,
        ask: Ask = cannot_ask,
        patience: float | None = None,
    ) -> TaskResult:
        """Return the picture of a request: the one already paid for, or a new one.

        Raises:
            VidgoError: the request could not be answered; its ``money`` says what that means.
        """
        tasks, deadline = self.tasks(principal), self.deadline(arguments.wait_seconds, patience)
        call = Generation(tasks, principal.limits, arguments, deadline, ProgressReporter(progress), ask)
        try:
            made = await call.wait(await call.start())
            return task_results.with_wait_noted(made, deadline.shortened, stopping=tasks.account.stopping)
        except (VidgoError, CallInterrupted) as error:
            if isinstance(error, InvalidRequestError) and error.remedy == "reword_if_asked":
                raise error.changed(remedy=await tasks.content_remedy(refused_submit=True)) from None
            if isinstance(error, BudgetError):
                facts = replace(error.facts, cheapest=self.prices(principal).price("low", "1K"))
                raise error.changed(facts=facts) from None
            raise
        except Exception as error:  # a bug: only the call knows what it may have cost
            log.exception("a call failed in an unexpected way (%s)", type(error).__name__)
            raise call.bug() from None

    async def spending(self, principal: Principal) -> SpendingReport:
        """Return what the caller's pictures cost in the last day, week and month.

        Raises:
            JournalError: the journal cannot be read.
        """
        budget = principal.limits.budget
        # Before the time is asked for: it is the journal's, which knows it from its first step on.
        spent = await self._journal.spent(principal.owner)
        periods = []
        for period, days in PERIODS.items():
            found = await self._journal.spending(principal.owner, self._runtime.now() - days * 24 * 3600)
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
        prices = await self.prices_in_force(principal)
        return SpendingReport(
            periods=periods,
            price_table=prices.line(),
            notes=prices.contradictions() or None,
            budget_per_day=budget.per_day if budget.mode != "off" else None,
            budget_left=budget.left(spent),
        )

    async def balance(self, principal: Principal) -> BalanceResult:
        """Return the credits of the account, at most 30 s old.

        Raises:
            VidgoError: it could not be read.
        """
        left = await self._account(principal.paying).balance()
        prices = await self.prices_in_force(principal)
        budget, known = principal.limits.budget, await self._spent(principal)
        # What is left of the day cannot be told then.
        budget, spent = (replace(budget, per_day=None), 0) if known is None else (budget, known)

        def buys(quality: Quality) -> int:
            price = prices.price(quality, "1K")
            many, allowed = max(0, int(left // price)), budget.affordable(price, spent)
            return many if allowed is None else min(many, allowed)

        return BalanceResult(
            credits=left,
            pictures_low=buys("low"),
            pictures_medium=buys("medium"),
            pictures_high=buys("high"),
            notes=budget.in_words(spent) or None,
        )

    def _account(self, name: str) -> Account:
        """Return an account; the first time, what earlier processes paid for with it is looked after as well."""
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(
                name,
                self._connect,
                self._journal,
                self._files,
                self._runtime,
                self._background,
                callback_url=self._callback_url,
                prices=self.price_table,
            )
            self._background.start_soon(self._resume, account)
            if self._end < math.inf:
                account.stop()
        return account

    async def _spent(self, principal: Principal) -> int | None:
        """Return what the caller's day has cost, None where that is not known."""
        if principal.account is None:
            return None
        try:
            return await self._journal.spent(principal.owner)
        except JournalError:
            return None

    async def _open_soon(self, account: Account) -> None:
        # Leaves the first answers undisturbed by the imports.
        await anyio.sleep(0.3)
        # The call that needs the client will say why it cannot be opened.
        with suppress(VidgoError):
            await account.client()

    async def _give_up_at_end(self) -> None:
        await anyio.sleep_until(self._end)
        for account in list(self._accounts.values()):
            await account.submissions.cancel_all()

    async def _resume(self, account: Account) -> None:
        await anyio.sleep(RESUME_PAUSE)
        level = logging.WARNING
        while True:
            try:
                await self._journal.expire()
                await account.resume()
            except VidgoError as error:
                # Another program may hold the journal for a while.
                log.log(level, "tasks of earlier runs cannot be looked after yet: %s", error.message)
                level = logging.DEBUG
                await anyio.sleep(30.0)
            else:
                return
