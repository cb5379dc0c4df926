"""The paid path: the gates in their order, one submit, and the picture or what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from vidgo_mcp.errors import BudgetError, InvalidRequestError, VidgoError
from vidgo_mcp.journal import ConsentUsed, Entry, Exhausted, Existing, Intent
from vidgo_mcp.models.outcomes import TaskResult
from vidgo_mcp.models.references import ReferenceSource
from vidgo_mcp.models.requests import EDIT, TEXT_TO_IMAGE, GenerateArguments, ImageRequest, Picture
from vidgo_mcp.models.size import parse_size
from vidgo_mcp.pricing import PRICES, Quote, UnpriceableError, quote
from vidgo_mcp.service import answers, consent, references
from vidgo_mcp.service.budget import Budget
from vidgo_mcp.service.consent import Ask
from vidgo_mcp.service.following import Deadline, Progress, silence
from vidgo_mcp.service.identity import intent_of
from vidgo_mcp.service.submitting import Flight
from vidgo_mcp.service.workshop import Workshop

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

JOURNAL_LOOK: Final = 0.5
"""Seconds between looks at an entry that another process is submitting."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows: budgets, and the price above which the person is asked (None: never)."""

    budget: Budget = field(default_factory=Budget)
    confirm_above: int | None = None


@dataclass(slots=True)
class Order:
    """One call that wants a picture, on its way through the gates."""

    arguments: GenerateArguments
    intent: Intent
    sources: list[ReferenceSource]
    deadline: Deadline
    ask: Ask
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
) -> TaskResult:
    """Return the picture of a request: the one already paid for, or a new one.

    Raises:
        VidgoError: the request could not be answered; its ``money`` says what that means.
    """
    priced = priced_picture(arguments)
    sources = references.sources_of(arguments)
    owner = workshop.owner(caller)
    intent = intent_of(
        owner=owner,
        model=EDIT if sources else TEXT_TO_IMAGE,
        prompt=arguments.prompt,
        priced=priced,
        references=[await references.identity_of(workshop.journal, owner, source) for source in sources],
        variation=arguments.variation,
    )
    order = Order(arguments, intent, sources, deadline, ask, list(priced.notes))
    while True:
        entry = await workshop.journal.find(owner, intent.fingerprint)
        charged = False
        if entry is None:
            check_max_credits(arguments.max_credits, priced)
            entry, charged = await _start(workshop, limits, order)
        workshop.awaited[entry.id] += 1
        try:
            landed = await _landed(workshop, entry, deadline)
            if landed is not None:
                return await _made(workshop, limits, order, landed, charged, progress)
        finally:
            workshop.awaited[entry.id] -= 1


async def _start(workshop: Workshop, limits: Limits, order: Order) -> tuple[Entry, bool]:
    """Pass the gates, reserve and send; return the entry, and whether this call is the one that pays."""
    intent, budget = order.intent, limits.budget
    warnings = budget.check_call(intent.credits)
    ticket = await _consent(workshop, limits, order)
    client = await workshop.open()
    with anyio.CancelScope(shield=True):
        reserve = partial(
            workshop.journal.reserve, intent, holder=workshop.holder, budget=budget.enforced_day, consent=ticket
        )
        reservation = await reserve()
        if isinstance(reservation, Exhausted):
            # What a process had reserved when it was killed holds room in the day until somebody settles it.
            await workshop.journal.expire(workshop.gone)
            reservation = await reserve()
        if isinstance(reservation, Existing):
            return reservation.entry, False
        if isinstance(reservation, Exhausted):
            raise budget.refusal(intent.credits, reservation)
        if isinstance(reservation, ConsentUsed):
            raise consent.already_used(intent.credits)
        entry = reservation.entry
        flight = workshop.flights.announce(entry)
        workshop.tasks.start_soon(workshop.flights.keep_alive, flight, workshop.holder)
    order.notes += warnings
    try:
        urls = [await _reference_url(workshop, intent.owner, source, order.deadline) for source in order.sources]
        request = ImageRequest.model_validate(
            {
                "prompt": order.arguments.prompt,
                "size": order.arguments.size,
                "resolution": order.arguments.resolution,
                "quality": order.arguments.quality,
                "image_urls": urls or None,
            }
        )
        if flight.error is not None:
            # The service was left meanwhile.
            raise flight.error
        workshop.tasks.start_soon(_fly, workshop, flight, client, request)
        flight.started = True
    finally:
        if not flight.started:
            await workshop.flights.abandon(flight)
    workshop.forget_balance()
    return entry, True


