"""Where the parts of a picture lie in its bytes, above all where it ends.

No program shows what follows the end of a picture, so nobody knows that it is there: the film that a phone keeps with a
photo, or what was cropped away from a screenshot. These parsers read bytes that anybody can have made: they pass over
each byte once, and when the bytes make no sense they stop instead of raising.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST_PARTS: Final = 100_000
"""Chunks or segments that are walked over. Encoders write some thousands in 20 MB; empty ones, of four bytes each,
would keep every reader busy for long."""
SOS: Final = 0xDA
"""Start of scan: what follows it, until the next marker, is entropy-coded."""

LONGEST_SEGMENT: Final = 0xFFFF - 2
EOI: Final = 0xD9
"""End of image."""

_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
"""FF00 is a byte of data, FF01 and FFD0 to FFD7 stand alone, and FF before FF only fills."""


class Part(NamedTuple):
    """A chunk or a segment: what it is, where it starts, where its payload is, and where the next part starts."""

    name: bytes
    start: int
    payload: slice
    end: int


def end_of(content: bytes, mime_type: str) -> int | None:
    """Return how many of the bytes belong to the picture; None when its end is missing, as when it was cut off.

    Of a GIF all do: to find its end, all of its frames would have to be walked over.
    """
    if mime_type == "image/png":
        return next((chunk.end for chunk in png_chunks(content) if chunk.name == b"IEND"), None)
    if mime_type == "image/jpeg":
        return next((segment.end for segment in jpeg_segments(content) if segment.name[1] == EOI), None)
    return _webp_end(content) if mime_type == "image/webp" else len(content)


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
        start, position = found.span()
        if found[0][1] == EOI:
            yield Part(found[0], start, slice(position, position), position)
            return
        length = int.from_bytes(content[position : position + 2])
        end = position + length
        if length < 2 or end > len(content):
            return
        yield Part(found[0], start, slice(position + 2, end), end)
        position = end


def png_chunk(name: bytes, payload: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def jpeg_segment(marker: bytes, payload: bytes) -> bytes:
    """Return one segment of a JPEG; its payload has at most ``LONGEST_SEGMENT`` bytes."""
    return marker + struct.pack(">H", len(payload) + 2) + payload


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


def _webp_end(content: bytes) -> int | None:
    if len(content) < 12:
        return None
    end = 8 + int.from_bytes(content[4:8], "little")
    # An odd length is padded.
    return None if end > len(content) else min(end + end % 2, len(content))
