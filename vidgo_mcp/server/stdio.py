"""Serves one client over stdin and stdout, and ends in good order when stdin closes or a signal comes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Self, cast

import anyio
import anyio.to_thread
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from vidgo_mcp.server.json_lines import read_line
from vidgo_mcp.server.opening import Opening
from vidgo_mcp.server.signals import held_signals
from vidgo_mcp.service import Service

log = logging.getLogger(__name__)


class Stdin:
    """The lines on stdin that are for the server. What is wrong with the others is said through ``answers``."""

    answers: Any

    def __init__(self, opening: Opening | None) -> None:
        self._opening = opening

    async def __aiter__(self) -> AsyncIterator[str]:
        async for line in self._lines():
            request, refusals = read_line(line)
            for refusal in refusals:
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # nobody reads answers any more
                    await self.answers.send(SessionMessage(refusal))
            if request is not None:
                yield request

    async def _lines(self) -> AsyncIterator[bytes]:
        if self._opening is not None:
            for line in await anyio.to_thread.run_sync(self._opening.handed_over, abandon_on_cancel=True):
                yield line
        while line := await anyio.to_thread.run_sync(sys.stdin.buffer.readline, abandon_on_cancel=True):
            yield line


class NewAnswers:
    """The stream of answers, without the one that the client has already."""

    def __init__(self, answers: Any, known: str) -> None:
        self._answers = answers
        self._known = known

    async def send(self, item: SessionMessage) -> None:
        if getattr(item.message, "id", None) != self._known:
            await self._answers.send(item)

    async def aclose(self) -> None:
        await self._answers.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


async def serve_stdio(server: Server[Any], service: Service, opening: Opening | None = None) -> None:
    """Serve until stdin closes, nobody reads stdout, or a signal comes; submits under way get 10 s for their answers.

    The service is entered and left here. ``opening`` answers the client until the first line that needs the server.
    """
    serving, stdin = anyio.CancelScope(), Stdin(opening)
    async with held_signals(serving.cancel) as received:
        async with service:
            try:
                # The transport ends first: a line that comes while submits get their answers has nobody to go to.
                with serving:
                    async with stdio_server(stdin=cast("anyio.AsyncFile[str]", stdin)) as (read_stream, write_stream):
                        stdin.answers = write_stream
                        answers = write_stream if opening is None else NewAnswers(write_stream, opening.replayed_id)
                        await server.run(read_stream, answers, server.create_initialization_options())
            except* ConnectionError as gone:
                log.info("nobody reads stdout any more: %s", gone.exceptions[0])
        if received:
            with suppress(OSError, ValueError):  # whoever read it may have gone away
                sys.stderr.flush()
            # The thread that reads stdin could otherwise keep the process for ever.
            os._exit(128 + received[0])
