"""Gives each finished picture a home on disk, once, before its URL dies: by one process, in the background."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from vidgo_mcp.errors import JournalError, NotFoundError, PermissionDeniedError, UnavailableError, VidgoError
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.journal import Entry, Journal, in_window
from vidgo_mcp.service.local_files import Disk, InThread

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

HELD: Final = 5.0
"""Seconds for which a result waits for its copy."""
FETCHING: Final = 120.0
"""Seconds for one download: nobody waits for it, and a large picture may come through a thin line."""
PAUSES: Final = (5.0, 30.0, 120.0, 600.0, 3600.0)
"""Seconds between attempts; the last one is repeated while the URL lives."""
AT_ONCE: Final = 3
LOOK: Final = 0.5
"""Seconds between looks at a picture that another process is saving."""
LAST: Final = 60.0
"""Seconds before the end of a URL's life from which no attempt is made."""

log = logging.getLogger(__name__)


class SaveJob:
    """One picture on its way to the disk: ``attempted`` is set while no attempt runs, ``failure`` is why one failed.

    ``final`` says that no other attempt will do better; ``path`` is where the picture is once it is saved.
    """

    def __init__(self, task_id: str | None) -> None:
        self.task_id = task_id
        self.path: Path | None = None
        self.attempted = anyio.Event()
        self.failure = ""
        self.final = False
        self._again = anyio.Event()

    def poll_now(self) -> None:
        """Try again now, if no attempt is running."""
        if self.attempted.is_set():
            self.attempted = anyio.Event()
            self._again.set()

    async def pause(self, seconds: float) -> bool:
        """Wait for the time of the next attempt, or for somebody in a poll_now; return whether the time has come."""
        self._again = anyio.Event()
        self.attempted.set()
        with anyio.move_on_after(seconds):
            await self._again.wait()
            return False
        self.attempted = anyio.Event()
        return True


