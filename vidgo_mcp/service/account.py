"""What all calls of one account share: the client and its pace, the balance, submissions, uploads and the saver."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from vidgo_mcp.client.retry import NAMED_TASK_SECONDS
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.journal import Entry, Journal, in_window
from vidgo_mcp.journal.transitions import recorded
from vidgo_mcp.models.tasks import Task
from vidgo_mcp.models.urls import is_on_this_machine
from vidgo_mcp.pricing import PriceTable
from vidgo_mcp.service.local_files import LocalFiles
from vidgo_mcp.service.picture_saver import PictureSaver
from vidgo_mcp.service.reconciliation import Reconciliation
from vidgo_mcp.service.runtime import Places, Runtime
from vidgo_mcp.service.submission import Submission, Submissions
from vidgo_mcp.service.upload_queue import UploadQueue
from vidgo_mcp.service.watches import Deadline, ProgressReporter, Watches, follow

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient


class Account:
    """One account at Vidgo, as long as the service runs.

    ``name`` comes from ``account_of``; what goes on without a caller runs in ``tasks``; the other arguments are those
    of ``Service``.
    """

    def __init__(  # noqa: PLR0913  # what one account is made of
        self,
        name: str,
        connect: Callable[[str], AbstractAsyncContextManager[VidgoClient]],
        journal: Journal,
        files: LocalFiles,
        runtime: Runtime,
        tasks: anyio.abc.TaskGroup,
        *,
        callback_url: str | None,
        prices: PriceTable,
    ) -> None:
        self.name = name
        self.journal = journal
        self.files = files
        self.runtime = runtime
        self.in_thread = runtime.threads()
        self.look_in_thread = runtime.threads()
        self.decode_in_thread = Places(runtime.threads(), 4)
        # Each may hold 64 MB, from its download until it is decoded.
        self.viewed_at_once = anyio.CapacityLimiter(8)
        self.awaited: Counter[str] = Counter()
        """How many calls wait for an entry, which need not be told that its picture is there."""
        self.refused_submits: defaultdict[str, list[float]] = defaultdict(list)
        """When Vidgo refused the content of each owner's submits."""
        self.submissions = Submissions(
            journal,
            tasks,
            runtime,
            callback_url=callback_url,
            price=lambda intent: self.reconciliation.price(intent.quality, intent.tier),
            on_end=self._submitted,
            on_bound=self._bound,
        )
        self.uploads = UploadQueue(name, journal, self.client, runtime, tasks)
        self.saver = PictureSaver(f"{name}/", journal, files, self.client, runtime, tasks)
        self.watches = Watches(
            journal, self.client, tasks, on_ended=self._task_ended, now=runtime.now, random=runtime.random
        )
        self.reconciliation = Reconciliation(name, journal, self._read_balance, prices, runtime.now, tasks)
        self._connect = connect
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._client: VidgoClient | None = None
        self._balance: tuple[float, float] | None = None
        self._balance_changes = 0

    async def client(self) -> VidgoClient:
        """Return the client; it is opened once."""
        async with self._opening:
            if self._client is None:
                self._client = await self._stack.enter_async_context(self._connect(self.name))
                self._client.on_date = self.journal.hear_time
                self.reconciliation.begin()
            return self._client

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end."""
        return self.submissions.stopping

    def stop(self) -> None:
        """Begin to end: nothing more is sent, and nobody waits for a picture any longer."""
        self.submissions.stop()
        self.watches.stop()

    async def aclose(self) -> None:
        """Close the client."""
        await self._stack.aclose()

    async def balance(self) -> float:
        """Return the credits of the account: read at most 30 s ago, and since credits last moved.

        Raises:
            VidgoError: it could not be read.
        """
        await self.client()
        if self._balance is not None and anyio.current_time() - self._balance[1] <= 30.0:
            return self._balance[0]
        return await self._read_balance()

    async def _read_balance(self) -> float:
        # Without a turn of the event loop where it is open: the first reading is to leave before a submit does.
        client = self._client or await self.client()
        changes = self._balance_changes
        left = await client.balance()
        if changes == self._balance_changes:
            self._balance = (left, anyio.current_time())
        return left

    async def learn_time(self) -> bool:
        """Hear Vidgo's time, by a free call, where the journal has to know it; return whether that was needed.

        Raises:
            VidgoError: there was no answer.
        """
        if not await self.journal.needs_time():
            return False
        try:
            await self._read_balance()
        except VidgoError:
            # An answer that refuses tells the time as well.
            if await self.journal.needs_time():
                raise
        return True

    def forget_balance(self) -> None:
        """Credits moved, or may have."""
        self._balance = None
        self._balance_changes += 1

    async def _submitted(self, submission: Submission) -> None:
        self.forget_balance()
        self.reconciliation.wake()
        if submission.phase == "accepted":
            await self.watches.tracked_task(submission.entry)

    async def _bound(self, entry: Entry) -> None:
        # Its end may have been seen while there was nothing to record it in.
        if entry.state == "accepted":
            await self.watches.tracked_task(entry)

    def _task_ended(self, entry: Entry | None, task: Task) -> None:
        self.reconciliation.wake()
        if task.phase == "failed":
            self.forget_balance()
        if entry is not None:
            self.saver.begin(entry)

    async def await_end(
        self, entry: Entry, deadline: Deadline, reporter: ProgressReporter, *, look: bool = True
    ) -> tuple[Entry, VidgoError | None]:
        """Wait until a task has ended or time is over; return its entry, and why it could not be read if so."""
        await self.client()
        watch = await self.watches.tracked_task(entry)
        failure = await follow(watch, deadline, reporter, look=look)
        seen = watch.polling
        if seen.latest is not None:
            # From the watch, not from the journal: a journal that broke meanwhile must not hide a picture.
            entry = recorded(entry, seen.latest, empty=seen.empty, now=self.runtime.now())
        return entry, failure

    async def settle_named(self, entry: Entry) -> Entry | None:
        """Return an unknown entry bound to the task that its answer named; None as long as Vidgo does not show that.

        Raises:
            VidgoError: the client cannot be opened, or the journal not be used.
        """
        client, task = await self.client(), None
        with anyio.move_on_after(NAMED_TASK_SECONDS), suppress(VidgoError):
            task = await client.status(entry.asked_as)
        if task is None:
            return None
        # It may have become that of another request meanwhile. Asked first: another call may be settling this very one.
        taken = await self.submissions.is_known(entry.intent, task.task_id)
        known = await self.journal.by_task(entry.intent.owner, task.task_id)
        if known.id != entry.id if known is not None else taken:
            return None
        return await self.journal.bind(entry.id, task)

    async def lost_picture(self, entry: Entry) -> bool:
        """Return whether a finished picture died with the sandbox that made it, and record that.

        A sandbox that was started anew knows nothing of what an earlier one at its address was paid for. Vidgo's own
        URLs live for their time, and are not asked.
        """
        is_gone = self.runtime.is_gone
        if is_gone is None or entry.state != "finished" or not all(map(is_on_this_machine, entry.image_urls)):
            return False
        await self.client()  # a sandbox inside this process gives out its pictures from now on
        if not await is_gone(entry.image_urls[0]):
            return False
        await self.journal.lose_url(entry.id)
        return True

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

    async def resume(self) -> None:
        """Read again what earlier processes paid for and did not see end, and save what they could not.

        Raises:
            VidgoError: the journal cannot be read.
        """
        # What other processes found is in force here too, also in what is said before the first picture.
        await self.reconciliation.refresh()
        for entry in await self.journal.unfinished():
            if entry.intent.account == self.name:
                await self.watches.tracked_task(entry)
        await self.saver.resume()
        # Last: each is asked about at Vidgo, and none may keep the others waiting.
        for named in await self.journal.named():
            if named.intent.account == self.name and in_window(named, self.runtime.now()):
                bound = await self.settle_named(named)
                if bound is not None:
                    await self.watches.tracked_task(bound)
