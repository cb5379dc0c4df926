"""What comes back: the results of the tools and the shape of their errors. Absent fields are left out, never null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vidgo_mcp.errors import Category, Consent, Money, Remedy
from vidgo_mcp.foreign_text import plain_text
from vidgo_mcp.models.fields import Outcome
from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.models.sizes import Quality, Tier

NextStep = Annotated[str, Field(description="What to do now.")]
Notes = Annotated[list[str], Field(description="Warnings and news.")]
Credits = Annotated[int, Field(description="Price of this picture in credits.")]


def cut_prompt(prompt: str, limit: int) -> str:
    """Return a prompt on one line, of which at most ``limit`` characters are shown.

    A cut shows: models have sent a prompt that was cut silently, and so paid for another picture.
    """
    line = plain_text(prompt, max(limit, len(prompt)))
    return line if len(line) <= limit else f"{line[:limit]}... ({len(prompt)} characters)"


class Result(BaseModel):
    """A result of a tool; ``to_json`` is its structured content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are known; what is not known is absent."""
        return self.model_dump(mode="json", exclude_none=True)


class TaskResult(Result):
    """One task, as ``generate_image``, ``edit_image`` and ``get_task`` answer it."""

    outcome: Annotated[Outcome, Field(description="Branch on this. unknown only in lists.")]
    task_id: str | None = None
    status: Annotated[str | None, Field(description="Vidgo's own word.")] = None
    progress: Annotated[int | None, Field(description="0 to 100.")] = None
    image_urls: Annotated[
        list[str] | None, Field(description="One URL when finished; usually alive until expires_at.")
    ] = None
    expires_at: Annotated[str | None, Field(description="ISO 8601 UTC.")] = None
    saved_paths: Annotated[list[str] | None, Field(description="Local copies.")] = None
    prompt: str | None = None
    """Whole; what is sent is cut."""
    created_at: str | None = None
    model: str | None = None
    size: str | None = None
    tier: Tier | None = None
    quality: Quality | None = None
    variation: int | None = None
    width: int | None = None
    height: int | None = None
    sources: Annotated[list[str] | None, Field(description="What an edit was made from.")] = None
    credits: Credits | None = None
    credits_charged: Annotated[int | None, Field(description="What this very call cost.")] = None
    reused: Annotated[bool | None, Field(description="Already paid for; nothing new was submitted.")] = None
    refunded: bool | None = None
    error: Annotated[str | None, Field(description="Why the task failed, in Vidgo's words.")] = None
    notes: Notes | None = None
    next_step: NextStep | None = None
    remedy: Remedy | None = None
    next_variation: Annotated[int | None, Field(exclude=True)] = None
    """The lowest unused variation, where the user may want another one. Only wording uses this, and the next ones."""
    price_again: Annotated[int | None, Field(exclude=True)] = None
    """What such a picture costs by now; ``credits`` is what this one was paid at."""
    finding: Annotated[BalanceFinding | None, Field(exclude=True)] = None
    """What the balance says of a lost answer; wording makes a note of it."""
    hidden_url: Annotated[str | None, Field(exclude=True)] = None
    """What its URL is like, where that is too long or too odd to be shown; the picture can still be fetched."""


class Another(Result):
    """The next variation of a picture."""

    variation: int
    credits: int


class Larger(Result):
    """A picture of the same shape with more pixels."""

    size: str
    resolution: Tier
    credits: int


class ViewFacts(Result):
    """What a view in the chat shows beside a result, and a model does not need."""

    prompt: str | None = None
    """Whole."""
    created_at: str | None = None
    usual_seconds: tuple[int, int] | None = None
    """Most of such pictures take from so many seconds to so many."""
    spent_24h: int | None = None
    another: Another | None = None
    larger: Larger | None = None
    width: int | None = None
    height: int | None = None
    """Pixels of the file."""


class TaskList(Result):
    """The newest tasks of a caller, newest first."""

    tasks: list[TaskResult]
    notes: Notes | None = None
    next_step: NextStep | None = None
    more: Annotated[bool, Field(exclude=True)] = False
    """Whether there may be older ones. Only wording uses this."""


class Estimate(Result):
    """The exact price of a request."""

    credits: Credits
    total_credits: Annotated[int, Field(description="credits times count.")]
    count: int
    tier: Annotated[Tier, Field(description="What is rendered and billed.")]
    size: str
    quality: Quality
    explanation: Annotated[str, Field(description="The rule that decided.")]
    notes: Notes | None = None
    budget_left: Annotated[int | None, Field(description="Credits left of the daily budget.")] = None


class BalanceResult(Result):
    """Credits of the account, and how many 1K pictures each quality still buys."""

    credits: Annotated[float | int, Field(description="Credits left in the account.")]
    pictures_low: Annotated[int, Field(description="1K pictures this buys at low, within the limits.")]
    pictures_medium: Annotated[int, Field(description="At medium.")]
    pictures_high: Annotated[int, Field(description="At high.")]
    notes: Notes | None = None


class SpendingLine(Result):
    """What pictures of one quality and tier cost together."""

    quality: Quality
    tier: Tier
    pictures: int
    credits: int


class SpendingPeriod(Result):
    """What went out in a period; failed tasks are refunded and left out."""

    period: Literal["24 h", "7 d", "30 d"]
    credits: int
    pictures: int
    lines: list[SpendingLine]


class SpendingReport(Result):
    """What a caller's pictures cost, by period, quality and tier."""

    periods: list[SpendingPeriod]
    price_table: str
    notes: Notes | None = None
    budget_per_day: int | None = None
    budget_left: int | None = None


class ErrorResult(Result):
    """A call that could not be answered."""

    category: Category
    message: str
    retryable: bool
    money: Money
    task_id: str | None = None
    field: str | None = None
    consent: Consent | None = None
    remedy: Remedy
    next_step: str


@dataclass(frozen=True, slots=True)
class View:
    """A picture as a client can take it; ``width`` and ``height`` are those of the original, in pixels.

    ``original`` says that these are its very bytes, neither scaled nor encoded anew.
    """

    content: bytes
    mime_type: str
    width: int
    height: int
    shown_width: int
    shown_height: int
    original: bool = False
