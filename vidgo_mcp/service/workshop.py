"""What all calls of one service share: the journal, the client, the submits under way, the watches, and their end."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from vidgo_mcp.errors import (
    AuthenticationError,
    JournalError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    VidgoError,
)
from vidgo_mcp.journal import Entry, Journal
from vidgo_mcp.journal.transitions import recorded
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import task_results
from vidgo_mcp.service.identity import owner_of
from vidgo_mcp.service.local_files import Disk, InThread, Threads, existing
from vidgo_mcp.service.picture_saver import PictureSaver
from vidgo_mcp.service.submission import Submissions
from vidgo_mcp.service.upload_queue import Uploads
from vidgo_mcp.service.waiting import Deadline, ProgressReporter, Watches, follow

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

Connect = Callable[[], AbstractAsyncContextManager["VidgoClient"]]

SHUTDOWN_SECONDS: Final = 10.0
"""Seconds for which a stopping process waits for the answers to its submits."""
LOOK_SECONDS: Final = 2.0
"""Seconds that a disk has to say whether a file is there."""
COPY_SECONDS: Final = 10.0
"""Seconds that a disk has to give a file."""
RESUME_PAUSE: Final = 1.0
"""Seconds that leave the first answers undisturbed by the journal's opening in the background."""
RESUME_AGAIN: Final = 30.0
"""Seconds before tasks of earlier runs are looked after again, when the journal could not be read."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose key it is: ``name`` from ``account_of``, None without a key; ``missing`` says why there is none."""

    name: str | None
    missing: str = "VIDGO_API_KEY is not set."


