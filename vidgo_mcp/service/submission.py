"""One submit apart from the call that asked for it: recorded before it is sent, bound to its task by the answer.

A submission is shielded: a cancelled call, a closed stdin or a signal does not tear it. Only ``cut`` ends it, when the
process has waited long enough for the answer.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from vidgo_mcp.client.retry import RetryDeadline
from vidgo_mcp.errors import (
    InternalError,
    InvalidRequestError,
    JournalError,
    Money,
    OutcomeUnknownError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.journal import RENEWAL, Entry, Journal
from vidgo_mcp.models.requests import ImageRequest
from vidgo_mcp.models.tasks import Task

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

BIND_PAUSES: Final = (0.1, 0.5, 2.0)
"""Seconds between attempts to record a task that Vidgo has accepted."""

log = logging.getLogger(__name__)


class Submission:
    """A reserved intent on its way: ``done`` is set when its fate is known.

    Attributes:
        entry: as it was last recorded.
        bound: the entry with its task, once Vidgo has accepted it.
        error: why it failed.
        started: nothing is missing any more, references for instance, and it is about to be sent.
        told: says how far it is with what is missing.
        uploads: the digests of the references that were uploaded for it.
        promised: a caller was told that it goes on.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.done = anyio.Event()
        self.bound: Entry | None = None
        self.error: VidgoError | None = None
        self.started = False
        self.told: Callable[[], str] = lambda: "its references are got ready"
        self.uploads: set[str] = set()
        self.promised = False
        self.withdrawn = False
        self.preparing = False
        self.scope = anyio.CancelScope(shield=True)


