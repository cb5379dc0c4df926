"""One intent on its way to Vidgo: recorded before it is sent, bound to its task by the answer.

What is sent runs apart from the calls that want it: a cancelled call, a closed stdin or a signal does not tear it. What
is not sent ends with the last of them.

    reserved ──▶ sent ──▶ accepted
        ◀──────────┤          Vidgo provably accepted nothing: sent again, or released
                   └──▶ failed (also straight from reserved)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import anyio
import anyio.abc
import anyio.lowlevel

from vidgo_mcp.client.retry import RetryDeadline
from vidgo_mcp.errors import (
    InternalError,
    InvalidRequestError,
    JournalError,
    Money,
    OutcomeUnknownError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.journal import RENEWAL, Entry, Intent, Journal
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.pricing import PricedRequest
from vidgo_mcp.service.runtime import Runtime
from vidgo_mcp.service.unbound_tasks import UnboundTasks
from vidgo_mcp.service.watches import PROGRESS_EVERY, ProgressReporter

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

BIND_PAUSES: Final = (0.1, 0.5, 2.0)
"""Seconds between attempts to record a task that Vidgo has accepted."""
OTHERS_SECONDS: Final = 5.0
"""For the answers to other submits, to which a task may belong that an answer names."""

ANOTHER_PRICE: Final = "Another price is in force since this picture was priced; nothing was sent, nothing was spent."

log = logging.getLogger(__name__)


class Submission:
    """One reserved intent.

    Attributes:
        entry: as it was last recorded; with its task once the phase is ``accepted``.
        phase: ``sent`` from the moment at which the POST begins to leave.
        done: set when the phase is ``accepted`` or ``failed``.
        error: why it failed.
        refusal: why the last try proved that nothing was accepted.
        callers: how many calls wait for it that may pay its price.
    """

    def __init__(self, entry: Entry, request: PricedRequest, uploaded: Sequence[str], seconds: float) -> None:
        self.entry = entry
        self.phase: Literal["reserved", "sent", "accepted", "failed"] = "reserved"
        self.done = anyio.Event()
        self.error: VidgoError | None = None
        self.callers = 0
        self.request = request
        self.uploaded = tuple(uploaded)
        self.seconds = seconds
        self.refusal: VidgoError | None = None
        self.sent_again_at: float | None = None
        self.scope = anyio.CancelScope(shield=True)

    async def wait(self, seconds: float, reporter: ProgressReporter, *, pays: bool) -> Entry:
        """Return the entry when its fate is known or time is over; what is unsent ends when the last caller leaves.

        One that may not pay its price (``pays``) does not keep it from ending.

        Raises:
            VidgoError: it failed, or was given up before it was sent.
        """
        self.callers += pays
        try:
            end = anyio.current_time() + seconds
            while not self.done.is_set() and (left := end - anyio.current_time()) > 0:
                with anyio.move_on_after(min(left, PROGRESS_EVERY)):
                    await self.done.wait()
                if not self.done.is_set() and left > PROGRESS_EVERY:
                    await reporter.report(self._in_words())
        finally:
            self.callers -= pays
            if not self.callers:
                self.give_up_unsent()
        if self.scope.cancel_called:
            await self.done.wait()
        if self.error is not None:
            # All who wait get the error, so each gets one of their own to change and to raise.
            raise self.error.changed()
        return self.entry

    def _in_words(self) -> str:
        if self.sent_again_at is None:
            return "waiting for Vidgo's answer to the submit"
        return f"Vidgo took nothing yet; asking again in {max(0.0, self.sent_again_at - anyio.current_time()):.0f} s"

    def give_up_unsent(self) -> None:
        """End it, unless its POST may have left: nothing may be paid after the last call for it has ended."""
        if self.phase == "reserved":
            self.scope.cancel()


class Submissions:
    """All submissions of one account in this process; ``on_end`` is told of each one when its fate is known.

    ``price`` returns what an intent costs by now: nothing is sent at a price that nobody has let through.
    ``unbound`` has the tasks that the journal could not record yet; ``on_bound`` is told when one of them is. Once
    ``stopping`` is set, nothing more is sent.
    """

    def __init__(
        self,
        journal: Journal,
        tasks: anyio.abc.TaskGroup,
        runtime: Runtime,
        *,
        callback_url: str | None,
        price: Callable[[Intent], Awaitable[int]],
        on_end: Callable[[Submission], Awaitable[object]],
        on_bound: Callable[[Entry], Awaitable[object]],
    ) -> None:
        self._journal = journal
        self._tasks = tasks
        self._runtime = runtime
        self._callback_url = callback_url
        self._price = price
        self._on_end = on_end
        self.unbound = UnboundTasks(journal, on_bound)
        self._under_way: dict[str, Submission] = {}
        self._unrecorded: dict[Submission, Callable[[], Awaitable[object]]] = {}
        """What failed, with what records that, while the journal cannot."""
        self._renewing = False
        self.stopping = False

    def of(self, entry_id: str) -> Submission | None:
        """Return the submission of an entry: under way, or failed in a way that is not recorded yet."""
        failed = {one.entry.id: one for one in self._unrecorded}
        return self._under_way.get(entry_id) or failed.get(entry_id)

    def find(self, owner: str, fingerprint: str) -> Entry | None:
        """Return what answers this request, where this process knows better than a journal that broke meanwhile."""
        sent = [
            one.entry for one in self._under_way.values() if one.phase == "sent" and one.entry.intent.owner == owner
        ]
        known = [*self.unbound.of_owner(owner), *sent]
        return next((entry for entry in known if entry.intent.fingerprint == fingerprint), None)

    def start(
        self, entry: Entry, request: PricedRequest, client: VidgoClient, *, uploaded: Sequence[str], seconds: float
    ) -> None:
        """Send a reserved intent in the background.

        ``uploaded`` are the digests of the references that were uploaded for it; it may be tried again for ``seconds``
        while Vidgo provably accepts nothing.
        """
        submission = self._under_way[entry.id] = Submission(entry, request, uploaded, seconds)
        if self.stopping:
            submission.scope.cancel()
        self._tasks.start_soon(self._run, submission, client)
        if not self._renewing:
            self._renewing = True
            self._tasks.start_soon(self._keep_lease)

    def stop(self) -> None:
        """Release at once what was not sent, and let nothing begin."""
        self.stopping = True
        for submission in self._under_way.values():
            submission.give_up_unsent()

    async def close(self) -> None:
        """Let the answers to what was sent arrive; what was not sent is released at once, and nothing begins."""
        self.stop()
        await self._all_done()

    async def cancel_all(self) -> None:
        """End what is still under way; what was sent and not answered becomes unknown."""
        for submission in self._under_way.values():
            submission.scope.cancel()
        await self._all_done()
        await self.unbound.give_up()

    async def _all_done(self) -> None:
        for submission in list(self._under_way.values()):
            await submission.done.wait()

    async def _run(self, submission: Submission, client: VidgoClient) -> None:
        try:
            with submission.scope:
                task = await self._post(submission, client)
                await self._bind(submission, task)
                submission.phase = "accepted"
            if submission.phase == "sent":
                stopped = "The server was stopped before Vidgo answered the submit."
                await self._fail(submission, OutcomeUnknownError(stopped))
            elif submission.phase == "reserved":
                given_up = "The submit was given up before it was sent; nothing was spent."
                await self._fail(submission, submission.refusal or UnavailableError(given_up, remedy="repeat"))
        except VidgoError as error:
            await self._fail(submission, error)
        except Exception as error:  # the edge of a background task: nobody above could record the fate
            log.exception("a submit failed in an unexpected way (%s)", type(error).__name__)
            money: Money = "unknown" if submission.phase == "sent" else "nothing_spent"
            await self._fail(submission, InternalError("vidgo-mcp failed while submitting.", money=money))
        finally:
            self._under_way.pop(submission.entry.id, None)
            submission.done.set()
        await self._on_end(submission)

    async def _post(self, submission: Submission, client: VidgoClient) -> Task:
        async def leaving() -> None:
            intent = submission.entry.intent
            if await self._price(intent) != intent.credits:
                raise UnavailableError(ANOTHER_PRICE, remedy="repeat")
            with anyio.CancelScope(shield=True):
                submission.entry = await self._journal.mark_sent(submission.entry.id)
            # The last moment at which it can be given up.
            await anyio.lowlevel.checkpoint_if_cancelled()
            submission.phase = "sent"

        end: float | None = None

        async def is_others(task_id: str) -> bool:
            nonlocal end
            if await self.is_known(submission.entry.intent, task_id):
                return True
            # It may be that of another submit, whose answer is about to come.
            end = anyio.current_time() + OTHERS_SECONDS if end is None else end
            with anyio.CancelScope(deadline=end, shield=True):
                for other in [one for one in self._under_way.values() if one is not submission and one.phase == "sent"]:
                    await other.done.wait()
            return await self.is_known(submission.entry.intent, task_id)

        tries = RetryDeadline(submission.seconds, self._runtime.random)
        while True:
            end = None
            try:
                return await client.submit_once(
                    submission.request, callback_url=self._callback_url, leaving=leaving, is_others=is_others
                )
            except VidgoError as error:
                if isinstance(error, RateLimitedError):
                    error = error.changed(remedy="repeat_with_time")
                if error.money == "nothing_spent":
                    submission.phase, submission.refusal = "reserved", error
                    if submission.entry.state == "sent":
                        submission.entry = await self._journal.unsend(submission.entry.id)
                    if self.stopping or not submission.callers:
                        raise
                delay = tries.next_pause(error)
                submission.sent_again_at = anyio.current_time() + delay
                await anyio.sleep(delay)
                submission.sent_again_at = None

    async def is_known(self, intent: Intent, task_id: str) -> bool:
        """Return whether a task is that of another request, also of another caller whose picture is on its way."""
        if self.unbound.has(task_id):
            return True
        with anyio.CancelScope(shield=True), suppress(JournalError):
            if await self._journal.by_task(intent.owner, task_id) is not None:
                return True
            accepted = await self._journal.unfinished()
            return any((one.task_id, one.intent.account) == (task_id, intent.account) for one in accepted)
        return False

    async def _release(self, submission: Submission) -> None:
        try:
            await self._journal.release(submission.entry.id)
        except JournalError as error:
            if error.facts.reason is not None:
                raise
            # It is marked as sent, perhaps by a step that failed; nothing left all the same.
            submission.entry = await self._journal.unsend(submission.entry.id)
            await self._journal.release(submission.entry.id)

    async def _lose(self, entry_id: str, error: VidgoError) -> None:
        # A person may have settled it meanwhile: then nothing is left to record.
        if await self._journal.entry(entry_id) is not None:
            named, vendor_id = error.facts.named_task, error.facts.vendor_id
            await self._journal.mark_unknown(entry_id, error.message, named_task=named, vendor_id=vendor_id)

    async def _bind(self, submission: Submission, task: Task) -> None:
        """Record the task, trying again for a while; what then is not recorded is kept, and tried at each renewal."""
        submission.entry = self.unbound.keep(submission.entry, task)
        with anyio.CancelScope(shield=True):
            for pause in (*BIND_PAUSES, None):
                bound = await self.unbound.bind(submission.entry.id)
                if bound is not None:
                    submission.entry = bound
                if self.unbound.get(submission.entry.id) is None:
                    return
                if pause is not None:
                    await anyio.sleep(pause)

    async def _fail(self, submission: Submission, error: VidgoError) -> None:
        submission.error = error
        sent, submission.phase = submission.phase == "sent", "failed"
        lose = partial(self._lose, submission.entry.id, error)
        record: Callable[[], Awaitable[object]] = lose if sent else partial(self._release, submission)
        with anyio.CancelScope(shield=True):
            try:
                await record()
                for digest in submission.uploaded if isinstance(error, InvalidRequestError) else ():
                    # What Vidgo refused may be a reference that it no longer has: it is uploaded anew next time.
                    await self._journal.forget_upload(submission.entry.intent.account, digest)
            except Exception:
                # The journal's trouble must not end all other calls. Until it is recorded, other processes take the
                # submit to be under way as long as this one lives.
                log.exception("the journal could not record how a submit failed")
                self._unrecorded[submission] = record

    async def _keep_lease(self) -> None:
        """Renew the lease of this process while anything is under way, so that no other process settles it."""
        while self._under_way or self._unrecorded or self.unbound:
            await anyio.sleep(RENEWAL)
            try:
                await self._journal.renew(self._runtime.process)
            except JournalError as error:
                log.warning("the lease of a submit could not be renewed: %s", error.message)
            for submission in list(self._unrecorded):
                await self._record_late(submission)
            await self.unbound.bind_all()
        self._renewing = False

    async def _record_late(self, submission: Submission) -> None:
        try:
            await self._unrecorded[submission]()
        except Exception as error:  # noqa: BLE001  # as in ``_fail``: it must not end all other calls
            log.warning("how a submit failed could not be recorded: %s", error)
            # Where the store works, its entry has become another, and stays so.
            if not isinstance(error, JournalError) or error.facts.reason is not None:
                return
        del self._unrecorded[submission]
