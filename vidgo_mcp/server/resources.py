"""What a client can read without calling a tool: so far, what the pictures cost."""

from __future__ import annotations

import json
from typing import Final

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, ListResourcesResult, ReadResourceResult, Resource, TextResourceContents

from vidgo_mcp.errors import VidgoError
from vidgo_mcp.service import Service

SPENDING: Final = "vidgo://spending"
JSON: Final = "application/json"


def listing() -> ListResourcesResult:
    """Return the resources that always exist."""
    spending = Resource(
        name="spending",
        title="Spending",
        uri=SPENDING,
        description="Credits spent in the last 24 hours, 7 days and 30 days, by quality and tier, and the budget left.",
        mime_type=JSON,
    )
    return ListResourcesResult(resources=[spending])


async def read(service: Service, uri: str, caller: str) -> ReadResourceResult | None:
    """Return a resource, None when there is none of this name.

    Raises:
        MCPError: it exists, and cannot be read now; the message says why.
    """
    if uri != SPENDING:
        return None
    try:
        report = await service.spending(caller=caller)
    except VidgoError as error:
        raise MCPError(INTERNAL_ERROR, f"{error.message} {error.next_step}") from None
    text = json.dumps(report.to_json(), indent=2)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=JSON, text=text)])