class Submissions:
    """All submits of this process that are under way."""

    def __init__(
        self, journal: Journal, *, callback_url: str | None = None, draw: Callable[[], float] = random.random
    ) -> None:
        self._journal = journal
        self._callback_url = callback_url
        self._draw = draw
        self._under_way: dict[str, Submission] = {}
        self._unreleased: set[str] = set()

    def announce(self, entry: Entry) -> Submission:
        """Let calls with the same request wait for a submission from the moment of its reservation."""
        submission = self._under_way[entry.id] = Submission(entry)
        return submission

    def of(self, entry_id: str) -> Submission | None:
        """Return the submission of an entry while it is under way."""
        return self._under_way.get(entry_id)

    async def abandon(self, submission: Submission) -> None:
        """Give a reserved intent up before anything was sent; whoever waits for it may start it anew."""
        try:
            with anyio.CancelScope(shield=True):
                await self._journal.release(submission.entry.id)
        except Exception:
            # What made the caller give up is what the caller is told, and nobody waits for it.
            log.exception("the journal could not release what was not sent")
            self._unreleased.add(submission.entry.id)
        finally:
            self._land(submission)

    async def submit(
        self, submission: Submission, client: VidgoClient, prepare: Callable[[], Awaitable[ImageRequest]]
    ) -> Entry | None:
        """Send what ``prepare`` returns, once, and record what became of it; return the entry when it has a task."""
        sent = False
        try:
            with submission.scope:
                request = await prepare()
                submission.started = True
                tries = RetryDeadline(draw=self._draw)
                while True:
                    await anyio.lowlevel.checkpoint_if_cancelled()
                    submission.entry = await self._journal.mark_sent(submission.entry.id)
                    sent = True
                    try:
                        task = await client.submit_once(request, callback_url=self._callback_url)
                    except VidgoError as error:
                        if error.money == "nothing_spent":
                            submission.entry = await self._journal.unsend(submission.entry.id)
                            sent = False
                        await tries.pause(error)
                    else:
                        submission.entry = submission.bound = await self._bind(submission, task)
                        return submission.bound
            if submission.withdrawn:
                await self.abandon(submission)
            else:
                await self._fail(submission, _stopped(sent=sent), sent=sent)
        except VidgoError as error:
            await self._fail(submission, error, sent=sent)
            if submission.started and isinstance(error, InvalidRequestError):
                await self._forget_uploads(submission)
        except Exception as error:  # the edge of a background task: nobody above could record the fate
            log.exception("a submit failed in an unexpected way (%s)", type(error).__name__)
            money: Money = "unknown" if sent else "nothing_spent"
            await self._fail(submission, InternalError("vidgo-mcp failed while submitting.", money=money), sent=sent)
        finally:
            self._land(submission)
        return None

    async def _bind(self, submission: Submission, task: Task) -> Entry:
        """Record the task, trying again for a while: what is lost here was paid for."""
        with anyio.CancelScope(shield=True):
            for pause in (*BIND_PAUSES, None):
                try:
                    return await self._journal.bind(submission.entry.id, task)
                except Exception:  # whatever keeps it from writing: the id of what was paid for goes to the caller
                    log.exception("task %s was accepted by Vidgo, but the journal could not record it", task.task_id)
                if pause is not None:
                    await anyio.sleep(pause)
        raise InternalError(
            "Vidgo accepted this picture, but vidgo-mcp could not record it.",
            money="accepted",
            task_id=task.task_id,
            remedy="wait_for_task",
        )

    async def keep_alive(self, submission: Submission, process: str) -> None:
        """Renew the lease of this process while a submission is under way, so that no other process settles it."""
        while not submission.done.is_set():
            with anyio.move_on_after(RENEWAL):
                await submission.done.wait()
                return
            try:
                await self._journal.renew(process)
                await self._release_again()
            except JournalError as error:
                log.warning("the lease of a submit could not be renewed: %s", error.message)

    async def _release_again(self) -> None:
        """Free what could not be freed; the lease that is renewed for others would keep it, and its room in the day."""
        while self._unreleased:
            entry_id = next(iter(self._unreleased))
            await self._journal.release(entry_id)
            self._unreleased.discard(entry_id)

    async def all_done(self) -> None:
        """Wait until no submit is under way."""
        for submission in list(self._under_way.values()):
            await submission.done.wait()

    def withdraw(self, entry_id: str) -> None:
        """Let go of an intent that still waits for something, because nobody waits for it any more."""
        submission = self._under_way.get(entry_id)
        if submission is not None and submission.preparing and not submission.started and not submission.promised:
            submission.withdrawn = True
            submission.scope.cancel()

    async def drop_unstarted(self) -> None:
        """Release what was reserved and still waits for something; its callers are told that nothing was spent."""
        dropped = [submission for submission in self._under_way.values() if not submission.started]
        for submission in dropped:
            # All before the first wait, during which another one could be sent.
            submission.scope.cancel()
        for submission in dropped:
            await self._fail(submission, _stopped(sent=False), sent=False)
            self._land(submission)

    def cut(self) -> None:
        """End what is still under way; what was sent and not answered becomes unknown."""
        for submission in self._under_way.values():
            submission.scope.cancel()

    async def _fail(self, submission: Submission, error: VidgoError, *, sent: bool) -> None:
        submission.error = error
        if error.money == "accepted":
            return
        with anyio.CancelScope(shield=True):
            try:
                if sent:
                    await self._journal.mark_unknown(submission.entry.id, error.message)
                else:
                    await self._journal.release(submission.entry.id)
            except Exception:
                # Once the lease has run out it is settled all the same: sent becomes unknown, reserved is freed.
                # The journal's trouble must not end all other calls.
                log.exception("the journal could not record how a submit failed")
                if not sent:
                    self._unreleased.add(submission.entry.id)

    async def _forget_uploads(self, submission: Submission) -> None:
        """Upload anew next time: what Vidgo refused may be a reference that it no longer has."""
        for digest in submission.uploads:
            try:
                await self._journal.forget_upload(submission.entry.intent.account, digest)
            except VidgoError as error:
                log.warning("%s", error.message)

    def _land(self, submission: Submission) -> None:
        self._under_way.pop(submission.entry.id, None)
        submission.done.set()


def _stopped(*, sent: bool) -> VidgoError:
    if sent:
        return OutcomeUnknownError("The server was stopped before Vidgo answered the submit.")
    return UnavailableError("The server was stopped before the submit was sent; nothing was spent.")
