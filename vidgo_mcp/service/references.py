"""From what a caller names to what Vidgo can fetch: identities for the fingerprint, URLs for the wire."""

from __future__ import annotations

from vidgo_mcp.errors import Fault, InvalidRequestError, UnavailableError
from vidgo_mcp.journal import Journal
from vidgo_mcp.models.outcomes import TaskResult
from vidgo_mcp.models.references import ReferenceSource, read_reference
from vidgo_mcp.models.requests import EditArguments, GenerateArguments


def sources_of(arguments: GenerateArguments) -> list[ReferenceSource]:
    """Return the references of a call; none for a generation.

    Raises:
        InvalidRequestError: a reference is a local file or inline data, which cannot be uploaded yet.
    """
    if not isinstance(arguments, EditArguments):
        return []
    sources = [read_reference(text) for text in arguments.image_urls]
    faults = [
        Fault("image_urls", f"image_urls[{index}] is {_KINDS[source.kind]}, which cannot be uploaded yet")
        for index, source in enumerate(sources)
        if source.kind in _KINDS
    ]
    if faults:
        raise InvalidRequestError.from_faults(
            faults,
            next_step="Nothing was spent. Use an http(s) URL that Vidgo can fetch, or task:<task_id> for one made "
            "here.",
        )
    return sources


_KINDS = {"file": "a local file", "data": "inline data"}


async def identity_of(journal: Journal, owner: str, source: ReferenceSource) -> str:
    """Return what a reference is, however it was spelled: the URL of a picture made here is that task."""
    if source.kind == "task":
        return f"task:{source.value}"
    entry = await journal.by_url(owner, source.value)
    return f"task:{entry.task_id}" if entry is not None else f"url:{source.value}"


def url_of_result(result: TaskResult) -> str:
    """Return the URL of a task that is used as a reference.

    Raises:
        UnavailableError: it is still being made.
        InvalidRequestError: it has no picture, or none that is alive.
    """
    if result.outcome == "pending":
        raise UnavailableError(
            f"The reference task:{result.task_id} is still being made; nothing was sent and nothing was spent.",
            next_step=f"Call get_task with task_id {result.task_id}; when it has finished, repeat this exact call.",
            field="image_urls",
        )
    if result.outcome == "finished" and result.image_urls:
        return result.image_urls[0]
    why = "its URL has died after 24 hours" if result.outcome == "finished" else f"it has no picture ({result.outcome})"
    raise InvalidRequestError(
        f"task:{result.task_id} cannot be used as a reference: {why}. Nothing was spent.",
        field="image_urls",
        next_step="Use another picture: an http(s) URL, or task:<task_id> of one made within the last 24 hours.",
    )
