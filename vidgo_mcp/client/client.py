"""The async client: one method for each of Vidgo's endpoints, each with a deadline, and none that pays twice."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote as percent_encode

import anyio
import httpx

from vidgo_mcp.client import error_mapping, polling, wire
from vidgo_mcp.client.download import DOWNLOAD_SECONDS, USER_AGENT, download
from vidgo_mcp.client.retry import SUBMIT_RETRY_SECONDS, RetryDeadline, backoff
from vidgo_mcp.errors import InvalidRequestError, OutcomeUnknownError, UnavailableError, VidgoError
from vidgo_mcp.models.requests import ImageRequest
from vidgo_mcp.models.tasks import Task, Upload
from vidgo_mcp.models.urls import checked_base_url, is_loopback_host
from vidgo_mcp.pricing import UnpriceableError

T = TypeVar("T")
OnTask = Callable[[Task], Awaitable[None]]

DEFAULT_BASE_URL: Final = "https://api.vidgo.ai"
SUBMIT_PATH: Final = "/api/generate/submit"
MOST_CONNECTIONS: Final = 100
SLOWEST_LINE: Final = 16 * 1024.0
"""Bytes a second that an upload may take its time for; one that stands still ends sooner."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``submit`` is the wait for the answer to a submit: giving up early would lose a paid task."""

    connect: float = 10.0
    read: float = 30.0
    submit: float = 120.0


