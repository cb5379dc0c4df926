"""Reference pictures on their way to Vidgo: at the pace that it allows, and once for the same bytes."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import anyio

from vidgo_mcp.client.retry import backoff
from vidgo_mcp.errors import JournalError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.journal import Journal

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient
    from vidgo_mcp.files.images import ReferencePicture

KEPT: Final = 72 * 3600.0
"""Seconds for which Vidgo keeps an upload."""
SPARE: Final = 2 * 3600.0
"""Seconds before that from which an upload is not used any more: the task that needs it may begin late."""
REFUSED_PAUSE: Final = 15.0
"""Seconds without uploads after a 429 that names no time: a quarter of the minute that the limit speaks of."""
ATTEMPTS: Final = 5
"""How often a failing upload is tried. It is free, and safe to repeat."""
LONGEST_PAUSE: Final = 120.0
LIMIT: Final = "waiting for the upload limit (Vidgo takes 5 a minute)"
SHARED: Final = "the same picture is already being uploaded, or waits for the upload limit"

Tell = Callable[[str], None]

log = logging.getLogger(__name__)


class Uploads:
    """All uploads of one key.

    Args:
        journal: shares pace and memory with the other processes of this key.
        open_client: opens the client, once.
        now: the time of day in seconds since the epoch.
        draw: a random number between 0 and 1, for jitter.
    """

    def __init__(
        self,
        journal: Journal,
        open_client: Callable[[], Awaitable[VidgoClient]],
        *,
        now: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._journal = journal
        self._open_client = open_client
        self._now = now
        self._draw = draw
        self._turns = anyio.Lock()
        self._under_way: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def url_of(self, account: str, picture: ReferencePicture, tell: Tell, queue: anyio.Lock) -> str:
        """Return the URL of these bytes at Vidgo, which are uploaded unless that URL is remembered.

        Args:
            account: whose uploads they are.
            picture: the bytes.
            tell: told what is waited for.
            queue: shared by the uploads of one call, so that a call with one picture does not wait for all sixteen of
                another: each call stands in line with one of its uploads at a time.

        Raises:
            VidgoError: they could not be uploaded; nothing was spent.
        """
        # Several pictures of one request begin at the same moment, and name the same file.
        lock = self._under_way.setdefault(picture.digest, anyio.Lock())
        if lock.locked():
            tell(SHARED)
        async with lock:
            known = await self._remembered(account, picture.digest)
            return known or await self._uploaded(account, picture, tell, queue)

    async def _remembered(self, account: str, digest: str) -> str | None:
        try:
            return await self._journal.upload_of(account, digest)
        except JournalError as error:
            log.warning("%s", error.message)
            return None

    async def _uploaded(self, account: str, picture: ReferencePicture, tell: Tell, queue: anyio.Lock) -> str:
        client = await self._open_client()
        attempt = 0
        while True:
            known = await self._turn(account, picture.digest, tell, queue)
            if known is not None:
                return known
            tell("uploading")
            began = self._now()
            try:
                upload = await client.upload(
                    picture.content,
                    # Not the file's own name, which is nobody's business.
                    file_name=f"reference-{picture.digest[:12]}{picture.extension}",
                    mime_type=picture.mime_type,
                )
            except (RateLimitedError, UnavailableError) as error:
                pause = self._pause(error, attempt)
                attempt += 1
                # Counted, not timed: in between it may stand in line for long.
                if not error.retryable or attempt >= ATTEMPTS or pause > LONGEST_PAUSE:
                    raise
                if isinstance(error, RateLimitedError):
                    # Somebody else uploads with this key: the turn was not free after all, for no process.
                    await self._journal.hold_uploads(account, pause)
                else:
                    tell("the upload failed, trying again")
                    await anyio.sleep(pause)
            else:
                kept = KEPT if upload.lifetime is None else min(KEPT, upload.lifetime)
                await self._remember(account, picture.digest, upload.file_url, began + kept - SPARE)
                return upload.file_url

    def _pause(self, error: VidgoError, attempt: int) -> float:
        pause = backoff(attempt, self._draw, error.retry_after)
        if isinstance(error, RateLimitedError) and error.retry_after is None:
            pause += REFUSED_PAUSE
        return pause

    async def _turn(self, account: str, digest: str, tell: Tell, queue: anyio.Lock) -> str | None:
        """Wait until one more upload may begin; the call that waits longest is first.

        Returns:
            the URL of these bytes, when another process has uploaded them meanwhile; None when the turn has come.
        """
        tell(LIMIT)
        async with queue, self._turns:
            while True:
                known = await self._remembered(account, digest)
                if known is not None or (wait := await self._journal.upload_turn(account)) <= 0:
                    return known
                await anyio.sleep(wait)

    async def _remember(self, account: str, digest: str, url: str, until: float) -> None:
        try:
            await self._journal.remember_upload(account, digest, url, until=until)
        except VidgoError as error:
            # The URL is at hand; only the next call has to upload again.
            log.warning("%s", error.message)