class PictureSaver:
    """All pictures that this process saves.

    Args:
        journal: says who saves, and remembers where.
        disk: the folder, and what goes into a file.
        owner: whose pictures are saved. Another caller's must not show up in this person's folder.
        open_client: opens the client, once.
        in_thread: runs what blocks.
        holder: the name of this process in the journal.
        gone: whether another process, by its name, provably ended.
        now: the time of day in seconds since the epoch.
    """

    def __init__(
        self,
        journal: Journal,
        disk: Disk,
        open_client: Callable[[], Awaitable[VidgoClient]],
        *,
        owner: str | None,
        in_thread: InThread,
        holder: str,
        gone: Callable[[str], bool],
        now: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._disk = disk
        self._owner = owner
        self._open_client = open_client
        self._in_thread = in_thread
        self._holder = holder
        self._gone = gone
        self._now = now
        self._at_once = anyio.CapacityLimiter(AT_ONCE)
        self._under_way: dict[str, SaveJob] = {}

    def begin(self, tasks: anyio.abc.TaskGroup, entry: Entry) -> SaveJob | None:
        """Start to save a picture, or return what is under way; None when there is nothing to save."""
        if self._disk.save_dir is None or entry.state != "finished" or entry.saved_paths or not entry.image_urls:
            return None
        if entry.intent.owner != self._owner or not in_window(entry, self._now()):
            return None
        saving = self._under_way.get(entry.id)
        if saving is None:
            saving = self._under_way[entry.id] = SaveJob(entry.task_id)
            tasks.start_soon(self._run, entry, saving)
        return saving

    async def hold(self, tasks: anyio.abc.TaskGroup, entry: Entry) -> tuple[Entry, list[str]]:
        """Wait up to 5 s for the copy of a picture; return its entry, and notes about a copy that is not there yet."""
        saving = self.begin(tasks, entry)
        if saving is None:
            return entry, []
        # Somebody asks for the picture: why an earlier attempt failed may be over.
        saving.poll_now()
        with anyio.move_on_after(HELD):
            await saving.attempted.wait()
        try:
            known = await self._journal.entry(entry.id)
        except VidgoError as error:
            return entry, [error.message]
        if known is not None and known.saved_paths:
            return replace(entry, saved_paths=known.saved_paths), []
        if not saving.failure:
            return entry, [f"Not saved to {self._disk.save_dir} yet; that goes on."]
        again = "" if saving.final else " It is tried again while the URL lives."
        return entry, [f"Not saved to {self._disk.save_dir}: {saving.failure}.{again}"]

    def unfinished(self) -> list[SaveJob]:
        """Return what is on its way to the disk."""
        return list(self._under_way.values())

    async def settle(self) -> None:
        """Wait until no attempt is running."""
        for saving in self.unfinished():
            await saving.attempted.wait()

    async def resume(self, tasks: anyio.abc.TaskGroup) -> None:
        """Save what earlier processes could not, and sweep away what killed ones left half done.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._disk.save_dir is None or self._owner is None:
            return
        for entry in await self._journal.unsaved(self._owner):
            self.begin(tasks, entry)
        await self._in_thread(_swept, self._disk.save_dir, self._now())

    async def _run(self, entry: Entry, saving: SaveJob) -> None:
        try:
            waited = 0
            while True:
                async with self._at_once:
                    done = await self._attempt(entry, saving)
                left = (entry.dies_at or 0.0) - self._now()
                if done or left < LAST:
                    return
                # Towards the end of the URL's life the next attempt comes before that end.
                waited += await saving.pause(min(PAUSES[min(waited, len(PAUSES) - 1)], left / 2))
        except Exception:  # the edge of a background task: a picture that cannot be saved must not end all other calls
            log.exception("task %s could not be saved", entry.task_id)
            saving.failure = "vidgo-mcp failed, and the server's log on stderr has the details"
        finally:
            self._under_way.pop(entry.id, None)
            saving.attempted.set()

    async def _attempt(self, entry: Entry, saving: SaveJob) -> bool:
        """Return whether there is nothing left to do."""
        claimed = False
        try:
            claimed = await self._journal.claim_saving(entry.id, holder=self._holder, gone=self._gone)
            if not claimed:
                saving.failure = "another process is at it, or the journal has not recorded its end"
                return await self._saved_elsewhere(entry, saving)
            client = await self._open_client()
            content = await client.download(entry.image_urls[0], seconds=FETCHING)
            saving.path, digest = await self._in_thread(store, self._disk, content, entry)
            await self._journal.mark_saved(entry.id, [str(saving.path)], digest)
        except VidgoError as error:
            saving.failure = _phrase(error.message)
            # A journal heals, and a host may need a moment until it has the file; too large stays too large.
            passing = error.retryable or isinstance(error, JournalError | NotFoundError | PermissionDeniedError)
            saving.final = not passing
        except (FileExistsError, NotADirectoryError):
            saving.failure = "there is a file where the folder should be"
        except OSError as error:
            saving.failure = _phrase(error.strerror or type(error).__name__)
        else:
            return True
        finally:
            if claimed:
                await self._release(entry)
        # Whoever asks for the picture is told in notes.
        log.info("task %s is not saved yet: %s", entry.task_id, saving.failure)
        return saving.final

    async def _saved_elsewhere(self, entry: Entry, saving: SaveJob) -> bool:
        """Look for a while whether the process that saves this picture has done so."""
        for _ in range(round(HELD / LOOK)):
            known = await self._journal.entry(entry.id)
            if known is None or known.saved_paths:
                saving.path = Path(known.saved_paths[0]) if known is not None else None
                return True
            await anyio.sleep(LOOK)
        return False

    async def _release(self, entry: Entry) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._journal.release_saving(entry.id, holder=self._holder)
        except VidgoError as error:
            log.warning("%s", error.message)


def store(disk: Disk, content: bytes, entry: Entry) -> tuple[Path, str]:
    """Write a picture into the folder, and return where it is, and the SHA-256 of its bytes. Blocks.

    Raises:
        OSError: it cannot be written.
        UnavailableError: the bytes are no picture, or half of one.
    """
    # Imported here, in the worker thread: a server that has saved nothing yet need not have it.
    from vidgo_mcp.files.images import validate_image
    from vidgo_mcp.files.naming import file_name
    from vidgo_mcp.files.writer import save

    try:
        # A connection can end early without saying so; half a picture must not count as saved.
        extension = validate_image(content).extension
    except UnusableError as error:
        raise UnavailableError(f"What its URL gave cannot be used: {error.reason}.") from None

    assert disk.save_dir is not None
    if disk.facts:
        content = labelled(content, entry)
    day = datetime.fromtimestamp(entry.created_at).astimezone().date()

    def name(number: int) -> str:
        return file_name(
            day=day, prompt=entry.intent.prompt, task_id=entry.task_id or "", extension=extension, number=number
        )

    return save(content, disk.save_dir, name), sha256(content).hexdigest()


def labelled(content: bytes, entry: Entry) -> bytes:
    """Return a picture with the facts about it inside. Blocks."""
    from vidgo_mcp.files.metadata import Facts, with_facts

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


def _swept(folder: Path, now: float) -> None:
    from vidgo_mcp.files.writer import STALE, sweep

    sweep(folder, older_than=STALE, now=now)


def _phrase(sentence: str) -> str:
    """Return a sentence as a part of another one."""
    return f"{sentence[0].lower()}{sentence[1:]}".rstrip(".")
