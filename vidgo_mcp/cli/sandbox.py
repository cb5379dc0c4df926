"""``vidgo-mcp sandbox``: serves the sandbox to other programs, and says how to point them at it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import anyio
import click

from vidgo_mcp.cli.terminal import echo, plain_reason
from vidgo_mcp.sandbox import FAULT_ENDPOINTS, FAULTS, SANDBOX_KEY, Sandbox, running
from vidgo_mcp.server.signals import held_signals

FAULT_HELP: Final = """\b
A fault is written endpoint:name, endpoint:name=VALUE, and *N for only the next N requests:
  --faults submit:lose_answer*1    the answer to the next submit is lost after charging
  --faults status:slow=5           every status read takes 5 s
  --faults task:failed             tasks fail, and are refunded
`vidgo-mcp sandbox --faults help` lists all of them."""


@click.command("sandbox", epilog=FAULT_HELP)
@click.option("--port", default=8787, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--faults", multiple=True, metavar="FAULT", help="Misbehave like this; repeatable. `help` lists them.")
@click.option("--seconds", nargs=2, type=float, default=(3.0, 8.0), metavar="MIN MAX", help="How long tasks take.")
@click.option("--credits", "balance", default=1000, type=click.IntRange(0), help="What the account starts with.")
def sandbox(port: int, faults: Sequence[str], seconds: tuple[float, float], balance: int) -> None:
    """Serve an imitation of Vidgo on this machine. No key, no cost.

    It keeps accounts, draws real pictures, and misbehaves on request, to try what happens to money when answers are
    lost.
    """
    if "help" in faults:
        echo("Faults, written endpoint:name, endpoint:name=VALUE or endpoint:name*N:")
        for name, does in FAULTS.items():
            echo(f"  {name}  ({', '.join(FAULT_ENDPOINTS[name])})\n      {does}")
        return
    try:
        vidgo = Sandbox(accounts={SANDBOX_KEY: balance}, seconds=seconds, faults=faults)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        with running(vidgo, port=port) as base_url:
            echo(announcement(base_url))
            anyio.run(_until_signal)
    except OSError as error:
        raise click.ClickException(f"Port {port} cannot be used: {plain_reason(error)}. Try another --port.") from None


def announcement(base_url: str, system: str = os.name) -> str:
    """Return where the sandbox is and what to type to use it; ``system`` is ``os.name``."""
    assign = '  $env:{} = "{}"' if system == "nt" else "  export {}={}"
    return f"""\
The sandbox imitates Vidgo at {base_url}; Ctrl-C stops it.
Its key is {SANDBOX_KEY}. Nothing here costs anything.
To use it, in another terminal:
{assign.format("VIDGO_BASE_URL", base_url)}
{assign.format("VIDGO_API_KEY", SANDBOX_KEY)}
Accounts, tasks and planned faults: {base_url}/_sandbox"""


async def _until_signal() -> None:
    with anyio.CancelScope() as scope:
        async with held_signals(scope.cancel):
            await anyio.sleep_forever()
