"""The command ``vidgo-mcp`` as the installed script starts it: a server over stdio answers before it is all imported.

Only what it surely answers so (``server/opening.py``): where a setting could change an answer, or keep the server from
starting, nothing is answered before the server itself runs. This module loads no more than it needs to know that.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, NoReturn

from vidgo_mcp.server.ending import end_at_once
from vidgo_mcp.server.opening import Opening, Snapshot

SERVER: Final[Sequence[Sequence[str]]] = ([], ["--sandbox"])
"""What is typed after the command to start a server over stdio."""
FOLDER: Final = r"[A-Za-z]:[\\/][\w.\\/-]*" if os.name == "nt" else r"/[\w./-]*"
FILE: Final = r"[A-Za-z]:[\\/]\w([\w.\\/-]*[\w.-])?" if os.name == "nt" else r"/[\w./-]*[\w.-]"
SURE: Final[Mapping[str, str]] = {
    "VIDGO_API_KEY": r"[\w.:-]+",
    "VIDGO_BASE_URL": r"https://api\.vidgo\.ai|http://(127\.0\.0\.1|localhost):[1-5]?\d{4}",
    "VIDGO_SANDBOX": "[01]",
    "VIDGO_WAIT_SECONDS": r"[1-9]?\d|[1-5]\d\d",
    "VIDGO_JOURNAL": f"memory|{FILE}",
    "VIDGO_JOURNAL_DAYS": r"[1-9]\d{0,2}",
    "VIDGO_BUDGET_PER_CALL": r"\d{1,6}",
    "VIDGO_BUDGET_PER_DAY": r"\d{1,6}",
    "VIDGO_CONFIRM_ABOVE": r"\d{1,6}",
    "VIDGO_SAVE_DIR": f"off|{FOLDER}",
    "VIDGO_SAVE_METADATA": "[01]",
    "VIDGO_INPUT_DIRS": rf"{FOLDER}({os.pathsep}{FOLDER})*",
    "VIDGO_LOG_LEVEL": "WARNING|ERROR",
}
"""Settings with which the server surely starts and, but for the wait, answers the same; and which values they may have.

It may start with others, too. Then it answers them itself.
"""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    # Imports leave next to nothing to collect, and the collector would look for it again and again, then and later.
    gc.disable()
    opening = None
    try:
        if sys.argv[1:] in SERVER:
            end_at_once()
            opening = begin(os.environ, sandbox="--sandbox" in sys.argv)
        if opening is not None:
            # Otherwise the command line comes first: it drops names of tracing with which the SDK cannot be imported.
            import_module("vidgo_mcp.cli.serve_stdio")
        from vidgo_mcp.cli import main as run  # noqa: PLC0415  # it takes longer than the first answers

        gc.freeze()
        gc.enable()
        run(opening)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        if opening is None:
            raise
        # The thread that reads stdin would keep a process that serves nobody.
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def sure_settings(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return the settings of an environment; None where one could change an answer, or stop the server at its start."""
    ours = {name: environment[name].strip() for name in environment if name.upper().startswith(("VIDGO_", "OTEL_"))}
    given = {name: value for name, value in ours.items() if value}
    sure = all(re.fullmatch(SURE.get(name, "(?!)"), value, re.ASCII) for name, value in given.items())
    return given if sure else None


def begin(environment: Mapping[str, str], *, sandbox: bool) -> Opening | None:
    """Begin to answer the client on stdin; return None where that is left to the server."""
    given = sure_settings(environment)
    if given is None:
        return None
    try:
        snapshot = Snapshot.read(given.get("VIDGO_WAIT_SECONDS"))
        # Without a home the server does not know where its journal is, and does not start.
        home_is_known = os.path.isabs(os.path.expanduser("~"))
        if sys.stdin.isatty() or not home_is_known or not snapshot.is_of(sys.path):
            return None
        # A file of its own: the server's transport moves the real one.
        stdout = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        opening = Opening(snapshot, sys.stdin.buffer, stdout, lambda: may_have_tasks(given, sandbox=sandbox))
    except (OSError, ValueError, AttributeError):
        # There is no stdin or stdout, or no snapshot that can be read.
        return None
    opening.start()
    return opening


def may_have_tasks(given: Mapping[str, str], *, sandbox: bool) -> bool:
    """Return whether tasks may be recorded that a list of resources has to name."""
    journal = given.get("VIDGO_JOURNAL")
    if journal == "memory":
        return False
    if sandbox or given.get("VIDGO_SANDBOX") == "1":
        return True
    if "VIDGO_API_KEY" not in given:
        return False
    from platformdirs import user_data_path  # noqa: PLC0415  # no other answer has to wait for it

    try:
        os.stat(journal or user_data_path("vidgo-mcp", appauthor=False) / "journal.db")
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True
