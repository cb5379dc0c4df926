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

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

if TYPE_CHECKING:
    from vidgo_mcp.models.findings import BalanceFinding

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

Remedy = Literal[
    # The call itself
    "correct_arguments",
    "repeat",
    "repeat_later",
    "repeat_with_time",
    "make_again",
    # The task
    "show_picture",
    "wait_for_task",
    "wait_for_reference",
    "list_tasks",
    "use_nearest_task",
    "use_other_reference",
    "use_url",
    "keep_task_id",
    # The person
    "tell_user",
    "tell_refund",
    "ask_user",
    "respect_refusal",
    "reword_if_asked",
    "stop_trying",
    "compare_balance",
    "contact_support",
    "read_log",
    # The operator's settings
    "set_key",
    "add_credits",
    "raise_max_credits",
    "raise_call_budget",
    "raise_day_budget",
    "raise_confirm_above",
    "raise_max_upload",
    "add_input_dir",
    "fix_journal",
    "fix_network",
]
"""What to do next. ``wording`` says each one, once for a model and once for a person."""

JournalReason = Literal[
    "newer_version",
    "other_program",
    "network_folder",
    "not_a_file",
    "many_names",
    "locked",
    "disk_full",
    "damaged",
    "unwritable",
]
"""Why the journal's file cannot be used."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule that a request breaks: the argument, and a sentence that names the value, the rule and what fits."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a remedy is worded with, as far as it is known."""

    price: int | None = None  # credits of the picture
    limit: int | None = None  # credits of the limit that refused it
    affordable: int | None = None  # the most credits that a picture may cost right now
    cheapest: int | None = None  # credits of a picture at low and 1K, where they are not the published ones
    finding: BalanceFinding | None = None  # what the balance says about a submit whose answer was lost
    other_task: str | None = None  # of a reference, or the known task_id that is most like the one that was given
    variation: int | None = None  # of a call that would pay for another picture of the same request
    path: str | None = None  # where the copy of a picture is
    example: Mapping[str, Any] | None = None  # the arguments of a call that works, at ``price``
    reason: JournalReason | None = None
    named_task: str | None = None  # the task_id in an answer to a submit that was no success
    vendor_id: str | None = None  # Vidgo's id of that task, where it breaks the rule for task ids


NO_FACTS = Facts()