async def _consent(workshop: Workshop, limits: Limits, order: Order) -> str | None:
    """Return the ticket of the person's acceptance, None where nobody needs to be asked.

    Raises:
        DeclinedError: asking ended in any other way.
    """
    price, threshold = order.intent.credits, limits.confirm_above
    if threshold is None or price <= threshold:
        return None
    if order.ticket is not None:
        return order.ticket
    spent = await workshop.journal.spent(order.intent.owner)
    shape = f"{order.intent.size}, {order.intent.tier}, {order.intent.quality}"
    question = consent.Question(price, order.arguments.prompt, shape, spent, limits.budget.left(spent))
    answer = await order.ask(question)
    if answer.verdict != "accepted":
        raise consent.refusal(answer.verdict, price, threshold)
    order.deadline.agreed()
    order.ticket = answer.ticket
    return answer.ticket


async def _fly(workshop: Workshop, flight: Flight, client: VidgoClient, request: ImageRequest) -> None:
    entry = await workshop.flights.submit(flight, client, request)
    workshop.forget_balance()
    if entry is not None:
        await workshop.watches.own(workshop.tasks, entry)


async def _landed(workshop: Workshop, entry: Entry, deadline: Deadline) -> Entry | None:
    """Return the entry once its fate is known or time is over; None when it was given up before it was sent.

    Raises:
        VidgoError: the submit failed.
    """
    while entry.state in {"reserved", "sent"} and (left := deadline.left_for_id()) > 0:
        flight = workshop.flights.of(entry.id)
        with anyio.move_on_after(left):
            if flight is None:
                await workshop.journal.expire(workshop.gone)
                await anyio.sleep(JOURNAL_LOOK)
            else:
                await flight.landed.wait()
        if flight is not None and flight.error is not None:
            raise flight.error
        known = await workshop.journal.entry(entry.id)
        if known is None:
            return None
        entry = known
    return entry


async def _made(
    workshop: Workshop, limits: Limits, order: Order, entry: Entry, charged: bool, progress: Progress
) -> TaskResult:
    notes = order.notes
    if entry.state == "accepted":
        entry, failure = await workshop.await_end(entry, order.deadline, progress, look=not charged)
        if failure is not None:
            notes.append(f"Its status could not be read just now. {failure.message}")
    if entry.state == "unknown":
        raise answers.lost_answer(entry)
    if entry.state == "empty" and not charged:
        raise answers.paid_nothing(entry)
    receipt = await _receipt(workshop, limits.budget, order.intent.owner) if charged else []
    return await workshop.delivered(entry, charged=charged, notes=notes, receipt=receipt)


async def _receipt(workshop: Workshop, budget: Budget, owner: str) -> list[str]:
    try:
        return budget.receipt(await workshop.journal.spent(owner))
    except VidgoError as error:
        # The picture is paid for and here: a journal that broke meanwhile must not hide it.
        return [error.message]


async def _reference_url(workshop: Workshop, owner: str, source: ReferenceSource, deadline: Deadline) -> str:
    if source.kind == "url":
        return source.value
    entry = await workshop.known(owner, source.value)
    if entry is None:
        try:
            result = await workshop.foreign(owner, source.value, deadline, silence, field="image_urls")
        except VidgoError as error:
            # It speaks of the reference; of the picture that was asked for, nothing was sent.
            error.money, error.field = "nothing_spent", "image_urls"
            raise
        return references.url_of_result(result)
    if entry.state == "accepted":
        entry, _ = await workshop.await_end(entry, deadline, silence)
    return references.url_of_result(answers.entry_result(entry, workshop.now()))


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
