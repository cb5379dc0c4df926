"""``--output``: the picture is where it was wanted, or nothing was paid, or the words say how it still gets there."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
on_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files and terminals")


@pytest.fixture(autouse=True)
def _nothing_is_saved_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDGO_SAVE_DIR", "off")


def test_the_picture_is_written_beside_the_usual_saving(world: Callable[..., Any], tmp_path: Path) -> None:
    here, save_dir = world(), tmp_path / "save_dir"
    here.paid("a red fox")
    made = here.run("generate", "a red fox", "-o", "fox.png", VIDGO_SAVE_DIR=str(save_dir))
    assert (made.exit_code, here.movements()) == (0, [("charge", 2)])
    written = here.vidgo.folder / "fox.png"
    (kept,) = save_dir.iterdir()
    assert written.read_bytes() == kept.read_bytes()
    with Image.open(written) as picture:
        picture.load()
        assert picture.format == "PNG"
    assert f"  saved as {kept}\n  saved as {written}\n" in made.stdout
    again = here.run("task", here.task_id(), "--json", "-o", "b.png", VIDGO_SAVE_DIR=str(save_dir))
    assert json.loads(again.stdout)["saved_paths"] == [str(kept), str(here.vidgo.folder / "b.png")]


def test_a_file_that_exists_is_refused_before_anything_is_sent(world: Callable[..., Any]) -> None:
    here = world()
    file = here.vidgo.folder / "fox.png"
    file.write_bytes(b"a year of work")
    for command in (["generate", "a red fox"], ["generate", "a red fox", "--json"], ["task", "task-1"]):
        refused = here.run(*command, "-o", "fox.png")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "fox.png exists already" in refused.stderr
        assert "`vidgo-mcp task ID -o FILE`" in refused.stderr
    assert file.read_bytes() == b"a year of work"
    assert here.sandbox.requests == []


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("nowhere/fox.png", "No such file or directory"),
        pytest.param("nowhere/", "Is a directory", marks=on_posix),
        ("notes/fox.png", "Not a directory"),
        ("", "No such file or directory"),
        (f"{'x' * 300}.png", "File name too long"),
        pytest.param("link.png", "exists already", marks=on_posix),
        pytest.param(
            "/sys/fox.png", "cannot be used: ", marks=pytest.mark.skipif(sys.platform != "linux", reason="/sys")
        ),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_sent(
    world: Callable[..., Any], place: str, says: str
) -> None:
    here = world()
    (here.vidgo.folder / "notes").touch()
    if os.name != "nt":
        (here.vidgo.folder / "link.png").symlink_to("nowhere.png")
    before = sorted(here.vidgo.folder.iterdir())
    refused = here.run("generate", "a red fox", "--output", place)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert says in refused.stderr
    assert here.sandbox.requests == []
    assert sorted(here.vidgo.folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "a fox", "-o", "-", "--json"], "would both write to stdout"),
        (["task", "-o", "fox.png"], "--output needs the ID"),
        (["task", "", "-o", "fox.png"], "--output needs the ID"),
    ],
)
def test_an_output_that_makes_no_sense_is_a_usage_error(
    invoke: Callable[..., Any], arguments: list[str], says: str
) -> None:
    refused = invoke(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert says in refused.stderr


def test_another_format_gets_its_own_ending(world: Callable[..., Any]) -> None:
    here = world("file:bytes")
    (here.vidgo.folder / "pictures").mkdir()
    assert here.run("task", here.paid("a red fox"), "-o", "pictures").exit_code == 0
    assert [path.suffix for path in (here.vidgo.folder / "pictures").iterdir()] == [".bmp"]


def test_in_a_folder_it_gets_a_readable_name(world: Callable[..., Any]) -> None:
    here = world()
    task_id = here.paid("a red fox")
    folder = here.vidgo.folder / "pictures"
    folder.mkdir()
    assert here.run("generate", "a red fox", "-o", "pictures").exit_code == 0
    (only,) = folder.iterdir()
    assert "-a-red-fox-" in only.name
    assert only.suffix == ".png"
    # A task that this computer did not start is written as Vidgo gives it.
    assert here.run("task", task_id, "-o", ".", VIDGO_JOURNAL="memory").exit_code == 0
    (foreign,) = here.vidgo.folder.glob("*.png")
    assert "-picture-" in foreign.name
    assert b"a red fox" not in foreign.read_bytes()


def test_stdout_gets_the_bytes_and_stderr_the_words(world: Callable[..., Any]) -> None:
    here = world()
    task_id = here.paid("a red fox")
    made = here.vidgo.piped("generate", "a red fox", "-o", "-")
    assert here.run("task", task_id, "-o", "fox.png").exit_code == 0
    assert (made.returncode, made.stdout) == (0, (here.vidgo.folder / "fox.png").read_bytes())
    assert here.url.encode() in made.stderr


@on_posix
def test_no_picture_is_written_to_a_terminal(world: Callable[..., Any]) -> None:
    here = world()
    keyboard, terminal = os.openpty()
    try:
        ran = here.vidgo.piped("generate", "a red fox", "-o", "-", stdout=terminal)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert ran.returncode == 2
    assert b"to the terminal" in ran.stderr
    assert here.sandbox.requests == []


@on_posix
def test_a_reader_that_goes_away_leaves_a_paid_picture_and_the_command_for_it(world: Callable[..., Any]) -> None:
    here = world()
    here.paid("a red fox")
    with here.vidgo.start("generate", "a red fox", "-o", "-") as running:
        running.popen.stdout.close()
        code, said = running.ended()
    assert code == 4
    assert said.splitlines()[-1] == (
        "Error: stdout could not be written: Broken pipe. The picture is paid for. "
        f"Fetch it with: vidgo-mcp task {here.task_id()} -o -"
    )


def test_a_pending_picture_is_fetched_to_its_file_later(world: Callable[..., Any]) -> None:
    here = world()
    started = here.run("generate", "a red fox", "--wait-seconds", "0", "-o", "it's a fox.png")
    assert started.exit_code == 4
    assert list(here.vidgo.folder.iterdir()) == []
    fetch = started.stdout.partition("Fetch it with: vidgo-mcp ")[2].splitlines()[0]
    here.sandbox.advance(600)
    assert here.run(*shlex.split(fetch)).exit_code == 0
    assert (here.vidgo.folder / "it's a fox.png").read_bytes().startswith(PNG)
    assert here.movements() == [("charge", 2)]


@pytest.mark.parametrize(("fault", "code"), [("submit:lose_answer", 5), ("submit:refuse", 1)])
def test_without_a_picture_there_is_no_file(world: Callable[..., Any], fault: str, code: int) -> None:
    here = world(fault)
    assert here.run("generate", "a red fox", "-o", "fox.png").exit_code == code
    assert list(here.vidgo.folder.iterdir()) == []


def test_what_cannot_be_fetched_now_is_paid_for_and_said_so(world: Callable[..., Any]) -> None:
    here = world()
    task_id = here.paid("a red fox")
    here.sandbox.add_fault("file:drop_before*9")
    made = here.run("generate", "a red fox", "-o", "fox.png")
    assert made.exit_code == 4
    assert here.url in made.stdout
    assert made.stderr.endswith(f"The picture is paid for. Fetch it with: vidgo-mcp task {task_id} -o fox.png\n")
    as_json = here.run("generate", "a red fox", "-o", "fox.png", "--json")
    result = json.loads(as_json.stdout)
    assert (as_json.exit_code, result["outcome"], result["credits_charged"]) == (4, "finished", 0)
    assert any("-o fox.png" in note for note in result["notes"])
    assert list(here.vidgo.folder.iterdir()) == []


def test_a_picture_that_is_gone_is_not_said_to_be_fetched_later(world: Callable[..., Any]) -> None:
    here = world()
    task_id = here.paid("a red fox")
    here.sandbox.advance(25 * 3600)
    gone = here.run("task", task_id, "-o", "fox.png")
    assert (gone.exit_code, "Fetch it with" in gone.stderr) == (1, False)
    assert "\nError: " in f"\n{gone.stderr}"


def test_bytes_that_are_no_picture_are_not_written(world: Callable[..., Any]) -> None:
    here = world()
    task_id = here.paid("a red fox")
    here.sandbox.add_fault("file:html")
    foreign = here.run("task", task_id, "-o", "fox.png", VIDGO_JOURNAL="memory")
    assert foreign.exit_code == 4
    assert "Error: What its URL gave cannot be used: it is text, not a picture." in foreign.stderr
    assert list(here.vidgo.folder.iterdir()) == []


def test_a_folder_that_goes_away_after_the_payment_costs_no_picture(world: Callable[..., Any]) -> None:
    here = world()
    folder = here.vidgo.folder / "stick"
    folder.mkdir()
    with here.vidgo.start("generate", "a red fox", "-o", "stick/fox.png") as running:
        running.until("accepted")
        folder.rmdir()
        here.sandbox.advance(600)
        shown = running.popen.stdout.read()
        code, said = running.ended()
    assert (code, shown.startswith("Finished. 2 credits.")) == (4, True)
    assert "Error: stick/fox.png could not be written: No such file or directory." in said
    assert said.endswith(f"Fetch it with: vidgo-mcp task {here.task_id()} -o stick/fox.png\n")
    folder.mkdir()
    assert here.run("task", here.task_id(), "-o", "stick/fox.png").exit_code == 0
    assert here.movements() == [("charge", 2)]


def test_the_sandbox_inside_the_process_saves_nothing_but_what_is_asked_for(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIDGO_SAVE_DIR")
    made = invoke("--sandbox", "generate", "a fox", "-o", "fox.png")
    assert made.exit_code == 0
    assert "The sandbox ended with this command, and its URL with it." in made.stdout
    assert (tmp_path / "fox.png").read_bytes().startswith(PNG)
    assert list((tmp_path / "home").rglob("*")) == []
