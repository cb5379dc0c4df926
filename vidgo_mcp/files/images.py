"""Decides which bytes are a whole picture of a usable format, before a decoder can be bombed or sent half of one."""

from __future__ import annotations

import hashlib
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from vidgo_mcp.files.containers import SOS, end_of, jpeg_segments, webp_canvas
from vidgo_mcp.files.kinds import DAMAGED, GIF, JPEG, PNG, WEBP, Kind, described, kind_of
from vidgo_mcp.files.unusable import UnusableError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MOST_PIXELS: Final = 50_000_000
MOST_SCANS: Final = 100
"""Scans of a progressive JPEG. Encoders write about ten; each one costs a decoder a pass over all pixels, and an empty
one hardly a byte, so that a small file can keep it busy for hours."""

ONE_AT_A_TIME: Final = threading.Lock()
"""Decoding takes hundreds of megabytes, and the filters of warnings belong to the whole process."""

DAMAGE: Final = (
    *(OSError, SyntaxError, ValueError, struct.error, zlib.error, LookupError, EOFError, ArithmeticError),
    *(AttributeError, TypeError, AssertionError, RuntimeError),
)
"""What Pillow raises about bytes that make no sense. Its decoders do not promise less."""


@dataclass(frozen=True, slots=True)
class ReferencePicture:
    """A picture that can be decoded: its bytes and no others, its size in pixels, and the SHA-256 of its bytes."""

    content: bytes
    mime_type: str
    extension: str
    width: int
    height: int
    digest: str


USABLE: Final = (JPEG, PNG, GIF, WEBP)
"""What Vidgo takes as a reference."""


def validate_image(content: bytes, *, most_pixels: int = MOST_PIXELS) -> ReferencePicture:
    """Return the picture in the bytes, after decoding it; of an animation the first frame.

    What follows the picture's end is cut off. More pixels than ``most_pixels`` (width times height) are refused before
    anything is decoded. Blocking; call it in a worker thread.

    Raises:
        UnusableError: it is not a JPEG, PNG, GIF or WebP, it is damaged, or too large.
    """
    if not content:
        raise UnusableError("it is empty")
    kind = kind_of(content)
    if kind is None or kind not in USABLE:
        raise UnusableError(
            f"it is {described(content)}, not a JPEG, PNG, GIF or WebP", "convert it, or name another picture"
        )
    end = end_of(content, kind.mime_type)
    if end is None:
        raise UnusableError(DAMAGED)
    kept = content[:end]
    with ONE_AT_A_TIME:
        width, height = _decoded_size(kept, kind, most_pixels)
    return ReferencePicture(kept, kind.mime_type, kind.extension, width, height, hashlib.sha256(kept).hexdigest())


def pixels_of(content: bytes) -> str | None:
    """Return the size that a picture's own header names, WIDTHxHEIGHT; None of a format that is not decoded here."""
    kind = kind_of(content)
    if kind not in USABLE:
        return None
    try:
        with _opened(content, kind) as image:
            return f"{image.width}x{image.height}"
    except DAMAGE:
        return None


def _decoded_size(content: bytes, kind: Kind, most_pixels: int) -> tuple[int, int]:
    from PIL.Image import DecompressionBombError

    try:
        with warnings.catch_warnings():
            # Pillow warns of what does not keep it from decoding.
            warnings.simplefilter("ignore")
            check_before_opening(content, kind, most_pixels)
            with _opened(content, kind) as image:
                width, height = image.size
                check_size((width, height), most_pixels)
                # A JPEG can be decoded at an eighth of its size, which still reads all of its bytes.
                image.draft(None, (1, 1))
                image.load()
            if kind is PNG:
                # Decoding does not look at all of the checksums.
                with _opened(content, kind) as image:
                    image.verify()
    except DecompressionBombError:
        raise UnusableError(f"it has more than {most_pixels:,} pixels", "make it smaller") from None
    except MemoryError:
        raise UnusableError("there is not enough memory to decode it", "make it smaller") from None
    except DAMAGE:
        raise UnusableError(DAMAGED) from None
    return width, height


def _opened(content: bytes, kind: Kind) -> ImageFile:
    """Return the image, of which only the header is read.

    ``Image.open`` would load the decoders of all formats, and call a phone's JPEG with several pictures an MPO.
    """
    from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    decoders: dict[Kind, type[ImageFile]] = {
        JPEG: JpegImagePlugin.JpegImageFile,
        PNG: PngImagePlugin.PngImageFile,
        GIF: GifImagePlugin.GifImageFile,
        WEBP: WebPImagePlugin.WebPImageFile,
    }
    return decoders[kind](BytesIO(content))


def check_before_opening(content: bytes, kind: Kind, most_pixels: int = MOST_PIXELS) -> None:
    """Raise UnusableError for what can keep a decoder busy, or fill the memory, before it tells the picture's size."""
    if kind is WEBP and (canvas := webp_canvas(content)):
        # Its decoder makes room for the canvas as soon as it is opened.
        check_size(canvas, most_pixels)
    if kind is JPEG and sum(part.name[1] == SOS for part in jpeg_segments(content)) > MOST_SCANS:
        raise UnusableError(f"it is a JPEG with more than {MOST_SCANS} scans", "save it again in another program")


def check_size(size: tuple[int, int], most_pixels: int = MOST_PIXELS) -> None:
    """Raise UnusableError for a picture with too many pixels to be decoded."""
    width, height = size
    if width * height > most_pixels:
        raise UnusableError(f"it has {width}×{height} pixels, more than {most_pixels:,}", "make it smaller")
