"""Real pictures of all the formats that can be used, small enough to be broken at every byte."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from PIL import Image, ImageSequence

EDGES: Final = (40, 24)
NOBODY: Final = 65534


@pytest.fixture
def place_of_nobody() -> Iterator[Path]:
    """A folder in a test during which this process is not root, whom no permission keeps from anything."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.name == "posix" and os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder).resolve()
        finally:
            if root:
                os.seteuid(0)


def saved(image: Image.Image, **options: Any) -> bytes:
    """Return the bytes of a file with the image."""
    file = BytesIO()
    image.save(file, **options)
    return file.getvalue()


def noise(mode: str = "RGB", seed: int = 1) -> Image.Image:
    """Return a picture that compresses badly, so that its data has every byte in it; always the same one."""
    width, height = EDGES
    values = bytearray()
    while len(values) < width * height * 4:
        seed = seed * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
        values += seed.to_bytes(8)
    return Image.frombytes("RGBA", EDGES, bytes(values[: width * height * 4])).convert(mode)


def riff_chunk(name: bytes, payload: bytes) -> bytes:
    """Return one chunk of a WebP, padded."""
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def after_header(png: bytes, chunk: bytes) -> bytes:
    """Return a PNG with one more chunk, behind IHDR."""
    return png[:33] + chunk + png[33:]


def frames(content: bytes) -> Sequence[tuple[str, tuple[int, int], bytes]]:
    """Return what a viewer shows: mode, size and pixels of each frame."""
    with Image.open(BytesIO(content)) as image:
        return [(frame.mode, frame.size, frame.tobytes()) for frame in ImageSequence.Iterator(image)]


_JPEG: Final = {"format": "JPEG", "quality": 80}
_FRAMES: Final = {"save_all": True, "append_images": [noise(seed=2), noise(seed=3)], "duration": 50}

JPEGS: Final = {
    "jpeg": saved(noise(), **_JPEG),
    "jpeg_progressive": saved(noise(), progressive=True, **_JPEG),
    "jpeg_restarts": saved(noise(), restart_marker_rows=1, **_JPEG),
    "jpeg_grey": saved(noise("L"), **_JPEG),
    "jpeg_cmyk": saved(noise("CMYK"), **_JPEG),
}
PNGS: Final = {
    "png": saved(noise(), format="PNG"),
    "png_alpha": saved(noise("RGBA"), format="PNG"),
    "png_palette": saved(noise("P"), format="PNG"),
    "png_16_bit": saved(noise("L").convert("I;16"), format="PNG"),
    "png_bits": saved(noise("1"), format="PNG"),
    "png_animated": saved(noise(), format="PNG", **_FRAMES),
}
GIFS: Final = {
    "gif": saved(noise("P"), format="GIF"),
    "gif_comment": saved(noise("L"), format="GIF", comment=b"no end; here"),
    "gif_animated": saved(noise(), format="GIF", **_FRAMES),
}
WEBPS: Final = {
    "webp": saved(noise(), format="WEBP"),
    "webp_alpha": saved(noise("RGBA"), format="WEBP"),
    "webp_lossless": saved(noise(), format="WEBP", lossless=True),
    "webp_lossless_alpha": saved(noise("RGBA"), format="WEBP", lossless=True),
    "webp_animated": saved(noise(), format="WEBP", **_FRAMES),
}
PICTURES: Final = {**JPEGS, **PNGS, **GIFS, **WEBPS}
"""None of them has anything in it but the picture."""

SEVERAL: Final = saved(noise(), format="MPO", save_all=True, append_images=[noise(seed=2)])
"""What some phones write: a JPEG, with another one behind it and an index of both in front."""


def mime_type(name: str) -> str:
    """Return the media type of a picture by its name in PICTURES."""
    return f"image/{name.partition('_')[0]}"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a picture with some bytes changed, a piece cut out, and something added."""
    content = bytearray(PICTURES[draw(st.sampled_from(sorted(PICTURES)))])
    # Most of what a parser believes stands at the beginning.
    near, anywhere = st.integers(0, 120), st.integers(0, len(content) - 1)
    for place in draw(st.lists(near | anywhere, max_size=4)):
        content[place] = draw(st.integers(0, 255))
    start = draw(near | anywhere)
    del content[start : start + draw(st.integers(0, 20))]
    place = draw(near | anywhere)
    content[place:place] = draw(st.binary(max_size=20))
    return bytes(content)


_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x40\0\0\0WEBP", b"")

hostile: Final = damaged() | st.builds(bytes.__add__, st.sampled_from(_STARTS), st.binary(max_size=300))
"""Bytes that anybody can have made."""
