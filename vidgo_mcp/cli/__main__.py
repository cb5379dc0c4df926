"""``python -m vidgo_mcp.cli``: the command where no script is installed, and the server that the demo starts."""

from vidgo_mcp.cli.main import main

main()
