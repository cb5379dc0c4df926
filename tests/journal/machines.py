"""The journal under a state machine, in memory and in a file: how a step is run to its end in each."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.journal.conftest import BOOTED, START, Clock, opened
from vidgo_mcp.journal import SqliteJournal


class JournalUnderTest(RuleBasedStateMachine):
    """A journal whose clock the machine moves."""

    @abstractmethod
    def path(self) -> Path | None: ...

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.dead: set[str] = set()
        self.around = ExitStack()
        self.loop = self.around.enter_context(asyncio.Runner())
        self.journal = self.opened(self.path())
        self.done(self.journal.check())

    def opened(self, path: Path | None) -> SqliteJournal:
        return opened(path, self.clock, self.dead)

    @property
    def now(self) -> float:
        """The journal's time, which nobody sets."""
        return START + self.clock.since_boot - BOOTED

    def done(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Run a step to its end."""
        return self.loop.run(step)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.done(self.journal.aclose())
            self.around.close()


class InMemory(JournalUnderTest):
    """Steps in memory run at once, so that many can be tried."""

    def path(self) -> None:
        return None


class InFile(JournalUnderTest):
    """Every step may also be the last of a process: what comes after it finds all that was there."""

    def path(self) -> Path:
        return Path(self.around.enter_context(TemporaryDirectory())) / "journal.db"

    @rule()
    def start_anew(self) -> None:
        self.done(self.journal.aclose())
        self.journal = self.opened(self.journal.path)
