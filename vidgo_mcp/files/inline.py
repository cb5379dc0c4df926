"""Reads a picture out of a data: address, as language models and browsers write them."""

from __future__ import annotations

import base64
from typing import Final

from vidgo_mcp.files.images import ReferencePicture, validate_image
from vidgo_mcp.files.privacy import without_private_data
from vidgo_mcp.files.reader import LARGEST_FILE, too_large
from vidgo_mcp.files.unusable import UnusableError

_HEADER: Final = 256
"""Characters before the comma: a media type, and parameters that nobody needs."""
_WRITTEN: Final = 2
"""Characters that one byte may take: four thirds, with line breaks and some percent-encoding."""
_STANDARD: Final = str.maketrans("-_", "+/", " \t\n\r\v\f")
"""The alphabet of URLs, and no white space. For ASCII this takes neither long nor much memory, as splitting would."""
_ENCODED: Final = {"%2B": "+", "%2F": "/", "%3D": "=", "%20": "", "%0D": "", "%0A": ""}
"""What encoders percent-encode of what can stand here."""


def read_inline(text: str, *, largest: int = LARGEST_FILE) -> ReferencePicture:
    """Return the picture of a ``data:image/...;base64,...`` address (RFC 2397), as it may be sent.

    White space, the alphabet of URLs and missing padding are accepted. No message repeats the data. More bytes than
    ``largest`` are refused before they are decoded. Blocking; call it in a worker thread.

    Raises:
        UnusableError: it is not such an address, or its bytes cannot be used.
    """
    header, comma, _ = text[: len("data:") + _HEADER].partition(",")
    scheme, _, declared = header.partition(":")
    if not comma or scheme.strip().lower() != "data":
        raise UnusableError("it is not inline data", "that begins with data:image/png;base64, or the like")
    media_type, *parameters = (part.strip().lower() for part in declared.split(";"))
    if not media_type.startswith("image/"):
        raise UnusableError("its media type is not a picture's, such as image/png or image/jpeg")
    if "base64" not in parameters[-1:]:
        raise UnusableError("it is not in base64", "write ;base64 before the comma")
    if len(text) - len(header) > _WRITTEN * largest + _HEADER:
        raise too_large(largest)
    digits = text[len(header) + 1 :].translate(_STANDARD)
    for encoded, meant in _ENCODED.items():
        digits = digits.replace(encoded, meant).replace(encoded.lower(), meant)
    digits = digits.rstrip("=")
    if len(digits) * 3 // 4 > largest:
        raise too_large(largest)
    try:
        content = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise UnusableError("it is not base64, or a part of it is missing") from None
    return without_private_data(validate_image(content))
