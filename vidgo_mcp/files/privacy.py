"""Takes out of a reference picture what only tells where, when and with which device it was taken.

Phones write the position and serial numbers into each photo. Nothing is decoded or encoded again: of a JPEG or PNG the
parts that decide how the picture looks are kept byte for byte, and all others are left out. That covers Exif, the notes
of camera makers, XMP, IPTC, comments, previews, indexes of other pictures, and Content Credentials, whose signature
could not survive it anyway.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Final

from vidgo_mcp.files.containers import PNG_SIGNATURE, jpeg_segment, jpeg_segments, png_chunk, png_chunks
from vidgo_mcp.files.images import ReferencePicture

_APP1: Final = b"\xff\xe1"
_EXIF: Final = b"Exif\0\0"
_JPEG_ASIDE: Final = frozenset({*(bytes([0xFF, 0xE0 + number]) for number in range(16)), b"\xff\xfe"})
"""APP0 to APP15, and comments: no decoder needs them, apart from those that follow."""
_JPEG_KEPT: Final = {b"\xff\xe0": b"JFIF\0", b"\xff\xe2": b"ICC_PROFILE\0", b"\xff\xee": b"Adobe"}
_PNG_KEPT: Final = frozenset(b"tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD hIST sPLT pHYs acTL fcTL fdAT".split())
"""What says how to show the pixels, beside the chunks that begin with a capital: those no decoder may pass over."""
_ORIENTATION: Final = 0x0112


def without_private_data(picture: ReferencePicture) -> ReferencePicture:
    """Return the picture as it may be sent: its pixels, orientation and colour profile, and nothing else.

    A GIF or WebP stays as it is.
    """
    if picture.mime_type == "image/jpeg":
        content = b"".join(_jpeg_pieces(picture.content))
    elif picture.mime_type == "image/png":
        content = PNG_SIGNATURE + b"".join(_png_pieces(picture.content))
    else:
        return picture
    return replace(picture, content=content, digest=sha256(content).hexdigest())


def _jpeg_pieces(content: bytes) -> Iterator[bytes]:
    position, is_oriented = 0, False
    for segment in jpeg_segments(content):
        payload, kept = content[segment.payload], _JPEG_KEPT.get(segment.name)
        if segment.name not in _JPEG_ASIDE or (kept is not None and payload.startswith(kept)):
            continue
        # The entropy-coded data of a scan is before the segment that follows it.
        yield content[position : segment.start]
        position = segment.end
        if segment.name == _APP1 and payload.startswith(_EXIF) and not is_oriented:
            is_oriented = True
            if exif := _only_orientation(payload.removeprefix(_EXIF)):
                yield jpeg_segment(_APP1, _EXIF + exif)
    yield content[position:]


def _png_pieces(content: bytes) -> Iterator[bytes]:
    for chunk in png_chunks(content):
        if chunk.name[:1].isupper() or chunk.name in _PNG_KEPT:
            yield content[chunk.start : chunk.end]
        elif chunk.name == b"eXIf" and (exif := _only_orientation(content[chunk.payload])):
            yield png_chunk(chunk.name, exif)


def _only_orientation(exif: bytes) -> bytes:
    """Return Exif that only says how to turn the picture; empty where it is shown as it lies, or nobody can tell.

    Exif is a TIFF directory: a count, and entries of 12 bytes (https://www.cipa.jp/std/documents/e/DC-X008.pdf, 4.6.2).
    """
    order = ">" if exif.startswith(b"MM") else "<"
    # One that is cut off, or is none, no other program can read either.
    with suppress(struct.error):
        (start,) = struct.unpack_from(f"{order}4xI", exif)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for number in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * number)
            if tag == _ORIENTATION and 2 <= value <= 8:
                return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, value, 0, 0)
    return b""
