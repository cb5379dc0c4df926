"""The paid path: the gates in their order, one submit, and the picture or what became of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from vidgo_mcp.errors import BudgetError, Facts, InvalidRequestError, JournalError, UnavailableError, VidgoError
from vidgo_mcp.journal import ConsentUsed, Entry, Exhausted, Existing, Intent
from vidgo_mcp.models.requests import EDIT, TEXT_TO_IMAGE, GenerateArguments, ImageRequest, Picture
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.models.sizes import parse_size
from vidgo_mcp.pricing import Quote, UnpriceableError, quote
from vidgo_mcp.service import consent, task_results
from vidgo_mcp.service.budget import Budget
from vidgo_mcp.service.consent import Ask
from vidgo_mcp.service.identity import intent_of
from vidgo_mcp.service.reference_resolver import Reference, identity_of, prepared, read, resolve_reference
from vidgo_mcp.service.submission import Submission
from vidgo_mcp.service.waiting import PROGRESS_EVERY, Deadline, Progress, ProgressReporter
from vidgo_mcp.service.workshop import Workshop

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

log = logging.getLogger(__name__)

JOURNAL_LOOK: Final = 0.5
"""Seconds between looks at an entry that another process is submitting."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows: budgets, and the price above which the person is asked (None: never)."""

    budget: Budget = field(default_factory=Budget)
    confirm_above: int | None = None


@dataclass(slots=True)
class GenerationCall:
    """One call that wants a picture, on its way through the gates.

    ``goes_on`` says that uploads may go on when the call has waited long enough.
    """

    arguments: GenerateArguments
    owner: str
    deadline: Deadline
    meter: ProgressReporter
    ask: Ask
    goes_on: bool
    notes: list[str]
    ticket: str | None = None
    """The person's acceptance: they are asked once for a call, also when another call's reservation came between."""


async def make(
    workshop: Workshop,
    limits: Limits,
    arguments: GenerateArguments,
    deadline: Deadline,
    *,
    caller: str,
    progress: Progress,
    ask: Ask,
    goes_on: bool,
) -> TaskResult:
    """Return the picture of a request: the one already paid for, or a new one.

    Raises:
        VidgoError: the request could not be answered; its ``money`` says what that means.
    """
    priced = priced_picture(arguments)
    references = await read(workshop, arguments, deadline)
    owner = workshop.owner(caller)
    order = GenerationCall(arguments, owner, deadline, ProgressReporter(progress), ask, goes_on, list(priced.notes))
    while True:
        intent = intent_of(
            owner=owner,
            model=EDIT if references else TEXT_TO_IMAGE,
            prompt=arguments.prompt,
            priced=priced,
            references=[await identity_of(workshop.journal, owner, reference) for reference in references],
            variation=arguments.variation,
        )
        entry = await workshop.journal.find(owner, intent.fingerprint)
        charged = False
        if entry is None:
            check_max_credits(arguments.max_credits, priced)
            entry, charged = await _start(workshop, limits, order, intent, references)
        # They may be hundreds of megabytes, and the wait is long.
        references.clear()
        with workshop.awaiting(entry.id):
            try:
                done = await _settled(workshop, entry, order)
                if done is not None:
                    return await _made(workshop, limits, order, done, charged)
            except anyio.get_cancelled_exc_class():
                if workshop.awaited[entry.id] == 1:
                    # Nobody wants it any more, and while its references are uploaded nothing has been spent.
                    workshop.submissions.withdraw(entry.id)
                raise
        references = await read(workshop, arguments, deadline)


async def _start(
    workshop: Workshop, limits: Limits, order: GenerationCall, intent: Intent, references: Sequence[Reference]
) -> tuple[Entry, bool]:
    """Pass the gates, reserve and send; return the entry, and whether this call is the one that pays."""
    budget = limits.budget
    warnings = budget.check_call(intent.credits)
    ticket = await _consent(workshop, limits, order, intent)
    client = await workshop.open()
    with anyio.CancelScope(shield=True):
        reserve = partial(
            workshop.journal.reserve, intent, process=workshop.process, budget=budget.enforced_day, consent=ticket
        )
        reservation = await reserve()
        if isinstance(reservation, Exhausted):
            # What a process had reserved when it was killed holds room in the day until somebody settles it.
            await workshop.journal.expire()
            reservation = await reserve()
        if isinstance(reservation, Existing):
            return reservation.entry, False
        if isinstance(reservation, Exhausted):
            raise budget.refusal(intent.credits, reservation)
        if isinstance(reservation, ConsentUsed):
            raise consent.already_used(intent.credits)
        entry = reservation.entry
        submission = workshop.submissions.announce(entry)
        workshop.tasks.start_soon(workshop.submissions.keep_alive, submission, workshop.process)
    order.notes += warnings
    handed_over = False
    try:
        found = [
            await resolve_reference(workshop, intent.owner, reference, order.deadline, order.meter)
            for reference in references
        ]
        if submission.error is not None:
            # The service was left meanwhile.
            raise submission.error
        submission.started = all(isinstance(reference, str) for reference in found)
        submission.preparing = not submission.started
        prepare = partial(prepared, workshop, submission, order.arguments, found)
        workshop.tasks.start_soon(_submit, workshop, submission, client, prepare)
        handed_over = True
    finally:
        if not handed_over:
            await workshop.submissions.abandon(submission)
    workshop.forget_balance()
    return entry, True


