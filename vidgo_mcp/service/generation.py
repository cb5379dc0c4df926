"""One call that wants a picture, on its way through the gates: what is already paid for, or one new submit.

The gates, in their order: quote, find; then, only for a new request: max_credits, the budget per call, a look at the
day's budget, references ready, consent, reserve (atomic with the daily budget), submit. A reuse passes them all.
Nothing is ever paid after the call was answered without a task on the way.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

import anyio

from vidgo_mcp.errors import InternalError, JournalError, OutcomeUnknownError, UnavailableError, VidgoError
from vidgo_mcp.journal import ConsentUsed, Entry, Exhausted, Existing, Intent, Reservation, Reserved
from vidgo_mcp.models.requests import GenerateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.pricing import PricedRequest, price_request
from vidgo_mcp.service.caller_tasks import CallerTasks
from vidgo_mcp.service.identity import intent_of
from vidgo_mcp.service.limits import (
    UNLIMITED_TOLD_ABOVE,
    Ask,
    Limits,
    Question,
    check_max_credits,
    refused_consent,
    used_consent,
)
from vidgo_mcp.service.reference_resolver import Reference, identity_of, read_references, upload_references
from vidgo_mcp.service.submission import Submission
from vidgo_mcp.service.task_results import lost_answer, paid_nothing, shared_notes, unready_result
from vidgo_mcp.service.watches import Deadline, ProgressReporter

BUG: Final = "vidgo-mcp failed; the server's log on stderr has the details."
STOPPING: Final = "This server is being stopped; nothing was sent and nothing was spent."
JOURNAL_LOOK: Final = 0.5
"""Seconds between looks at an entry that another process is submitting."""
LOOKED_AT: Final = 100
"""Newest entries among which a task is sought that Vidgo gave to another request as well."""

log = logging.getLogger(__name__)


class Generation:
    """One call: ``start`` it, then ``wait`` for its picture."""

    def __init__(
        self,
        tasks: CallerTasks,
        limits: Limits,
        arguments: GenerateArguments,
        deadline: Deadline,
        reporter: ProgressReporter,
        ask: Ask,
    ) -> None:
        self._tasks = tasks
        self._account = tasks.account
        self._journal = tasks.account.journal
        self._limits = limits
        self._arguments = arguments
        self._deadline = deadline
        self._reporter = reporter
        self._ask = ask
        self._request: PricedRequest
        self._notes: list[str] = []
        self._agreed: tuple[int, str] | None = None
        """The price that the person accepted, and the ticket: asked for once, also when another call came between."""
        self._charged = False
        self._entry: Entry | None = None
        self._submission: Submission | None = None

    def bug(self) -> InternalError:
        """Return the error for a failure of our own, with what is known of the money."""
        submission, entry = self._submission, self._entry
        if submission is not None:
            entry = submission.entry
            if not submission.callers:
                submission.give_up_unsent()
        if entry is not None and entry.task_id is not None:
            return InternalError(BUG, money="accepted", task_id=entry.task_id, remedy="wait_for_task")
        if entry is not None and entry.state != "reserved":
            return InternalError(BUG, money="unknown", remedy="repeat")
        return InternalError(BUG)

    async def start(self) -> Entry | TaskResult:
        """Return the entry of the request as soon as it has a task, or time is over.

        It is a result at once when its references were not ready in time: nothing is reserved.

        Raises:
            VidgoError: it was refused, or its submit failed; ``money`` says what that means.
        """
        while True:
            self._request = price_request(self._arguments, await self._account.reconciliation.refresh())
            self._notes = list(self._request.quote.notes)
            references = await read_references(self._account, self._arguments, self._deadline)
            intent = await self._intent(references)
            entry = self._entry = await self._find(intent)
            if entry is not None and await self._account.lost_picture(entry):
                continue
            if entry is not None and entry.state == "unknown" and entry.named_task is not None:
                entry = await self._account.settle_named(entry) or entry
            self._charged = False
            if entry is None:
                paid = await self._pay(intent, references)
                if paid is None:
                    continue
                if isinstance(paid, TaskResult):
                    return paid
                entry = paid
            self._entry = entry
            # They may be hundreds of megabytes, and the wait is long.
            del references
            with self._account.awaiting(entry.id):
                settled = await self._settled(entry)
                if settled is not None:
                    return settled

    async def wait(self, started: Entry | TaskResult) -> TaskResult:
        """Return the result of what ``start`` returned, waiting for its picture.

        Raises:
            VidgoError: it may have been paid for, or was paid for in vain.
        """
        if isinstance(started, TaskResult):
            return started
        self._entry = started
        entry, notes, charged = started, self._notes, self._charged
        with self._account.awaiting(entry.id):
            if entry.state in {"reserved", "sent"} and self._account.submissions.of(entry.id) is None:
                notes.append("Another process of yours is submitting it.")
            if entry.state == "accepted":
                entry, failure = await self._account.await_end(entry, self._deadline, self._reporter, look=not charged)
                if failure is not None:
                    notes.append(f"Its status could not be read just now. {failure.message}")
            if entry.state == "unknown":
                raise lost_answer(entry, await self._account.reconciliation.finding(entry))
            if entry.state == "empty" and not charged:
                raise paid_nothing(entry)
            receipt = await self._receipt(entry)
            return await self._tasks.deliver(entry, self._deadline, charged=charged, notes=notes, receipt=receipt)

    async def _receipt(self, entry: Entry) -> list[str]:
        if not self._charged:
            return []
        price = self._request.quote.credits
        unlimited = self._arguments.max_credits is None and price > UNLIMITED_TOLD_ABOVE
        # What the journal could not record may be missing in what it adds up.
        unbound = self._account.submissions.unbound.get(entry.id) is not None
        try:
            spent = await self._journal.spent(self._tasks.owner)
            said = [] if unbound else self._limits.budget.receipt(spent)
            said = [*shared_notes(entry, await self._journal.newest(self._tasks.owner, LOOKED_AT)), *said]
            return [*said, *(["This call had no max_credits."] if unlimited else [])]
        except VidgoError as error:
            # The picture is paid for and here: a journal that broke meanwhile must not hide it.
            return [error.message]

    async def _intent(self, references: list[Reference]) -> Intent:
        owner = self._tasks.owner
        identities = [await identity_of(self._journal, owner, reference) for reference in references]
        return intent_of(owner, self._request, identities, self._arguments.variation)

    async def _find(self, intent: Intent) -> Entry | None:
        known = self._account.submissions.find(intent.owner, intent.fingerprint)
        return known or await self._journal.find(intent.owner, intent.fingerprint)

    async def _pay(self, intent: Intent, references: list[Reference]) -> Entry | TaskResult | None:
        """Pass the gates, reserve and submit; return None where another price is in force by then."""
        check_max_credits(self._arguments.max_credits, intent.credits)
        warnings = self._limits.budget.check_call(intent.credits)
        learned = await self._account.learn_time()
        full = await self._look_at_day(intent)
        if learned or full is not None:
            # By the right time it may be paid for, or this very picture is what another call has reserved meanwhile.
            known = await self._find(intent)
            if known is not None:
                return known
        if full is not None:
            raise self._limits.budget.refusal(intent.credits, full)
        ready = await upload_references(self._tasks, references, self._deadline, self._reporter)
        if self._account.stopping:
            raise UnavailableError(STOPPING, remedy="repeat")
        urls = ready.complete
        if urls is None:
            note = f"{ready}; nothing is reserved or spent. The uploads go on."
            return unready_result(intent, self._account.runtime.now(), note)
        ticket = await self._consent(intent)
        if await self._account.reconciliation.price(intent.quality, intent.tier) != intent.credits:
            return None
        client = await self._account.client()
        with anyio.CancelScope(shield=True):
            reservation = await self._reserve(intent, ticket)
            if isinstance(reservation, Reserved):
                self._account.submissions.start(
                    reservation.entry,
                    self._request.with_image_urls(urls),
                    client,
                    uploaded=ready.uploaded,
                    seconds=self._deadline.left_for_id(),
                )
                self._submission = self._account.submissions.of(reservation.entry.id)
        match reservation:
            case Exhausted():
                raise self._limits.budget.refusal(intent.credits, reservation)
            case ConsentUsed():
                raise used_consent(intent.credits)
            case Existing(entry):
                return entry
            case Reserved(entry):
                self._account.forget_balance()
                self._notes += warnings
                self._charged = True
                return entry

    async def _look_at_day(self, intent: Intent) -> Exhausted | None:
        """Return how the day has no room for a picture, before anything is uploaded or anybody is asked."""
        limit = self._limits.budget.enforced_day
        if limit is None:
            return None
        full = await self._journal.exhausted(intent.owner, intent.credits, limit)
        if full is not None:
            # What a process had reserved when it was killed holds room in the day until somebody settles it.
            await self._journal.expire()
            full = await self._journal.exhausted(intent.owner, intent.credits, limit)
        return full

    async def _reserve(self, intent: Intent, ticket: str | None) -> Reservation:
        # What is paid for counts in the day: where the journal can be written at all, it is put back first.
        await self._account.submissions.unbound.bind_all()
        known = self._account.submissions.find(intent.owner, intent.fingerprint)
        if known is not None:
            return Existing(known)
        return await self._journal.reserve(
            intent, process=self._account.runtime.process, budget=self._limits.budget.enforced_day, consent=ticket
        )

    async def _consent(self, intent: Intent) -> str | None:
        """Return the ticket of the person's acceptance, None where nobody needs to be asked.

        Raises:
            DeclinedError: asking ended in any other way.
        """
        price, threshold = intent.credits, self._limits.confirm_above
        if threshold is None or price <= threshold:
            return None
        if self._agreed is None or self._agreed[0] != price:
            spent = await self._journal.spent(intent.owner)
            shape = f"{intent.size}, {intent.tier}, {intent.quality}"
            question = Question(price, self._arguments.prompt, shape, spent, self._limits.budget.left(spent))
            answer = await self._ask(question)
            if answer.verdict != "accepted":
                raise refused_consent(answer.verdict, price, threshold)
            self._deadline.restart_for_id()
            self._agreed = price, answer.ticket
        return self._agreed[1]

    def _is_orphan(self, entry: Entry) -> bool:
        """Return whether a step failed that made this reservation all the same: nobody here is about to send it."""
        ours = entry.state == "reserved" and entry.process == self._account.runtime.process
        return ours and self._account.submissions.of(entry.id) is None

    async def _settled(self, entry: Entry) -> Entry | None:
        """Return the entry once its fate is known or time is over; None when it was given up before it was sent.

        Raises:
            VidgoError: the submit failed.
        """
        submission = self._account.submissions.of(entry.id)
        if submission is not None:
            self._submission = submission
            limit = self._arguments.max_credits
            pays = limit is None or entry.intent.credits <= limit
            # Not read from the journal: one that broke meanwhile must not hide what was paid for.
            try:
                return await submission.wait(self._deadline.left_for_id(), self._reporter, pays=pays)
            except OutcomeUnknownError as error:
                finding = await self._account.reconciliation.finding(replace(entry, state="unknown"))
                price, another = entry.intent.credits, entry.intent.variation + 1
                facts = replace(error.facts, price=price, variation=another, finding=finding)
                raise error.changed(facts=facts) from None
        kept = self._account.submissions.unbound.get(entry.id)
        if kept is not None:
            return kept
        while entry.state in {"reserved", "sent"} and self._deadline.left_for_id() > 0 and not self._account.stopping:
            await self._reporter.report("another process of yours is submitting it")
            try:
                await self._journal.expire()
                known = await self._journal.entry(entry.id)
                if known is not None and self._is_orphan(known):
                    await self._journal.release(known.id)
                    known = None
            except JournalError as error:
                # It may be paid for by now, so the answer must not be that nothing was spent.
                log.warning("%s", error.message)
            else:
                if known is None:
                    return None
                entry = known
            if entry.state in {"reserved", "sent"}:
                # The look itself may have lasted beyond the end.
                await anyio.sleep(max(0.0, min(JOURNAL_LOOK, self._deadline.left_for_id())))
        return entry
