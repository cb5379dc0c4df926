"""How the command line speaks: the bar, the lines instead of it, and UTF-8."""

from __future__ import annotations

import errno
import io
import sys

import anyio
import pytest
from rich.console import Console

from tests.conftest import virtual_backend
from vidgo_mcp.cli.terminal import LINE_EVERY, Wait, is_terminal, plain_reason, shown_wait, use_utf8


class Screen(io.StringIO):
    """A stream with a person in front of it."""

    def isatty(self) -> bool:
        return True


def wait_on(console: Console | None) -> None:
    async def tell() -> None:
        with shown_wait(console) as show:
            await show(5, "accepted after 0 s, task task-1")
            await show(42, "running after 4 s, task [task-1]")

    anyio.run(tell)


def terminal(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Make stderr a terminal. No fixture: pytest puts its own stderr back before the test."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    return screen


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    wait_on(None)
    assert "42%" in screen.getvalue()
    assert "running after 4 s, task [task-1]" in screen.getvalue()


def test_no_color_means_a_bar_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("NO_COLOR", "1")
    wait_on(Console(file=screen, force_terminal=True, width=100))
    assert "42%" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue()


def test_a_question_is_not_hidden_by_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)

    async def tell() -> None:
        with shown_wait() as show:
            with show.hidden():
                before = screen.getvalue()
                await show(42, "running")
                show._bar.refresh()  # type: ignore[attr-defined]
                assert screen.getvalue() == before
            await show(43, "goes on")

    anyio.run(tell)
    assert "43%" in screen.getvalue()


def test_a_script_gets_a_line_at_once_and_then_now_and_then() -> None:
    said: list[str] = []

    async def tell() -> None:
        wait = Wait(said.append)
        for second in range(25):
            await wait(second, f"after {second} s")
            await anyio.sleep(1)

    backend, options = virtual_backend()
    anyio.run(tell, backend=backend, backend_options=options)
    assert said == [f"after {second} s" for second in range(0, 25, int(LINE_EVERY))]


def test_streams_are_turned_to_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    monkeypatch.setattr(sys, "stderr", None)
    use_utf8()
    sys.stdout.write("大 \udc80")
    sys.stdout.flush()
    assert raw.getvalue() == "大 \\udc80".encode()


def test_a_program_without_streams_has_no_terminal() -> None:
    closed = Screen()
    closed.close()
    assert not is_terminal(None)
    assert not is_terminal(closed)
    assert is_terminal(Screen())


def test_the_systems_reason_is_given_without_additions() -> None:
    in_use = OSError(errno.EADDRINUSE, "Address already in use (while attempting)")
    assert plain_reason(in_use) == "Address already in use"
    assert plain_reason(OSError(-2, "Name or service not known")) == "Name or service not known"
    assert plain_reason(OSError("The sandbox did not start.")) == "The sandbox did not start."
