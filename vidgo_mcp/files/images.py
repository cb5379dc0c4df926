"""Decides what bytes are a picture that may leave the person's machine, and keeps nothing but the picture of them."""

from __future__ import annotations

import hashlib
import struct
import threading
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from vidgo_mcp.files.containers import PNG_SIGNATURE, SOS, end_of, jpeg_segments, webp_canvas
from vidgo_mcp.files.unusable import UnusableError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MOST_PIXELS: Final = 50_000_000
MOST_SCANS: Final = 100
"""Scans of a progressive JPEG. Encoders write about ten; each one costs a decoder a pass over all pixels, and an empty
one hardly a byte, so that a small file can keep it busy for hours."""

_ONE_AT_A_TIME: Final = threading.Lock()
"""Decoding takes hundreds of megabytes, and the filters of warnings belong to the whole process."""

_DAMAGED: Final = "it is damaged, or a part of it is missing: it cannot be decoded"
_DAMAGE: Final = (
    *(OSError, SyntaxError, ValueError, struct.error, zlib.error, LookupError, EOFError, ArithmeticError),
    *(AttributeError, TypeError, AssertionError, RuntimeError),
)
"""What Pillow raises about bytes that make no sense. Its decoders do not promise less."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A format, by its media type and the extension of its files: image/png, .png."""

    mime_type: str
    extension: str


@dataclass(frozen=True, slots=True)
class ReferencePicture:
    """A picture that can be decoded: its bytes and no others, its size in pixels, and the SHA-256 of its bytes."""

    content: bytes
    mime_type: str
    extension: str
    width: int
    height: int
    digest: str


_JPEG: Final = Kind("image/jpeg", ".jpg")
_PNG: Final = Kind("image/png", ".png")
_GIF: Final = Kind("image/gif", ".gif")
_WEBP: Final = Kind("image/webp", ".webp")

_CONVERT: Final = "convert it to a JPEG or PNG"
_OTHERS: Final[Mapping[bytes, tuple[str, str]]] = {
    b"BM": ("a BMP picture", _CONVERT),
    b"II*\0": ("a TIFF picture", _CONVERT),
    b"MM\0*": ("a TIFF picture", _CONVERT),
    b"\xff\x0a": ("a JPEG XL picture", _CONVERT),
    b"\0\0\0\x0cJXL ": ("a JPEG XL picture", _CONVERT),
    b"\0\0\0\x0cjP  ": ("a JPEG 2000 picture", _CONVERT),
    b"\0\0\1\0": ("an icon", _CONVERT),
    b"8BPS": ("a Photoshop document", _CONVERT),
    b"%PDF": ("a PDF document", "export the page as a JPEG or PNG"),
    b"PK\x03\x04": ("a ZIP archive, or a document that is one", "take the picture out of it"),
    b"\x1f\x8b": ("a gzip archive", "unpack it"),
}
"""What people try with, by the first bytes, and what they can do about it."""
_BRANDS: Final[Mapping[bytes, str]] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "a HEIC picture"),
    **dict.fromkeys((b"avif", b"avis"), "an AVIF picture"),
}
"""Pictures in the container of MP4, by their major brand."""


def kind_of(content: bytes) -> Kind | None:
    """Return the format that the first bytes announce; None when it is none that can be used."""
    if content.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if content.startswith(PNG_SIGNATURE):
        return _PNG
    if content.startswith((b"GIF87a", b"GIF89a")):
        return _GIF
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return _WEBP
    return None


def checked(content: bytes, *, most_pixels: int = MOST_PIXELS) -> ReferencePicture:
    """Return the picture in the bytes, after decoding it; of an animation the first frame. It takes a thread's time.

    What follows the picture's end is left away, so that nothing but the picture leaves the person's machine.

    Args:
        content: the bytes of a file.
        most_pixels: width times height. More are refused before anything is decoded.

    Raises:
        UnusableError: it is not a JPEG, PNG, GIF or WebP, it is damaged, or too large.
    """
    if not content:
        raise UnusableError("it is empty")
    kind = kind_of(content)
    if kind is None:
        raise UnusableError(_why_not(content))
    end = end_of(content, kind.mime_type)
    if end is None:
        # A decoder would not miss the last frames of a GIF.
        raise UnusableError(_DAMAGED)
    kept = content[:end]
    with _ONE_AT_A_TIME:
        width, height = _decoded_size(kept, kind, most_pixels)
    return ReferencePicture(kept, kind.mime_type, kind.extension, width, height, hashlib.sha256(kept).hexdigest())


def _decoded_size(content: bytes, kind: Kind, most_pixels: int) -> tuple[int, int]:
    from PIL.Image import DecompressionBombError

    try:
        with warnings.catch_warnings():
            # Pillow warns of what does not keep it from decoding.
            warnings.simplefilter("ignore")
            if kind is _WEBP and (canvas := webp_canvas(content)):
                # Its decoder makes room for the canvas as soon as it is opened.
                _check_size(canvas, most_pixels)
            if kind is _JPEG:
                _check_scans(content)
            with _opened(content, kind) as image:
                width, height = image.size
                _check_size((width, height), most_pixels)
                # A JPEG can be decoded at an eighth of its size, which still reads all of its bytes.
                image.draft(None, (1, 1))
                image.load()
            if kind is _PNG:
                # Decoding does not look at all of the checksums.
                with _opened(content, kind) as image:
                    image.verify()
    except DecompressionBombError:
        raise UnusableError(f"it has more than {most_pixels:,} pixels: make it smaller") from None
    except MemoryError:
        raise UnusableError("there is not enough memory to decode it: make it smaller") from None
    except _DAMAGE:
        raise UnusableError(_DAMAGED) from None
    return width, height


def _opened(content: bytes, kind: Kind) -> ImageFile:
    """Return the image, of which only the header is read.

    ``Image.open`` would load the decoders of all formats, and call a phone's JPEG with several pictures an MPO.
    """
    from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    decoders: dict[Kind, type[ImageFile]] = {
        _JPEG: JpegImagePlugin.JpegImageFile,
        _PNG: PngImagePlugin.PngImageFile,
        _GIF: GifImagePlugin.GifImageFile,
        _WEBP: WebPImagePlugin.WebPImageFile,
    }
    return decoders[kind](BytesIO(content))


def _check_size(size: tuple[int, int], most_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnusableError("it has no pixels")
    if width * height > most_pixels:
        raise UnusableError(f"it has {width}×{height} pixels, more than {most_pixels:,}: make it smaller")


def _check_scans(content: bytes) -> None:
    if sum(segment.name[1] == SOS for segment in jpeg_segments(content)) > MOST_SCANS:
        raise UnusableError(f"it is a JPEG with more than {MOST_SCANS} scans: save it again in another program")


def _why_not(content: bytes) -> str:
    what, remedy = _other(content)
    return f"it is {what}, not a JPEG, PNG, GIF or WebP: {remedy}"


def _other(content: bytes) -> tuple[str, str]:
    """Return what the bytes seem to be, and what can be done about it."""
    for start, found in _OTHERS.items():
        if content.startswith(start):
            return found
    if content[4:8] == b"ftyp":
        brand = _BRANDS.get(content[8:12])
        return (brand, _CONVERT) if brand else ("a film", "take a picture out of it")
    head = content[:1024]
    if b"<svg" in head.lower():
        return "an SVG drawing", "export it as a PNG"
    # The first kilobyte may end within a character.
    if b"\0" not in head and "\ufffd" not in head.decode("utf-8", "replace")[:-1]:
        return "text", "name a picture"
    return "something else", "name a picture in one of these formats"
