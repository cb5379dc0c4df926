"""Which failures prove that nothing was accepted, and which leave a submit's fate unknown.

Source: the vendor's table of errors. It warns that a repeated submit can create, and charge, a second task, so what is
not proven is unknown. ``tests/client/test_sorting.py`` walks httpx's exceptions and fails when one is missing here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import httpx

from vidgo_mcp.errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    UnavailableError,
    VidgoError,
    sentence,
)

Delivery = Literal["not_sent", "unknown"]

DELIVERY: Final[Mapping[type[Exception], Delivery]] = {
    httpx.ConnectError: "not_sent",
    httpx.ConnectTimeout: "not_sent",
    httpx.PoolTimeout: "not_sent",
    httpx.ProxyError: "not_sent",
    httpx.UnsupportedProtocol: "not_sent",
    httpx.InvalidURL: "not_sent",
    httpx.ReadTimeout: "unknown",
    httpx.WriteTimeout: "unknown",
    httpx.ReadError: "unknown",
    httpx.WriteError: "unknown",
    httpx.CloseError: "unknown",
    httpx.LocalProtocolError: "unknown",
    httpx.RemoteProtocolError: "unknown",
    httpx.DecodingError: "unknown",
    httpx.TooManyRedirects: "unknown",
    httpx.HTTPStatusError: "unknown",
    httpx.CookieConflict: "unknown",
    httpx.StreamConsumed: "unknown",
    httpx.StreamClosed: "unknown",
    httpx.ResponseNotRead: "unknown",
    httpx.RequestNotRead: "unknown",
}
"""Every leaf of httpx's exceptions, and whether the request can have reached the server."""

TRANSPORT_ERRORS: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)
_MONEY_WORDS = re.compile(r"\b(credits?|balance)\b", re.IGNORECASE)


def fate(error: Exception) -> Delivery:
    """Return what a transport error proves; a class that is not listed proves nothing."""
    for kind in type(error).__mro__:
        if kind in DELIVERY:
            return DELIVERY[kind]
    return "unknown"


def _spoken(text: str | None, otherwise: str) -> str:
    return f"Vidgo says: {sentence(text)}" if text else otherwise


def submit_error(status: int, text: str | None, retry_after: float | None = None) -> VidgoError:
    """Return the error for an HTTP status (or an envelope's code) that is not a success, on a submit."""
    if status in {400, 422} and text and _MONEY_WORDS.search(text):
        status = 402
    if status in {400, 405, 409, 413, 415, 422, 451}:
        return InvalidRequestError(
            f"Vidgo refused the request (HTTP {status}); nothing was spent. {_spoken(text, 'It gave no reason.')}",
            http_status=status,
            vendor_text=text,
        )
    if status == 401:
        return _bad_key(text)
    if status == 402:
        return InsufficientCreditsError(
            f"The Vidgo account has too few credits; nothing was spent. {_spoken(text, '')}".strip(),
            http_status=status,
            vendor_text=text,
        )
    if status == 403:
        return _not_allowed(text)
    if status == 404:
        return UnavailableError(
            f"Vidgo does not offer this model to this account now; nothing was spent. {_spoken(text, '')}".strip(),
            retryable=False,
            remedy="tell_user",
            http_status=status,
            vendor_text=text,
        )
    if status == 429:
        return _slow_down("Vidgo asks to slow down; nothing was accepted.", text, retry_after)
    return OutcomeUnknownError(
        f"Vidgo answered the submit with HTTP {status}, which leaves open whether a picture was started and paid. "
        f"{_spoken(text, '')}".strip(),
        http_status=status,
        vendor_text=text,
    )


def read_error(status: int, text: str | None, retry_after: float | None = None, *, what: str) -> VidgoError:
    """Return the error for an HTTP status that is not a success, on a call that can be repeated safely."""
    if status == 401:
        return _bad_key(text)
    if status == 403:
        return _not_allowed(text)
    if status == 404:
        return NotFoundError(
            f"Vidgo knows no such {what}. {_spoken(text, '')}".strip(), http_status=status, vendor_text=text
        )
    if status == 429:
        return _slow_down("Vidgo asks to slow down.", text, retry_after)
    return UnavailableError(
        f"Vidgo could not answer (HTTP {status}). {_spoken(text, '')}".strip(),
        http_status=status,
        vendor_text=text,
        retry_after=retry_after,
    )


def upload_error(status: int, text: str | None, retry_after: float | None = None) -> VidgoError:
    """Return the error for an HTTP status that is not a success, on an upload. Uploads cost nothing."""
    if status in {400, 405, 409, 413, 415, 422, 451}:
        return InvalidRequestError(
            f"Vidgo refused the reference picture (HTTP {status}). {_spoken(text, 'It gave no reason.')}",
            field="image_urls",
            http_status=status,
            vendor_text=text,
        )
    if status == 403:
        return PermissionDeniedError(
            f"Vidgo does not let this key upload pictures (HTTP 403). {_spoken(text, 'It gave no reason.')}",
            remedy="use_url",
            http_status=status,
            vendor_text=text,
        )
    if status == 404:
        return UnavailableError(
            f"Vidgo takes no uploads at its address (HTTP 404). {_spoken(text, 'It gave no reason.')}",
            retryable=False,
            remedy="use_url",
            http_status=status,
            vendor_text=text,
        )
    return read_error(status, text, retry_after, what="upload")


def transport_error(error: Exception, *, submit: bool) -> VidgoError:
    """Return the error for a failed transport."""
    if fate(error) == "not_sent":
        return NotSentError(f"Vidgo could not be reached ({in_words(error)}); nothing was sent.")
    if submit:
        return OutcomeUnknownError(
            f"The connection failed after the submit was sent ({in_words(error)}), so it is not known whether a "
            "picture was started and paid for."
        )
    return UnavailableError(f"Vidgo did not answer ({in_words(error)}).")


def in_words(error: Exception) -> str:
    """Return what happened to a connection, for people: httpx's own texts name sockets and classes."""
    if isinstance(error, httpx.PoolTimeout):
        return "all connections are busy"
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return "no connection"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ProxyError):
        return "the proxy refused"
    if isinstance(error, httpx.ReadError | httpx.WriteError | httpx.CloseError | httpx.RemoteProtocolError):
        return "the connection broke off"
    return "the connection failed"


def _bad_key(text: str | None) -> VidgoError:
    return AuthenticationError(
        f"Vidgo does not accept the API key. {_spoken(text, '')}".strip(), http_status=401, vendor_text=text
    )


def _not_allowed(text: str | None) -> VidgoError:
    return PermissionDeniedError(
        f"Vidgo does not allow this for this key. {_spoken(text, '')}".strip(), http_status=403, vendor_text=text
    )


def _slow_down(sentence: str, text: str | None, retry_after: float | None) -> VidgoError:
    return RateLimitedError(
        f"{sentence} {_spoken(text, '')}".strip(),
        http_status=429,
        vendor_text=text,
        retry_after=retry_after,
    )
