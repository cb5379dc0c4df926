"""Finds out why it does not work, before anything is paid for: one line for each thing that can be wrong."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import anyio
import click

from vidgo_mcp import __version__
from vidgo_mcp.app import build_service, journal_exists, journal_of, journal_path
from vidgo_mcp.cli.checks import Check, State
from vidgo_mcp.cli.folder_checks import folder_checks
from vidgo_mcp.cli.terminal import echo_json
from vidgo_mcp.errors import AuthenticationError, JournalError, VidgoError
from vidgo_mcp.journal.network_folders import network_folder
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.urls import is_loopback_host
from vidgo_mcp.pricing import PRICES
from vidgo_mcp.settings import Settings, SettingsError, ignored_variables, load, missing_key_reason

CLOCK_TOLERANCE: Final = 300.0
"""Seconds by which the clock may be wrong before 24-hour limits come out visibly wrong."""
PROBE_SECONDS: Final = 10.0
LEAST_CREDITS: Final = PRICES["low"]["1K"]

ANOTHER_FILE: Final = "Make it writable for you, or name another file in VIDGO_JOURNAL."
LOCAL_DISK: Final = "Name a file on a disk of this computer in VIDGO_JOURNAL."
DAMAGED: Final = (
    "Keep it, and name another file in VIDGO_JOURNAL: what only the old one knows can then be paid for again."
)
JOURNAL_REMEDIES: Final = (
    ("a newer vidgo-mcp", "Update vidgo-mcp, or name another file in VIDGO_JOURNAL."),
    ("network folder", LOCAL_DISK),
    ("does not let several processes", LOCAL_DISK),
    ("it is a folder", "Name a file in VIDGO_JOURNAL, not a folder."),
    ("not a regular file", "Name a file in VIDGO_JOURNAL."),
    ("another program", "Name another file in VIDGO_JOURNAL."),
    ("another process", "Find the process that holds it, or try again."),
    ("disk is full", "Free some space."),
    ("is damaged", DAMAGED),
    ("malformed", DAMAGED),
    ("not a database", DAMAGED),
)
"""What to do about a journal, by a sign in the reason why it cannot be used."""


def run(*, as_json: bool, overrides: dict[str, Any]) -> int:
    """Examine this installation, tell what was found, and return the exit code."""
    checks = anyio.run(examine, overrides)
    healthy = all(check.state != "problem" for check in checks)
    if as_json:
        echo_json({"ok": healthy, "version": __version__, "checks": [asdict(check) for check in checks]})
    else:
        click.echo(f"vidgo-mcp {__version__}, Python {platform.python_version()}, {platform.system()}")
        for check in checks:
            click.echo(f"{check.state:<8} {check.name:<10} {' '.join(f'{check.message} {check.remedy}'.split())}")
        found = [_many(checks, "problem"), _many(checks, "warning")]
        click.echo(f"{', '.join(filter(None, found)) or 'Everything is in order'}.")
    return 0 if healthy else 1


def _many(checks: Sequence[Check], state: State) -> str:
    count = sum(check.state == state for check in checks)
    return f"{count} {state}{'' if count == 1 else 's'}" if count else ""


async def examine(overrides: dict[str, Any]) -> list[Check]:
    """Return all checks. Spends nothing: it reads the balance, and asks for the time."""
    checks = variable_checks(ignored_variables())
    try:
        settings = load(**overrides)
    except SettingsError as error:
        checks += [Check("settings", "problem", line, "Correct or unset it.") for line in str(error).splitlines()]
        checks += [Check(name, "skipped", "needs settings that can be used") for name in ("key", "api", "clock")]
        return [*checks, encoding_check()]
    if settings.sandbox:
        api = Check("api", "skipped", "the sandbox inside the process is used instead")
        clock = Check("clock", "skipped", "the sandbox has this computer's own clock")
    else:
        api, date = await _probe(settings.base_url)
        clock = clock_check(time.time(), date)
    checks += [await _key_check(settings, api), api, clock, await journal_check(settings)]
    return [*checks, *folder_checks(settings), encoding_check()]


def variable_checks(ignored: Sequence[str]) -> list[Check]:
    """Judge the variables with our prefix: each that has no effect is a problem, because somebody relies on it."""
    if not ignored:
        return [Check("variables", "ok", "every VIDGO_ variable that is set is known and filled in")]
    return [Check("variables", "problem", sentence) for sentence in ignored]


def clock_check(now: float, date: str | None) -> Check:
    """Compare the time of day, in seconds since the epoch, with the Date header of an answer."""
    try:
        ahead = now - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Check("clock", "skipped", "no answer from Vidgo told the time")
    if abs(ahead) <= CLOCK_TOLERANCE:
        return Check("clock", "ok", "agrees with Vidgo's within 5 minutes")
    return Check(
        "clock",
        "problem",
        f"this computer's clock is {abs(ahead) / 60:.0f} minutes {'ahead of' if ahead > 0 else 'behind'} Vidgo's.",
        "Set the clock: how long a URL lives and what a day's budget has left are counted by it.",
    )


async def journal_check(settings: Settings, mounts: Path = Path("/proc/mounts")) -> Check:
    """Say where paid tasks are recorded, and whether they can be; a file that is not there yet is not made."""
    path = journal_path(settings)
    if path is None:
        return Check("journal", "ok", "in memory: what was paid for is forgotten when the process ends")
    if not journal_exists(settings):
        return _future_journal(path, mounts)
    journal = journal_of(settings)
    try:
        if isinstance(journal, SqliteJournal):
            await journal.check()
    except JournalError as error:
        remedy = next((remedy for sign, remedy in JOURNAL_REMEDIES if sign in error.message), ANOTHER_FILE)
        return Check("journal", "problem", error.message, remedy)
    finally:
        await journal.aclose()
    return Check("journal", "ok", f"{path} can be written")


def _future_journal(path: Path, mounts: Path) -> Check:
    kind = network_folder(Path(os.path.realpath(path)), mounts)
    if kind is not None:
        what = f"The journal {path} cannot be used (it is on a network folder ({kind}), where locks cannot be trusted)."
        return Check("journal", "problem", what, LOCAL_DISK)
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not folder.is_dir():
        return Check(
            "journal", "problem", f"The journal {path} cannot be made: {folder} is not a folder.", ANOTHER_FILE
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            "journal", "problem", f"The journal {path} cannot be made: {folder} is not writable.", ANOTHER_FILE
        )
    return Check("journal", "ok", f"{path} will be made by the first paid call")


def encoding_check(streams: Sequence[tuple[str, str | None]] | None = None) -> Check:
    """Judge the encodings of the streams and of file names, given as pairs of what it is and its encoding."""
    seen = streams or (
        ("stdout", getattr(sys.stdout, "encoding", None)),
        ("stderr", getattr(sys.stderr, "encoding", None)),
        ("file names", sys.getfilesystemencoding()),
    )
    wrong = [f"{what} ({encoding})" for what, encoding in seen if (encoding or "").lower().replace("-", "") != "utf8"]
    if not wrong:
        return Check("encoding", "ok", "UTF-8")
    return Check("encoding", "problem", f"not UTF-8: {', '.join(wrong)}.", "Set PYTHONUTF8=1 where it is started.")


async def _probe(base_url: str) -> tuple[Check, str | None]:
    """Ask the API for anything at all, without the key; return what that says, and the Date header."""
    import httpx

    local = is_loopback_host(httpx.URL(base_url).host)
    try:
        # The proxies are those that the client would use.
        async with httpx.AsyncClient(trust_env=not local, timeout=PROBE_SECONDS) as http:
            answer = await http.get(base_url)
    except (httpx.HTTPError, ImportError, ValueError) as error:
        return (
            Check(
                "api",
                "problem",
                f"{base_url} cannot be reached ({type(error).__name__}).",
                "Check the network, the proxy variables (HTTPS_PROXY) and VIDGO_BASE_URL.",
            ),
            None,
        )
    return Check("api", "ok", f"{base_url} answers"), answer.headers.get("date")


async def _key_check(settings: Settings, api: Check) -> Check:
    if settings.sandbox:
        return Check("key", "skipped", "the sandbox needs none")
    if settings.key is None:
        return Check(
            "key",
            "problem",
            missing_key_reason(),
            "Your Vidgo key belongs there; `vidgo-mcp demo` and `--sandbox` work without one.",
        )
    if api.state == "problem":
        return Check("key", "skipped", "set, and not tried: Vidgo cannot be reached")
    try:
        # In memory: the journal has a check of its own, and is not made by this one.
        async with build_service(settings.model_copy(update={"journal": "memory"})) as service:
            balance = await service.balance()
    except AuthenticationError as error:
        return Check("key", "problem", error.message, "Copy the key again, or make a new one at Vidgo.")
    except VidgoError as error:
        return Check("key", "problem", f"set, but the balance cannot be read. {error.message}", "Try again later.")
    if balance.credits < LEAST_CREDITS:
        return Check(
            "key",
            "problem",
            f"accepted; {balance.credits} credits left, and the cheapest picture costs {LEAST_CREDITS}.",
            "Top up the account.",
        )
    return Check("key", "ok", f"accepted; {balance.credits} credits left")
