"""``vidgo-mcp price``: the exact price of a picture."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import click

from vidgo_mcp.app import build_service, for_reading, principal_of
from vidgo_mcp.cli.options import json_option, options_of, settings_of, typed_arguments
from vidgo_mcp.cli.report import Report
from vidgo_mcp.cli.terminal import json_text
from vidgo_mcp.errors import VidgoError
from vidgo_mcp.models.requests import EstimateArguments
from vidgo_mcp.models.results import Estimate
from vidgo_mcp.service import read_arguments
from vidgo_mcp.wording import for_person


@click.command()
@options_of(EstimateArguments)
@json_option
@click.pass_context
def price(context: click.Context, /, as_json: bool, **given: Any) -> None:
    """Print the exact price of a picture. Free, works without key and network."""
    settings, raw = settings_of(context), typed_arguments(given)

    async def estimated() -> Estimate:
        async with build_service(for_reading(settings)) as service:
            return await service.estimate(principal_of(settings), read_arguments(EstimateArguments, raw))

    try:
        estimate = anyio.run(estimated)
    except VidgoError as error:
        sys.exit(Report(settings, as_json).fail(error))
    click.echo(json_text(estimate.to_json()) if as_json else for_person.price_text(estimate, table=not raw))
