"""The composition root: joins the concrete parts for stdio, HTTP and the command line."""

from __future__ import annotations

import hashlib
import hmac
import logging
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from platformdirs import user_data_path, user_pictures_path

from vidgo_mcp.errors import AuthenticationError
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.files.temporary import private_folder
from vidgo_mcp.foreign_text import escape, terminal_text
from vidgo_mcp.journal import DisposableJournal, Journal, SqliteJournal
from vidgo_mcp.journal.processes import current_process
from vidgo_mcp.models.urls import is_loopback_host
from vidgo_mcp.pricing import PUBLISHED, PriceTable
from vidgo_mcp.service import Budget, Limits, LocalFiles, Principal, Runtime, Service, account_of
from vidgo_mcp.settings import Settings, SettingsError, missing_key_reason

if TYPE_CHECKING:
    from vidgo_mcp.client import VidgoClient

SANDBOX_ACCOUNT: Final = account_of("sandbox", "sandbox")
DAY: Final = 24 * 3600.0
MEGABYTE: Final = 1024 * 1024
LONGEST_LOG_LINE: Final = 4000

log = logging.getLogger(__name__)


class LineFormatter(logging.Formatter):
    """Keeps a message on one line, and a traceback harmless: names, ids and words of others are logged too."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        return escape(super().formatMessage(record)[:LONGEST_LOG_LINE])

    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(super().format(record))


def configure_logging(level: str) -> None:
    """Log to stderr: stdout belongs to the protocol. Libraries that would log signed URLs stay quiet."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level)
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "sse_starlette"):
        logging.getLogger(name).setLevel(logging.WARNING)


def build_service(settings: Settings, *, files: LocalFiles | None = None) -> Service:
    """Return the service that the settings describe; ``files`` takes the place of what they allow of the disk."""
    journal, principal = journal_of(settings), principal_of(settings)
    return Service(
        journal=journal,
        connect=lambda account: connected(settings),
        files=files or local_files(settings),
        default_wait=settings.wait_seconds,
        callback_url=settings.callback_url,
        prices=price_table(settings),
        # A URL on this machine that Vidgo itself gave is not looked at: it may lead anywhere, and is paid for.
        runtime=Runtime(current_process(), journal.now, is_gone=_looker(settings) if principal.local_api else None),
        account=principal.account,
    )


def principal_of(settings: Settings) -> Principal:
    """Return the person at this machine, with the key and the limits that the settings name."""
    account = account_of(settings.key, settings.base_url) if settings.key else None
    budget = Budget(settings.budget_per_call, settings.budget_per_day, settings.effective_budget_mode)
    return Principal(
        SANDBOX_ACCOUNT if settings.sandbox else account,
        limits=Limits(budget, settings.confirm_above),
        no_key=missing_key_reason(),
        local_api=settings.sandbox or is_loopback_host(urlsplit(settings.base_url).hostname or ""),
    )


def price_table(settings: Settings) -> PriceTable:
    """Return the price table that the settings name, by default the published one."""
    return settings.prices or PUBLISHED


def connected(settings: Settings) -> AbstractAsyncContextManager[VidgoClient]:
    """Return what opens the client, and closes it."""
    return _sandbox_client(journal_path(settings)) if settings.sandbox else _client(settings.key, settings.base_url)


def journal_of(settings: Settings) -> Journal:
    """Return the record of what was paid for; a file is opened at the first step."""
    if settings.sandbox:
        return DisposableJournal(journal_path(settings), retention=DAY)
    return SqliteJournal(journal_path(settings), retention=settings.journal_days * DAY)


def journal_path(settings: Settings) -> Path | None:
    """Return the file that records what was paid for, None when it is kept in memory.

    A sandbox inside the process has one of its own, beside the record of what it accepted: clients that start a process
    for each call find their pictures again.
    """
    if settings.journal == "memory":
        return None
    if settings.sandbox:
        folder = private_folder("vidgo-mcp-sandbox")
        return folder and folder / "journal.db"
    if settings.journal is not None:
        return Path(settings.journal).expanduser()
    try:
        return user_data_path("vidgo-mcp", appauthor=False) / "journal.db"
    except RuntimeError:
        raise SettingsError("No home folder is known for the journal; set VIDGO_JOURNAL to a file.") from None


