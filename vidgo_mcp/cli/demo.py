"""``vidgo-mcp demo``: the whole story without a key, by the real server over stdio, a real MCP client and a sandbox."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, TextIO

import anyio
import click
import httpx
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from rich.console import Console
from rich.text import Text

from vidgo_mcp.cli.terminal import echo, shown_wait
from vidgo_mcp.foreign_text import escape, terminal_text
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

STARTING_CREDITS: Final = 1000
TASK_SECONDS: Final = (4.5, 7.0)

FOX: Final = {"prompt": "a red fox in fresh snow, soft morning light", "size": "16:9"}
NIGHT: Final = {"prompt": "the same fox at night, under northern lights", "size": "16:9", "quality": "medium"}


class BrokenPromiseError(Exception):
    """A step of the demo did not come out as the documentation says."""


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the pictures are saved, by default in a new folder vidgo-demo in the current one.",
)
def demo(output: Path | None) -> None:
    """Show what this does, without a key: price, picture, edit, and no double payment.

    Starts the real server over stdio, as a client would, against a sandbox on this machine. Takes about 15 seconds
    and costs nothing. Your key and your settings are not used.
    """
    sys.exit(run(output, Sandbox(accounts={SANDBOX_KEY: STARTING_CREDITS}, seconds=TASK_SECONDS)))


def run(output: Path | None, vidgo: Sandbox) -> int:
    """Run the demo, ``vidgo`` playing Vidgo; return its exit code: 0 only if every step came out as promised."""
    stage = _Stage(Console(highlight=False, soft_wrap=True), _folder(output), vidgo)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log, running(vidgo) as base_url:
        # This very installation, as a server that sees neither the user's key nor their journal.
        env = {"PYTHONUTF8": "1", "VIDGO_BASE_URL": base_url, "VIDGO_API_KEY": SANDBOX_KEY, "VIDGO_JOURNAL": "memory"}
        # -P: the current folder is no place to import from.
        server = StdioServerParameters(command=sys.executable, args=["-P", "-m", "vidgo_mcp.cli"], env=env)
        try:
            anyio.run(_story, stage, server, log)
        except* (BrokenPromiseError, TimeoutError, OSError, MCPError) as errors:
            error: BaseException = errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            stage.console.print(
                Text.assemble(("The demo failed: ", "bold red"), terminal_text(str(error)) or "it took too long")
            )
            log.seek(0)
            echo(log.read(), err=True, nl=False)
        else:
            return 0
    return 1


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the steps share: where they are shown, where pictures go, and the sandbox to compare with."""

    console: Console
    folder: Path
    vidgo: Sandbox

    def open(self, title: str, tool: str) -> None:
        self.console.print(Text.assemble((f"\n{title}  ", "bold"), (tool, "cyan")))

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(f"    {terminal_text(text)}", style=style))


async def _story(stage: _Stage, server: StdioServerParameters, log: TextIO) -> None:
    stage.console.print(Text("vidgo-mcp demo", style="bold"))
    stage.console.print(
        "The real server, started over stdio as a client starts it. A sandbox on this machine plays Vidgo:\n"
        "no key, no cost."
    )
    with anyio.fail_after(120):  # it takes about 15 s
        async with Client(stdio_client(server, errlog=log)) as client:
            stage.open("1/5 The price, before anything is sent", "estimate_cost")
            estimate = await _call(client, "estimate_cost", {"size": FOX["size"]})
            stage.say(f"{estimate['credits']} credits: {estimate['explanation']}")
            _promise(not stage.vidgo.requests, "a price needs no network")

            stage.open("2/5 A picture", "generate_image")
            fox = await _picture(stage, client, "generate_image", FOX, "1-fox")
            _promise(fox["credits_charged"] == estimate["credits"], "the picture costs what the price said")

            stage.open("3/5 The same picture, changed", "edit_image")
            edit = {**NIGHT, "image_urls": [f"task:{fox['task_id']}"]}
            night = await _picture(stage, client, "edit_image", edit, "2-fox-at-night")

            stage.open("4/5 The first call once more, as after a time-out", "generate_image")
            made = await _call(client, "generate_image", FOX)
            reused = (made["task_id"], made["reused"], made["credits_charged"]) == (fox["task_id"], True, 0)
            _promise(reused, "the same arguments are not paid for twice")
            stage.say("the same picture at once, and free: the same arguments are never paid for twice")

            stage.open("5/5 What is left", "get_balance")
            balance = await _call(client, "get_balance", {})
            prices = [estimate["credits"], night["credits_charged"]]
            charges = [(entry.kind, entry.credits) for entry in stage.vidgo.ledger]
            _promise(charges == [("charge", price) for price in prices], f"the sandbox charged {prices}, not {charges}")
            _promise(balance["credits"] == STARTING_CREDITS - sum(prices), "the balance agrees with the prices")
            stage.say(f"{balance['credits']} of {STARTING_CREDITS} credits")
            spent = " + ".join(map(str, prices))
            stage.say(f"the sandbox's ledger: {len(charges)} charges for 3 calls, {spent} credits")
    stage.console.print(Text(f"\nDone. The pictures are in {escape(str(stage.folder))}", style="bold green"))
    stage.console.print("Next: give your MCP client the command vidgo-mcp, with VIDGO_API_KEY set to your Vidgo key.")


async def _picture(stage: _Stage, client: Client, tool: str, arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    stage.say(f'"{arguments["prompt"]}"')
    for reference in arguments.get("image_urls", ()):
        stage.say(f"from {reference}")
    started = anyio.current_time()
    with shown_wait(stage.console, stage.say) as show:

        async def progress(value: float, total: float | None, message: str | None) -> None:
            await show(value, message or "")

        made = await _call(client, tool, {**arguments, "wait_seconds": 60}, progress)
    _promise(made.get("outcome") == "finished", f"{tool} finishes a picture ({made.get('error', made.get('outcome'))})")
    async with httpx.AsyncClient(trust_env=False, timeout=30, headers={"Accept-Encoding": "identity"}) as http:
        answer = await http.get(made["image_urls"][0])
    _promise(answer.status_code == 200, f"the picture can be fetched (HTTP {answer.status_code})")
    path = stage.folder / f"{name}.png"
    await anyio.Path(path).write_bytes(answer.content)
    stage.say(
        f"finished after {anyio.current_time() - started:.0f} s, {made['credits_charged']} credits, {made['task_id']}"
    )
    stage.say(f"saved as {escape(str(path))}", "green")
    return made


async def _call(
    client: Client, tool: str, arguments: Mapping[str, Any], progress: Callable[..., Any] | None = None
) -> dict[str, Any]:
    result = await client.call_tool(tool, dict(arguments), progress_callback=progress)
    said = result.structured_content or {}
    _promise(not result.is_error, f"{tool} answers ({said.get('message', 'no reason was given')})")
    return said


def _promise(kept: bool, promise: str) -> None:
    if not kept:
        raise BrokenPromiseError(f"a promise was broken: {promise}.")


def _folder(output: Path | None) -> Path:
    """Make the folder for the pictures: the given one, or the first of its name that does not exist yet."""
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            return output
        names = chain(["vidgo-demo"], (f"vidgo-demo-{number}" for number in count(2)))
        folder = next(path for path in map(Path, names) if not path.exists())
        folder.mkdir()
        return folder
    except OSError as error:
        what = f"No folder can be made at {escape(str(output or Path.cwd()))} ({error.strerror})."
        raise click.ClickException(f"{what} Name another with --output.") from None
