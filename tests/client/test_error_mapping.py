"""Every failure of the transport and every documented HTTP status becomes the one error that the contract names."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.client.conftest import BASE, CALLS, answering
from vidgo_mcp.client.error_mapping import NOT_SENT, TRANSPORT_ERRORS, in_words
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
)

MAYBE_SENT = (
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.LocalProtocolError,
    httpx.RemoteProtocolError,
    httpx.DecodingError,
    httpx.TooManyRedirects,
    httpx.HTTPStatusError,
    httpx.CookieConflict,
    httpx.StreamConsumed,
    httpx.StreamClosed,
    httpx.ResponseNotRead,
    httpx.RequestNotRead,
)
"""The rest of httpx's exceptions, looked at one by one: the request may have reached Vidgo."""

pytestmark = pytest.mark.anyio


async def refused(call: str, answer: httpx.Response | Exception) -> VidgoError:
    """Return the error of one call that meets one answer."""
    async with answering(answer) as client:
        with pytest.raises(VidgoError) as caught:
            await CALLS[call](client)
    return caught.value


def leaves() -> set[type[Exception]]:
    classes = {value for value in vars(httpx).values() if isinstance(value, type) and issubclass(value, Exception)}
    pending = list(classes)
    while pending:
        for child in pending.pop().__subclasses__():
            if child.__module__.partition(".")[0] == "httpx" and child not in classes:
                classes.add(child)
                pending.append(child)
    return {each for each in classes if not any(other is not each and issubclass(other, each) for other in classes)}


def test_every_exception_of_httpx_was_looked_at_and_is_caught() -> None:
    assert leaves() == {*NOT_SENT, *MAYBE_SENT}
    assert all(issubclass(kind, TRANSPORT_ERRORS) for kind in leaves())


async def test_a_subclass_proves_what_its_parent_does_and_a_stranger_proves_nothing() -> None:
    class Refused(httpx.ConnectError):
        pass

    assert isinstance(await refused("submit", Refused("x")), NotSentError)
    for stranger in (httpx.TransportError("x"), ValueError("x"), OverflowError("x"), TimeoutError()):
        assert isinstance(await refused("submit", stranger), OutcomeUnknownError)
        assert isinstance(await refused("balance", stranger), UnavailableError)


def built(kind: type[Exception]) -> Exception:
    request = httpx.Request("POST", BASE)
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(500))
    if issubclass(kind, httpx.StreamConsumed | httpx.StreamClosed | httpx.ResponseNotRead | httpx.RequestNotRead):
        return kind()
    return kind("x")


@pytest.mark.parametrize("kind", [*NOT_SENT, *MAYBE_SENT])
async def test_each_transport_failure_says_whether_money_may_have_moved(kind: type[Exception]) -> None:
    submitted, read = await refused("submit", built(kind)), await refused("status", built(kind))
    assert isinstance(await refused("balance", built(kind)), UnavailableError)
    unsent = kind in NOT_SENT
    assert type(submitted) is (NotSentError if unsent else OutcomeUnknownError)
    assert (submitted.money, submitted.retryable) == (("nothing_spent", True) if unsent else ("unknown", False))
    assert type(read) is (NotSentError if unsent else UnavailableError)
    assert (read.money, read.retryable, read.task_id) == ("accepted", True, "task-1")
    assert kind.__name__ not in str(submitted)


def test_a_transport_failure_is_named_in_words_not_by_its_class() -> None:
    words = {in_words(kind("x")) for kind in leaves() if issubclass(kind, httpx.TransportError)}
    assert "no answer in time" in words
    assert all("error" not in each.lower() and "httpx" not in each for each in words)


REFUSED = dict.fromkeys((400, 405, 409, 413, 415, 422, 451), InvalidRequestError)
SUBMIT = REFUSED | {
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: PermissionDeniedError,
    404: UnavailableError,
    429: RateLimitedError,
    **dict.fromkeys((301, 303, 307, 408, 418, 500, 502, 503, 504, 599), OutcomeUnknownError),
}
READ = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
    **dict.fromkeys((302, 400, 408, 500, 502, 503, 504), UnavailableError),
}
UPLOAD = READ | REFUSED | {404: UnavailableError}
TABLE = [
    *(("submit", *row) for row in SUBMIT.items()),
    *((call, *row) for call in ("status", "balance") for row in READ.items()),
    *(("upload", *row) for row in UPLOAD.items()),
]


def spoken(status: int, text: str, *, form: str) -> httpx.Response:
    """Return an error in one of the forms that the vendor uses; ``envelope`` hides it in an HTTP 200."""
    forms: dict[str, Any] = {
        "detail": {"detail": text},
        "error": {"code": status, "error": {"message": text, "type": "some_error"}},
        "list": {"detail": [{"loc": ["body"], "msg": text}, "odd", {"msg": 3}]},
        "envelope": {"code": status, "error": {"message": text}},
        "envelope_text": {"code": str(status), "msg": text},
    }
    if form == "plain":
        return httpx.Response(status, text=text)
    return httpx.Response(200 if form.startswith("envelope") else status, json=forms[form])


