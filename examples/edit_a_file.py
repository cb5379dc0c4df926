"""A picture on your disk is edited, and then the result: each edit is priced first, paid for once, and saved.

Runs by itself against the sandbox: no key, no cost. With a key, drop ``--sandbox``, and pass VIDGO_API_KEY in ``env``
in place of VIDGO_JOURNAL, which makes the sandbox forget earlier runs.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from PIL import Image

LIMIT = 2
"""Credits that one edit may cost."""


def server(photos: Path, saved: Path) -> StdioServerParameters:
    """Return how to start a server that may read one folder, and saves into another."""
    return StdioServerParameters(
        command=shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or "vidgo-mcp",
        args=["--sandbox"],
        env={"VIDGO_INPUT_DIRS": str(photos), "VIDGO_SAVE_DIR": str(saved), "VIDGO_JOURNAL": "memory"},
    )


async def edit(client: Client, reference: str, prompt: str) -> dict[str, Any]:
    """Edit one picture, and return the structured part of the result."""
    arguments = {"prompt": prompt, "image_urls": [reference], "max_credits": LIMIT, "wait_seconds": 120}
    answer: dict[str, Any] = (await client.call_tool("edit_image", arguments)).structured_content
    return answer


async def run(photos: Path, saved: Path) -> None:
    photo = photos / "lighthouse.png"
    Image.new("RGB", (640, 480), (90, 140, 190)).save(photo)
    async with Client(stdio_client(server(photos, saved))) as client:
        night = await edit(client, str(photo), "Make it night, and light the lamp. Keep the building as it is.")
        # The picture that a task made is named by the task: no URL to retype, nothing to upload.
        storm = await edit(client, f"task:{night['task_id']}", "Add a storm. Keep everything else.")
        again = await edit(client, str(photo), "Make it night, and light the lamp. Keep the building as it is.")
        refused = await edit(client, "/etc/hostname", "Make it night.")

    for answer in (night, storm):
        print(f"{answer['credits_charged']} credits, saved as {answer['saved_paths'][0]}")
        with Image.open(answer["saved_paths"][0]) as picture:
            assert getattr(picture, "text", {})["Task"] == answer["task_id"]
    assert {path.parent for path in map(Path, [*night["saved_paths"], *storm["saved_paths"]])} == {saved}
    assert (again["reused"], again["credits_charged"], again["task_id"]) == (True, 0, night["task_id"])
    assert (refused["category"], refused["money"]) == ("invalid_request", "nothing_spent")
    assert refused["remedy"] == "add_input_dir"


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        places = Path(folder).resolve() / "photos", Path(folder).resolve() / "saved"
        places[0].mkdir()
        anyio.run(run, *places)
