"""The paid workflow. No HTTP words, no MCP words."""

from vidgo_mcp.service.arguments import read_arguments
from vidgo_mcp.service.limits import Budget, Limits
from vidgo_mcp.service.local_files import LocalFiles
from vidgo_mcp.service.principal import Principal, account_of
from vidgo_mcp.service.runtime import Runtime
from vidgo_mcp.service.service import Service
from vidgo_mcp.service.watches import Progress

__all__ = [
    "Budget",
    "Limits",
    "LocalFiles",
    "Principal",
    "Progress",
    "Runtime",
    "Service",
    "account_of",
    "read_arguments",
]