@pytest.mark.parametrize(("call", "status", "kind"), TABLE)
async def test_each_status_is_one_kind_of_error(call: str, status: int, kind: type[VidgoError]) -> None:
    error = await refused(call, httpx.Response(status))
    assert type(error) is kind
    unread = call == "status" and error.category in {"authentication", "rate_limited", "unavailable"}
    assert error.money == ("accepted" if unread else kind.default_money)
    assert error.task_id == ("task-1" if call == "status" else None)
    # A model or an endpoint that is not there will not be there a moment later.
    assert error.retryable is (kind.default_retryable and status != 404)
    assert (error.remedy == "repeat_later") is (error.retryable and call != "status")
    assert (error.remedy == "wait_for_task") is (error.retryable and call == "status")
    assert error.http_status == status


@pytest.mark.parametrize("form", ["detail", "error", "list", "plain", "envelope", "envelope_text"])
@pytest.mark.parametrize("call", CALLS)
async def test_each_form_of_an_error_has_the_vendors_words(call: str, form: str) -> None:
    error = await refused(call, spoken(403, "The vendor's own words", form=form))
    assert isinstance(error, PermissionDeniedError)
    assert (error.http_status, error.vendor_text) == (403, "The vendor's own words")
    assert error.message.endswith('Vidgo says: "The vendor\'s own words".')


SPOKEN = dict.fromkeys(
    ["Insufficient credits", "Your balance is too low", "1 CREDIT needed"], InsufficientCreditsError
) | dict.fromkeys(["prompt is required", "an unbalanced bracket", "accredited users only"], InvalidRequestError)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(("text", "kind"), SPOKEN.items())
async def test_only_a_refusal_that_speaks_of_credits_is_insufficient_credits(
    status: int, text: str, kind: type[VidgoError]
) -> None:
    error = await refused("submit", spoken(status, text, form="detail"))
    assert type(error) is kind
    assert (error.money, error.http_status) == ("nothing_spent", status)


WORDS: dict[bytes, str | None] = {
    **dict.fromkeys((b"", b"<!DOCTYPE html><html>502</html>", b"  <html>", b'{"detail": "cut', b"[1, 2", b"17")),
    **dict.fromkeys((b"null", b"[]", b"{}", b'{"detail": null, "error": null}', b'{"detail": []}', b'"\\u200b"')),
    **dict.fromkeys((b'{"detail": {"deep": 1}}', b'{"error": {"message": 5}}', b'{"detail": "  "}')),
    b'"Task not found"': "Task not found",
    b'{"error": "flat"}': "flat",
    b'{"message": "m"}': "m",
    b'{"detail": "", "msg": "second"}': "second",
    b'{"detail": [{"msg": "one"}, {"msg": "two"}]}': "one; two",
    b"Request timeout\r\n": "Request timeout",
    b"bad \xff byte": "bad \ufffd byte",
    json.dumps({"detail": "a\u0000b\u202ec\nd"}).encode(): "a b c d",
    b"x" * 5000: "x" * 297 + "...",
}


@pytest.mark.parametrize(("body", "words"), WORDS.items())
async def test_the_words_of_an_error_are_found_cleaned_and_cut(body: bytes, words: str | None) -> None:
    error = await refused("submit", httpx.Response(400, content=body))
    assert isinstance(error, InvalidRequestError)
    assert error.vendor_text == words
    assert error.message.endswith("It gave no reason.") is (words is None)


@pytest.mark.parametrize(
    "code", [0, "0", 1, -1, 2000, 10**30, "200", 200, 201, None, "", "ok", True, 4.5, [500], "5" * 5000]
)
async def test_a_code_that_is_no_error_does_not_hide_the_task(code: Any) -> None:
    answer = httpx.Response(200, json={"code": code, "data": {"task_id": "task-1", "status": "running"}})
    async with answering(answer) as client:
        assert (await CALLS["submit"](client)).task_id == "task-1"


@pytest.mark.parametrize(
    ("code", "data", "status"),
    [(302, {"task_id": "task-1"}, 302), (0, None, 0), (1, None, 1), (10**9 - 1, None, 10**9 - 1)]
    # So long a number is no code, and is not repeated.
    + [(code, None, 200) for code in (10**30, -(10**60))],
)
async def test_an_envelope_with_an_undocumented_code_leaves_the_outcome_open(code: int, data: Any, status: int) -> None:
    error = await refused("submit", httpx.Response(200, json={"code": code, "data": data}))
    assert isinstance(error, OutcomeUnknownError)
    assert error.http_status == status
    assert f"HTTP {status}" in error.message