class Workshop:
    """The shared parts of a service, and their life.

    Args:
        journal: what was paid for.
        connect: opens the client, when it is first needed.
        account: whose key it is.
        callback_url: where Vidgo posts results to, if the operator wants that.
        disk: what of this machine's disk may be used.
        in_thread: runs work that blocks.
        process: the name of this process in the journal.
        now: the time of day in seconds since the epoch.
        draw: a random number between 0 and 1, for jitter.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        connect: Connect,
        account: Account,
        callback_url: str | None,
        disk: Disk,
        in_thread: InThread | None,
        process: str,
        now: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.journal = journal
        self.process = process
        self.now = now
        self.disk = disk
        self.in_thread = in_thread or Threads()
        # Of its own: a look at a name must not wait until pictures are decoded.
        self._look_in_thread = in_thread or Threads()
        self.submissions = Submissions(journal, callback_url=callback_url, draw=draw)
        self.uploads = Uploads(journal, self.open, now=now, draw=draw)
        self.savings = PictureSaver(
            journal,
            disk,
            self.open,
            owner=None if account.name is None else owner_of(account.name, ""),
            # Of its own as well: a folder that does not answer must not keep anybody from looking or editing.
            in_thread=in_thread or Threads(),
            process=process,
            now=now,
        )
        self.watches = Watches(
            journal,
            self.open,
            on_failed=self.forget_balance,
            on_finished=lambda entry: self.savings.begin(self.tasks, entry),
            now=now,
            draw=draw,
        )
        self.awaited: Counter[str] = Counter()
        self.unreported: set[str] = set()
        """Entries whose call was answered before they were sent: what they cost is still to be told."""
        self.balance: tuple[float, float] | None = None
        self.balance_changes = 0
        self.saved_late: dict[str, str | None] = {}
        """After the end: where the pictures are that were still being saved, by task_id; None when they are not."""
        self._account = account
        self._connect = connect
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._client: VidgoClient | None = None

    async def enter(self) -> None:
        """Begin; whoever enters also leaves."""
        self.tasks: anyio.abc.TaskGroup = await anyio.create_task_group().__aenter__()
        if self._account.name is not None:
            self.tasks.start_soon(self._resume, self._account.name)

    async def leave(self) -> None:
        """Let submits and savings under way end, for up to 10 s: an answer that comes then is not lost."""
        with anyio.CancelScope(shield=True):
            late = self.savings.unfinished()
            await self.submissions.drop_unstarted()
            with anyio.move_on_after(SHUTDOWN_SECONDS):
                await self.submissions.all_done()
                await self.savings.settle()
            self.saved_late = {
                saving.task_id: None if saving.path is None else str(saving.path)
                for saving in late
                if saving.task_id is not None
            }
            self.submissions.cut()
            await self.submissions.all_done()
        self.tasks.cancel_scope.cancel()
        try:
            # Without the error of the body, which so stays itself and is not wrapped in a group.
            await self.tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stack.aclose()
                await self.journal.aclose()

    async def _resume(self, account: str) -> None:
        """Read again what earlier processes paid for and did not see end."""
        await anyio.sleep(RESUME_PAUSE)
        level = logging.WARNING
        while True:
            try:
                await self.journal.expire()
                for entry in await self.journal.unfinished():
                    if entry.intent.owner.startswith(f"{account}/"):
                        await self.watches.own(self.tasks, entry)
                await self.savings.resume(self.tasks)
            except VidgoError as error:
                # Another program may hold the journal for a while.
                log.log(level, "tasks of earlier runs cannot be looked after yet: %s", error.message)
                level = logging.DEBUG
                await anyio.sleep(RESUME_AGAIN)
            else:
                return

    def owner(self, caller: str) -> str:
        """Return who pays for a caller.

        Raises:
            AuthenticationError: there is no key.
        """
        if self._account.name is None:
            raise AuthenticationError(self._account.missing)
        return owner_of(self._account.name, caller)

    @property
    def has_key(self) -> bool:
        """Whether there is a key at all."""
        return self._account.name is not None

    async def open(self) -> VidgoClient:
        """Return the client; it is opened once."""
        async with self._opening:
            if self._client is None:
                self._client = await self._stack.enter_async_context(self._connect())
            return self._client

    def forget_balance(self) -> None:
        """Credits moved, or may have."""
        self.balance = None
        self.balance_changes += 1

    async def await_end(
        self, entry: Entry, deadline: Deadline, meter: ProgressReporter, *, look: bool = True
    ) -> tuple[Entry, VidgoError | None]:
        """Wait until a task has ended or time is over; return its entry, and why it could not be read if so."""
        await self.open()
        watch = await self.watches.own(self.tasks, entry)
        failure = await follow(watch, deadline, meter, look=look)
        if watch.latest is not None:
            # From the watch, not from the journal: a journal that broke meanwhile must not hide a picture.
            entry = recorded(entry, watch.latest, empty=watch.empty, now=self.now())
        return entry, failure

    async def untracked_task(
        self, owner: str, task_id: str, deadline: Deadline, meter: ProgressReporter, *, field: str = "task_id"
    ) -> TaskResult:
        """Return a task that the journal does not know, as Vidgo describes it to this key.

        Raises:
            NotFoundError: Vidgo does not know it either.
            VidgoError: its status could not be read.
        """
        await self.open()
        watch = self.watches.untracked_task(self.tasks, task_id)
        failure = await follow(watch, deadline, meter)
        if isinstance(failure, NotFoundError | PermissionDeniedError):
            raise task_results.no_such_task(failure, task_id, await self._near(owner, task_id), field) from None
        if failure is not None:
            raise failure
        if watch.latest is None:
            raise UnavailableError(
                f"The status of {task_id} could not be read in time.", money="accepted", task_id=task_id
            )
        unsaved = bool(watch.latest.file_urls) and self.disk.save_dir is not None
        notes = ["It was not submitted from here, so no copy of it is saved."] if unsaved else []
        return task_results.untracked_result(watch.latest, empty=watch.empty, notes=[*notes, *await self.news(owner)])

    async def _near(self, owner: str, task_id: str) -> list[str]:
        try:
            known = [entry.task_id for entry in await self.journal.newest(owner, 200) if entry.task_id]
        except JournalError:
            return []
        return get_close_matches(task_id, known, n=1)

    async def known(self, owner: str, task_id: str) -> Entry | None:
        """Return what the journal knows of a task; a journal that cannot be read knows nothing, and Vidgo is asked."""
        try:
            return await self.journal.by_task(owner, task_id)
        except JournalError as error:
            log.warning("%s", error.message)
            return None

    async def delivered(
        self, entry: Entry, *, charged: bool | None, notes: list[str], receipt: Sequence[str] = ()
    ) -> TaskResult:
        """Return the result of an entry, and record that somebody received it."""
        owner = entry.intent.owner
        another = None
        entry, unsaved = await self.savings.hold(self.tasks, entry)
        notes = [*notes, *unsaved]
        try:
            if entry.state == "finished":
                await self.journal.mark_delivered([entry.id])
                if charged is False:
                    used = await self.journal.variations(owner, entry.intent.request_key)
                    another = next(number for number in range(1, len(used) + 2) if number not in used)
        except JournalError as error:
            notes = [*notes, error.message]
        said = [*notes, *await self.news(owner)]
        [saved] = await self.copies([entry])
        return task_results.entry_result(
            entry, self.now(), saved=saved, charged=charged, another=another, notes=said, receipt=receipt
        )

    async def copies(self, entries: Sequence[Entry]) -> list[list[str]]:
        """Return for each picture where its copies are that this caller may know of.

        A disk that does not answer, a network folder for instance, is believed to have them still: that a copy were
        gone would be a reason to pay for the picture again.
        """
        saved = [self.disk.copies(entry) for entry in entries]
        if not any(saved):
            return saved
        with anyio.move_on_after(LOOK_SECONDS):
            there = set(await self._look_in_thread(existing, [path for paths in saved for path in paths]))
            return [[path for path in paths if path in there] for paths in saved]
        return saved

    async def copy(self, entry: Entry) -> bytes | None:
        """Return the saved copy of a picture, None when there is none that can be read in time."""
        with anyio.move_on_after(COPY_SECONDS):
            return await self.in_thread(self.disk.copy, entry)
        return None

    @contextmanager
    def awaiting(self, entry_id: str) -> Iterator[None]:
        """Count somebody who waits for a picture, and so need not be told that it is there."""
        self.awaited[entry_id] += 1
        try:
            yield
        finally:
            self.awaited[entry_id] -= 1
            if not self.awaited[entry_id]:
                del self.awaited[entry_id]

    async def news(self, owner: str) -> list[str]:
        """Return notes about pictures that were paid for and that nobody has received yet."""
        try:
            waiting = await self.journal.undelivered(owner)
        except JournalError:
            return []
        return task_results.undelivered_notes([entry for entry in waiting if not self.awaited[entry.id]])
