"""The tasks of one caller: found in the journal or at Vidgo, waited for, and handed over. Nothing here spends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Final

import anyio

from vidgo_mcp.errors import JournalError, NotFoundError, PermissionDeniedError, Remedy, UnavailableError
from vidgo_mcp.foreign_text import described_url, escape
from vidgo_mcp.journal import Entry, in_window
from vidgo_mcp.models.results import TaskList, TaskResult, View
from vidgo_mcp.models.tasks import refuses_content
from vidgo_mcp.service import task_results
from vidgo_mcp.service.account import Account
from vidgo_mcp.service.local_files import existing
from vidgo_mcp.service.picture_saver import DOWNLOAD_SECONDS, with_metadata
from vidgo_mcp.service.thumbnails import MOST_BYTES, fitting, scaled
from vidgo_mcp.service.watches import Deadline, ProgressReporter, follow

CONTENT_PATIENCE: Final = 600.0
"""Seconds within which a second refusal of content ends the attempts."""

DECODE_SECONDS: Final = 30.0
"""For one picture to be scaled down, with those before it; a caller is told then, and the work goes on to its end."""

log = logging.getLogger(__name__)


class CallerTasks:
    """One caller's view of an account's tasks: those of another ``owner`` (``Principal.owner``) do not exist here."""

    def __init__(self, account: Account, owner: str) -> None:
        self.account = account
        self.owner = owner
        self._journal = account.journal
        self._now = account.runtime.now
        self._unbound = account.submissions.unbound

    async def find(self, task_id: str) -> Entry | None:
        """Return what the journal knows of a task; a journal that cannot be read knows nothing, and Vidgo is asked.

        One that only the answer to a submit named stays unknown until Vidgo shows it: its entry is bound to it then.
        """
        kept = next((entry for entry in self._unbound.of_owner(self.owner) if entry.task_id == task_id), None)
        if kept is not None:
            return kept
        try:
            entry = await self._journal.by_task(self.owner, task_id)
            if entry is None:
                named = [one for one in await self._journal.named() if one.named_task == task_id]
                mine = next((one for one in named if one.intent.owner == self.owner), None)
                entry = None if mine is None else await self.account.settle_named(mine) or mine
            return entry
        except JournalError as error:
            log.warning("%s", error.message)
            return None

    async def get(
        self, task_id: str, deadline: Deadline, reporter: ProgressReporter, *, deliver: bool = True
    ) -> TaskResult:
        """Return a task, waiting for its end; ``deliver`` records that somebody received it.

        Raises:
            NotFoundError: neither the journal nor Vidgo knows it.
            OutcomeUnknownError: the answer to a submit named it, and Vidgo does not know it: that may be paid for.
            VidgoError: its status could not be read.
        """
        entry = await self.find(task_id)
        if entry is not None and entry.state == "unknown":
            raise task_results.lost_answer(entry, await self.account.reconciliation.finding(entry))
        if entry is None:
            found = await self.untracked_task(task_id, deadline, reporter)
            return self._with_wait_noted(found, deadline)
        notes = []
        with self.account.awaiting(entry.id):
            if entry.state == "accepted" and in_window(entry, self._now()):
                entry, failure = await self.account.await_end(entry, deadline, reporter)
                if isinstance(failure, NotFoundError | PermissionDeniedError):
                    notes = [f"It was accepted and paid for, but its status cannot be read. {failure.message}"]
                elif failure is not None:
                    raise failure
            if deliver:
                found = await self.deliver(entry, deadline, charged=None, notes=notes)
                return self._with_wait_noted(found, deadline)
            [saved] = await self.copies([entry])
            found = task_results.entry_result(entry, self._now(), saved=saved, notes=notes)
            return await self._with_price_again(found, entry)

    async def _with_price_again(self, found: TaskResult, entry: Entry) -> TaskResult:
        prices = self.account.reconciliation
        with suppress(JournalError):
            await prices.refresh()
        again = prices.prices.price(entry.intent.quality, entry.intent.tier)
        return found.model_copy(update={"price_again": again})

    def _with_wait_noted(self, found: TaskResult, deadline: Deadline) -> TaskResult:
        return task_results.with_wait_noted(found, deadline.shortened, stopping=self.account.stopping)

    async def peek_task(self, task_id: str) -> TaskResult:
        """Return a task as it stands, or raise as ``get`` does. Its picture is still announced to whoever waits."""
        return await self.get(task_id, Deadline(0), ProgressReporter(), deliver=False)

    async def untracked_task(
        self, task_id: str, deadline: Deadline, reporter: ProgressReporter, *, field: str = "task_id"
    ) -> TaskResult:
        """Return a task that the journal does not know, as Vidgo describes it to this key.

        Raises:
            NotFoundError: Vidgo does not know it either.
            VidgoError: its status could not be read.
        """
        await self.account.client()
        watch = self.account.watches.untracked_task(task_id)
        failure = await follow(watch, deadline, reporter)
        if isinstance(failure, NotFoundError | PermissionDeniedError):
            raise task_results.no_such_task(failure, task_id, await self._nearest(task_id), field) from None
        if failure is not None:
            raise failure
        latest = watch.polling.latest
        if latest is None:
            raise UnavailableError(
                f"The status of {task_id} could not be read in time.", money="accepted", task_id=task_id
            )
        unsaved = latest.phase == "finished" and bool(latest.file_urls) and self.account.files.save_dir is not None
        notes = ["It was not submitted from here, so no copy of it is saved."] if unsaved else []
        notes += await self.undelivered_notes()
        return task_results.untracked_result(latest, empty=watch.polling.empty, notes=notes)

    async def _nearest(self, task_id: str) -> str | None:
        """Return the id that a mistyped one resembles, of the newest 200 tasks."""
        try:
            entries = await self._journal.newest(self.owner, 200)
        except JournalError:
            return None
        known = [entry.task_id for entry in entries if entry.task_id]
        return next(iter(get_close_matches(task_id, known, n=1)), None)

    async def deliver(
        self,
        entry: Entry,
        deadline: Deadline,
        *,
        charged: bool | None,
        notes: Sequence[str],
        receipt: Sequence[str] = (),
    ) -> TaskResult:
        """Return the result of an entry, and record that somebody received it.

        ``charged`` says whether this very call caused the submit, None for a mere look; ``receipt`` is said last.
        """
        another = None
        entry, unsaved = await self.account.saver.hold(entry, deadline.left_for_answer())
        said = [*self._unbound.notes(entry.id), *notes, *unsaved]
        try:
            if entry.state == "finished":
                await self._journal.mark_delivered([entry.id])
                # One that nobody has received is no wish for another one: the call recovers from a time-out.
                if charged is False and entry.delivered and in_window(entry, self._now()):
                    used = await self._journal.variations(self.owner, entry.intent.request_key)
                    another = next(number for number in range(1, len(used) + 2) if number not in used)
        except JournalError as error:
            said.append(error.message)
        said += [*await self.undelivered_notes(), *receipt]
        [saved] = await self.copies([entry])
        # A journal that cannot be used says so at each step, and is told of once.
        notes = list(dict.fromkeys(said))
        result = task_results.entry_result(
            entry, self._now(), saved=saved, charged=charged, another=another, notes=notes
        )
        result = await self._with_price_again(result, entry)
        if result.remedy != "reword_if_asked":
            return result
        return result.model_copy(update={"remedy": await self.content_remedy()})

    async def content_remedy(self, *, refused_submit: bool = False) -> Remedy:
        """Return what to do about a refusal of content: the second in ten minutes is enough.

        Models reword a refused subject without end, unasked. A refused submit leaves no entry in the journal, so it is
        counted here; some clients start one process a call, so failed tasks are counted there.
        """
        now = self._now()
        refused = self.account.refused_submits[self.owner]
        refused += [now] * refused_submit
        try:
            entries = await self._journal.newest(self.owner, 20)
        except JournalError:
            entries = []
        failed = [e.ended_at or e.created_at for e in entries if e.state == "failed" and refuses_content(e.error)]
        recent = [at for at in (*refused, *failed) if now - at < CONTENT_PATIENCE]
        return "reword_if_asked" if len(recent) < 2 else "stop_trying"

    async def undelivered_notes(self) -> list[str]:
        """Return notes about pictures that were paid for and that nobody has received yet."""
        try:
            waiting = await self._journal.undelivered(self.owner)
        except JournalError:
            return []
        return task_results.undelivered_notes([entry for entry in waiting if not self.account.awaited[entry.id]])

    async def listed(self, limit: int) -> TaskList:
        """Return the newest tasks for somebody who receives their pictures by it.

        Raises:
            JournalError: the journal cannot be read.
        """
        await self._journal.expire()
        tasks = await self.newest(limit, deliver=True)
        return TaskList(tasks=tasks, more=len(tasks) == limit)

    async def newest(self, limit: int, *, deliver: bool = False) -> list[TaskResult]:
        """Return the newest tasks, newest first; ``deliver`` records that somebody received their pictures.

        Raises:
            JournalError: the journal cannot be read.
        """
        entries = self._unbound.merged(await self._journal.newest(self.owner, limit), self.owner, limit)
        now = self._now()
        if deliver:
            await self._journal.mark_delivered([e.id for e in entries if e.state == "finished" and in_window(e, now)])
        saved = await self.copies(entries)
        findings = [await self.account.reconciliation.finding(entry) for entry in entries]
        return [
            task_results.entry_result(entry, now, saved=paths, notes=self._unbound.notes(entry.id), finding=finding)
            for entry, paths, finding in zip(entries, saved, findings, strict=True)
        ]

    async def copies(self, entries: Sequence[Entry]) -> list[list[str]]:
        """Return for each picture where its copies are that this caller may know of.

        A disk that does not answer within 2 s, a network folder for instance, is believed to have them still: that a
        copy were gone would be a reason to pay for the picture again.
        """
        saved = [self.account.files.copies(entry) for entry in entries]
        if not any(saved):
            return saved
        with anyio.move_on_after(2.0):
            there = set(await self.account.look_in_thread(existing, [path for paths in saved for path in paths]))
            return [[path for path in paths if path in there] for paths in saved]
        return saved

    async def picture(self, task_id: str, *, seconds: float | None = None) -> tuple[TaskResult, bytes]:
        """Return a finished picture: its saved copy, else what its URL gives within ``seconds``.

        A disk has 10 s to give the copy.

        Raises:
            VidgoError: there is no picture, or not yet.
        """
        result = await self.peek_task(task_id)
        entry = await self.find(task_id) if result.saved_paths else None
        if entry is not None:
            with anyio.move_on_after(10.0):
                saved = await self.account.in_thread(self.account.files.read_copy, entry)
                if saved is not None:
                    return result, saved
        client, url = await self.account.client(), task_results.viewable_url(result)
        try:
            return result, await (client.download(url) if seconds is None else client.download(url, seconds=seconds))
        except NotFoundError as error:
            # Before its time: until then the same call returns this address, and makes no other picture.
            raise error.changed(remedy="contact_support", task_id=result.task_id) from None

    async def file(self, task_id: str) -> tuple[TaskResult, bytes]:
        """Return a finished picture as it is saved, or raise as ``picture`` does.

        It may take as long as saving does: somebody wants this very file.
        """
        result, content = await self.picture(task_id, seconds=DOWNLOAD_SECONDS)
        entry = await self.find(task_id)
        if entry is not None:
            content = await self.account.in_thread(with_metadata, self.account.files, content, entry)
        return result, content

    async def view(self, task_id: str, max_edge: int | None, most_bytes: int | None = None) -> tuple[TaskResult, View]:
        """Return a ``picture`` scaled down for looking at, its longest edge at most ``max_edge`` pixels.

        None is for a client that takes at most 700 KB: it is scaled down only where it must be. ``most_bytes`` bounds
        the others, by default to what a model's client takes.
        """
        async with self.account.viewed_at_once:
            result, view = await self._viewed(task_id, max_edge, most_bytes)
        entry = await self.find(task_id)
        if entry is not None and entry.pixels is None:
            with suppress(JournalError):
                await self._journal.record_pixels(entry.id, f"{view.width}x{view.height}")
        return result, view

    async def _viewed(self, task_id: str, max_edge: int | None, most_bytes: int | None) -> tuple[TaskResult, View]:
        result, content = await self.picture(task_id)
        try:
            with anyio.fail_after(DECODE_SECONDS):
                view = await self.account.decode_in_thread(_scaled, content, max_edge, most_bytes)
        except TimeoutError:
            why = f"The picture could not be scaled down within {DECODE_SECONDS:.0f} s."
            raise UnavailableError(why, task_id=result.task_id, remedy="show_picture") from None
        except UnavailableError as error:
            where = " and ".join([*map(escape, result.saved_paths or ()), *map(described_url, result.image_urls or ())])
            raise error.changed(message=f"{error.message} It is at {where}", task_id=result.task_id) from None
        return result, view


def _scaled(content: bytes, max_edge: int | None, most_bytes: int | None) -> View:
    return fitting(content) if max_edge is None else scaled(content, max_edge, most_bytes or MOST_BYTES)
