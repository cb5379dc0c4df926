"""The pictures of the sandbox: drawn when somebody asks for them, and kept for a while."""

import threading
from collections import OrderedDict

from vidgo_mcp.sandbox.briefs import Brief

CACHED_BYTES = 64 * 1024 * 1024


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
