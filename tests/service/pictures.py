"""Pictures that calls refer to, what of them has arrived at Vidgo, and what of finished ones is on the disk."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import anyio
import httpx
from PIL import Image

from tests.conftest import BASE, World
from vidgo_mcp.files.containers import PNG_SIGNATURE, png_chunk
from vidgo_mcp.sandbox import Sandbox

PHOTO = "https://example.com/photo.png"
HEIC = struct.pack(">I", 20) + b"ftypheic\0\0\0\0mif1" + struct.pack(">I", 40) + b"mdat" + bytes(32)


def png(shade: int = 0) -> bytes:
    """Return a small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), (shade % 256, shade // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def png_of(width: int, height: int, form: tuple[int, int], pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of a bit depth and colour type, with its rows as they are given, made without Pillow."""
    header = struct.pack(">IIBBBBB", width, height, *form, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(name, payload) for name, payload in parts)


def claimed_png(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims a size."""
    return png_of(width, height, (1, 0), b"")


def inline(content: bytes) -> str:
    """Return a picture as inline data."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def many(folder: Path, count: int) -> list[str]:
    """Write as many different pictures, and return their paths."""
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(png(number))
    return [str(path) for path in paths]


def sent_urls(world: World) -> list[list[str]]:
    """Return the references of each submit."""
    bodies = [request.body for request in world.sandbox.requests if request.body and "input" in request.body]
    return [body["input"]["image_urls"] for body in bodies if "image_urls" in body["input"]]


def content_at(sandbox: Sandbox, url: str) -> bytes:
    """Return what was uploaded under a URL."""
    found = sandbox.storage.own(url, f"{BASE}/", sandbox.clock())
    assert found is not None
    assert isinstance(found.content, bytes)
    return found.content


def downloads(world: World) -> int:
    """Return how often a picture was fetched."""
    return sum(seen.method == "GET" and "/api/" not in seen.path for seen in world.wire.seen)


def files(folder: Path) -> list[Path]:
    """Return all that is in a folder, temporary files too."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def pixels_of(content: bytes) -> bytes:
    """Return the pixels of a picture."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.tobytes()


def slow_downloads(world: World, seconds: float) -> None:
    """Let each picture take this long to arrive."""

    async def before(request: httpx.Request) -> None:
        if "/api/" not in request.url.path:
            await anyio.sleep(seconds)

    world.wire.before = before