class VidgoError(Exception):
    """A call that could not be answered. Errors are frozen: ``changed`` returns another one.

    Attributes:
        message: what happened, in plain sentences that fit any caller; never the key, never a class name.
        money: whether credits may have moved.
        retryable: whether this very call may succeed when it is simply made again.
        remedy: the code for what to do next.
        facts: what the remedy is worded with.
        task_id: the task that the call was about, when there is one.
        field: the argument that is at fault, when there is one.
        http_status: what Vidgo answered, when it answered.
        vendor_text: Vidgo's own words, trimmed and without control characters.
        retry_after: seconds to wait, when Vidgo named a number.
    """

    category: ClassVar[Category] = "internal"
    default_money: ClassVar[Money] = "nothing_spent"
    default_retryable: ClassVar[bool] = False
    default_remedy: ClassVar[Remedy] = "tell_user"

    message: str
    money: Money
    retryable: bool
    remedy: Remedy
    facts: Facts
    task_id: str | None
    field: str | None
    http_status: int | None
    vendor_text: str | None
    retry_after: float | None

    def __init__(
        self,
        message: str,
        *,
        money: Money | None = None,
        retryable: bool | None = None,
        remedy: Remedy | None = None,
        facts: Facts = NO_FACTS,
        task_id: str | None = None,
        field: str | None = None,
        http_status: int | None = None,
        vendor_text: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        retryable = self.default_retryable if retryable is None else retryable
        # The default of such a kind is to repeat the call.
        in_vain = self.default_retryable and not retryable
        self.__dict__.update(
            message=message,
            money=self.default_money if money is None else money,
            retryable=retryable,
            remedy=remedy or ("tell_user" if in_vain else self.default_remedy),
            facts=facts,
            task_id=task_id,
            field=field,
            http_status=http_status,
            vendor_text=vendor_text,
            retry_after=retry_after,
        )

    def __str__(self) -> str:
        return self.message

    def __setattr__(self, name: str, value: object) -> None:
        # Python itself sets __traceback__, __context__ and __notes__ on what is raised.
        if not name.startswith("__"):
            raise AttributeError(f"errors are frozen; use changed({name}=...)")
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        # For copy and pickle: what Python has here sets each attribute.
        self.__dict__.update(state or {})

    def changed(self, **changes: Any) -> Self:
        """Return another error of this kind, which differs in the named attributes.

        Raise it in place of an error that somebody else may be holding: a raised object carries its traceback.

        Raises:
            TypeError: this kind of error has no such attribute.
        """
        if misspelt := changes.keys() - self.__dict__.keys():
            raise TypeError(f"{type(self).__name__} has no attribute {', '.join(sorted(misspelt))}")
        other = copy.copy(self)
        other.__dict__.update(changes)
        return other


class InvalidRequestError(VidgoError):
    """The request breaks one or more rules; ``faults`` lists all of them."""

    category = "invalid_request"
    default_remedy = "correct_arguments"

    faults: tuple[Fault, ...]

    def __init__(self, message: str, *, faults: Sequence[Fault] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.__dict__["faults"] = tuple(faults)

    @classmethod
    def from_faults(cls, faults: Sequence[Fault], *, facts: Facts = NO_FACTS) -> Self:
        """Report all faults of one call together."""
        message = faults[0].message if len(faults) == 1 else "\n".join(f"- {fault.message}" for fault in faults)
        return cls(message, faults=faults, field=faults[0].field, facts=facts)


class AuthenticationError(VidgoError):
    """No key is set, or Vidgo does not accept it."""

    category = "authentication"
    default_remedy = "set_key"


class InsufficientCreditsError(VidgoError):
    """The account cannot pay for this picture."""

    category = "insufficient_credits"
    default_remedy = "add_credits"


class BudgetError(VidgoError):
    """A limit of the caller or of the operator is lower than the price."""

    category = "budget"
    default_remedy = "raise_call_budget"


class DeclinedError(VidgoError):
    """The person was asked, or could not be asked, and did not agree."""

    category = "declined"
    default_remedy = "respect_refusal"

    consent: Consent

    def __init__(self, message: str, *, consent: Consent = "declined", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.__dict__["consent"] = consent


class RateLimitedError(VidgoError):
    """Vidgo asks to slow down; nothing was accepted."""

    category = "rate_limited"
    default_retryable = True
    default_remedy = "repeat_later"


class NotFoundError(VidgoError):
    """There is no such task for this key."""

    category = "not_found"
    default_remedy = "list_tasks"


class PermissionDeniedError(VidgoError):
    """The thing exists, and is not for this caller."""

    category = "permission"
    default_remedy = "tell_user"


class UnavailableError(VidgoError):
    """Vidgo, or a file host, cannot be used right now."""

    category = "unavailable"
    default_retryable = True
    default_remedy: ClassVar[Remedy] = "repeat_later"


class NotSentError(UnavailableError):
    """The request never left this machine, so nothing was accepted."""


class JournalError(UnavailableError):
    """The journal cannot be used, so nothing that costs credits is sent."""

    default_retryable = False
    default_remedy = "fix_journal"


class OutcomeUnknownError(VidgoError):
    """The answer to a submit was lost: a task may exist, and may be paid for."""

    category = "outcome_unknown"
    default_money: ClassVar[Money] = "unknown"
    default_remedy = "compare_balance"


class InternalError(VidgoError):
    """A bug in vidgo-mcp; its details are in the server's log."""

    category = "internal"
    default_remedy = "read_log"
