"""Which failures prove that nothing was accepted, and which leave open whether a submit was.

Source: the vendor's table of errors. It warns that a repeated submit can create, and charge, a second task: what is not
proven is unknown. ``tests/client/test_error_mapping.py`` walks httpx's exceptions and fails when it meets a new one.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import httpx
from socksio import SOCKSError

from vidgo_mcp.errors import (
    AuthenticationError,
    Facts,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.foreign_text import quoted
from vidgo_mcp.models.tasks import CUT, names_of, refuses_content

TRANSPORT_ERRORS: Final = (
    *(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict),
    *(SOCKSError, TimeoutError),
)
"""All that httpx says of a call, and of a SOCKS proxy the library under it; ``TimeoutError`` is our own deadline."""
NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""Those that prove that no request was sent, where a transport of somebody else's does not say what left."""
WORDS: Final[dict[tuple[type[Exception], ...], str]] = {
    (httpx.PoolTimeout,): "all connections are busy",
    (httpx.ConnectTimeout, httpx.ConnectError): "no connection",
    (httpx.TimeoutException, TimeoutError): "no answer in time",
    (httpx.ProxyError,): "the proxy refused",
    (httpx.NetworkError, httpx.RemoteProtocolError): "the connection broke off",
}
REFUSED: Final = frozenset({400, 405, 409, 413, 415, 422, 451})
READ: Final[dict[int, tuple[type[VidgoError], str]]] = {
    401: (AuthenticationError, "Vidgo does not accept the API key."),
    403: (PermissionDeniedError, "Vidgo does not allow this with this key."),
    404: (NotFoundError, "Vidgo knows no such {what}."),
    429: (RateLimitedError, "Vidgo asks to slow down, and did not take the request."),
}
_MONEY_WORDS = re.compile(r"\b(credits?|balance)\b", re.IGNORECASE)


class Refusal(NamedTuple):
    """An answer that is no success: its HTTP status or its envelope's code, Vidgo's words, and its Retry-After."""

    status: int
    text: str | None = None
    retry_after: float | None = None


def submit_error(refusal: Refusal) -> VidgoError:
    """Return the error for a submit that was not a success."""
    status, text, _ = refusal
    if status == 402 or (status in {400, 422} and text and _MONEY_WORDS.search(text)):
        return _error(InsufficientCreditsError, "The Vidgo account has too few credits; nothing was spent.", refusal)
    if status in REFUSED:
        remedy = {"remedy": "reword_if_asked"} if refuses_content(text) else {}
        said = f"Vidgo refused the request (HTTP {status}); nothing was spent."
        return _error(InvalidRequestError, said, refusal, **remedy)
    if status in {401, 403, 429}:
        return read_error(refusal, what="account")
    if status == 404:
        said = "Vidgo does not offer this model to this account now; nothing was spent."
        return _error(UnavailableError, said, refusal, retryable=False, remedy="tell_user")
    said = (
        f"Vidgo answered the submit with HTTP {status}, which leaves open whether a picture was started and paid for."
    )
    return _error(OutcomeUnknownError, said, refusal)


def read_error(refusal: Refusal, *, what: str) -> VidgoError:
    """Return the error for a call that can be repeated safely; ``what`` it was about."""
    kind, said = READ.get(refusal.status, (UnavailableError, f"Vidgo could not answer (HTTP {refusal.status})."))
    return _error(kind, said.format(what=what), refusal)


def upload_error(refusal: Refusal) -> VidgoError:
    """Return the error for an upload, which costs nothing."""
    status = refusal.status
    if status in REFUSED:
        return _error(InvalidRequestError, f"Vidgo refused the reference picture (HTTP {status}).", refusal)
    if status == 403:
        said = "Vidgo does not allow uploads with this key (HTTP 403)."
        return _error(PermissionDeniedError, said, refusal, remedy="use_url")
    if status == 404:
        said = "Vidgo takes no uploads at its documented address (HTTP 404)."
        return _error(UnavailableError, said, refusal, retryable=False, remedy="use_url")
    return read_error(refusal, what="upload")


def _error(kind: type[VidgoError], said: str, refusal: Refusal, **facts: Any) -> VidgoError:
    status, text, retry_after = refusal
    if text:
        said = f"{said} Vidgo says: {quoted(text)}."
    elif kind is InvalidRequestError:
        said = f"{said} It gave no reason."
    return kind(said, http_status=status, vendor_text=text, retry_after=retry_after, **facts)


def transport_error(error: Exception, left: bool, *, submit: bool, proxy: str | None = None) -> VidgoError:
    """Return the error for a failure below HTTP.

    ``left``: the request may have begun to leave this machine; ``proxy``: the variable that names one.
    """
    words = f"{in_words(error)}, through the proxy of {proxy}" if proxy else in_words(error)
    if not left:
        return NotSentError(f"Vidgo could not be reached ({words}); nothing was sent.")
    if submit:
        return OutcomeUnknownError(
            f"The connection failed after the submit was sent ({words}), so it is not known whether a picture was "
            "started and paid for."
        )
    return UnavailableError(f"Vidgo did not answer ({words}).")


def unreadable_error(status: int, why: str, *, submit: bool, began: str | None = None) -> VidgoError:
    """Return the error for a success that cannot be read; ``began`` is how it began, which may name the task."""
    said = f"Vidgo answered HTTP {status}, but {why}"
    if submit:
        said = f"{said}; a picture may have been started and paid for."
        if began:
            said += f" The answer began: {quoted(began)}."
        return OutcomeUnknownError(said, http_status=status)
    return UnavailableError(f"{said}.", http_status=status)


def named_error(error: VidgoError, vendors_id: str) -> VidgoError:
    """Return the error for an answer to a submit that is no success, and names a task that Vidgo does not show."""
    task_id, vendor_id = names_of(vendors_id)
    facts = Facts(named_task=task_id, vendor_id=vendor_id)
    read = "The answer broke off within its id" if vendors_id.endswith(CUT) else "It could not be read at Vidgo"
    said = (
        f"Vidgo answered the submit with HTTP {error.http_status}, not with a plain success, and yet names the task "
        f"{task_id}. {read}, so it is not known whether a picture was started and paid for."
    )
    return _error(OutcomeUnknownError, said, Refusal(error.http_status or 200, error.vendor_text), facts=facts)


def in_words(error: Exception) -> str:
    """Return what happened to a connection, for people: httpx's own texts name sockets and classes."""
    if isinstance(error, httpx.ProxyError) and (status := str(error)[:3]).isdecimal():
        return f"the proxy answered HTTP {status}"
    return next((words for kinds, words in WORDS.items() if isinstance(error, kinds)), "the connection failed")
