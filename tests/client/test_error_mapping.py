"""Every failure of the transport and every documented HTTP status becomes the one error that the contract names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from vidgo_mcp.client import ImageRequest, VidgoClient
from vidgo_mcp.client.error_mapping import DELIVERY, TRANSPORT_ERRORS, fate, in_words
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

KEY = "vk-live-0123456789"
BASE = "http://127.0.0.1:9"
BOAT = ImageRequest(prompt="a boat")

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def answering() -> AsyncIterator[Callable[[httpx.Response | Exception], VidgoClient]]:
    """Return a client whose every call meets one answer."""
    clients: list[VidgoClient] = []

    def build(answer: httpx.Response | Exception) -> VidgoClient:
        def handle(_: httpx.Request) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return answer

        clients.append(VidgoClient(KEY, base_url=BASE, transport=httpx.MockTransport(handle)))
        return clients[-1]

    yield build
    for client in clients:
        await client.aclose()


Answering = Callable[[httpx.Response | Exception], VidgoClient]


def leaves() -> set[type[Exception]]:
    classes = {value for value in vars(httpx).values() if isinstance(value, type) and issubclass(value, Exception)}
    pending = list(classes)
    while pending:
        for child in pending.pop().__subclasses__():
            if child.__module__.partition(".")[0] == "httpx" and child not in classes:
                classes.add(child)
                pending.append(child)
    return {each for each in classes if not any(other is not each and issubclass(other, each) for other in classes)}


def test_every_leaf_of_httpx_exceptions_has_a_fate() -> None:
    assert len(leaves()) >= 20
    assert leaves() - set(DELIVERY) == set()


def test_no_fate_names_a_class_that_httpx_no_longer_raises() -> None:
    assert set(DELIVERY) - leaves() == set()


def test_every_listed_exception_is_caught_at_the_wire() -> None:
    assert [kind for kind in DELIVERY if not issubclass(kind, TRANSPORT_ERRORS)] == []


def test_only_failures_before_the_request_left_prove_that_nothing_was_sent() -> None:
    proven = {kind for kind, what in DELIVERY.items() if what == "not_sent"}
    assert proven == {
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
    }


def test_a_subclass_shares_the_fate_of_its_parent_and_a_stranger_proves_nothing() -> None:
    class Refused(httpx.ConnectError):
        pass

    assert fate(Refused("x")) == "not_sent"
    assert fate(httpx.TransportError("x")) == "unknown"
    assert fate(ValueError("x")) == "unknown"


def built(kind: type[Exception]) -> Exception:
    request = httpx.Request("POST", BASE)
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(500))
    if issubclass(kind, httpx.StreamConsumed | httpx.StreamClosed | httpx.ResponseNotRead | httpx.RequestNotRead):
        return kind()
    return kind("x")


@pytest.mark.parametrize("kind", sorted(DELIVERY, key=str))
async def test_each_transport_failure_keeps_its_fate_through_the_client(
    kind: type[Exception], answering: Answering
) -> None:
    client = answering(built(kind))
    with pytest.raises(VidgoError) as submitted:
        await client.submit_once(BOAT)
    with pytest.raises(UnavailableError) as read:
        await client.status("task-1")
    with pytest.raises(UnavailableError):
        await client.balance()
    sent = DELIVERY[kind] == "unknown"
    assert type(submitted.value) is (OutcomeUnknownError if sent else NotSentError)
    assert submitted.value.money == ("unknown" if sent else "nothing_spent")
    assert submitted.value.retryable is not sent
    assert isinstance(read.value, NotSentError) is not sent
    assert (read.value.money, read.value.retryable, read.value.task_id) == ("accepted", True, "task-1")
    assert kind.__name__ not in str(submitted.value)


def test_a_transport_failure_is_named_in_words_not_by_its_class() -> None:
    told = {in_words(kind("x")) for kind in DELIVERY if issubclass(kind, httpx.TransportError)}
    assert "no answer in time" in told
    assert all("error" not in words.lower() and "httpx" not in words for words in told)


SUBMIT_TABLE = [
    (400, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (422, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (401, AuthenticationError, "authentication", "nothing_spent", False),
    (402, InsufficientCreditsError, "insufficient_credits", "nothing_spent", False),
    (405, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (409, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (413, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (415, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (451, InvalidRequestError, "invalid_request", "nothing_spent", False),
    (403, PermissionDeniedError, "permission", "nothing_spent", False),
    (404, UnavailableError, "unavailable", "nothing_spent", False),
    (408, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (429, RateLimitedError, "rate_limited", "nothing_spent", True),
    (500, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (502, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (503, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (504, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (301, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (303, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (307, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (418, OutcomeUnknownError, "outcome_unknown", "unknown", False),
    (599, OutcomeUnknownError, "outcome_unknown", "unknown", False),
]
READ_TABLE = [
    (400, UnavailableError, "unavailable", True),
    (401, AuthenticationError, "authentication", False),
    (403, PermissionDeniedError, "permission", False),
    (404, NotFoundError, "not_found", False),
    (408, UnavailableError, "unavailable", True),
    (429, RateLimitedError, "rate_limited", True),
    (500, UnavailableError, "unavailable", True),
    (502, UnavailableError, "unavailable", True),
    (503, UnavailableError, "unavailable", True),
    (504, UnavailableError, "unavailable", True),
    (302, UnavailableError, "unavailable", True),
]
UPLOAD_TABLE = [
    (400, InvalidRequestError, "invalid_request", False),
    (413, InvalidRequestError, "invalid_request", False),
    (415, InvalidRequestError, "invalid_request", False),
    (422, InvalidRequestError, "invalid_request", False),
    (401, AuthenticationError, "authentication", False),
    (403, PermissionDeniedError, "permission", False),
    (429, RateLimitedError, "rate_limited", True),
    (500, UnavailableError, "unavailable", True),
    (408, UnavailableError, "unavailable", True),
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


FORMS = ["detail", "error", "list", "plain", "envelope", "envelope_text"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("status", "kind", "category", "money", "retryable"), SUBMIT_TABLE)
async def test_a_submit_sorts_each_status_in_each_form(
    status: int, kind: type[VidgoError], category: str, money: str, retryable: bool, form: str, answering: Answering
) -> None:
    client = answering(spoken(status, "The vendor's own words", form=form))
    with pytest.raises(VidgoError) as caught:
        await client.submit_once(BOAT)
    error = caught.value
    assert type(error) is kind
    assert (error.category, error.money, error.retryable) == (category, money, retryable)
    assert error.http_status == status
    assert error.vendor_text == "The vendor's own words"
    assert "Vidgo says: The vendor's own words" in str(error)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("status", "kind", "category", "retryable"), READ_TABLE)
async def test_a_read_sorts_each_status_in_each_form(
    status: int, kind: type[VidgoError], category: str, retryable: bool, form: str, answering: Answering
) -> None:
    client = answering(spoken(status, "The vendor's own words", form=form))
    with pytest.raises(VidgoError) as read:
        await client.status("task-1")
    with pytest.raises(VidgoError) as asked:
        await client.balance()
    for error in (read.value, asked.value):
        assert type(error) is kind
        assert (error.category, error.retryable, error.http_status) == (category, retryable, status)
        assert error.vendor_text == "The vendor's own words"
    assert read.value.task_id == "task-1"
    assert asked.value.task_id is None
    assert asked.value.money == "nothing_spent"


@pytest.mark.parametrize("status", [401, 408, 429, 500, 502, 503, 504])
async def test_a_status_that_cannot_be_read_leaves_the_task_accepted(status: int, answering: Answering) -> None:
    with pytest.raises(VidgoError) as caught:
        await answering(httpx.Response(status)).status("task-1")
    assert (caught.value.money, caught.value.task_id) == ("accepted", "task-1")
    assert "Repeat this exact call" not in caught.value.next_step


@pytest.mark.parametrize(("status", "kind", "category", "retryable"), UPLOAD_TABLE)
async def test_an_upload_sorts_each_status(
    status: int, kind: type[VidgoError], category: str, retryable: bool, answering: Answering
) -> None:
    client = answering(spoken(status, "Unsupported file type: x", form="detail"))
    with pytest.raises(VidgoError) as caught:
        await client.upload(b"x", file_name="a.png", mime_type="image/png")
    error = caught.value
    assert type(error) is kind
    assert (error.category, error.retryable, error.money) == (category, retryable, "nothing_spent")
    assert error.vendor_text == "Unsupported file type: x"
    assert error.field == ("image_urls" if kind is InvalidRequestError else None)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("text", ["Insufficient credits", "Your balance is too low", "1 CREDIT needed"])
async def test_a_refusal_that_speaks_of_credits_is_insufficient_credits(
    status: int, text: str, answering: Answering
) -> None:
    with pytest.raises(InsufficientCreditsError) as caught:
        await answering(spoken(status, text, form="detail")).submit_once(BOAT)
    assert caught.value.money == "nothing_spent"


@pytest.mark.parametrize("text", ["prompt is required", "an unbalanced bracket", "accredited users only"])
async def test_a_refusal_that_speaks_of_something_else_is_an_invalid_request(text: str, answering: Answering) -> None:
    with pytest.raises(InvalidRequestError):
        await answering(spoken(400, text, form="detail")).submit_once(BOAT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html>502</html>",
        b"  <html>",
        b'{"detail": "cut',
        b"[1, 2",
        b"17",
        b"null",
        b"[]",
        b"{}",
        b'{"detail": null, "error": null}',
        b'{"detail": []}',
        b'{"detail": {"deep": 1}}',
        b'{"error": {"message": 5}}',
        b'{"detail": "  "}',
        b'"\\u200b"',
    ],
)
async def test_an_error_without_words_has_none(body: bytes, answering: Answering) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await answering(httpx.Response(400, content=body)).submit_once(BOAT)
    assert caught.value.vendor_text is None
    assert str(caught.value).endswith("It gave no reason.")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'"Task not found"', "Task not found"),
        (b'{"error": "flat"}', "flat"),
        (b'{"message": "m"}', "m"),
        (b'{"detail": "", "msg": "second"}', "second"),
        (b'{"detail": [{"msg": "one"}, {"msg": "two"}]}', "one; two"),
        (b"Request timeout\r\n", "Request timeout"),
        (b"bad \xff byte", "bad \ufffd byte"),
        (json.dumps({"detail": "a\u0000b\u202ec\nd"}).encode(), "a b c d"),
    ],
)
async def test_the_words_of_an_error_are_found_and_cleaned(body: bytes, words: str, answering: Answering) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await answering(httpx.Response(400, content=body)).submit_once(BOAT)
    assert caught.value.vendor_text == words


async def test_long_words_of_the_vendor_are_trimmed(answering: Answering) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await answering(httpx.Response(400, text="x" * 5000)).submit_once(BOAT)
    assert len(caught.value.vendor_text or "") == 300


async def test_a_slow_down_says_the_whole_seconds_to_wait_and_never_too_few(answering: Answering) -> None:
    with pytest.raises(RateLimitedError) as caught:
        await answering(httpx.Response(429, headers={"Retry-After": "2.2"})).balance()
    assert caught.value.retry_after == 2.2
    assert "in 3 s" in caught.value.next_step


@pytest.mark.parametrize("code", ["200", 200, 201, None, "", "ok", True, 4.5, [500], "5" * 5000])
async def test_a_code_that_is_no_error_does_not_hide_the_task(code: Any, answering: Answering) -> None:
    answer = httpx.Response(200, json={"code": code, "data": {"task_id": "task-1", "status": "running"}})
    assert (await answering(answer).submit_once(BOAT)).task_id == "task-1"


@pytest.mark.parametrize("code", [0, -1, 100, 302, 10**30])
async def test_an_envelope_with_an_undocumented_code_leaves_the_outcome_open(code: int, answering: Answering) -> None:
    answer = httpx.Response(200, json={"code": code, "data": {"task_id": "task-1"}})
    with pytest.raises(OutcomeUnknownError) as caught:
        await answering(answer).submit_once(BOAT)
    assert caught.value.http_status == code
