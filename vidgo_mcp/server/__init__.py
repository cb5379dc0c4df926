"""MCP words: the tools, their schemas and results, over stdio and over HTTP."""

from vidgo_mcp.server.build import build_server

__all__ = ["build_server"]
