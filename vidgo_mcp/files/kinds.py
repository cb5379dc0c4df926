"""Tells which picture bytes are, and whether all of it is there, without decoding a pixel.

A result is paid for, so that it is kept whatever a decoder makes of it: one that is too new, or too large to decode.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vidgo_mcp.files.containers import MOST_PARTS, PNG_SIGNATURE, SOS, end_of, jpeg_segments, png_chunks, webp_canvas
from vidgo_mcp.files.unusable import UnusableError

DAMAGED: Final = "it is damaged, or a part of it is missing"


@dataclass(frozen=True, slots=True)
class Kind:
    """A format: what people call it, its media type, and the extension of its files: image/png, .png."""

    called: str
    mime_type: str
    extension: str


JPEG: Final = Kind("a JPEG picture", "image/jpeg", ".jpg")
PNG: Final = Kind("a PNG picture", "image/png", ".png")
GIF: Final = Kind("a GIF picture", "image/gif", ".gif")
WEBP: Final = Kind("a WebP picture", "image/webp", ".webp")
AVIF: Final = Kind("an AVIF picture", "image/avif", ".avif")
HEIC: Final = Kind("a HEIC picture", "image/heic", ".heic")
HEIF: Final = Kind("a HEIF picture", "image/heif", ".heif")
JXL: Final = Kind("a JPEG XL picture", "image/jxl", ".jxl")
JP2: Final = Kind("a JPEG 2000 picture", "image/jp2", ".jp2")
J2K: Final = Kind("a JPEG 2000 picture", "image/j2c", ".j2k")
TIFF: Final = Kind("a TIFF picture", "image/tiff", ".tiff")
BMP: Final = Kind("a BMP picture", "image/bmp", ".bmp")
PSD: Final = Kind("a Photoshop document", "image/vnd.adobe.photoshop", ".psd")
QOI: Final = Kind("a QOI picture", "image/qoi", ".qoi")
EXR: Final = Kind("an OpenEXR picture", "image/x-exr", ".exr")
KINDS: Final = (JPEG, PNG, GIF, WEBP, AVIF, HEIC, HEIF, JXL, JP2, J2K, TIFF, BMP, PSD, QOI, EXR)

_STARTS: Final[Mapping[bytes, Kind]] = {
    b"\xff\xd8\xff": JPEG,
    PNG_SIGNATURE: PNG,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
    b"\0\0\0\x0cJXL \r\n\x87\n": JXL,
    b"\xff\x0a": JXL,
    b"\0\0\0\x0cjP  \r\n\x87\n": JP2,
    b"\xff\x4f\xff\x51": J2K,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TIFF),
    b"8BPS": PSD,
    b"qoif": QOI,
    b"v/1\x01": EXR,
}
_BRANDS: Final[Mapping[bytes, Kind]] = {
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIC),
    **dict.fromkeys((b"mif1", b"msf1"), HEIF),
}
"""Pictures in the container of MP4. The general brands come last: an AVIF may lead with one of them."""
_TIFF_TYPES: Final = {3: "H", 4: "I", 5: "Q", 8: "H", 9: "I", 10: "Q", 11: "I", 12: "Q", 13: "I"}
"""By how many bytes they take; all others take one."""
BIG_TIFF: Final = (b"+\0", b"\0+")
"""What follows the byte order in one that may be larger than 4 GB."""
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_OTHERS: Final[Mapping[bytes, str]] = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive, or a document that is one",
}
"""What people try with that is no picture, by the first bytes."""


def kind_of(content: bytes) -> Kind | None:
    """Return the format that the first bytes announce; None when it is no picture that is known."""
    for start, kind in _STARTS.items():
        if content.startswith(start):
            return kind
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WEBP
    if content.startswith(b"BM") and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return BMP
    if content[4:8] == b"ftyp":
        end = min(int.from_bytes(content[:4]), 256)
        brands = {content[8:12], *(content[place : place + 4] for place in range(16, end, 4))}
        return next((kind for brand, kind in _BRANDS.items() if brand in brands), None)
    return None


def kind_of_name(name: str) -> Kind | None:
    """Return the format that the ending of a file's name announces."""
    ending = f".{name.rpartition('.')[2].lower()}"
    ending = {".jpeg": ".jpg", ".tif": ".tiff", ".heics": ".heic"}.get(ending, ending)
    return next((kind for kind in KINDS if kind.extension == ending), None)


def whole_picture(content: bytes) -> Kind:
    """Return the format of a picture of any known format, all of whose bytes are there as far as that can be told.

    Raises:
        UnusableError: it is no picture, or a part of it is missing.
    """
    kind = kind_of(content)
    if kind is None:
        raise UnusableError(f"it is {described(content)}, not a picture" if content else "it is empty")
    if not _ENDS.get(kind, bool)(content):
        raise UnusableError(DAMAGED)
    return kind


def described(content: bytes) -> str:
    """Return what bytes seem to be."""
    kind = kind_of(content)
    if kind is not None:
        return kind.called
    for start, found in _OTHERS.items():
        if content.startswith(start):
            return found
    if content[4:8] == b"ftyp":
        return "a film"
    head = content[:1024]
    if b"<svg" in head.lower():
        return "an SVG drawing"
    # The first kilobyte may end within a character.
    return "something else" if b"\0" in head or "\ufffd" in head.decode("utf-8", "replace")[:-1] else "text"