async def _consent(workshop: Workshop, limits: Limits, order: GenerationCall, intent: Intent) -> str | None:
    """Return the ticket of the person's acceptance, None where nobody needs to be asked.

    Raises:
        DeclinedError: asking ended in any other way.
    """
    price, threshold = intent.credits, limits.confirm_above
    if threshold is None or price <= threshold:
        return None
    if order.ticket is not None:
        return order.ticket
    spent = await workshop.journal.spent(intent.owner)
    shape = f"{intent.size}, {intent.tier}, {intent.quality}"
    question = consent.Question(price, order.arguments.prompt, shape, spent, limits.budget.left(spent))
    answer = await order.ask(question)
    if answer.verdict != "accepted":
        raise consent.refusal(answer.verdict, price, threshold)
    order.deadline.agreed()
    order.ticket = answer.ticket
    return answer.ticket


async def _submit(
    workshop: Workshop, submission: Submission, client: VidgoClient, prepare: Callable[[], Awaitable[ImageRequest]]
) -> None:
    entry = await workshop.submissions.submit(submission, client, prepare)
    workshop.forget_balance()
    if entry is None:
        workshop.unreported.discard(submission.entry.id)
    else:
        await workshop.watches.own(workshop.tasks, entry)


async def _settled(workshop: Workshop, entry: Entry, order: GenerationCall) -> Entry | None:
    """Return the entry once its fate is known or time is over; None when it was given up before it was sent.

    Raises:
        VidgoError: the submit failed.
    """
    while entry.state in {"reserved", "sent"} and (left := order.deadline.left_for_id()) > 0:
        submission = workshop.submissions.of(entry.id)
        if submission is None:
            known = await _elsewhere(workshop, entry, order, min(left, PROGRESS_EVERY))
            if known is None:
                return None
            entry = known
            continue
        with anyio.move_on_after(min(left, PROGRESS_EVERY)):
            await submission.done.wait()
        if submission.done.is_set():
            # From the submission, not from the journal: one that broke meanwhile must not hide what was paid for.
            if submission.error is not None:
                raise submission.error
            return submission.bound
        entry = submission.entry
        if not submission.started:
            await order.meter.say(submission.told())
    return entry


async def _elsewhere(workshop: Workshop, entry: Entry, order: GenerationCall, seconds: float) -> Entry | None:
    """Wait a little for a picture that another process is about to submit; None when it was given up."""
    until = anyio.current_time() + seconds
    while anyio.current_time() < until:
        try:
            await workshop.journal.expire()
            known = await workshop.journal.entry(entry.id)
        except JournalError as error:
            # It may be paid for by now, so the answer must not be that nothing was spent.
            log.warning("%s", error.message)
        else:
            if known is None or known.state not in {"reserved", "sent"}:
                return known
            entry = known
        await anyio.sleep(min(JOURNAL_LOOK, until - anyio.current_time()))
    await order.meter.say("another process of yours is submitting it")
    return entry


async def _made(workshop: Workshop, limits: Limits, order: GenerationCall, entry: Entry, charged: bool) -> TaskResult:
    notes = order.notes
    submission = workshop.submissions.of(entry.id)
    if entry.state == "reserved" and submission is not None and not submission.started:
        if not order.goes_on:
            workshop.submissions.withdraw(entry.id)
            raise UnavailableError(
                f"The references are not uploaded yet ({submission.told()}); nothing was sent and nothing was spent.",
                remedy="repeat_with_time",
                field="image_urls",
            )
        # From here on nobody takes it back: the caller was told that it goes on.
        submission.promised = True
        notes.append(f"Not sent yet and not paid for, {submission.told()}. It goes on, and is then paid for.")
    if entry.state == "reserved" and charged:
        workshop.unreported.add(entry.id)
    elif entry.state != "reserved" and entry.id in workshop.unreported:
        # The call that caused the submit ended before it: this one tells what it cost.
        workshop.unreported.discard(entry.id)
        charged = True
    if entry.state in {"reserved", "sent"} and submission is None:
        notes.append("Another process of yours is submitting it.")
    if entry.state == "accepted":
        entry, failure = await workshop.await_end(entry, order.deadline, order.meter, look=not charged)
        if failure is not None:
            notes.append(f"Its status could not be read just now. {failure.message}")
    if entry.state == "unknown":
        raise task_results.lost_answer(entry)
    if entry.state == "empty" and not charged:
        raise task_results.paid_nothing(entry)
    paid = charged and entry.state != "reserved"
    receipt = await _receipt(workshop, limits.budget, order.owner) if paid else []
    return await workshop.delivered(entry, charged=charged, notes=notes, receipt=receipt)


async def _receipt(workshop: Workshop, budget: Budget, owner: str) -> list[str]:
    try:
        return budget.receipt(await workshop.journal.spent(owner))
    except VidgoError as error:
        # The picture is paid for and here: a journal that broke meanwhile must not hide it.
        return [error.message]


def priced_picture(picture: Picture) -> Quote:
    """Return the price of a picture.

    Raises:
        InvalidRequestError: it has none.
    """
    try:
        return quote(parse_size(picture.size), picture.resolution, picture.quality)
    except UnpriceableError as error:
        raise InvalidRequestError(str(error), field=error.field) from None


def check_max_credits(max_credits: int | None, priced: Quote) -> None:
    """Refuse a price above the caller's own limit.

    Raises:
        BudgetError: it is.
    """
    if max_credits is None or priced.credits <= max_credits:
        return
    if max_credits == 0:
        raise BudgetError(
            f"This picture has not been paid for yet, and max_credits is 0; it would cost {priced.credits} credits.",
            field="max_credits",
            remedy="raise_max_credits",
            facts=Facts(price=priced.credits, limit=0),
        )
    raise BudgetError(
        f"This picture costs {priced.credits} credits and max_credits is {max_credits}; nothing was sent.",
        field="max_credits",
        remedy="raise_max_credits",
        facts=Facts(price=priced.credits, limit=max_credits),
    )
