"""What a person types: the server's entry points, and the same pictures without a model."""

from vidgo_mcp.cli.main import main

__all__ = ["main"]
