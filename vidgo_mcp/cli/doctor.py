"""``vidgo-mcp doctor``: finds out why it does not work, before anything is paid for, in one line for each thing."""

from __future__ import annotations

import logging
import os
import platform
import sys
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import click
import httpx

from vidgo_mcp import __version__
from vidgo_mcp.app import (
    build_service,
    connected,
    for_reading,
    journal_exists,
    journal_of,
    journal_path,
    price_table,
    principal_of,
    save_folder,
)
from vidgo_mcp.cli.options import Given, json_option, sandbox_option
from vidgo_mcp.cli.session import prove_writable
from vidgo_mcp.cli.terminal import echo, json_text, plain_reason
from vidgo_mcp.client.error_mapping import in_words
from vidgo_mcp.client.network import Network
from vidgo_mcp.errors import AuthenticationError, Facts, JournalError, UnavailableError, VidgoError
from vidgo_mcp.foreign_text import escape
from vidgo_mcp.journal.network_folders import network_folder
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.models.urls import is_loopback_host
from vidgo_mcp.settings import Settings, SettingsError, ignored_variables, load, missing_key_reason
from vidgo_mcp.wording.balance import balance_sentence
from vidgo_mcp.wording.for_person import local_time
from vidgo_mcp.wording.remedies import case_of, next_step

LOST_SHOWN: Final = 50
"""How many of the newest entries are looked through for lost answers."""
log = logging.getLogger(__name__)

State = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. A problem has a remedy; so has a warning, with which everything still works."""

    name: str
    state: State
    message: str
    remedy: str = ""


@click.command()
@json_option
@sandbox_option
@click.pass_context
def doctor(context: click.Context, /, as_json: bool) -> None:
    """Check settings, key, network, journal and folders. Free.

    One line for each, with what to do about a problem. Exit code 0 when everything is in order, else 1.
    """
    checks = anyio.run(examine, context.ensure_object(Given).overrides)
    problems, warnings = (sum(check.state == state for check in checks) for state in ("problem", "warning"))
    if as_json:
        found = {"ok": not problems, "version": __version__, "checks": [asdict(check) for check in checks]}
        echo(json_text(found))
    else:
        echo(f"vidgo-mcp {__version__}, Python {platform.python_version()}, {platform.system()}")
        for check in checks:
            echo(escape(f"{check.state:<8} {check.name:<10} {check.message} {check.remedy}".rstrip()))
        counts = [(problems, "problem"), (warnings, "warning")]
        said = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts if count)
        echo(f"{said or 'Everything is in order'}.")
    sys.exit(1 if problems else 0)


async def examine(overrides: dict[str, Any]) -> list[Check]:
    """Return all checks. Spends nothing."""
    checks = [Check("variables", "problem", sentence) for sentence in ignored_variables()]
    try:
        settings = load(**overrides)
    except SettingsError as error:
        checks += [Check("settings", "problem", line, "Correct or unset it.") for line in str(error).splitlines()]
        return [*checks, Check("key", "skipped", "needs settings that can be used")]
    if not checks:
        checks = [Check("variables", "ok", "every VIDGO_ variable that is set is known and filled in")]
    network = Network.of_this_process()
    api = await _api_check(settings, network)
    checks += network_checks(settings, network)
    checks += [await _key_check(settings, api), api, await _journal_check(settings)]
    checks += [*await _balance_checks(settings), saving_check(settings)]
    return [*checks, *input_checks(settings)]


def network_checks(settings: Settings, network: Network) -> list[Check]:
    """Say which proxy and certificates are used, where a variable names any; a sandbox and this machine need none."""
    url = httpx.URL(settings.base_url)
    if settings.sandbox or is_loopback_host(url.host):
        return []
    checks = []
    try:
        if (named := network.proxy_for(url)) is not None:
            checks.append(Check("network", "ok", f"{named.variable} is used: Vidgo is reached through {named}"))
    except UnavailableError as error:
        checks.append(_unusable(error))
    try:
        network.proxy_for(url.copy_with(scheme="http"))
    except UnavailableError as error:
        if _unusable(error) not in checks:
            checks.append(replace(_unusable(error), state="warning"))
    try:
        _ = network.certificates
        if network.certificates_from is not None:
            variable, place = network.certificates_from
            checks.append(Check("network", "ok", f"{variable} is used: servers are checked with {place}"))
    except UnavailableError as error:
        if _unusable(error) not in checks:
            checks.append(_unusable(error))
    return checks


def _unusable(error: UnavailableError) -> Check:
    return Check("network", "problem", error.message, next_step(error.remedy, "person", case_of(error)))


async def _api_check(settings: Settings, network: Network) -> Check:
    """Ask the API for anything at all, without the key and by the way that the client would take."""
    url = settings.base_url
    if settings.sandbox:
        return Check("api", "skipped", "the sandbox inside the process is used instead")
    try:
        target = httpx.URL(url)
        async with network.client(target, network.proxy_for(target), timeout=10) as http:
            with anyio.fail_after(20):
                # What it answers is not read.
                async with http.stream("GET", url):
                    pass
    except UnavailableError as error:
        return Check("api", "skipped", f"not tried: {error.message}")
    except Exception as error:  # a proxy's library may raise anything, and the doctor must still report
        log.debug("the API cannot be reached", exc_info=True)
        remedy = "Check the network, the proxy variables (HTTPS_PROXY) and VIDGO_BASE_URL."
        return Check("api", "problem", f"{url} cannot be reached ({in_words(error)}).", remedy)
    return Check("api", "ok", f"{url} answers")


async def _key_check(settings: Settings, api: Check) -> Check:
    if settings.sandbox:
        return Check("key", "skipped", "the sandbox needs none")
    if settings.key is None:
        remedy = "Your Vidgo key belongs there; `vidgo-mcp demo` and `--sandbox` work without one."
        return Check("key", "problem", missing_key_reason(), remedy)
    if api.state != "ok":
        return Check("key", "skipped", "set, and not tried: Vidgo cannot be reached")
    try:
        credits_left = await _compared_balance(settings)
    except AuthenticationError as error:
        return Check("key", "problem", error.message, "Copy the key again, or make a new one at Vidgo.")
    except VidgoError as error:
        return Check("key", "problem", f"set, but the balance cannot be read. {error.message}", "Try again later.")
    what, cheapest = f"accepted; {credits_left} credits left", price_table(settings).price("low", "1K")
    if credits_left < cheapest:
        return Check("key", "problem", f"{what}, and the cheapest picture costs {cheapest}.", "Top up the account.")
    return Check("key", "ok", what)


async def _compared_balance(settings: Settings) -> float:
    """Return the balance, and let the journal compare it with what was paid for since it was last read."""
    account = principal_of(settings).paying
    async with connected(settings) as client, aclosing(journal_of(for_reading(settings))) as journal:
        try:
            look = await journal.balance_look(account)
            credits_left = await client.balance()
            await journal.compare_balance(account, look, credits_left, price_table(settings))
        except JournalError:
            # The check of the journal says why it cannot be used.
            return await client.balance()
        return credits_left


async def _balance_checks(settings: Settings) -> list[Check]:
    """Say where the prices come from, which of them Vidgo contradicts, and what is known of lost answers."""
    if settings.sandbox or not journal_exists(settings):
        # A file is not made by looking at it, and a sandbox's account is nobody's.
        return [Check("prices", "ok", price_table(settings).line())]
    principal = principal_of(settings)
    async with build_service(for_reading(settings)) as service:
        prices = await service.prices_in_force(principal)
        checks = [
            Check("prices", "warning", said, "Compare it at Vidgo, then set VIDGO_PRICES.")
            for said in prices.contradictions()
        ]
        checks = checks or [Check("prices", "ok", prices.line())]
        with suppress(VidgoError):
            for task in await service.tasks(principal).newest(LOST_SHOWN):
                said = balance_sentence(task.finding, task.credits, "person")
                if said and task.outcome == "unknown":
                    what = f"An answer was lost on {local_time(task.created_at or '')}. {said}"
                    checks.append(Check("lost", "warning", what, "`vidgo-mcp journal resolve` settles it."))
    return checks


async def _journal_check(settings: Settings) -> Check:
    """Say where paid tasks are recorded, and whether they can be; a file that does not exist yet is not made."""
    if settings.sandbox and settings.journal != "memory":
        return Check("journal", "skipped", "the sandbox keeps one of its own, for a day, among the temporary files")
    path = journal_path(settings)
    if path is None:
        return Check("journal", "ok", "in memory: what was paid for is forgotten when the process ends")
    try:
        if not journal_exists(settings):
            return future_journal_check(path)
        async with aclosing(journal_of(settings)) as journal:
            if isinstance(journal, SqliteJournal):
                await journal.check()
    except JournalError as error:
        return Check("journal", "problem", error.message, next_step(error.remedy, "person", case_of(error)))
    return Check("journal", "ok", f"{path} can be written")


def future_journal_check(path: Path, mounts: Path = Path("/proc/mounts")) -> Check:
    """Say that a journal can be made, or raise ``JournalError``; ``mounts`` is the kernel's list of file systems."""
    kind = network_folder(Path(os.path.realpath(path)), mounts)
    if kind is not None:
        what = f"The journal {path} cannot be used: it is on a network folder ({kind}), where locks cannot be trusted."
        raise JournalError(what, facts=Facts(reason="network_folder"))
    if why := _why_unwritable(path.absolute()):
        raise JournalError(f"The journal {path} cannot be made: {why}.", facts=Facts(reason="unwritable"))
    return Check("journal", "ok", f"{path} will be made by the first paid call")


