"""Compares an account's balance with the journal in the background. What is found is said, never acted on.

The balance is read when the client is opened, when the account has become quiet after a submit, and a minute after an
answer was lost: at most once a minute over all processes, and never on the path of a call.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import anyio
import anyio.abc

from vidgo_mcp.errors import VidgoError
from vidgo_mcp.journal import Entry, Journal
from vidgo_mcp.journal.balances import READING_TURN
from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.models.sizes import Quality, Tier
from vidgo_mcp.pricing import PriceTable

QUIET: Final = 1.0
"""Seconds of rest after an end, which leave its answer undisturbed, and Vidgo the time for a refund."""

log = logging.getLogger(__name__)


class Reconciliation:
    """Keeps the readings of one account. ``table`` is the operator's; ``prices`` are those in force."""

    def __init__(
        self,
        account: str,
        journal: Journal,
        read: Callable[[], Awaitable[float]],
        table: PriceTable,
        now: Callable[[], float],
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self.prices = table
        self._table = table
        self._account = account
        self._journal = journal
        self._read = read
        self._now = now
        self._tasks = tasks
        self._woken = anyio.Event()

    def begin(self) -> None:
        """Read for the first time, and then whenever it is due."""
        self._tasks.start_soon(self._run)

    def wake(self) -> None:
        """Look again when to read: a submit was answered, or a task ended."""
        self._woken.set()

    async def refresh(self) -> PriceTable:
        """Return the prices in force, with what any process has found by now.

        Raises:
            JournalError: the journal cannot be read.
        """
        found = await self._journal.observed_prices(self._account, self._table)
        charged = {(one.quality, one.tier): one.charged for one in found if one.charged is not None}
        self.prices = replace(self._table, charged=charged)
        return self.prices

    async def price(self, quality: Quality, tier: Tier) -> int:
        """Return the price in force of a picture, or raise as ``refresh`` does."""
        return (await self.refresh()).price(quality, tier)

    async def finding(self, entry: Entry) -> BalanceFinding | None:
        """Return what is known of a lost answer by now, None of any other entry."""
        if entry.state != "unknown":
            return None
        if entry.finding is not None:
            return entry.finding
        try:
            read = await self._journal.balance_read(self._account)
        except VidgoError:
            read = None
        sent_at = entry.sent_at or entry.created_at
        age = round(self._now() - sent_at)
        if read is None or read.read_at > sent_at:
            return BalanceFinding("pending", seconds=age)
        return BalanceFinding("pending", read.credits, read.read_at, seconds=age)

    async def _run(self) -> None:
        missed, opening = 0, True
        try:
            while True:
                try:
                    pause = await self._compare(opening=opening)
                    missed, opening = 0, False
                except VidgoError as error:
                    log.debug("the balance cannot be compared with the journal: %s", error.message)
                    pause = READING_TURN * 2**missed
                    missed = min(missed + 1, 6)
                with anyio.move_on_after(pause):
                    await self._woken.wait()
                self._woken = anyio.Event()
                await anyio.sleep(QUIET)
        except Exception:  # the edge of a background task: what goes wrong here must not end all calls
            log.exception("the balance is no longer compared with the journal")

    async def _compare(self, *, opening: bool) -> float:
        """Read the balance when that is due; return the seconds until it may be, if nothing happens before."""
        look = await self._journal.begin_reading(self._account, self._table, opening=opening)
        if isinstance(look, float):
            return look
        await self._journal.compare_balance(self._account, look, await self._read(), self._table)
        await self.refresh()
        return READING_TURN
