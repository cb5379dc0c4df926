"""The pictures of the sandbox as data: what is to be drawn is kept, the drawing happens when somebody asks for it."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Union

REFERENCE_DEPTH = 3
SHOWN_REFERENCES = 3
CACHED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a picture depends on: equal briefs give equal bytes.

    `references` are what an edit was made from: other pictures of the sandbox, or the bytes of uploads.
    """

    prompt: str
    width: int
    height: int
    quality: str
    tier: str
    seed: str = ""
    references: tuple[Union["Brief", bytes], ...] = ()

    def pruned(self, depth: int = REFERENCE_DEPTH) -> "Brief":
        """Leave out what cannot be seen any more: edits of edits would otherwise grow without bound."""
        seen = self.references[:SHOWN_REFERENCES] if depth else ()
        kept = (each.pruned(depth - 1) if isinstance(each, Brief) else each for each in seen)
        return replace(self, references=tuple(kept))


class Gallery:
    """Draws pictures and keeps the newest, up to a number of bytes."""

    def __init__(self, cached_bytes: int = CACHED_BYTES) -> None:
        self._limit = cached_bytes
        self._size = 0
        self._drawn: OrderedDict[Brief, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def png(self, brief: Brief) -> bytes:
        """Return the picture as PNG. Slow the first time (up to half a second at 4K): call it in a worker thread."""
        with self._lock:
            if brief in self._drawn:
                self._drawn.move_to_end(brief)
                return self._drawn[brief]
        # Pillow takes 50 ms to import, and most processes that import the sandbox never draw.
        from vidgo_mcp.sandbox.drawing import draw_png

        drawn = draw_png(brief)
        with self._lock:
            if brief not in self._drawn and len(drawn) <= self._limit:
                self._drawn[brief] = drawn
                self._size += len(drawn)
            while self._size > self._limit:
                _, forgotten = self._drawn.popitem(last=False)
                self._size -= len(forgotten)
        return drawn
