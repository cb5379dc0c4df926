"""The two keepers under a state machine: how a step is run to its end on each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.journal.conftest import START
from vidgo_mcp.journal import Journal, MemoryJournal
from vidgo_mcp.journal.sqlite import SqliteJournal


class KeeperMachine(RuleBasedStateMachine):
    """A journal whose clock the machine moves."""

    @abstractmethod
    def opened(self) -> Journal: ...

    @abstractmethod
    def done(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Run a step to its end."""

    @initialize()
    def open(self) -> None:
        self.now = START
        self.journal = self.opened()


class InMemory(KeeperMachine):
    """Every step must end without giving up control."""

    def opened(self) -> Journal:
        return MemoryJournal(now=lambda: self.now)

    def done(self, step: Coroutine[Any, Any, Any]) -> Any:
        try:
            step.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a step of the memory journal gave up control, so it is not atomic")


class InFile(KeeperMachine):
    """Every step may also be the last of a process: what comes after it finds all that was there."""

    def opened(self) -> Journal:
        self.around = ExitStack()
        folder = Path(self.around.enter_context(TemporaryDirectory()))
        self.loop = self.around.enter_context(start_blocking_portal())
        self.file = SqliteJournal(folder / "journal.db", now=lambda: self.now)
        return self.file

    def done(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.call(lambda: step)

    @rule()
    def start_anew(self) -> None:
        self.done(self.file.aclose())
        self.journal = self.file = SqliteJournal(self.file.path, now=lambda: self.now)

    def teardown(self) -> None:
        if hasattr(self, "file"):
            self.done(self.file.aclose())
            self.around.close()
