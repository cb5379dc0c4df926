"""The view in the chat: an MCP App that shows a picture where it was asked for. It shows and asks; it never spends.

Source: the extension ``io.modelcontextprotocol/ui``, version 2026-01-26. Only clients that declare it are told of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import mcp_types as types
from mcp.server import ServerRequestContext

from vidgo_mcp.models.results import ViewFacts
from vidgo_mcp.server.resources import AN_HOUR

EXTENSION: Final = "io.modelcontextprotocol/ui"
MIME_TYPE: Final = "text/html;profile=mcp-app"
URI: Final = "ui://vidgo/picture"
FACTS: Final = "vidgo/view"
"""Where the ``_meta`` of a result has what only the view reads."""
SESSION: Final = "mcp-session-id"
VIEWED: Final = "view-"
"""How the session id of a client begins that declared the extension."""

# Nothing is loaded from anywhere: pictures come through ``picture_data``. Some hosts warn where no list is stated.
_META: Final = {
    "ui": {
        "csp": {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []},
        "prefersBorder": True,
    }
}
RESOURCE: Final = types.Resource(
    name="picture-view",
    title="Picture in the chat",
    uri=URI,
    description="Shows a picture while it is made and when it is finished. For hosts, not for models.",
    mime_type=MIME_TYPE,
    _meta=_META,
)


def tool_meta(*visible_to: str) -> dict[str, Any]:
    """Return the ``_meta`` of a tool that has this view; the flat key is what some hosts still read."""
    return {"ui": {"resourceUri": URI, "visibility": list(visible_to)}, "ui/resourceUri": URI}


def result_meta(facts: ViewFacts) -> dict[str, Any]:
    """Return the ``_meta`` of a result that the view reads."""
    return {FACTS: facts.to_json()}


def read() -> types.ReadResourceResult:
    """Return the view itself, a whole HTML document."""
    page = types.TextResourceContents(uri=URI, mime_type=MIME_TYPE, text=_html(), _meta=_META)
    return types.ReadResourceResult(contents=[page], ttl_ms=AN_HOUR, cache_scope="public")


@cache
def _html() -> str:
    return Path(__file__).with_name("picture.html").read_text("utf-8")


def has_view(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Return whether whoever sent a request shows views."""
    capabilities = ctx.session.client_capabilities
    if capabilities is not None:
        return declared(capabilities.extensions)
    # A handshake over HTTP ends before the next request comes; nothing but its session id is left of it.
    return ctx.request is not None and ctx.request.headers.get(SESSION, "").startswith(VIEWED)


def declared(extensions: Any) -> bool:
    """Return whether the extensions that a client named have this one, for what the view is."""
    stated = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    kinds = stated.get("mimeTypes") if isinstance(stated, dict) else None
    return isinstance(kinds, list) and MIME_TYPE in kinds
