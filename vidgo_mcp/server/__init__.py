"""MCP words: tools, prompts and resources, over stdio and over HTTP."""
