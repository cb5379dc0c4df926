"""The commands around the journal, as they are typed: ``vidgo-mcp journal`` and what follows it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from vidgo_mcp.cli.context import json_option, settings_of


@click.group(invoke_without_command=True)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1), help="How many to list, newest first.")
@click.option("--summary", is_flag=True, help="Add up the last 24 hours, 7 and 30 days, by quality and tier.")
@json_option
@click.pass_context
def journal(context: click.Context, limit: int, summary: bool, as_json: bool) -> None:
    """List what was paid for with your key, newest first. Free.

    It shows what this computer recorded, needs the key (to know what is yours) and no network.
    """
    if context.invoked_subcommand is not None:
        return
    from vidgo_mcp.cli import journal_view

    settings = settings_of(context)
    sys.exit(
        journal_view.summary(settings, as_json=as_json)
        if summary
        else journal_view.listing(settings, limit=limit, as_json=as_json)
    )


def _json_of(context: click.Context, as_json: bool) -> bool:
    above = context.parent.params["as_json"] if context.parent is not None else False
    return as_json or bool(above)


@journal.command("show")
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def journal_show(context: click.Context, name: str, as_json: bool) -> None:
    """Show all that is recorded of the entry ID: its own id, the beginning of it, or its task's."""
    from vidgo_mcp.cli import journal_view

    sys.exit(journal_view.show(settings_of(context), name, as_json=_json_of(context, as_json)))


@journal.command("export")
@click.option("--format", "form", type=click.Choice(["json", "csv"]), default="json", show_default=True, help="Which.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A new file, readable by you alone. Left out, stdout.",
)
@json_option
@click.pass_context
def journal_export(context: click.Context, form: Literal["json", "csv"], output: Path | None, as_json: bool) -> None:
    """Write all entries of your key, newest first, with full prompts."""
    from vidgo_mcp.cli import journal_view

    sys.exit(journal_view.export(settings_of(context), form, output, as_json=_json_of(context, as_json)))


@journal.command("resolve")
@click.argument("name", metavar="ID")
@click.option("--task", "task_id", metavar="TASK_ID", help="It was charged, and this is its task; Vidgo is asked.")
@click.option("--not-charged", is_flag=True, help="It was not charged: forget it, so that it may be sent again.")
@json_option
@click.pass_context
def journal_resolve(context: click.Context, name: str, task_id: str | None, not_charged: bool, as_json: bool) -> None:
    """Settle by hand the entry ID, a submit whose answer was lost. Free.

    Compare the balance first: --not-charged for a picture that was charged means that the next one is paid for again.
    """
    if (task_id is None) is not not_charged:
        raise click.UsageError("Say either --task TASK_ID (it was charged) or --not-charged.")
    from vidgo_mcp.cli import journal_view

    sys.exit(journal_view.resolve(settings_of(context), name, task_id, as_json=_json_of(context, as_json)))
