"""From what a caller names to what Vidgo can fetch: identities for the fingerprint, URLs for the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from vidgo_mcp.errors import Facts, Fault, InvalidRequestError, Remedy, UnavailableError, VidgoError
from vidgo_mcp.files.images import ReferencePicture
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.journal import MADE, UPLOADED, Journal
from vidgo_mcp.models.references import ReferenceSource, read_reference
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service.account import Account
from vidgo_mcp.service.arguments import shown_reference
from vidgo_mcp.service.caller_tasks import CallerTasks
from vidgo_mcp.service.task_results import entry_result
from vidgo_mcp.service.upload_queue import WAITING
from vidgo_mcp.service.watches import PROGRESS_EVERY, Deadline, ProgressReporter

SHORTEST_READ: Final = 5.0
"""Seconds that a reference may take to be read and decoded, also for a call that does not want to wait."""
LONGEST_PATH: Final = 50
"""Characters of a path that an error shows: its end, which names the file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a call, read: ``picture`` is there when its bytes have to be uploaded."""

    source: ReferenceSource
    picture: ReferencePicture | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far the references of a call are: a URL for each that Vidgo can fetch by now, None for the others."""

    urls: tuple[str | None, ...] = ()
    uploaded: tuple[str, ...] = ()
    """The digests of those that had to be uploaded."""

    @property
    def complete(self) -> tuple[str, ...] | None:
        """All URLs, in their order; None while one is missing."""
        found = tuple(url for url in self.urls if url is not None)
        return found if len(found) == len(self.urls) else None

    def __str__(self) -> str:
        return f"{sum(url is not None for url in self.urls)} of {len(self.urls)} references are ready"


async def read_references(account: Account, arguments: GenerateArguments, deadline: Deadline) -> list[Reference]:
    """Return the references of a call, in their order; none for a generation.

    Raises:
        InvalidRequestError: a file or inline data cannot be used; all faults are named together.
        UnavailableError: the disk does not answer in time; a folder whose server is gone must not hold the call.
    """
    if not isinstance(arguments, EditArguments):
        return []
    references: list[Reference] = []
    faults: list[Fault] = []
    remedy: Remedy = InvalidRequestError.default_remedy
    for index, text in enumerate(arguments.image_urls):
        source = read_reference(text)
        local = source.kind in {"file", "data"}
        name = f"...{text[-LONGEST_PATH:]}" if source.kind == "file" and len(text) > LONGEST_PATH else text
        named = f"image_urls[{index}] {shown_reference(name)}"
        try:
            with anyio.fail_after(max(deadline.left(), SHORTEST_READ)):
                picture = await account.in_thread(account.files.read, source) if local else None
        except UnusableError as error:
            faults.append(Fault("image_urls", f"{named}: {error}"))
            remedy = error.remedy or remedy
        except TimeoutError:
            # Its thread is left behind. Those after it may lie on the same disk.
            hung = f"{named} could not be read in time: its disk, network or cloud folder does not answer"
            if not faults:
                raise UnavailableError(f"{hung}. Nothing was sent and nothing was spent.", field="image_urls") from None
            faults.append(Fault("image_urls", hung))
            break
        else:
            references.append(Reference(source, picture))
    if faults:
        raise InvalidRequestError.from_faults(faults).changed(remedy=remedy)
    return references


async def identity_of(journal: Journal, owner: str, reference: Reference) -> str:
    """Return what a reference is, however it was spelled: the URL of a picture made here is that task."""
    if reference.picture is not None:
        return f"{UPLOADED}{reference.picture.digest}"
    source = reference.source
    if source.kind == "task":
        return f"{MADE}{source.value}"
    entry = await journal.by_url(owner, source.value)
    return f"{MADE}{entry.task_id}" if entry is not None else f"url:{source.value}"


