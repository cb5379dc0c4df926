"""Vidgo's HTTP API and nothing else: usable on its own, without a server and without a journal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgo_mcp.client.client import DEFAULT_BASE_URL, Timeouts, VidgoClient
    from vidgo_mcp.models.requests import ImageRequest

__all__ = ["DEFAULT_BASE_URL", "ImageRequest", "Timeouts", "VidgoClient"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vidgo_mcp.client import client  # noqa: PLC0415  # httpx; polling and retry policy are used without it

    return getattr(client, name)
