"""Scales a picture down so that a client can take it: small enough for each use, never a decompression bomb.

What is shown is JPEG, and PNG where it is transparent: many programs that run models read nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

from PIL import ExifTags, Image

from vidgo_mcp.errors import UnavailableError
from vidgo_mcp.files.images import decoding, validate_image
from vidgo_mcp.files.kinds import whole_picture
from vidgo_mcp.files.unusable import UnusableError
from vidgo_mcp.models.results import View

MOST_BYTES: Final = 300_000
"""Some hosts cut or drop larger inline pictures."""
LARGEST_RESOURCE: Final = 700_000
"""Bytes of a picture that is read as a resource; in base64 it stays below the 1 MB at which some hosts give up."""
LONGEST_RESOURCE_EDGE: Final = 2048
LARGEST_PROFILE: Final = 50_000
"""Bytes of a colour profile that goes along."""
LARGEST_EXIF: Final = 1_100_000
"""Bytes of Exif that is looked at."""
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What shows a picture upright, by the orientation that its Exif tells."""


def scaled(content: bytes, max_edge: int, most_bytes: int = MOST_BYTES) -> View:
    """Return the picture with a longest edge of at most ``max_edge`` pixels and of at most ``most_bytes``.

    Raises:
        UnavailableError: the bytes are no picture, a truncated one, one that is too large, or one without a decoder.
    """
    try:
        with decoding(content, whole_picture(content)) as opened:
            width, height = opened.size
            # Large Exif would take minutes. Cameras write less.
            large = len(opened.info.get("exif") or b"") > LARGEST_EXIF
            orientation = 1 if large else opened.getexif().get(ExifTags.Base.Orientation, 1)
            if orientation in (5, 6, 7, 8):  # it lies on its side
                width, height = height, width
            opened.draft("RGB", (max_edge, max_edge))
            profile = opened.info.get("icc_profile")
            turn = TURNS.get(orientation)
            # Pillow's own way would also write the Exif anew.
            picture = _in_eight_bits(opened.copy() if turn is None else opened.transpose(turn))
            picture.thumbnail((max_edge, max_edge), Image.Resampling.LANCZOS)
    except UnusableError as error:
        why = f"The picture cannot be shown: {error.reason}."
        raise UnavailableError(why, retryable=False, remedy="show_picture") from None
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    # Comments and the like would be written too.
    picture.info = {}
    return _encoded(picture, _fitting_profile(profile, picture.mode), most_bytes, (width, height))


def fitting(content: bytes) -> View:
    """Return the picture as it is when it is small enough for a resource and widely read, else scaled down.

    Raises:
        UnavailableError: as ``scaled`` does.
    """
    try:
        # A client keeps it for long: half a picture, or one that nobody can decode, must not pass as whole.
        picture = validate_image(content) if len(content) <= LARGEST_RESOURCE else None
    except UnusableError:
        picture = None
    if picture is None:
        return scaled(content, LONGEST_RESOURCE_EDGE, LARGEST_RESOURCE)
    width, height = picture.width, picture.height
    return View(content, picture.mime_type, width, height, width, height, original=True)


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Return the picture as L, RGB or RGBA, as bright as it is meant to be."""
    if picture.mode == "RGBA" or (picture.mode in {"L", "RGB"} and not picture.has_transparency_data):
        return picture
    if picture.mode.startswith(("I", "F")):
        picture = _from_deep_grey(picture)
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture.convert("L" if picture.mode in {"1", "L"} else "RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    clear = picture.info.pop("transparency", None)
    white = 65_535.0
    if not picture.mode.startswith("I;16"):
        # Nothing says which number is white: it is the least one, of those in use, that none exceeds.
        _, brightest = picture.getextrema()
        assert isinstance(brightest, int | float)  # it has one channel
        usual = (1.0, 255.0, 65_535.0) if picture.mode == "F" else (255.0, 65_535.0)
        white = next((level for level in usual if brightest <= level), float(brightest))
    # Pillow multiplies in these two modes only, and cuts a number off where it could round it.
    deep = picture.convert("I") if picture.mode.startswith("I;16") else picture
    grey = deep.point(lambda value: value * (255 / white) + 0.5).convert("L")
    if isinstance(clear, int):
        grey.info["transparency"] = round(clear * 255 / white)
    return grey


def _fitting_profile(profile: bytes | None, mode: str) -> bytes | None:
    """Return the colour profile where it speaks of the colours that are shown: not that of a CMYK, for instance."""
    spoken = b"GRAY" if mode == "L" else b"RGB "
    return profile if profile and len(profile) <= LARGEST_PROFILE and profile[16:20] == spoken else None


def _encoded(picture: Image.Image, profile: bytes | None, most_bytes: int, size: tuple[int, int]) -> View:
    form = "PNG" if picture.mode == "RGBA" else "JPEG"
    while True:
        for version, quality in _versions(picture):
            buffer = io.BytesIO()
            version.save(buffer, form, quality=quality, subsampling=0, icc_profile=profile)
            if buffer.tell() <= most_bytes:
                return View(buffer.getvalue(), f"image/{form.lower()}", *size, *version.size)
        picture = picture.resize((max(1, picture.width * 3 // 4), max(1, picture.height * 3 // 4)))


def _versions(picture: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    """Yield ways to write a picture, the best first, with the quality of a JPEG."""
    if picture.mode == "RGBA":
        yield picture, 0
        yield picture.quantize(256, Image.Quantize.FASTOCTREE), 0
    else:
        yield from ((picture, quality) for quality in (85, 75, 60, 45, 30))
