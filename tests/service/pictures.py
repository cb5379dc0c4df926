"""Pictures that calls refer to, what of them has arrived at Vidgo, and what of finished ones is on the disk."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import anyio
import httpx
from PIL import Image

from tests.conftest import BASE, World
from vidgo_mcp.sandbox import Sandbox

PHOTO = "https://example.com/photo.png"


def png(shade: int = 0) -> bytes:
    """Return a small picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), (shade % 256, shade // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


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
