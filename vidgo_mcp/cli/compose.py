"""The one place that joins the concrete parts together; everything else receives what it uses."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from vidgo_mcp.errors import AuthenticationError
from vidgo_mcp.journal import MemoryJournal
from vidgo_mcp.service import Service, account_of
from vidgo_mcp.settings import Settings, missing_key_reason

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

SANDBOX_ACCOUNT = account_of("sandbox", "sandbox")


def configure_logging(level: str) -> None:
    """Log to stderr: stdout belongs to the protocol. URLs may be signed, so the HTTP libraries stay quiet."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpx2", "httpcore", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def build_service(settings: Settings) -> Service:
    """Return the service that the settings describe."""
    key = settings.key

    def connect() -> AbstractAsyncContextManager[VidgoClient]:
        return _sandbox_client() if settings.sandbox else _client(key, settings.base_url)

    account = SANDBOX_ACCOUNT if settings.sandbox else account_of(key, settings.base_url) if key else None
    return Service(
        journal=MemoryJournal(),
        connect=connect,
        account=account,
        no_key=missing_key_reason(),
        callback_url=settings.callback_url,
        holder=f"{platform.node()}:{os.getpid()}",
        default_wait=settings.wait_seconds,
    )


def journal_lasts(settings: Settings) -> bool:
    """Return whether what was paid for is still known to the next process."""
    return settings.journal != "memory"


@asynccontextmanager
async def _client(key: str | None, base_url: str) -> AsyncGenerator[VidgoClient]:
    if key is None:
        raise AuthenticationError(missing_key_reason())
    async with await anyio.to_thread.run_sync(_new_client, key, base_url) as client:
        yield client


def _new_client(key: str, base_url: str) -> VidgoClient:
    # In a worker thread: the import of httpx takes longer than any answer should.
    from vidgo_mcp.client import VidgoClient

    return VidgoClient(key, base_url=base_url)


@asynccontextmanager
async def _sandbox_client() -> AsyncGenerator[VidgoClient]:
    from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running

    server = running(Sandbox())
    base_url = await anyio.to_thread.run_sync(server.__enter__)
    try:
        async with _client(SANDBOX_KEY, base_url) as client:
            yield client
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.__exit__, None, None, None)
