"""How a call can fail: one tree, to learn what to catch; each leaf says whether money may have moved.

    VidgoError
    ├── InvalidRequestError       the request breaks a rule; every fault is listed
    ├── AuthenticationError       no key, or Vidgo does not accept it
    ├── InsufficientCreditsError  the account cannot pay
    ├── BudgetError               our own limit: max_credits, per call, per day
    ├── DeclinedError             the person did not agree
    ├── RateLimitedError          Vidgo asks to slow down; nothing was accepted
    ├── NotFoundError             no such task
    ├── PermissionDeniedError     not yours, or not allowed here
    ├── UnavailableError          Vidgo cannot be used right now
    │   ├── NotSentError          the request never left: refused connection, DNS, TLS
    │   └── JournalError          what is paid for could not be recorded, so nothing is sent
    ├── OutcomeUnknownError       a submit whose answer was lost: a task may exist and be paid for
    └── InternalError             a bug in vidgo-mcp

Only ``NotSentError`` and ``RateLimitedError`` prove that a submit may be sent again.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Category = Literal[
    "invalid_request",
    "authentication",
    "insufficient_credits",
    "budget",
    "declined",
    "rate_limited",
    "not_found",
    "permission",
    "unavailable",
    "outcome_unknown",
    "internal",
]

Money = Literal["nothing_spent", "accepted", "unknown"]
"""``accepted``: a task exists, so do not submit again. ``unknown``: the answer to a submit was lost."""

Consent = Literal["declined", "dismissed", "no_answer", "cannot_ask"]
"""How asking the person ended, when not in an acceptance."""

VENDOR_TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule that a request breaks: the argument, and a sentence that names value, rule and remedy."""

    field: str
    message: str


class VidgoError(Exception):
    """A call that could not be answered.

    Attributes:
        message: one or more plain sentences, never the key, never a class name.
        money: whether credits may have moved.
        retryable: whether this very call may succeed when it is simply made again.
        next_step: one sentence, what to do now.
        task_id: the task that the call was about, when there is one.
        http_status: what Vidgo answered, when it answered.
        vendor_text: Vidgo's own words, trimmed and without control characters.
        retry_after: seconds to wait, when Vidgo named a number.
    """

    category: ClassVar[Category] = "internal"
    default_money: ClassVar[Money] = "nothing_spent"
    default_retryable: ClassVar[bool] = False
    default_next_step: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        money: Money | None = None,
        retryable: bool | None = None,
        next_step: str | None = None,
        task_id: str | None = None,
        field: str | None = None,
        http_status: int | None = None,
        vendor_text: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.money: Money = money or self.default_money
        self.retryable = self.default_retryable if retryable is None else retryable
        self.next_step = self.default_next_step if next_step is None else next_step
        self.task_id = task_id
        self.field = field
        self.http_status = http_status
        self.vendor_text = vendor_text
        self.retry_after = retry_after


class InvalidRequestError(VidgoError):
    """The request breaks one or more rules; ``faults`` lists all of them."""

    category = "invalid_request"
    default_next_step = "Correct the arguments and call again; nothing was spent."

    def __init__(
        self,
        message: str,
        *,
        faults: Sequence[Fault] = (),
        field: str | None = None,
        next_step: str | None = None,
        http_status: int | None = None,
        vendor_text: str | None = None,
    ) -> None:
        super().__init__(message, field=field, next_step=next_step, http_status=http_status, vendor_text=vendor_text)
        self.faults = tuple(faults)

    @classmethod
    def from_faults(cls, faults: Sequence[Fault], *, next_step: str | None = None) -> InvalidRequestError:
        """Report all faults of one call together."""
        message = faults[0].message if len(faults) == 1 else "\n".join(f"- {fault.message}" for fault in faults)
        return cls(message, faults=faults, field=faults[0].field, next_step=next_step)


class AuthenticationError(VidgoError):
    """No key is set, or Vidgo does not accept it."""

    category = "authentication"
    default_next_step = "Ask the user to set VIDGO_API_KEY to a valid Vidgo key and to restart this server."


class InsufficientCreditsError(VidgoError):
    """The account cannot pay for this picture."""

    category = "insufficient_credits"
    default_next_step = (
        "Tell the user that the Vidgo account needs more credits; get_balance says what is left, "
        "estimate_cost finds a cheaper picture."
    )


class BudgetError(VidgoError):
    """A limit of the caller or of the operator is lower than the price."""

    category = "budget"
    default_next_step = "Ask for a cheaper picture, or ask the user to raise the limit."


class DeclinedError(VidgoError):
    """The person was asked, or could not be asked, and did not agree."""

    category = "declined"
    default_next_step = "Do not try again unless the user asks for it."

    def __init__(self, message: str, *, consent: Consent = "declined", next_step: str | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.consent = consent


class RateLimitedError(VidgoError):
    """Vidgo asks to slow down; nothing was accepted."""

    category = "rate_limited"
    default_retryable = True
    default_next_step = "Wait a little, then repeat this exact call."


class NotFoundError(VidgoError):
    """There is no such task for this key."""

    category = "not_found"
    default_next_step = "Call get_task without task_id to list the newest tasks."


class PermissionDeniedError(VidgoError):
    """The thing exists, and is not for this caller."""

    category = "permission"
    default_next_step = "Use only tasks and URLs that belong to this account."


class UnavailableError(VidgoError):
    """Vidgo, or a file host, cannot be used right now."""

    category = "unavailable"
    default_retryable = True
    default_next_step = "Repeat this exact call in a minute."


class NotSentError(UnavailableError):
    """The request never left this machine, so nothing was accepted."""


class JournalError(UnavailableError):
    """The journal cannot be used, so nothing that costs credits is sent."""

    default_retryable = False
    default_next_step = (
        "Tell the user: VIDGO_JOURNAL names another file, or memory for a journal that ends with this process. "
        "Prices and tasks by task_id still work."
    )


class OutcomeUnknownError(VidgoError):
    """The answer to a submit was lost: a task may exist, and may be paid for."""

    category = "outcome_unknown"
    default_money: ClassVar[Money] = "unknown"
    default_next_step = (
        "Do not reword the prompt and do not raise variation unless the user accepts that it may be paid for twice: "
        "repeating these arguments sends nothing for 24 hours. Compare get_balance, and tell the user."
    )


class InternalError(VidgoError):
    """A bug in vidgo-mcp; its details are in the server's log."""

    category = "internal"
    default_next_step = "Tell the user, and look into the log of the server on stderr."


def plain_text(text: str, limit: int = VENDOR_TEXT_LIMIT) -> str:
    """Return foreign text as one trimmed line without control or formatting characters."""
    kept = "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"} else c for c in text[: limit * 4])
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def sentence(text: str) -> str:
    """Return foreign words as a sentence: they often end without a full stop, and would run into ours."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
