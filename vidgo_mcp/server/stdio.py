"""Serves one client over stdin and stdout, and ends in good order when stdin closes or a signal comes."""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from vidgo_mcp.server.signals import cancel_on_signal
from vidgo_mcp.service import Service


async def serve_stdio(server: Server[Any], service: Service) -> None:
    """Serve until stdin closes or SIGINT or SIGTERM comes; submits under way get 10 s for their answers.

    The service is entered and left here.
    """
    async with stdio_server() as (read_stream, write_stream):
        received: list[int] = []
        async with service, anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope, received)
            await server.run(read_stream, write_stream, server.create_initialization_options())
            tasks.cancel_scope.cancel()
        if received:
            sys.stderr.flush()
            # The thread that reads stdin could otherwise keep the process for ever.
            os._exit(128 + received[0])
