"""Where the parts of a picture lie in its bytes, above all where it ends.

What follows the end of a picture is shown by no program, so nobody knows that it is there: an archive that was hidden
behind it, the film that a phone keeps with a photo. These parsers read bytes that anybody can have made: they pass over
each byte once, and when the bytes make no sense they stop instead of raising.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST_PARTS: Final = 100_000
"""Chunks or segments that are walked over. Encoders write some thousands in 20 MB; empty ones, of four bytes each,
would keep every reader busy for long."""
SOS: Final = 0xDA
"""Start of scan: what follows it, until the next marker, is entropy-coded."""

_TEM: Final = 0x01
_EOI: Final = 0xD9
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""FF00 is a byte of data, FFD0 to FFD7 are restarts within a scan, and FF before FF only fills."""


class Part(NamedTuple):
    """A chunk or a segment: what it is, where it starts, where its payload is, and where the next part starts."""

    name: bytes
    start: int
    payload: slice
    end: int


def end_of(content: bytes, mime_type: str) -> int | None:
    """Return how many of the bytes belong to the picture; None when its end is not there, as when it was cut off."""
    return _ENDS[mime_type](content)


def png_chunks(content: bytes) -> Iterator[Part]:
    """Yield the chunks of a PNG, as far as they are whole, up to and with IEND."""
    position = len(PNG_SIGNATURE)
    for _ in range(MOST_PARTS):
        if position + 12 > len(content):
            return
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            return
        yield Part(name, position, slice(position + 8, end - 4), end)
        if name == b"IEND":
            return
        position = end


def jpeg_segments(content: bytes) -> Iterator[Part]:
    """Yield the segments of a JPEG, as far as they are whole, up to and with EOI; each is named by its marker.

    Entropy-coded data is between a segment and the next. Thumbnails are inside of segments, so their ends are not met.
    """
    position = 2
    for _ in range(MOST_PARTS):
        found = _MARKER.search(content, position)
        if found is None:
            return
        name, start, position = found[0], found.start(), found.end()
        if name[1] in {_TEM, _EOI}:
            yield Part(name, start, slice(position, position), position)
            if name[1] == _EOI:
                return
            continue
        length = int.from_bytes(content[position : position + 2])
        end = position + length
        if length < 2 or end > len(content):
            return
        yield Part(name, start, slice(position + 2, end), end)
        position = end


def webp_chunks(content: bytes) -> Iterator[Part]:
    """Yield the chunks of a WebP, as far as they are whole."""
    position, limit = 12, _webp_end(content)
    while limit is not None and position + 8 <= limit:
        name, length = struct.unpack_from("<4sI", content, position)
        payload = slice(position + 8, position + 8 + length)
        if payload.stop > limit:
            return
        # A chunk of an odd length is padded.
        end = min(payload.stop + length % 2, limit)
        yield Part(name, position, payload, end)
        position = end


def webp_canvas(content: bytes) -> tuple[int, int] | None:
    """Return the width and height that the first chunk of a WebP tells, in pixels; None when it tells none.

    The source is RFC 9649, sections 2.5 to 2.7, and RFC 6386, section 9.1.
    """
    name, head = content[12:16], content[20:30]
    if name == b"VP8 " and len(head) == 10 and head[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and len(head) >= 5 and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8X" and len(head) == 10:
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    return None


def _png_end(content: bytes) -> int | None:
    return next((chunk.end for chunk in png_chunks(content) if chunk.name == b"IEND"), None)


def _jpeg_end(content: bytes) -> int | None:
    return next((segment.end for segment in jpeg_segments(content) if segment.name[1] == _EOI), None)


def _webp_end(content: bytes) -> int | None:
    if len(content) < 12:
        return None
    end = 8 + int.from_bytes(content[4:8], "little")
    return None if end > len(content) else min(end + end % 2, len(content))


def _gif_end(content: bytes) -> int | None:
    """Walk as decoders do: they pass over bytes between the blocks that start none."""
    position = 13
    if len(content) < position:
        return None
    position += _colour_table(content[10])
    while position < len(content):
        introducer = content[position]
        position += 1
        if introducer == ord(";"):
            return position
        if introducer == ord("!"):
            position = _after_sub_blocks(content, position + 1)
        elif introducer == ord(",") and position + 8 < len(content):
            # The descriptor of a frame, its colours, and a byte with the size of the codes come before its data.
            position = _after_sub_blocks(content, position + 9 + _colour_table(content[position + 8]) + 1)
    return None


def _colour_table(packed: int) -> int:
    """Return the bytes of the colour table that a field of flags announces."""
    return 3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0


def _after_sub_blocks(content: bytes, position: int) -> int:
    while position < len(content) and content[position]:
        position += 1 + content[position]
    return position + 1


_ENDS: Final[Mapping[str, Callable[[bytes], int | None]]] = {
    "image/png": _png_end,
    "image/jpeg": _jpeg_end,
    "image/gif": _gif_end,
    "image/webp": _webp_end,
}
