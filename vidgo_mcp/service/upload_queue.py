"""Reference pictures on their way to Vidgo: in the background, at the pace it allows, and once for the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from vidgo_mcp.client.retry import backoff
from vidgo_mcp.errors import InternalError, RateLimitedError, UnavailableError, VidgoError
from vidgo_mcp.files.images import ReferencePicture
from vidgo_mcp.journal import Journal
from vidgo_mcp.service.runtime import Runtime

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

KEPT: Final = 72 * 3600.0
"""Seconds for which Vidgo keeps an upload."""
SPARE: Final = 2 * 3600.0
"""Seconds before that from which an upload is not used any more: the task that needs it may begin late."""
REFUSED_PAUSE: Final = 15.0
"""Seconds without uploads after a 429 that names no time: a quarter of the minute that the limit speaks of."""
ATTEMPTS: Final = 5
"""How often a failing upload is tried. It is free, and safe to repeat."""
LONGEST_PAUSE: Final = 120.0
WAITING: Final = "waiting for the upload limit (Vidgo takes 5 a minute)"

log = logging.getLogger(__name__)


class UploadJob:
    """One picture on its way: ``done`` is set when ``url`` or ``error`` is known; ``doing`` says what it waits for."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.doing = WAITING
        self.url: str | None = None
        self.error: VidgoError | None = None


class UploadQueue:
    """All uploads of one account in this process. They go on when nobody waits: they are free, and soon needed."""

    def __init__(
        self,
        account: str,
        journal: Journal,
        open_client: Callable[[], Awaitable[VidgoClient]],
        runtime: Runtime,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._account = account
        self._journal = journal
        self._open_client = open_client
        self._runtime = runtime
        self._tasks = tasks
        self._turns = anyio.Lock()
        self._jobs: dict[str, UploadJob] = {}

    def start(self, picture: ReferencePicture, line: anyio.Lock) -> UploadJob:
        """Upload these bytes in the background, unless that is under way or their URL is remembered.

        ``line`` is shared by the uploads of one call, which stands in line with one of them at a time: a call with one
        picture does not wait for all sixteen of another.
        """
        job = self._jobs.get(picture.digest)
        if job is None:
            job = self._jobs[picture.digest] = UploadJob()
            self._tasks.start_soon(self._run, picture, job, line)
        return job

    async def _run(self, picture: ReferencePicture, job: UploadJob, line: anyio.Lock) -> None:
        try:
            job.url = await self._journal.upload_of(self._account, picture.digest) or await self._uploaded(
                picture, job, line
            )
        except VidgoError as error:
            job.error = error
        except Exception:  # the edge of a background task: one picture must not end all other calls
            log.exception("an upload failed in an unexpected way")
            job.error = InternalError("vidgo-mcp failed while uploading; nothing was spent.")
        finally:
            if job.url is None and job.error is None:
                job.error = UnavailableError("vidgo-mcp was stopped; nothing was spent.", remedy="repeat")
            self._jobs.pop(picture.digest, None)
            job.done.set()

    async def _uploaded(self, picture: ReferencePicture, job: UploadJob, line: anyio.Lock) -> str:
        client = await self._open_client()
        attempt = 0
        while True:
            known = await self._wait_for_turn(picture.digest, job, line)
            if known is not None:
                return known
            job.doing = "uploading"
            began = self._runtime.now()
            try:
                upload = await client.upload(
                    picture.content,
                    # Not the file's own name, which is nobody's business.
                    file_name=f"reference-{picture.digest[:12]}{picture.extension}",
                    mime_type=picture.mime_type,
                )
            except (RateLimitedError, UnavailableError) as error:
                pause = backoff(attempt, self._runtime.random, error.retry_after)
                if isinstance(error, RateLimitedError) and error.retry_after is None:
                    pause += REFUSED_PAUSE
                attempt += 1
                # Counted, not timed: in between it may stand in line for long.
                if not error.retryable or attempt >= ATTEMPTS or pause > LONGEST_PAUSE:
                    raise
                if isinstance(error, RateLimitedError):
                    # Somebody else uploads with this key: the turn was not free after all, for no process.
                    await self._journal.hold_uploads(self._account, pause)
                else:
                    job.doing = "the upload failed, trying again"
                    await anyio.sleep(pause)
            else:
                kept = KEPT if upload.lifetime is None else min(KEPT, upload.lifetime)
                until = began + kept - SPARE
                await self._journal.remember_upload(self._account, picture.digest, upload.file_url, until=until)
                return upload.file_url

    async def _wait_for_turn(self, digest: str, job: UploadJob, line: anyio.Lock) -> str | None:
        """Wait for a turn, in the order of asking; return the URL if another process has uploaded the bytes by then."""
        job.doing = WAITING
        async with line, self._turns:
            while True:
                known = await self._journal.upload_of(self._account, digest)
                if known is not None or (wait := await self._journal.upload_turn(self._account)) <= 0:
                    return known
                await anyio.sleep(wait)
