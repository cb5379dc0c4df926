"""Download finished pictures in the background, before their URLs die; one process saves each, exactly once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from vidgo_mcp.errors import JournalError, NotFoundError, PermissionDeniedError, UnavailableError, VidgoError
from vidgo_mcp.files.images import pixels_of
from vidgo_mcp.files.kinds import whole_picture
from vidgo_mcp.files.metadata import Facts, with_facts
from vidgo_mcp.files.naming import file_name
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.files.writer import STALE, save, sweep
from vidgo_mcp.journal import Entry, Journal, in_window
from vidgo_mcp.models.tasks import logged_id
from vidgo_mcp.service.local_files import LocalFiles
from vidgo_mcp.service.runtime import Runtime

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

HOLD_SECONDS: Final = 5.0
"""How long a result waits for its copy."""
DOWNLOAD_SECONDS: Final = 120.0
"""For one download: nobody waits for it, and a large picture may come through a thin line."""
PAUSES: Final = (5.0, 30.0, 120.0, 600.0, 3600.0)
"""Seconds between attempts; the last one is repeated while the URL lives."""
AT_ONCE: Final = 3
LOOK_PAUSE: Final = 0.5
"""Seconds between looks at a picture that another process is saving."""
LAST_CHANCE: Final = 60.0
"""Seconds before the end of a URL's life from which no attempt is made."""

log = logging.getLogger(__name__)


class SaveJob:
    """One picture on its way to the disk.

    Attributes:
        path: where the picture is, once it is saved.
        failure: why the last attempt failed; ``final`` when no other attempt will do better.
        attempted: set while no attempt runs.
        wanted: set to try again at once.
    """

    def __init__(self, task_id: str | None) -> None:
        self.task_id = task_id
        self.path: Path | None = None
        self.failure = ""
        self.final = False
        self.attempted = anyio.Event()
        self.wanted = anyio.Event()


