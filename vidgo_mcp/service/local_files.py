"""What of this machine's disk a service may use: where references are read, and where pictures are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from vidgo_mcp.files.images import ReferencePicture, validate_image
from vidgo_mcp.files.inline import read_inline
from vidgo_mcp.files.reader import LARGEST_FILE, Folders, read_below
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.journal import Entry
from vidgo_mcp.models.references import ReferenceSource

LARGEST_COPY: Final = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The part of the disk that a service may touch; by default none. What reads is blocking, for a worker thread.

    Attributes:
        folders: where local references may come from; None where the disk is not the caller's.
        save_dir: the folder where finished pictures are saved; None turns that off.
        embed_metadata: whether prompt, model and task go into a picture's file.
        largest: bytes of one reference.
    """

    folders: Folders | None = None
    save_dir: Path | None = None
    embed_metadata: bool = True
    largest: int = LARGEST_FILE

    def read(self, source: ReferenceSource) -> ReferencePicture:
        """Return the picture of a local file or of inline data.

        Raises:
            UnusableError: it cannot be used.
        """
        if source.kind == "data":
            return read_inline(source.value, largest=self.largest)
        if self.folders is None:
            raise UnusableError(
                "this server reads no local files",
                "give an http(s) URL, task:<task_id>, or the picture itself as data:image/png;base64,...",
            )
        return self.folders.read(source.value, largest=self.largest)

    def copies(self, entry: Entry) -> list[str]:
        """Return where the copies of a picture were saved; none where the disk is not the caller's."""
        return list(entry.saved_paths) if self.folders is not None else []

    def read_copy(self, entry: Entry) -> bytes | None:
        """Return the saved copy of a picture; None when it is gone or was changed."""
        for path in self.copies(entry):
            try:
                content = read_below(Path(path), [Path(path).parent], largest=LARGEST_COPY)
            except UnusableError:
                continue
            # Somebody may have painted over it: then it is a picture of theirs, and no longer this task's.
            if sha256(content).hexdigest() == entry.saved_digest:
                return content
        return None

    def saved_reference(self, entry: Entry) -> ReferencePicture | None:
        """Return the saved copy of a picture as a reference; None when there is none that can be used."""
        content = self.read_copy(entry)
        if content is None:
            return None
        try:
            # Named by the digest that the journal has: when its upload turns out to be lost, that one is forgotten. And
            # sent whole: cut off, it would keep an index of what it has no more.
            return replace(validate_image(content), content=content, digest=entry.saved_digest or "")
        except UnusableError:
            return None


def existing(paths: Sequence[str]) -> list[str]:
    """Return the files that are there. Blocking; call it in a worker thread."""
    return [path for path in paths if os.path.isfile(path)]  # noqa: PTH113  # Path.is_file raises where it may not look
