"""The `sandbox` command: serves the sandbox to other programs, and says how to point them at it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import anyio
import click

from vidgo_mcp.cli.terminal import plain_reason
from vidgo_mcp.sandbox import FAULT_ENDPOINTS, FAULTS, SANDBOX_KEY, Sandbox, parse_fault, serve


def fault_list() -> str:
    """Return all faults: name, where each fits, and what it does."""
    rows = [f"  {name}  ({', '.join(FAULT_ENDPOINTS[name])})\n      {does}" for name, does in FAULTS.items()]
    return "\n".join(["Faults, written endpoint:name, endpoint:name=VALUE or endpoint:name*N:", *rows])


def check_faults(faults: Sequence[str]) -> None:
    """Refuse a fault that cannot be read, as a mistake on the command line."""
    for fault in faults:
        try:
            parse_fault(fault)
        except ValueError as error:
            raise click.BadParameter(f"{error} `--faults help` lists them all.", param_hint="'--faults'") from None


def announcement(base_url: str, system: str = os.name) -> str:
    """Return where the sandbox is and what to type to use it; ``system`` is ``os.name``."""
    assign = '  $env:{} = "{}"' if system == "nt" else "  export {}={}"
    return "\n".join(
        [
            f"The sandbox imitates Vidgo at {base_url}; Ctrl-C stops it.",
            f"Its key is {SANDBOX_KEY}. Nothing here costs anything.",
            "To use it, in another terminal:",
            assign.format("VIDGO_BASE_URL", base_url),
            assign.format("VIDGO_API_KEY", SANDBOX_KEY),
            f"Accounts, tasks and planned faults: {base_url}/_sandbox",
        ]
    )


def run(*, port: int, faults: Sequence[str], seconds: tuple[float, float], balance: int) -> None:
    """Serve until Ctrl-C."""
    try:
        sandbox = Sandbox(accounts={SANDBOX_KEY: balance}, seconds=seconds, faults=faults)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--seconds'") from None

    def ready(base_url: str) -> None:
        click.echo(announcement(base_url))

    async def serving() -> None:
        await serve(sandbox, port=port, on_ready=ready)

    try:
        anyio.run(serving)
    except OSError as error:
        raise click.ClickException(f"Port {port} cannot be used: {plain_reason(error)}. Try another --port.") from None