def _whole_png(content: bytes) -> bool:
    names = {chunk.name for chunk in png_chunks(content)}
    return {b"IHDR", b"IDAT", b"IEND"} <= names


def _whole_jpeg(content: bytes) -> bool:
    return end_of(content, JPEG.mime_type) is not None and any(part.name[1] == SOS for part in jpeg_segments(content))


def _whole_gif(content: bytes) -> bool:
    """Walk over the blocks to the trailer: https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""
    place, pictures = 13 + _colours(content[10:11]), 0
    for _ in range(MOST_PARTS):
        block = content[place : place + 1]
        if block == b";":
            return pictures > 0
        if block == b",":
            place += 11 + _colours(content[place + 9 : place + 10])
            pictures += 1
        elif block == b"!":
            place += 2
        else:
            return False
        while size := content[place : place + 1]:
            place += 1 + size[0]
            if not size[0]:
                break
    return False


def _colours(flags: bytes) -> int:
    """Return the bytes of a colour table."""
    return 3 * 2 ** (1 + (flags[0] & 7)) if flags and flags[0] & 0x80 else 0


def _whole_webp(content: bytes) -> bool:
    return end_of(content, WEBP.mime_type) is not None and webp_canvas(content) is not None


def _whole_boxes(content: bytes) -> bool:
    """Walk over the boxes of ISO/IEC 14496-12, to the one with the picture and to the end."""
    found = set()
    for name, end in _boxes(content):
        if end > len(content):
            return False
        found.add(name)
    return bool(found & {b"mdat", b"idat", b"jxlc", b"jxlp", b"jp2c"})


def _boxes(content: bytes) -> Iterator[tuple[bytes, int]]:
    place = 0
    for _ in range(MOST_PARTS):
        head = content[place : place + 16]
        if not head:
            return
        size, name = int.from_bytes(head[:4]), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16])
        elif size == 0:
            size = max(8, len(content) - place)
        place += max(8, size)
        yield name, place


def _whole_tiff(content: bytes) -> bool:
    """Follow the directories, and see whether all strips and tiles lie within: TIFF 6.0, section 2."""
    order = "<" if content.startswith(b"II") else ">"
    if content[2:4] in BIG_TIFF:
        return True  # its directories have another form
    places = {273: 279, 324: 325}  # offsets and byte counts, of strips and of tiles
    lists, parts = {*places, *places.values()}, 0
    try:
        (directory,) = struct.unpack_from(f"{order}I", content, 4)
        for _ in range(100):
            (count,) = struct.unpack_from(f"{order}H", content, directory)
            fields = {}
            for place in range(directory + 2, directory + 2 + 12 * count, 12):
                tag, kind, number, start = struct.unpack_from(f"{order}HHII", content, place)
                # Fractions count as well: Pillow reduces them one by one.
                parts += number if tag in lists or kind in {5, 10} else 1
                if parts > MOST_PARTS:
                    return False
                letter = _TIFF_TYPES.get(kind, "B")
                if struct.calcsize(f"={number}{letter}") <= 4:
                    start = place + 8
                if tag in lists:
                    fields[tag] = struct.unpack_from(f"{order}{number}{letter}", content, start)
                elif start + struct.calcsize(f"={number}{letter}") > len(content):
                    return False
            for starts, lengths in places.items():
                pairs = zip(fields.get(starts, ()), fields.get(lengths, ()), strict=False)
                if any(start + length > len(content) for start, length in pairs):
                    return False
            (directory,) = struct.unpack_from(f"{order}I", content, directory + 2 + 12 * count)
            if not directory:
                return True
    except struct.error:
        return False
    return True


def _whole_bmp(content: bytes) -> bool:
    return len(content) >= max(int.from_bytes(content[2:6], "little"), int.from_bytes(content[10:14], "little") + 1)


def _whole_psd(content: bytes) -> bool:
    """Pass over the sections before the pixels; how long those are is not told."""
    place = 26
    # A PSB, version 2, tells the length of its layers in eight bytes.
    for width in (4, 4, 8 if content[4:6] == b"\0\2" else 4):
        place += width + int.from_bytes(content[place : place + width])
    return place + 2 < len(content)


def _whole_qoi(content: bytes) -> bool:
    return content.endswith(bytes(7) + b"\1")


_ENDS: Final[Mapping[Kind, Callable[[bytes], bool]]] = {
    PNG: _whole_png,
    JPEG: _whole_jpeg,
    GIF: _whole_gif,
    WEBP: _whole_webp,
    AVIF: _whole_boxes,
    HEIC: _whole_boxes,
    HEIF: _whole_boxes,
    JP2: _whole_boxes,
    TIFF: _whole_tiff,
    BMP: _whole_bmp,
    PSD: _whole_psd,
    QOI: _whole_qoi,
    JXL: lambda content: content.startswith(b"\xff\x0a") or _whole_boxes(content),
}