class PictureSaver:
    """All pictures of one account that this process saves.

    ``owner`` says whose pictures are saved: another caller's must not show up in this person's folder.
    """

    def __init__(
        self,
        owner: str,
        journal: Journal,
        files: LocalFiles,
        open_client: Callable[[], Awaitable[VidgoClient]],
        runtime: Runtime,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._owner = owner
        self._journal = journal
        self._files = files
        self._open_client = open_client
        self._runtime = runtime
        self._tasks = tasks
        self._in_thread = runtime.threads()
        self._at_once = anyio.CapacityLimiter(AT_ONCE)
        self._jobs: dict[str, SaveJob] = {}

    def begin(self, entry: Entry) -> SaveJob | None:
        """Start to save a picture, or return the job that does; None when there is nothing to save."""
        if self._files.save_dir is None or entry.state != "finished" or entry.saved_paths or not entry.image_urls:
            return None
        if entry.intent.owner != self._owner or not in_window(entry, self._runtime.now()):
            return None
        job = self._jobs.get(entry.id)
        if job is None:
            job = self._jobs[entry.id] = SaveJob(entry.task_id)
            self._tasks.start_soon(self._run, entry, job)
        return job

    async def hold(self, entry: Entry, seconds: float) -> tuple[Entry, list[str]]:
        """Wait for the copy of a picture, 5 s at most; return its entry, and notes about one that is not there yet."""
        job = self.begin(entry)
        if job is None:
            return entry, []
        if job.attempted.is_set():
            # Somebody asks for the picture: why an earlier attempt failed may be over.
            job.attempted = anyio.Event()
            job.wanted.set()
        with anyio.move_on_after(min(HOLD_SECONDS, max(0.0, seconds))):
            await job.attempted.wait()
        try:
            known = await self._journal.entry(entry.id)
        except VidgoError as error:
            return entry, [f"Not saved to {self._files.save_dir}, as far as is known: {_phrase(error.message)}."]
        if known is not None and known.saved_paths:
            kept = replace(entry, saved_paths=known.saved_paths, saved_digest=known.saved_digest)
            return replace(kept, pixels=known.pixels), []
        if not job.failure:
            return entry, [f"Not saved to {self._files.save_dir} yet; that goes on."]
        again = "" if job.final else " It is tried again while the URL lives."
        return entry, [f"Not saved to {self._files.save_dir}: {job.failure}.{again}"]

    def unfinished(self) -> list[SaveJob]:
        return list(self._jobs.values())

    async def settle(self) -> None:
        """Wait until no attempt is running."""
        for job in self.unfinished():
            await job.attempted.wait()

    async def resume(self) -> None:
        """Save what earlier processes could not, and remove what killed ones left half done.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._files.save_dir is None:
            return
        for entry in await self._journal.unsaved(self._owner):
            self.begin(entry)
        await self._in_thread(partial(sweep, older_than=STALE, now=self._runtime.now()), self._files.save_dir)

    async def _run(self, entry: Entry, job: SaveJob) -> None:
        pauses = chain(PAUSES, repeat(PAUSES[-1]))
        planned = next(pauses)
        try:
            while True:
                async with self._at_once:
                    done = await self._attempt(entry, job)
                left = (entry.dies_at or 0.0) - self._runtime.now()
                if done or left < LAST_CHANCE:
                    return
                job.wanted = anyio.Event()
                job.attempted.set()
                # Towards the end of the URL's life the next attempt comes before that end.
                with anyio.move_on_after(min(planned, left / 2)) as pause:
                    await job.wanted.wait()
                if pause.cancelled_caught:
                    # Somebody who asks does not put the next planned attempt off.
                    planned = next(pauses)
                job.attempted = anyio.Event() if job.attempted.is_set() else job.attempted
        except Exception:  # the edge of a background task: a picture that cannot be saved must not end all other calls
            log.exception("task %s could not be saved", logged_id(entry.task_id))
            job.failure = "vidgo-mcp failed, and the server's log on stderr has the details"
        finally:
            self._jobs.pop(entry.id, None)
            job.attempted.set()

    async def _attempt(self, entry: Entry, job: SaveJob) -> bool:
        """Return whether there is nothing left to do."""
        claimed = False
        try:
            claimed = await self._journal.claim_saving(entry.id, process=self._runtime.process)
            if not claimed:
                job.failure = "another process is at it, or the journal has not recorded its end"
                return await self._saved_elsewhere(entry, job)
            client = await self._open_client()
            content = await client.download(entry.image_urls[0], seconds=DOWNLOAD_SECONDS)
            job.path, digest, pixels = await self._in_thread(store, self._files, content, entry)
            await self._journal.mark_saved(entry.id, [str(job.path)], digest)
            if pixels is not None:
                await self._journal.record_pixels(entry.id, pixels)
        except VidgoError as error:
            job.failure = _phrase(error.message)
            # A journal heals, and a host may need a moment until it has the file; too large stays too large.
            passing = error.retryable or isinstance(error, JournalError | NotFoundError | PermissionDeniedError)
            job.final = not passing
        except (FileExistsError, NotADirectoryError):
            job.failure = "there is a file where the folder should be"
        except OSError as error:
            job.failure = _phrase(error.strerror or type(error).__name__)
        else:
            return True
        finally:
            if claimed:
                await self._release(entry)
        # Whoever asks for the picture is told in notes.
        log.info("task %s is not saved yet: %s", logged_id(entry.task_id), job.failure)
        return job.final

    async def _saved_elsewhere(self, entry: Entry, job: SaveJob) -> bool:
        """Look for a while whether the process that saves this picture has done so."""
        for _ in range(round(HOLD_SECONDS / LOOK_PAUSE)):
            known = await self._journal.entry(entry.id)
            if known is None or known.saved_paths:
                job.path = Path(known.saved_paths[0]) if known is not None else None
                return True
            await anyio.sleep(LOOK_PAUSE)
        return False

    async def _release(self, entry: Entry) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._journal.release_saving(entry.id, process=self._runtime.process)
        except VidgoError as error:
            log.warning("%s", error.message)


def store(files: LocalFiles, content: bytes, entry: Entry) -> tuple[Path, str, str | None]:
    """Write a picture into the folder, blocking; return where it is, the SHA-256 of its bytes, and its pixels.

    Raises:
        OSError: it cannot be written.
        UnavailableError: the bytes are no picture, or half of one.
    """
    try:
        # A connection can end early without saying so; half a picture must not count as saved.
        extension = whole_picture(content).extension
    except UnusableError as error:
        raise UnavailableError(f"What its URL gave cannot be used: {error.reason}.") from None

    assert files.save_dir is not None
    content = with_metadata(files, content, entry)
    day = datetime.fromtimestamp(entry.created_at).astimezone().date()

    def name(number: int) -> str:
        return file_name(
            day=day, prompt=entry.intent.prompt, task_id=entry.task_id or "", extension=extension, number=number
        )

    return save(content, files.save_dir, name), sha256(content).hexdigest(), pixels_of(content)


def with_metadata(files: LocalFiles, content: bytes, entry: Entry) -> bytes:
    """Return a picture as it is saved: with its facts inside, where the person wants that. Blocking."""
    if not files.embed_metadata:
        return content
    intent = entry.intent
    facts = Facts(
        prompt=intent.prompt,
        model=intent.model,
        size=intent.size,
        tier=intent.tier,
        quality=intent.quality,
        task_id=entry.task_id or "",
    )
    return with_facts(content, facts)


def _phrase(sentence: str) -> str:
    """Return a sentence as a part of another one."""
    return f"{sentence[0].lower()}{sentence[1:]}".rstrip(".")
