"""Refusals: Vidgo documents two forms of error body, so what is refused is kept apart from how it is written."""

from collections.abc import Sequence
from typing import Any, Literal

ErrorForm = Literal["detail", "error"]

INVENTED = " (invented by the sandbox)"

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_credits_error",
    403: "permission_error",
    404: "resource_not_found_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


class Refusal(Exception):  # noqa: N818 - an answer that Vidgo gives, not an error of the sandbox
    """A request that was refused; nothing was accepted or charged.

    `problems` holds the entries of the list-shaped `detail` of a 422: each has `loc`, `msg` and `type`.
    """

    def __init__(self, status: int, message: str, problems: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.problems = tuple(problems)


def invented(text: str) -> str:
    """Mark a text that the documentation does not give."""
    return text + INVENTED


def unprocessable(where: Sequence[str], message: str) -> Refusal:
    """Build the 422 for a value of the wrong type."""
    text = invented(message)
    return Refusal(422, text, [{"loc": ["body", *where], "msg": text, "type": "value_error"}])


def error_body(refusal: Refusal, form: ErrorForm) -> dict[str, Any]:
    """Write a refusal in one of the two documented forms."""
    if form == "detail":
        return {"detail": list(refusal.problems) or refusal.message}
    kind = _TYPES.get(refusal.status, "server_error" if refusal.status >= 500 else "invalid_request_error")
    return {"code": refusal.status, "error": {"message": refusal.message, "type": kind}}
