"""One submit apart from the call that asked for it: recorded before it is sent, bound to its task by the answer.

A flight is shielded: a cancelled call, a closed stdin or a signal does not tear it. Only ``cut`` ends it, when the
process has waited long enough for the answer.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from vidgo_mcp.client.patience import Patience
from vidgo_mcp.errors import InternalError, Money, OutcomeUnknownError, UnavailableError, VidgoError
from vidgo_mcp.journal import Entry, Journal
from vidgo_mcp.models.requests import ImageRequest

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

log = logging.getLogger(__name__)


class Flight:
    """A reserved intent on its way: ``landed`` is set when its fate is known, ``error`` says why it failed."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.landed = anyio.Event()
        self.error: VidgoError | None = None
        self.scope = anyio.CancelScope(shield=True)


class Flights:
    """All submits of this process that are under way."""

    def __init__(
        self, journal: Journal, *, callback_url: str | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        self._journal = journal
        self._callback_url = callback_url
        self._draw = draw
        self._under_way: dict[str, Flight] = {}

    def announce(self, entry: Entry) -> Flight:
        """Let calls with the same request wait for a flight from the moment of its reservation."""
        flight = self._under_way[entry.id] = Flight(entry)
        return flight

    def of(self, entry_id: str) -> Flight | None:
        """Return the flight of an entry while it is under way."""
        return self._under_way.get(entry_id)

    async def abandon(self, flight: Flight) -> None:
        """Give a reserved intent up before anything was sent; whoever waits for it may start it anew."""
        with anyio.CancelScope(shield=True):
            await self._journal.release(flight.entry.id)
        self._land(flight)

    async def submit(self, flight: Flight, client: VidgoClient, request: ImageRequest) -> Entry | None:
        """Send the request once, and record what became of it; return the entry when it has a task."""
        sent = False
        try:
            with flight.scope:
                tries = Patience(draw=self._draw)
                while True:
                    await self._journal.mark_sent(flight.entry.id)
                    sent = True
                    try:
                        task = await client.submit_once(request, callback_url=self._callback_url)
                    except VidgoError as error:
                        if error.money == "nothing_spent":
                            await self._journal.unmark_sent(flight.entry.id)
                            sent = False
                        await tries.pause(error)
                    else:
                        with anyio.CancelScope(shield=True):
                            return await self._journal.bind(flight.entry.id, task)
            await self._fail(flight, _stopped(sent), sent=sent)
        except VidgoError as error:
            await self._fail(flight, error, sent=sent)
        except Exception as error:  # the edge of a background task: nobody above could record the fate
            log.exception("a submit failed in an unexpected way (%s)", type(error).__name__)
            money: Money = "unknown" if sent else "nothing_spent"
            await self._fail(flight, InternalError("vidgo-mcp failed while submitting.", money=money), sent=sent)
        finally:
            self._land(flight)
        return None

    async def all_landed(self) -> None:
        """Wait until no submit is under way."""
        for flight in list(self._under_way.values()):
            await flight.landed.wait()

    def cut(self) -> None:
        """End what is still under way; what was sent and not answered becomes unknown."""
        for flight in self._under_way.values():
            flight.scope.cancel()

    async def _fail(self, flight: Flight, error: VidgoError, *, sent: bool) -> None:
        flight.error = error
        with anyio.CancelScope(shield=True):
            if sent:
                await self._journal.mark_unknown(flight.entry.id, error.message)
            else:
                await self._journal.release(flight.entry.id)

    def _land(self, flight: Flight) -> None:
        self._under_way.pop(flight.entry.id, None)
        flight.landed.set()


def _stopped(sent: bool) -> VidgoError:
    if sent:
        return OutcomeUnknownError("The server was stopped before Vidgo answered the submit.")
    return UnavailableError("The server was stopped before the submit was sent; nothing was spent.")
