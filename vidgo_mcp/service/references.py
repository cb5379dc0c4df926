"""From what a caller names to what Vidgo can fetch: identities for the fingerprint, URLs or bytes for the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vidgo_mcp.errors import Fault, InvalidRequestError, UnavailableError
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.journal import UPLOADED, Journal
from vidgo_mcp.models.outcomes import TaskResult
from vidgo_mcp.models.references import ReferenceSource, read_reference
from vidgo_mcp.models.requests import EditArguments, GenerateArguments
from vidgo_mcp.service.arguments import shown_reference
from vidgo_mcp.service.disk import Disk, InThread

if TYPE_CHECKING:
    from vidgo_mcp.files.pictures import ReferencePicture


LONGEST_PATH: Final = 50
"""Characters of a path that an error shows: its end, which names the file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a call, read: ``picture`` is there when its bytes have to be uploaded."""

    source: ReferenceSource
    picture: ReferencePicture | None = None


async def read_references(arguments: GenerateArguments, disk: Disk, in_thread: InThread) -> list[Reference]:
    """Return the references of a call, in their order; none for a generation.

    Raises:
        InvalidRequestError: a file or inline data cannot be used; all faults are named together.
    """
    if not isinstance(arguments, EditArguments):
        return []
    references: list[Reference] = []
    faults: list[Fault] = []
    for index, text in enumerate(arguments.image_urls):
        source = read_reference(text)
        try:
            picture = await in_thread(disk.read, source) if source.kind in {"file", "data"} else None
        except UnusableError as error:
            name = f"...{text[-LONGEST_PATH:]}" if source.kind == "file" and len(text) > LONGEST_PATH else text
            faults.append(Fault("image_urls", f"image_urls[{index}] {shown_reference(name)}: {error}"))
        else:
            references.append(Reference(source, picture))
    if faults:
        raise InvalidRequestError.from_faults(faults)
    return references


async def identity_of(journal: Journal, owner: str, reference: Reference) -> str:
    """Return what a reference is, however it was spelled: the URL of a picture made here is that task."""
    if reference.picture is not None:
        return f"{UPLOADED}{reference.picture.digest}"
    source = reference.source
    if source.kind == "task":
        return f"task:{source.value}"
    entry = await journal.by_url(owner, source.value)
    return f"task:{entry.task_id}" if entry is not None else f"url:{source.value}"


def url_of_result(result: TaskResult) -> str:
    """Return the URL of a task that is used as a reference.

    Raises:
        UnavailableError: it is still being made.
        InvalidRequestError: it has no picture, or none that is alive or saved.
    """
    if result.outcome == "pending":
        raise UnavailableError(
            f"The reference task:{result.task_id} is still being made; nothing was sent and nothing was spent.",
            next_step=f"Call get_task with task_id {result.task_id}; when it has finished, repeat this exact call.",
            field="image_urls",
        )
    if result.outcome == "finished" and result.image_urls:
        return result.image_urls[0]
    why = (
        "its URL has died after 24 hours, and there is no saved copy that is still as it was saved"
        if result.outcome == "finished"
        else f"it has no picture ({result.outcome})"
    )
    raise InvalidRequestError(
        f"task:{result.task_id} cannot be used as a reference: {why}. Nothing was spent.",
        field="image_urls",
        next_step="Use another picture: an http(s) URL, or task:<task_id> of one made within the last 24 hours.",
    )
