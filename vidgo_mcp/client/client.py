"""The async client: one method for each of Vidgo's endpoints, each with a deadline, none of which pays twice."""

from __future__ import annotations

import logging
import random as random_module
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote as percent_encode

import anyio
import httpx

from vidgo_mcp.client import interpretation, wire
from vidgo_mcp.client.addresses import is_web_url
from vidgo_mcp.client.download import DOWNLOAD_SECONDS, USER_AGENT, download
from vidgo_mcp.client.error_mapping import (
    Refusal,
    read_error,
    submit_error,
    transport_error,
    upload_error,
)
from vidgo_mcp.client.exchange import Leaving, exchange
from vidgo_mcp.client.network import Network
from vidgo_mcp.client.polling import Plan, Polling
from vidgo_mcp.client.retry import SUBMIT_RETRY_SECONDS, RetryDeadline
from vidgo_mcp.errors import (
    InternalError,
    InvalidRequestError,
    NotFoundError,
    VidgoError,
)
from vidgo_mcp.models.requests import ImageRequest
from vidgo_mcp.models.tasks import Task, Upload, names_of
from vidgo_mcp.models.urls import checked_base_url
from vidgo_mcp.pricing import PricedRequest, price_request

T = TypeVar("T")
Named = Callable[[VidgoError, Mapping[str, str], bytes], Awaitable[T]]
OnTask = Callable[[Task], Awaitable[None]]

DEFAULT_BASE_URL: Final = "https://api.vidgo.ai"
LONGEST_PATH: Final = 8_000
"""Characters; servers refuse longer ones."""
SLOWEST_UPLOAD: Final = 16 * 1024.0
"""Bytes a second below which an upload runs out of time."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``submit`` is the wait for the answer to a submit: giving up early would lose a paid task.

    Until a request leaves, with all that a proxy and TLS need for that, there is twice the time of ``connect``.
    """

    connect: float = 10.0
    read: float = 30.0
    submit: float = 120.0


log = logging.getLogger(__name__)


async def _unwatched() -> None:
    """Nobody wants to know."""


async def _nobodys(task_id: str) -> bool:
    """No other request is known."""
    return False


