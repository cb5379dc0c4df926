"""Two real processes see the same picture finish at the same moment: one of them saves it, and both say where."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.crash.conftest import LOW, WAIT, Payers, charges, journal_of
from vidgo_mcp.sandbox import Brief, Sandbox, running


def test_two_processes_that_see_a_picture_finish_save_it_once(payers: Payers, tmp_path: Path) -> None:
    path, folder = tmp_path / "journal.db", tmp_path / "saved"
    sandbox = Sandbox(seconds=(1.0, 1.0))
    opened, draw = threading.Event(), sandbox.draw

    def draw_when_opened(brief: Brief) -> bytes:
        assert opened.wait(WAIT)
        return draw(brief)

    sandbox.draw = draw_when_opened
    with running(sandbox) as base:
        pair = payers.take(), payers.take()
        for payer in pair:
            payer.ask(path, base, claims=True, save=str(folder))
        claims = [payer.receive()["claimed"] for payer in pair]
        opened.set()
        assert sorted(claims) == [False, True]
        answers = [payer.receive() for payer in pair]
        [file] = folder.iterdir()
        assert [answer["outcome"] for answer in answers] == ["finished", "finished"]
        assert [answer["saved_paths"] for answer in answers] == [[str(file)]] * 2
        assert journal_of(path, base)[0].saved_paths == (str(file),)
        assert sum(record.path.startswith("/files/") for record in sandbox.requests) == 1
        assert charges(sandbox) == [("charge", LOW)]
