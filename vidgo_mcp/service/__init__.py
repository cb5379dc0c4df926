"""The paid workflow. No HTTP words, no MCP words."""

from vidgo_mcp.service.arguments import read_arguments
from vidgo_mcp.service.budget import Budget
from vidgo_mcp.service.generation import Limits
from vidgo_mcp.service.identity import account_of
from vidgo_mcp.service.local_files import Disk
from vidgo_mcp.service.service import Service
from vidgo_mcp.service.waiting import Progress
from vidgo_mcp.service.workshop import Connect

__all__ = ["Budget", "Connect", "Disk", "Limits", "Progress", "Service", "account_of", "read_arguments"]