class VidgoClient:
    """Talk to Vidgo: submit, status, wait, upload, balance, download.

    Use it as an async context manager. All errors are ``vidgo_mcp.errors.VidgoError``; their ``money`` says whether
    credits may have moved.

    Args:
        api_key: a Vidgo API key.
        base_url: https, or plain http on loopback.
        timeouts: seconds for connecting, reading, and for the answer to a submit.
        transport: replaces the network; for tests.
        now: the time of day in seconds since the epoch, to read a Retry-After that is a date.
        draw: a random number between 0 and 1, for jitter.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        timeouts: Timeouts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ValueError("the API key is empty or has characters that no key has")
        self.base_url = checked_base_url(base_url)
        self._local = is_loopback_host(httpx.URL(self.base_url).host)
        self._timeouts = timeouts or Timeouts()
        self._now = now
        self._draw = draw
        self._transport = transport
        self._secret = api_key
        headers = {"Authorization": f"Bearer {api_key}", "User-Agent": USER_AGENT, "Accept": "application/json"}
        self._verify = httpx.create_ssl_context()
        verify = self._verify if self.base_url.startswith("https:") else False
        # Two pools: a submit never rides on an idle connection. The server may just have closed it, which
        # looks exactly like an answer that was lost, and would turn an unsent request into an unknown one.
        self._reads = self._pool(headers, verify, transport, keepalive=20)
        self._writes = self._pool(headers, verify, transport, keepalive=0)

    def _pool(
        self, headers: Mapping[str, str], verify: Any, transport: httpx.AsyncBaseTransport | None, *, keepalive: int
    ) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.base_url,
            headers=headers,
            verify=verify,
            transport=transport,
            # No proxy for loopback: it would see the key, and would look for the API on its own machine.
            trust_env=not self._local,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=keepalive),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        with anyio.CancelScope(shield=True):
            await self._reads.aclose()
            await self._writes.aclose()

    async def submit(
        self, request: ImageRequest, *, callback_url: str | None = None, patience: float = SUBMIT_RETRY_SECONDS
    ) -> Task:
        """Start one picture, which costs credits, and return its task.

        A submit that was provably not accepted (refused connection, 429) is tried again for ``patience`` seconds.

        Raises:
            OutcomeUnknownError: the answer was lost; a task may exist and be paid for. Never submit again blindly.
            VidgoError: every other kind proves that nothing was spent.
        """
        tries = RetryDeadline(patience, self._draw)
        while True:
            try:
                return await self.submit_once(request, callback_url=callback_url)
            except VidgoError as error:
                await tries.pause(error)

    async def submit_once(self, request: ImageRequest, *, callback_url: str | None = None) -> Task:
        """Start one picture with exactly one POST; the building block of ``submit``, which says what it raises."""
        if callback_url and not wire.is_web_url(callback_url):
            raise InvalidRequestError("The callback URL is not an http(s) URL.", field="callback_url")
        try:
            body = wire.submit_body(request, callback_url)
        except UnpriceableError as error:
            raise InvalidRequestError(str(error), field=error.field) from None
        timeout = self._timeout(self._timeouts.submit)
        try:
            with anyio.fail_after(self._timeouts.connect + self._timeouts.submit + self._timeouts.read):
                status, headers, content = await self._send(self._writes, "POST", SUBMIT_PATH, timeout, json=body)
        except TimeoutError:
            raise error_mapping.transport_error(httpx.ReadTimeout("total"), submit=True) from None
        except error_mapping.TRANSPORT_ERRORS as error:
            raise error_mapping.transport_error(error, submit=True) from None
        if not 200 <= status < 300:
            raise error_mapping.submit_error(status, wire.error_text(content), self._retry_after(headers))
        try:
            value = wire.read_json(content)
            code = wire.envelope_code(value)
            if code is not None:
                raise error_mapping.submit_error(code, wire.error_text(content), self._retry_after(headers))
            return wire.read_submitted(value)
        except wire.UnreadableAnswerError as error:
            raise OutcomeUnknownError(
                f"Vidgo answered the submit with HTTP {status}, but {error}; a picture may have been started and paid.",
                http_status=status,
            ) from None

    async def status(self, task_id: str) -> Task:
        """Return one reading of a task. Free, and safe to repeat.

        Raises:
            NotFoundError, PermissionDeniedError: no task of this key.
            UnavailableError, RateLimitedError: it could not be read; the task is as it was.
        """
        path = f"/api/generate/status/{percent_encode(task_id, safe='')}"
        try:
            return await self._read(path, lambda value: wire.read_task(value, task_id), what=f"task: {task_id}")
        except VidgoError as error:
            # Whatever the answer was, the task is as it was.
            money = "accepted" if error.category in {"unavailable", "rate_limited", "authentication"} else error.money
            remedy = "wait_for_task" if error.remedy == "repeat_later" else error.remedy
            raise error.changed(task_id=task_id, money=money, remedy=remedy) from None

    async def wait(self, task_id: str, *, timeout: float = 600.0, on_task: OnTask | None = None) -> Task:
        """Read a task until it has ended, and return its last reading.

        Args:
            task_id: what ``submit`` returned.
            timeout: seconds; when they run out the last reading is returned, still pending.
            on_task: called with each reading.

        Raises:
            VidgoError: the task could not be read at all, not even once.
        """
        plan = polling.Plan()
        started = anyio.current_time()
        empty_since: float | None = None
        latest: Task | None = None
        misses = 0
        # The soonest that the next read may come, and when it should.
        allowed, due = 0.0, min(plan.next_read(0.0), timeout)
        while True:
            await anyio.sleep_until(started + due)
            try:
                task = await self.status(task_id)
            except VidgoError as error:
                elapsed = anyio.current_time() - started
                allowed = due = elapsed + max(polling.CLOSEST_READS, backoff(misses, self._draw, error.retry_after))
                misses += 1
                if not error.retryable or (latest is None and due > timeout):
                    raise
            else:
                latest, misses = task, 0
                if on_task is not None:
                    await on_task(latest)
                elapsed = anyio.current_time() - started
                if latest.phase == "failed" or latest.file_urls:
                    return latest
                if latest.phase == "finished":
                    empty_since = elapsed if empty_since is None else empty_since
                    if elapsed - empty_since >= polling.EMPTY_FILES_SECONDS:
                        return latest
                allowed, due = elapsed + polling.CLOSEST_READS, plan.next_read(elapsed, latest.progress)
            if due > timeout:
                due = timeout
            if latest is not None and allowed > timeout:
                await anyio.sleep_until(started + timeout)
                return latest

    async def upload(self, content: bytes, *, file_name: str, mime_type: str) -> Upload:
        """Upload one reference picture (JPEG, PNG, GIF, WebP); Vidgo keeps it for 72 hours. Free, 5 a minute.

        Raises:
            InvalidRequestError: Vidgo refuses the file.
            RateLimitedError: more than 5 in a minute.
            UnavailableError: it could not be uploaded.
        """
        timeout = self._timeout(self._timeouts.submit)
        files = {"file": (file_name, content, mime_type)}
        return await self._ask(
            self._writes,
            "POST",
            "/api/common/upload/stream",
            timeout,
            wire.read_upload,
            error_mapping.upload_error,
            patience=len(content) / SLOWEST_LINE,
            files=files,
        )

    async def balance(self) -> int | float:
        """Return the credits of the account. Free.

        Raises:
            AuthenticationError: the key is not accepted.
            UnavailableError, RateLimitedError: it could not be read.
        """
        return await self._read("/api/user/balance", wire.read_balance, what="account")

    async def download(self, url: str, *, seconds: float = DOWNLOAD_SECONDS) -> bytes:
        """Return the bytes of a result, within ``seconds``, under limits, and never from a private address.

        With the API itself on loopback, loopback is allowed too. The key is not sent along.

        Raises:
            NotFoundError: the URL is dead.
            PermissionDeniedError: the address is private.
            UnavailableError: it could not be fetched, or is too large.
        """
        fetched = await download(
            url, allow_loopback=self._local, seconds=seconds, verify=self._verify, transport=self._transport
        )
        return fetched.content

    async def _read(self, path: str, parse: Callable[[Any], T], *, what: str) -> T:
        def sort(status: int, text: str | None, retry_after: float | None) -> VidgoError:
            return error_mapping.read_error(status, text, retry_after, what=what)

        return await self._ask(self._reads, "GET", path, self._timeout(self._timeouts.read), parse, sort)

    async def _ask(
        self,
        pool: httpx.AsyncClient,
        method: str,
        path: str,
        timeout: httpx.Timeout,
        parse: Callable[[Any], T],
        sort: Callable[[int, str | None, float | None], VidgoError],
        *,
        patience: float = 0.0,
        **content: Any,
    ) -> T:
        try:
            with anyio.fail_after(self._timeouts.connect + 2 * (timeout.read or self._timeouts.read) + patience):
                status, headers, body = await self._send(pool, method, path, timeout, **content)
        except TimeoutError:
            raise error_mapping.transport_error(httpx.ReadTimeout("total"), submit=False) from None
        except error_mapping.TRANSPORT_ERRORS as error:
            raise error_mapping.transport_error(error, submit=False) from None
        if not 200 <= status < 300:
            raise sort(status, wire.error_text(body), self._retry_after(headers))
        try:
            value = wire.read_json(body)
            code = wire.envelope_code(value)
            if code is not None:
                raise sort(code, wire.error_text(body), self._retry_after(headers))
            return parse(value)
        except wire.UnreadableAnswerError as error:
            raise UnavailableError(f"Vidgo answered with HTTP {status}, but {error}.", http_status=status) from None

    async def _send(
        self, pool: httpx.AsyncClient, method: str, path: str, timeout: httpx.Timeout, **content: Any
    ) -> tuple[int, httpx.Headers, bytes]:
        async with pool.stream(method, path, timeout=timeout, **content) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > wire.LARGEST_ANSWER:
                    break
        # An answer that repeats the key must not carry it into a message, a log or a result.
        return response.status_code, response.headers, wire.without_key(bytes(body), self._secret)

    def _timeout(self, read: float) -> httpx.Timeout:
        return httpx.Timeout(read, connect=self._timeouts.connect, pool=self._timeouts.read)

    def _retry_after(self, headers: httpx.Headers) -> float | None:
        return wire.retry_after(headers.get("retry-after"), self._now())
