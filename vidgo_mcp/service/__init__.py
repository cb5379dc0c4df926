"""The paid workflow. No HTTP words, no MCP words."""

from vidgo_mcp.service.arguments import read_arguments
from vidgo_mcp.service.following import Progress
from vidgo_mcp.service.identity import account_of
from vidgo_mcp.service.service import Connect, Service

__all__ = ["Connect", "Progress", "Service", "account_of", "read_arguments"]