class VidgoClient:
    """Talk to Vidgo: submit, status, wait, upload, balance, download.

    Use it as an async context manager. All errors are ``vidgo_mcp.errors.VidgoError``; their ``money`` says whether
    credits may have moved.

    Args:
        base_url: https, or plain http on loopback.
        transport: replaces the network; for tests.
        now: the time of day in seconds since the epoch, for a Retry-After that is a date in an answer without a Date.
        random: a random number between 0 and 1, for jitter.

    Raises:
        ValueError: the key or the base URL is not valid.
        UnavailableError: a variable of the environment names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        timeouts: Timeouts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ValueError("the API key is empty or has characters that no key has")
        self.base_url = checked_base_url(base_url)
        self._url = httpx.URL(self.base_url)
        self._network = Network.of_this_process()
        self._timeouts = timeouts or Timeouts()
        self._now = now
        self._random = random
        self._transport = transport
        self.on_date: Callable[[float | None], None] = lambda date: None
        """Told of the time (seconds since the epoch) that each answer names, None when it names none."""
        self._api_key = api_key
        self._submitted: set[str] = set()
        self._read: set[str] = set()  # tasks; what is left of an answer to an earlier read may be in the connection
        self._proxy = None if transport is not None else self._network.proxy_for(self._url)
        # Two pools: a submit never rides on an idle connection. The server may just have closed it, which
        # looks exactly like an answer that was lost, and would turn an unsent request into an unknown one.
        self._reads = self._pool(keepalive=20)
        self._writes = self._pool(keepalive=0)

    def _pool(self, *, keepalive: int) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._api_key}", "User-Agent": USER_AGENT, "Accept": "application/json"}
        return self._network.client(
            self._url,
            self._proxy,
            transport=self._transport,
            base_url=self.base_url,
            headers=headers,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=keepalive),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._reads.aclose()
            await self._writes.aclose()

    async def submit(
        self,
        request: ImageRequest,
        *,
        callback_url: str | None = None,
        retry_seconds: float = SUBMIT_RETRY_SECONDS,
    ) -> Task:
        """Start one picture, which costs credits, and return its task.

        A submit that was provably not accepted (no connection, 429) is made again for up to ``retry_seconds``. A task
        that the answer names without being a success is returned where Vidgo knows it, and this client has not returned
        it from ``submit`` before.

        Raises:
            OutcomeUnknownError: the answer was lost; a task may exist and be paid for. Never submit again blindly.
            VidgoError: every other kind proves that nothing was spent.
        """
        priced = price_request(request).with_image_urls(request.image_urls or ())
        deadline = RetryDeadline(retry_seconds, self._random)
        while True:
            try:
                task = await self.submit_once(priced, callback_url=callback_url, is_others=self._was_submitted)
            except VidgoError as error:
                await deadline.pause(error)
            else:
                self._submitted.add(task.task_id)
                return task

    async def _was_submitted(self, task_id: str) -> bool:
        return task_id in self._submitted

    async def submit_once(
        self,
        request: PricedRequest,
        *,
        callback_url: str | None = None,
        leaving: Leaving = _unwatched,
        is_others: Callable[[str], Awaitable[bool]] = _nobodys,
    ) -> Task:
        """Start one picture with exactly one POST, and return its task. It raises what ``submit`` does.

        ``leaving`` is awaited at the last moment before the request begins to leave; when it raises, nothing is sent.
        ``is_others`` says whether a task belongs to an earlier request: that one is named says nothing of this one.
        """
        if callback_url and not is_web_url(callback_url):
            raise InvalidRequestError("The callback URL is not an http(s) URL.", field="callback_url")
        left = False

        async def leave() -> None:
            nonlocal left
            await leaving()
            left = True

        path, parse = "/api/generate/submit", wire.read_submitted
        try:
            body = wire.submit_body(request, callback_url)
            sent = (request.prompt, *request.image_urls, *([callback_url] if callback_url else ()))
            named = partial(interpretation.named_task, sent=sent, is_others=is_others, status=self.status)
            return await self._call(path, parse, submit_error, named=named, leaving=leave, json=body)
        except VidgoError:
            raise
        except Exception as error:  # only here is it known whether a bug of ours can have cost anything
            log.exception("a submit failed in an unexpected way (%s)", type(error).__name__)
            said = "vidgo-mcp failed while submitting."
            raise InternalError(said, money="unknown" if left else "nothing_spent") from None

    async def status(self, task_id: str) -> Task:
        """Return one reading of a task, named by Vidgo's id: its ``vendor_id`` where it has one. Free, safe to repeat.

        Raises:
            NotFoundError, PermissionDeniedError: no task of this key.
            UnavailableError, RateLimitedError: it could not be read; the task is as it was.
        """
        shown, _ = names_of(task_id)
        path = f"/api/generate/status/{percent_encode(task_id, safe='')}"
        to_error = partial(read_error, what=f"task: {shown}")
        if len(path) > LONGEST_PATH or not task_id.strip("."):
            raise NotFoundError(
                f"Vidgo cannot be asked about the task {shown}: its id fits into no URL.", task_id=shown
            )
        try:
            parse = partial(wire.read_task, asked=task_id, base=self.base_url, others=self._read)
            task = await self._call(path, parse, to_error)
        except VidgoError as error:
            # Whatever the answer was, the task is as it was.
            money = "accepted" if error.category in {"unavailable", "rate_limited", "authentication"} else error.money
            remedy = "wait_for_task" if error.remedy == "repeat_later" else error.remedy
            raise error.changed(task_id=shown, money=money, remedy=remedy) from None
        self._read.add(task_id)
        return task

    async def wait(self, task_id: str, *, timeout: float = 600.0, on_task: OnTask | None = None) -> Task:
        """Read a task until it has ended, and return its last reading; ``on_task`` is called with each.

        ``task_id`` names it as in ``status``. When ``timeout`` (seconds) runs out, the last reading is still pending.

        Raises:
            VidgoError: the task could not be read even once, or reading it again is in vain.
        """
        now = anyio.current_time()
        deadline = now + timeout
        polling = Polling.of_submitted(Plan(), now, now, self._random)
        while True:
            # A task is read at the deadline too, however short the time-out is.
            await anyio.sleep_until(min(polling.due, deadline))
            try:
                task = await self.status(task_id)
            except VidgoError as error:
                polling = polling.missed(error, anyio.current_time())
                if not error.retryable or (polling.latest is None and polling.soonest > deadline):
                    raise
            else:
                polling = polling.seen(task, anyio.current_time())
                if on_task is not None:
                    await on_task(task)
                if polling.ended:
                    return task
            if polling.latest is not None and polling.soonest > deadline:
                await anyio.sleep_until(deadline)
                return polling.latest

    async def upload(self, content: bytes, *, file_name: str, mime_type: str) -> Upload:
        """Upload one reference picture (JPEG, PNG, GIF, WebP); Vidgo keeps it for 72 hours. Free, 5 a minute.

        Raises:
            InvalidRequestError: Vidgo refuses the file.
            RateLimitedError: more than 5 in a minute.
            UnavailableError: it could not be uploaded.
        """
        files = {"file": (file_name, content, mime_type)}
        sending = len(content) / SLOWEST_UPLOAD
        parse = partial(wire.read_upload, base=self.base_url)
        return await self._call("/api/common/upload/stream", parse, upload_error, sending=sending, files=files)

    async def balance(self) -> int | float:
        """Return the credits of the account. Free.

        Raises:
            AuthenticationError: the key is not accepted.
            UnavailableError, RateLimitedError: it could not be read.
        """
        return await self._call("/api/user/balance", wire.read_balance, partial(read_error, what="account"))

    async def download(self, url: str, *, seconds: float = DOWNLOAD_SECONDS) -> bytes:
        """Return the bytes of a result, within ``seconds``, under limits, and never from a private address.

        With the API itself on loopback, loopback is allowed too. The key is not sent along.

        Raises:
            NotFoundError: the URL is dead.
            PermissionDeniedError: the address is private.
            UnavailableError: it could not be fetched, or is too large.
        """
        return await download(
            url, network=self._network, api_host=self._url.host, seconds=seconds, transport=self._transport
        )

    async def _call(
        self,
        path: str,
        parse: Callable[[Any], T],
        to_error: Callable[[Refusal], VidgoError],
        *,
        named: Named[T] | None = None,
        sending: float = 0.0,
        leaving: Leaving = _unwatched,
        **content: Any,
    ) -> T:
        """Make one request: a GET, or with content a POST, whose body may take ``sending`` seconds on its way.

        ``named`` makes a submit of it: it returns the task that an answer names without being a success, or raises.
        """
        submit = named is not None
        method, pool = ("POST", self._writes) if content else ("GET", self._reads)
        limits = self._timeouts
        answer = limits.submit if content else limits.read
        # For the answer to a submit there is one deadline, that of ``exchange``: httpx would count the time asleep.
        timeout = httpx.Timeout(None if submit else answer, connect=limits.connect, pool=limits.read)
        response, body = await exchange(
            pool,
            pool.build_request(method, path, timeout=timeout, **content),
            leaving=leaving,
            failed=partial(transport_error, submit=submit, proxy=self._proxy.variable if self._proxy else None),
            traced=self._transport is None,
            to_leave=2 * limits.connect,
            to_end=limits.connect + limits.read + answer + sending,
        )
        # An answer that repeats the key must not carry it into a message, a log or a result.
        date = wire.time_of(response.headers)
        if date is not None:
            self.on_date(date)
        status, body = response.status_code, wire.redact_key(body, self._api_key)
        headers = wire.redact_headers(response.headers, self._api_key)
        now = self._now() if date is None else date
        try:
            result = interpretation.result_of(status, headers, body, parse, to_error, now=now, submit=submit)
        except VidgoError as error:
            if named is None:
                raise
            return await named(error, headers, body)
        if date is None:
            # Not before: an error page on the way without a date does not say that Vidgo names none.
            self.on_date(None)
        return result
