"""From what a caller names to what Vidgo can fetch: identities for the fingerprint, URLs or bytes for the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from vidgo_mcp.errors import Facts, Fault, InvalidRequestError, Remedy, UnavailableError, VidgoError
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.journal import MADE, UPLOADED, Journal
from vidgo_mcp.models.references import ReferenceSource, read_reference
from vidgo_mcp.models.requests import EditArguments, GenerateArguments, ImageRequest
from vidgo_mcp.models.results import TaskResult
from vidgo_mcp.service import task_results
from vidgo_mcp.service.arguments import shown_reference
from vidgo_mcp.service.local_files import Disk, InThread
from vidgo_mcp.service.submission import Submission
from vidgo_mcp.service.upload_queue import LIMIT
from vidgo_mcp.service.waiting import Deadline, ProgressReporter
from vidgo_mcp.service.workshop import Workshop

if TYPE_CHECKING:
    from vidgo_mcp.files.images import ReferencePicture


LONGEST_PATH: Final = 50
"""Characters of a path that an error shows: its end, which names the file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a call, read: ``picture`` is there when its bytes have to be uploaded."""

    source: ReferenceSource
    picture: ReferencePicture | None = None


async def read(workshop: Workshop, arguments: GenerateArguments, deadline: Deadline) -> list[Reference]:
    """Return the references of a call, in their order; none for a generation.

    Raises:
        InvalidRequestError: a file or inline data cannot be used; all faults are named together.
        UnavailableError: the disk does not answer in time; a network folder for instance must not hold the call.
    """
    with anyio.move_on_after(deadline.left_for_id()):
        return await _references(arguments, workshop.disk, workshop.in_thread)
    raise UnavailableError(
        "The references could not be read in time; nothing was sent and nothing was spent.", field="image_urls"
    )


async def _references(arguments: GenerateArguments, disk: Disk, in_thread: InThread) -> list[Reference]:
    if not isinstance(arguments, EditArguments):
        return []
    references: list[Reference] = []
    faults: list[Fault] = []
    remedy: Remedy = InvalidRequestError.default_remedy
    for index, text in enumerate(arguments.image_urls):
        source = read_reference(text)
        try:
            picture = await in_thread(disk.read, source) if source.kind in {"file", "data"} else None
        except UnusableError as error:
            name = f"...{text[-LONGEST_PATH:]}" if source.kind == "file" and len(text) > LONGEST_PATH else text
            faults.append(Fault("image_urls", f"image_urls[{index}] {shown_reference(name)}: {error}"))
            remedy = error.remedy or remedy
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


async def resolve_reference(
    workshop: Workshop, owner: str, reference: Reference, deadline: Deadline, meter: ProgressReporter
) -> str | ReferencePicture:
    """Return the URL of a reference, or the bytes that have to be uploaded first; waits for a task that is under way.

    Raises:
        VidgoError: the task that it names has no picture to be had.
    """
    if reference.picture is not None:
        return reference.picture
    task_id = reference.source.value
    if reference.source.kind == "url":
        return task_id

    async def told(progress: float, message: str) -> None:
        # How far the reference is says nothing about how far the call is.
        await meter.say(f"waiting for a reference: {message}")

    entry = await workshop.known(owner, task_id)
    if entry is None:
        try:
            result = await workshop.untracked_task(owner, task_id, deadline, ProgressReporter(told), field="image_urls")
        except VidgoError as error:
            # It speaks of the reference; of the picture that was asked for, nothing was sent.
            raise error.changed(money="nothing_spent", field="image_urls") from None
        return _url_of(result)
    if entry.state == "accepted":
        entry, _ = await workshop.await_end(entry, deadline, ProgressReporter(told))
    result = task_results.entry_result(entry, workshop.now())
    if result.outcome == "finished" and not result.image_urls:
        [copies] = await workshop.copies([entry])
        result = task_results.entry_result(entry, workshop.now(), saved=copies)
        # Its URL has died; the saved copy is the same picture.
        with anyio.move_on_after(deadline.left_for_id()):
            saved = await workshop.in_thread(workshop.disk.saved_picture, entry)
            return saved if saved is not None else _url_of(result)
        raise UnavailableError(
            f"The saved copy of task:{task_id} could not be read in time; nothing was sent and nothing was spent.",
            field="image_urls",
        )
    return _url_of(result)


async def prepared(
    workshop: Workshop, submission: Submission, arguments: GenerateArguments, found: Sequence[str | ReferencePicture]
) -> ImageRequest:
    """Return the request as it is sent, its references uploaded, all that are missing at once.

    Raises:
        VidgoError: a reference could not be uploaded; nothing was spent.
    """
    urls = [reference if isinstance(reference, str) else "" for reference in found]
    doing: dict[int, str] = {}
    failures: list[VidgoError] = []
    queue = anyio.Lock()

    def told() -> str:
        what = LIMIT if LIMIT in doing.values() else next(iter(doing.values()), "uploading")
        return f"{what}: {sum(map(bool, urls))} of {len(urls)} references are ready"

    async def upload(index: int, picture: ReferencePicture) -> None:
        submission.uploads.add(picture.digest)
        try:
            urls[index] = await workshop.uploads.url_of(
                submission.entry.intent.account, picture, partial(doing.__setitem__, index), queue
            )
        except VidgoError as error:
            said = f"image_urls[{index}] could not be uploaded. {error.message}"
            failures.append(error.changed(message=said, field="image_urls"))
            uploading.cancel_scope.cancel()
        finally:
            doing.pop(index, None)

    submission.told = told
    async with anyio.create_task_group() as uploading:
        for index, reference in enumerate(found):
            if not isinstance(reference, str):
                uploading.start_soon(upload, index, reference)
    if failures:
        raise failures[0]
    return ImageRequest.model_validate(
        {
            "prompt": arguments.prompt,
            "size": arguments.size,
            "resolution": arguments.resolution,
            "quality": arguments.quality,
            "image_urls": urls or None,
        }
    )


def _url_of(result: TaskResult) -> str:
    """Return the URL of a task that is used as a reference.

    Raises:
        UnavailableError: it is still being made.
        InvalidRequestError: it has no picture, or none that is alive or saved.
    """
    if result.outcome == "pending":
        raise UnavailableError(
            f"The reference task:{result.task_id} is still being made; nothing was sent and nothing was spent.",
            remedy="wait_for_reference",
            facts=Facts(other_task=result.task_id),
            field="image_urls",
        )
    if result.outcome == "finished" and result.image_urls:
        return result.image_urls[0]
    why = (
        "its URL has died after 24 hours, and there is no saved copy that is still as it was saved"
        if result.outcome == "finished"
        else f"it has no picture ({result.outcome})"
    )
    path = result.saved_paths[0] if result.saved_paths else None
    raise InvalidRequestError(
        f"task:{result.task_id} cannot be used as a reference: {why}. Nothing was spent.",
        field="image_urls",
        remedy="use_other_reference",
        facts=Facts(path=path),
    )
