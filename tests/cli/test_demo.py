"""The demo: the whole story as a newcomer runs it, and what it says when a promise is not kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from vidgo_mcp.cli import demo
from vidgo_mcp.sandbox import Sandbox


def test_the_whole_story_runs_on_what_it_brings_along(world: Callable[..., Any]) -> None:
    here = world(seconds=5)
    (here.vidgo.folder / "vidgo-demo").mkdir()
    ran = here.vidgo.run("demo", VIDGO_LOG_LEVEL="nonsense")
    assert (ran.returncode, ran.stderr) == (0, "")
    for number, tool in enumerate(
        ("estimate_cost", "generate_image", "edit_image", "generate_image", "get_balance"), start=1
    ):
        assert any(line.startswith(f"{number}/5 ") and line.endswith(tool) for line in ran.stdout.splitlines())
    assert "2 charges for 3 calls, 2 + 3 credits" in ran.stdout
    assert "\x1b" not in ran.stdout
    saved = sorted((here.vidgo.folder / "vidgo-demo-2").iterdir())
    assert [path.name for path in saved] == ["1-fox.png", "2-fox-at-night.png"]
    for path in saved:
        with Image.open(path) as picture:
            assert (picture.format, picture.width > picture.height) == ("PNG", True)
    assert list((here.vidgo.folder / "vidgo-demo").iterdir()) == []
    # The person's own key and address were in the environment all the time.
    assert here.sandbox.requests == []


def test_a_promise_that_is_not_kept_ends_the_demo_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = Sandbox(faults=["task:failed=no foxes"], seconds=(0, 0))
    says = 'finishes a picture (Vidgo says: "no foxes")'
    assert demo.run(tmp_path / "pictures", sandbox) == 1
    shown = capsys.readouterr().out
    assert "The demo failed: a promise was broken: " in shown
    assert says in shown


def test_a_server_that_does_not_start_fails_the_demo_and_shows_its_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SANDBOX_KEY", "not a key")
    assert demo.run(tmp_path, Sandbox()) == 1
    said = capsys.readouterr()
    assert "The demo failed: " in said.out
    assert "VIDGO_API_KEY cannot be used" in said.err


def test_a_bug_in_the_demo_is_not_taken_for_a_broken_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(demo, "_story", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        demo.run(tmp_path, Sandbox())


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(click.ClickException, match="--output"):
        demo.run(tmp_path / "file" / "pictures", Sandbox())