def journal_exists(settings: Settings) -> bool:
    """Return whether there is a file that records what was paid for; one that cannot be looked at counts as one."""
    path = journal_path(settings)
    if path is None:
        return False
    try:
        path.stat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def for_reading(settings: Settings) -> Settings:
    """Return the settings of a command that only reads: it makes no journal where there is none."""
    return settings if journal_exists(settings) else settings.model_copy(update={"journal": "memory"})


def state_key(settings: Settings) -> bytes | None:
    """Return what seals questions to the person: the same in every process with this key, which it does not reveal.

    None with a journal in memory: it forgets used answers with the process, so the seal must end with it too.
    """
    if settings.key is None or journal_path(settings) is None:
        return None
    return hmac.new(settings.key.encode(), b"vidgo-mcp: questions to the person", hashlib.sha256).digest()


def local_files(settings: Settings) -> LocalFiles:
    """Return what a person's own server may do with their disk."""
    folder = save_folder(settings)
    allowed = (*settings.input_dirs, *([folder] if folder is not None else []))
    largest = settings.max_upload_mb * MEGABYTE
    try:
        home = str(Path.home())
    except RuntimeError:
        home = None
    return LocalFiles(Folders(allowed, home), folder, settings.save_metadata, largest)


def no_local_files(settings: Settings) -> LocalFiles:
    """Return what a server does for callers elsewhere: it takes inline data, and leaves its disk alone."""
    return LocalFiles(largest=settings.max_upload_mb * MEGABYTE)


def save_folder(settings: Settings) -> Path | None:
    """Return where finished pictures are saved, None when they are not.

    A sandbox's pictures are saved only where somebody names a folder for them.
    """
    if settings.save_dir is not None:
        return None if settings.save_dir == "off" else Path(settings.save_dir)
    if settings.sandbox:
        return None
    try:
        return user_pictures_path() / "vidgo"
    except RuntimeError:
        # No home is known, as in some containers: there is no folder of this person's to save into.
        return None


def _looker(settings: Settings) -> Callable[[str], Awaitable[bool]]:
    async def is_gone(url: str) -> bool:
        from vidgo_mcp.client import download  # noqa: PLC0415  # httpx, as below

        return await download.is_gone(url, None if settings.sandbox else settings.base_url)

    return is_gone


@asynccontextmanager
async def _client(key: str | None, base_url: str) -> AsyncGenerator[VidgoClient]:
    def make(key: str) -> VidgoClient:
        # In a worker thread: no other answer waits for the import of httpx, and the first call does not need it.
        from vidgo_mcp.client import VidgoClient  # noqa: PLC0415

        return VidgoClient(key, base_url=base_url)

    if key is None:
        raise AuthenticationError(missing_key_reason())
    async with await anyio.to_thread.run_sync(make, key) as client:
        yield client


@asynccontextmanager
async def _sandbox_client(journal: Path | None) -> AsyncGenerator[VidgoClient]:
    """Start a sandbox and yield its client; beside a journal in a file it keeps a record of what it accepted."""
    from vidgo_mcp.sandbox import SANDBOX_KEY, Record, Sandbox, running  # noqa: PLC0415  # most servers need none

    def start() -> tuple[ExitStack, str]:
        with ExitStack() as stack:
            vidgo = Sandbox()
            try:
                if journal is not None:
                    record = stack.enter_context(closing(Record(journal.with_name("sandbox.db"))))
                    vidgo = Sandbox(record=record, clock=time.time)
            except (OSError, sqlite3.Error) as error:
                log.warning("the sandbox will forget everything when this process ends: %s", error)
            base_url = stack.enter_context(running(vidgo))
            return stack.pop_all(), base_url

    stack, base_url = await anyio.to_thread.run_sync(start)
    try:
        async with _client(SANDBOX_KEY, base_url) as client:
            yield client
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(stack.close)
