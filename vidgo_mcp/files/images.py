"""The one door to the decoder: which bytes are a whole picture that is decoded in seconds, not in hours or gigabytes.

A decoder runs in a thread, which nothing can end. So whatever would keep it busy is refused before it starts.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile

from vidgo_mcp.files.containers import SOS, end_of, jpeg_segments, webp_canvas
from vidgo_mcp.files.kinds import AVIF, BIG_TIFF, BMP, DAMAGED, GIF, JPEG, PNG, TIFF, WEBP, Kind, described, kind_of
from vidgo_mcp.files.unusable import UnusableError

MOST_PIXELS: Final = 50_000_000
LONGEST_EDGE: Final = 65_535
"""Pixels, as in a JPEG. Rows of one pixel each take thirty times the memory of the same pixels in a square."""
MOST_SCANS: Final = 100
"""Scans of a progressive JPEG. Encoders write about ten; each one costs a decoder a pass over all pixels, and an empty
one hardly a byte, so that a small file can keep it busy for hours."""
MOST_EXIF: Final = 16
"""Pieces of Exif in a JPEG, of at most 64 KB. Cameras write one; for each Pillow copies all before it."""

TURN_SECONDS: Final = 20.0
"""To wait for other pictures to be decoded. The slowest picture that is let in takes about 8 s."""
_ONE_AT_A_TIME: Final = threading.Lock()
"""Decoding takes hundreds of megabytes, and the filters of warnings belong to the whole process."""

DECODERS: Final[Mapping[Kind, Callable[[BytesIO], ImageFile]]] = {
    JPEG: JpegImagePlugin.JpegImageFile,
    PNG: PngImagePlugin.PngImageFile,
    GIF: GifImagePlugin.GifImageFile,
    WEBP: WebPImagePlugin.WebPImageFile,
    TIFF: TiffImagePlugin.TiffImageFile,
    BMP: BmpImagePlugin.BmpImageFile,
    AVIF: AvifImagePlugin.AvifImageFile,
}
"""What is in no list stays out: JPEG 2000 may have thousands of hidden channels, and QOI is read by Python itself."""

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


_PLAIN_TIFF: Final = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
_TILE_WIDTH: Final = 322
_SLOW_BMP: Final = (1, 2)
"""Run lengths, which Pillow reads in Python itself."""

USABLE: Final = (JPEG, PNG, GIF, WEBP)
"""What Vidgo takes as a reference."""


def validate_image(content: bytes) -> ReferencePicture:
    """Return the picture in the bytes, after decoding it; of an animation the first frame.

    What follows the picture's end is cut off. More pixels than ``MOST_PIXELS`` (width times height) are refused before
    anything is decoded. Blocking; call it in a worker thread.

    Raises:
        UnusableError: it is not a JPEG, PNG, GIF or WebP, it is damaged, or too large.
    """
    if not content:
        raise UnusableError("it is empty")
    kind = kind_of(content)
    if kind not in USABLE:
        raise UnusableError(
            f"it is {described(content)}, not a JPEG, PNG, GIF or WebP", "convert it, or name another picture"
        )
    end = end_of(content, kind.mime_type)
    if end is None:
        raise UnusableError(DAMAGED)
    kept = content[:end]
    try:
        with decoding(kept, kind) as image:
            width, height = image.size
            # A JPEG can be decoded at an eighth of its size, which still reads all of its bytes.
            image.draft(None, (1, 1))
            image.load()
            if kind is PNG:
                # Decoding does not look at all of the checksums.
                with _opened(kept, kind) as checked:
                    checked.verify()
    except UndecodableError:
        raise UnusableError(DAMAGED) from None
    return ReferencePicture(kept, kind.mime_type, kind.extension, width, height, hashlib.sha256(kept).hexdigest())


def pixels_of(content: bytes) -> str | None:
    """Return the size that a picture's own header names, WIDTHxHEIGHT; None of a format that is not decoded here."""
    kind = kind_of(content)
    if kind not in USABLE:
        return None
    try:
        check_before_opening(content, kind)
        with _turn(), _opened(content, kind) as image:
            return f"{image.width}x{image.height}"
    except (UnusableError, DecompressionBombError, MemoryError, *DAMAGE):
        return None