async def upload_references(
    tasks: CallerTasks, references: Sequence[Reference], deadline: Deadline, reporter: ProgressReporter
) -> Readiness:
    """Get the references of a call ready: wait for tasks that are under way, and upload what has to be.

    Uploads are free, and go on in the background when the call has waited long enough.

    Raises:
        VidgoError: a reference cannot be used or uploaded; nothing was spent.
    """
    found = [await resolve_reference(tasks, reference, deadline, reporter) for reference in references]
    line = anyio.Lock()
    pictures = {index: one for index, one in enumerate(found) if not isinstance(one, str)}
    jobs = {index: tasks.account.uploads.start(picture, line) for index, picture in pictures.items()}
    digests = tuple(picture.digest for picture in pictures.values())
    while True:
        for index, job in jobs.items():
            if job.error is not None:
                message = f"image_urls[{index}] could not be uploaded. {job.error.message}"
                raise job.error.changed(message=message, field="image_urls")
        waiting = [job for job in jobs.values() if not job.done.is_set()]
        left = deadline.left_for_id()
        urls = tuple(one if isinstance(one, str) else jobs[index].url for index, one in enumerate(found))
        ready = Readiness(urls, digests)
        if not waiting or left <= 0 or tasks.account.stopping:
            return ready
        doing = {job.doing for job in waiting}
        await reporter.report(f"{WAITING if WAITING in doing else doing.pop()}: {ready}")
        with anyio.move_on_after(min(left, PROGRESS_EVERY)):
            await waiting[0].done.wait()


async def resolve_reference(
    tasks: CallerTasks, reference: Reference, deadline: Deadline, reporter: ProgressReporter
) -> str | ReferencePicture:
    """Return the URL of a reference, or the bytes that have to be uploaded first.

    Raises:
        VidgoError: the task that it names has no picture to be had.
    """
    if reference.picture is not None:
        return reference.picture
    task_id = reference.source.value
    if reference.source.kind == "url":
        return task_id

    async def report(progress: float, message: str) -> None:
        # How far the reference is says nothing about how far the call is.
        await reporter.report(f"waiting for a reference: {message}")

    inner = ProgressReporter(report)
    account = tasks.account
    entry = await tasks.find(task_id)
    if entry is None or entry.state == "unknown":
        try:
            return _url_of(await tasks.untracked_task(task_id, deadline, inner, field="image_urls"))
        except VidgoError as error:
            # It speaks of the reference; of the picture that was asked for, nothing was sent.
            raise error.changed(money="nothing_spent", field="image_urls") from None
    if entry.state == "accepted":
        entry, _ = await account.await_end(entry, deadline, inner)
    result = entry_result(entry, account.runtime.now())
    if result.outcome != "finished" or result.image_urls:
        return _url_of(result)
    # Its URL has died; the saved copy is the same picture.
    with anyio.move_on_after(deadline.left_for_id()):
        saved = await account.in_thread(account.files.saved_reference, entry)
        if saved is not None:
            return saved
        [copies] = await tasks.copies([entry])
        return _url_of(result.model_copy(update={"saved_paths": copies or None}))
    path = ", ".join(account.files.copies(entry))
    raise UnavailableError(
        f"The saved copy of task:{task_id} could not be read in time ({path}); nothing was sent and nothing was spent.",
        field="image_urls",
    )


def _url_of(result: TaskResult) -> str:
    """Return the URL of a task that is used as a reference.

    Raises:
        UnavailableError: it is still being made.
        InvalidRequestError: it has no picture, or none that is alive or saved.
    """
    if result.outcome == "finished" and result.image_urls:
        return result.image_urls[0]
    if result.outcome == "pending":
        raise UnavailableError(
            f"The reference task:{result.task_id} is still being made; nothing was sent and nothing was spent.",
            remedy="wait_for_reference",
            facts=Facts(other_task=result.task_id),
            field="image_urls",
        )
    why = (
        "its URL has died, usually after about 24 hours, and there is no saved copy that is still as it was saved"
        if result.outcome == "finished"
        else f"it has no picture ({result.outcome})"
    )
    raise InvalidRequestError(
        f"task:{result.task_id} cannot be used as a reference: {why}. Nothing was spent.",
        field="image_urls",
        remedy="use_other_reference",
        facts=Facts(path=result.saved_paths[0] if result.saved_paths else None),
    )