def saving_check(settings: Settings) -> Check:
    """Say where pictures are saved, and whether they can be; a folder that does not exist yet is not made."""
    folder = save_folder(settings)
    if folder is None and settings.save_dir is None and not settings.sandbox:
        what = "Pictures are not saved: no home folder is known here, and a URL usually dies after about 24 hours."
        return Check("saving", "warning", what, "Name a folder in VIDGO_SAVE_DIR, or `off`.")
    if folder is None:
        return Check("saving", "ok", "off: nothing is saved, and a URL usually dies after about 24 hours")
    if why := _why_unwritable(folder):
        remedy = "Make it writable for you, or name another folder in VIDGO_SAVE_DIR; `off` saves nothing."
        return Check("saving", "problem", f"Pictures cannot be saved to {folder}: {why}.", remedy)
    what = "can be written" if folder.exists() else "will be made by the first picture"
    return Check("saving", "ok", f"{folder} {what}")


def input_checks(settings: Settings) -> list[Check]:
    """Say from which folders an edit may read; each that cannot be read, or has the whole home in it, is named."""
    checks = []
    for folder in settings.input_dirs:
        try:
            with os.scandir(folder) as names:
                next(names, None)
        except OSError as error:
            what = f"Pictures cannot be read from {folder} ({plain_reason(error)})."
            remedy = "Correct VIDGO_INPUT_DIRS, or make the folder readable for you."
            checks.append(Check("input", "problem", what, remedy))
            continue
        if Path(os.path.realpath(Path.home())).is_relative_to(os.path.realpath(folder)):
            what = f"{folder} is very wide: a model may name any picture in it, and its bytes go to Vidgo."
            remedy = "Name the folders of your pictures in VIDGO_INPUT_DIRS instead."
            checks.append(Check("input", "warning", what, remedy))
    what = "an edit reads only what is saved here; VIDGO_INPUT_DIRS names more folders"
    if save_folder(settings) is None:
        what = "an edit reads no file; VIDGO_INPUT_DIRS names folders from which it may"
    if settings.input_dirs:
        what = f"an edit may also read from {', '.join(map(str, settings.input_dirs))}"
    return checks or [Check("input", "ok", what)]


def _why_unwritable(folder: Path) -> str:
    """Return why no file can be made in a folder, or in what exists of its path; "" when one can."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir():
        return f"{there} is not a folder"
    try:
        prove_writable(str(there))
    except OSError as error:
        return f"in {there} no file can be made ({plain_reason(error)})"
    return ""
