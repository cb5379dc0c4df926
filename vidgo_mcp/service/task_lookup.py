"""Looks after a task that exists: waits for it, tells how it stands, and gets its picture. Nothing here spends."""

from __future__ import annotations

from vidgo_mcp.errors import NotFoundError, PermissionDeniedError
from vidgo_mcp.journal import Entry, in_window
from vidgo_mcp.models.results import TaskResult, View
from vidgo_mcp.service import task_results
from vidgo_mcp.service.picture_saver import FETCHING, labelled
from vidgo_mcp.service.waiting import Deadline, Progress, ProgressReporter
from vidgo_mcp.service.workshop import Workshop


async def task(shop: Workshop, task_id: str, deadline: Deadline, caller: str, progress: Progress) -> TaskResult:
    """Return a task, waiting for its end, and record that somebody received it.

    Raises:
        NotFoundError: neither the journal nor Vidgo knows it.
        VidgoError: its status could not be read.
    """
    owner = shop.owner(caller)
    entry = await shop.known(owner, task_id)
    if entry is None:
        return await shop.untracked_task(owner, task_id, deadline, ProgressReporter(progress))
    with shop.awaiting(entry.id):
        entry, notes = await _ended(shop, entry, deadline, ProgressReporter(progress))
        return await shop.delivered(entry, charged=None, notes=notes)


async def peek_task(shop: Workshop, task_id: str, caller: str) -> TaskResult:
    """Return a task as it stands. It does not hand the picture over, which is still announced to whoever waits for it.

    Raises:
        NotFoundError: neither the journal nor Vidgo knows it.
        VidgoError: its status could not be read.
    """
    owner = shop.owner(caller)
    entry = await shop.known(owner, task_id)
    if entry is None:
        return await shop.untracked_task(owner, task_id, Deadline(0), ProgressReporter())
    with shop.awaiting(entry.id):
        entry, notes = await _ended(shop, entry, Deadline(0), ProgressReporter())
        [saved] = await shop.copies([entry])
        return task_results.entry_result(entry, shop.now(), saved=saved, notes=notes)


async def _ended(shop: Workshop, entry: Entry, deadline: Deadline, meter: ProgressReporter) -> tuple[Entry, list[str]]:
    """Return the entry as it is at its end or when time is over, and a note where Vidgo refuses to tell."""
    if entry.state != "accepted" or not in_window(entry, shop.now()):
        return entry, []
    entry, failure = await shop.await_end(entry, deadline, meter)
    if isinstance(failure, NotFoundError | PermissionDeniedError):
        return entry, [f"It was accepted and paid for, but its status cannot be read. {failure.message}"]
    if failure is not None:
        raise failure
    return entry, []


async def picture(
    shop: Workshop, task_id: str, caller: str, *, seconds: float | None = None
) -> tuple[TaskResult, bytes]:
    """Return a finished picture whole: its saved copy where there is one, else what its URL gives within ``seconds``.

    Raises:
        VidgoError: there is no picture, or not yet.
    """
    result = await peek_task(shop, task_id, caller)
    entry = await shop.known(shop.owner(caller), task_id) if result.saved_paths else None
    saved = await shop.copy(entry) if entry is not None else None
    if saved is not None:
        return result, saved
    client, url = await shop.open(), task_results.viewable_url(result)
    return result, await (client.download(url) if seconds is None else client.download(url, seconds=seconds))


async def file(shop: Workshop, task_id: str, caller: str) -> tuple[TaskResult, bytes]:
    """Return a finished picture as it is saved, with the facts about it inside where they are wanted.

    It may take as long as saving does: somebody wants this very file.

    Raises:
        VidgoError: there is no picture, or not yet.
    """
    result, content = await picture(shop, task_id, caller, seconds=FETCHING)
    entry = await shop.known(shop.owner(caller), task_id)
    if entry is not None and shop.disk.facts:
        content = await shop.in_thread(labelled, content, entry)
    return result, content


def scaled_to(content: bytes, max_edge: int) -> View:
    """Return a picture that a model can look at. Blocks."""
    # Imported here, in the worker thread: Pillow is not needed before the first look at a picture.
    from vidgo_mcp.service.thumbnails import scaled

    return scaled(content, max_edge)


def fitted(content: bytes) -> View:
    """Return a picture that a client can take whole. Blocks."""
    from vidgo_mcp.service.thumbnails import fitting

    return fitting(content)
