"""The client without a server: balance, submit, wait, download, save.

Runs by itself against the sandbox: no key, no cost. With a key: ``VidgoClient(key)`` and no ``base_url``.
"""

from __future__ import annotations

import tempfile

import anyio

from vidgo_mcp import VidgoClient
from vidgo_mcp.client import ImageRequest
from vidgo_mcp.errors import OutcomeUnknownError
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

PNG = b"\x89PNG\r\n\x1a\n"


async def make_and_save(client: VidgoClient, request: ImageRequest, path: anyio.Path) -> int | float:
    """Make one picture, save it, and return what it cost."""
    before = await client.balance()
    try:
        task = await client.submit(request)
    except OutcomeUnknownError as lost:
        # The one error after which nobody knows whether it was paid for: look at the balance, never submit blindly.
        raise SystemExit(f"{lost.message} Credits now: {await client.balance()}, before: {before}") from None
    print(f"{task.task_id} is {task.status}")
    task = await client.wait(task.task_id, timeout=300)
    if task.phase != "finished" or not task.file_urls:
        raise SystemExit(f"{task.task_id} is {task.status}: {task.error_message or 'no picture'}")
    await path.write_bytes(await client.download(task.file_urls[0]))
    return before - await client.balance()


async def main() -> None:
    request = ImageRequest(prompt="A paper boat on a still lake", size="1:1", quality="high")
    with running(Sandbox(seconds=(1, 2))) as base_url, tempfile.TemporaryDirectory() as folder:
        path = anyio.Path(folder, "boat.png")
        async with VidgoClient(SANDBOX_KEY, base_url=base_url) as client:
            cost = await make_and_save(client, request, path)
        print(f"{(await path.stat()).st_size} bytes for {cost} credits")
        assert (await path.read_bytes()).startswith(PNG)
        assert cost == 12


if __name__ == "__main__":
    anyio.run(main)