class UndecodableError(UnusableError):
    """The decoder can make nothing of a picture, or there is none for its format."""


@contextmanager
def decoding(content: bytes, kind: Kind) -> Generator[ImageFile]:
    """Open a picture to be decoded within, while no other one is; of an animation the first frame.

    Blocking, for at most ``TURN_SECONDS`` until it is its turn; call it in a worker thread.

    Raises:
        UndecodableError: nothing here can decode it.
        UnusableError: its decoding would take too long or too much, or other pictures take too long.
    """
    check_before_opening(content, kind)
    try:
        with _turn(), _opened(content, kind) as image:
            check_size(image.size)
            _check_opened(image, kind)
            yield image
    except UnusableError:
        raise
    except DecompressionBombError:
        raise UnusableError(f"it has more than {MOST_PIXELS:,} pixels", "make it smaller") from None
    except MemoryError:
        raise UnusableError("there is not enough memory to decode it", "make it smaller") from None
    except DAMAGE:
        raise UndecodableError(f"it is {kind.called}, which cannot be decoded here") from None


@contextmanager
def _turn() -> Generator[None]:
    if not _ONE_AT_A_TIME.acquire(timeout=TURN_SECONDS):
        raise UnusableError("too many others are being decoded now; try again in a minute")
    try:
        with warnings.catch_warnings():
            # Pillow warns of what does not keep it from decoding, of some Exif in thousands of lines.
            warnings.simplefilter("ignore")
            yield
    finally:
        _ONE_AT_A_TIME.release()


def _opened(content: bytes, kind: Kind) -> ImageFile:
    """Return the image, of which only the header is read.

    ``Image.open`` would load the decoders of all formats, and call a phone's JPEG with several pictures an MPO.
    """
    if kind not in DECODERS:
        raise UndecodableError(f"it is {kind.called}, which cannot be decoded here")
    return DECODERS[kind](BytesIO(content))


def _check_opened(image: ImageFile, kind: Kind) -> None:
    """Raise UnusableError for what one format can put into another, or have a decoder do again and again."""
    if kind is BMP and image.info.get("compression") in _SLOW_BMP:
        raise UnusableError("it is a compressed BMP picture", "save it again in another program")
    if kind is TIFF:
        tags: Mapping[int, object] = getattr(image, "tag_v2", {})
        # Each strip may hold a JPEG of a hundred scans, all strips the same one; a tile may be larger than the picture.
        if image.info.get("compression") not in _PLAIN_TIFF or _TILE_WIDTH in tags:
            raise UnusableError("it is an unusual TIFF picture", "save it again in another program")


def check_before_opening(content: bytes, kind: Kind) -> None:
    """Raise UnusableError for what can keep a decoder busy, or fill the memory, before it tells the picture's size."""
    if kind is WEBP and (canvas := webp_canvas(content)):
        # Its decoder makes room for the canvas as soon as it is opened.
        check_size(canvas)
    if kind is JPEG and sum(part.name[1] == SOS for part in jpeg_segments(content)) > MOST_SCANS:
        raise UnusableError(f"it is a JPEG with more than {MOST_SCANS} scans", "save it again in another program")
    # Counted wherever they stand: Pillow looks for them also where other programs see none.
    if kind is JPEG and content.count(b"Exif\0\0") > MOST_EXIF:
        raise UnusableError(
            f"it is a JPEG with more than {MOST_EXIF} parts of Exif", "save it again in another program"
        )
    # Its lists of strips, each of which Pillow goes through one by one, were not counted when it was found whole.
    if kind is TIFF and content[2:4] in BIG_TIFF:
        raise UnusableError("it is an unusual TIFF picture", "save it again in another program")


def check_size(size: tuple[int, int]) -> None:
    """Raise UnusableError for a picture with too many pixels to be decoded."""
    width, height = size
    if width * height > MOST_PIXELS:
        raise UnusableError(f"it has {width}×{height} pixels, more than {MOST_PIXELS:,}", "make it smaller")
    if max(width, height) > LONGEST_EDGE:
        raise UnusableError(
            f"it has {width}×{height} pixels, more than {LONGEST_EDGE:,} on one edge", "make it smaller"
        )
