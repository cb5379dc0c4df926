"""vidgo-mcp: make and edit pictures with Vidgo's GPT Image 2, priced first, paid once, never lost.

``VidgoClient`` is the async client on its own; ``vidgo-mcp`` on the command line is the MCP server.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

__version__ = "0.1.0"
__all__ = ["VidgoClient", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "VidgoClient":
        from vidgo_mcp.client import VidgoClient  # noqa: PLC0415  # httpx takes longer than the first answer of a server

        return VidgoClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
