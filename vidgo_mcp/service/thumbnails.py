"""Scales a picture down so that a client can take it: small enough for each use, never a decompression bomb."""

from __future__ import annotations

import io
import warnings
from typing import Final

from PIL import ExifTags, Image, ImageOps

from vidgo_mcp.errors import UnavailableError
from vidgo_mcp.files.images import MOST_PIXELS, validate_image
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.models.results import View

MOST_BYTES: Final = 300_000
"""Some hosts cut or drop larger inline pictures."""
LARGEST_RESOURCE: Final = 700_000
"""Bytes of a picture that is read as a resource; in base64 it stays below the 1 MB at which some hosts give up."""
LONGEST_RESOURCE_EDGE: Final = 2048


def scaled(content: bytes, max_edge: int, most_bytes: int = MOST_BYTES) -> View:
    """Return the picture with a longest edge of at most ``max_edge`` pixels, as WebP of at most ``most_bytes``.

    Raises:
        UnavailableError: the bytes are no picture, a truncated one, or one with too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "GIF")) as opened:
                width, height = opened.size
                if width * height > MOST_PIXELS:
                    raise _unshown(f"The picture has {width} x {height} pixels, too many to look at here.")
                if opened.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8):  # it lies on its side
                    width, height = height, width
                opened.draft("RGB", (max_edge, max_edge))
                picture = ImageOps.exif_transpose(opened)
                picture.thumbnail((max_edge, max_edge), Image.Resampling.LANCZOS)
                flat = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise _unshown("What its address gave is not a readable picture.") from None
    shown, shown_size = _encoded(flat, most_bytes)
    return View(shown, "image/webp", width, height, *shown_size)


def fitting(content: bytes) -> View:
    """Return the picture as it is when it is small enough for a resource, else scaled down.

    Raises:
        UnavailableError: the bytes are no picture, a truncated one, or one with too many pixels.
    """
    if len(content) > LARGEST_RESOURCE:
        return scaled(content, LONGEST_RESOURCE_EDGE, LARGEST_RESOURCE)
    try:
        # A client keeps it for long: half a picture, or one that nobody can decode, must not pass as whole.
        picture = validate_image(content)
    except UnusableError as error:
        raise _unshown(f"The picture cannot be shown: {error.reason}.") from None
    width, height = picture.width, picture.height
    return View(content, picture.mime_type, width, height, width, height, original=True)


def _unshown(why: str) -> UnavailableError:
    return UnavailableError(why, retryable=False, remedy="show_picture")


def _encoded(picture: Image.Image, most_bytes: int) -> tuple[bytes, tuple[int, int]]:
    for quality in (85, 75, 60, 45, 30):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=4)
        encoded = buffer.getvalue()
        if len(encoded) <= most_bytes:
            return encoded, picture.size
    smaller = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)))
    return _encoded(smaller, most_bytes)
