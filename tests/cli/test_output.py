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
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vidgo_mcp.cli.output import quoted
from vidgo_mcp.sandbox import SANDBOX_KEY

NEVER = (600.0, 600.0)
PNG = b"\x89PNG\r\n\x1a\n"
on_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files and terminals")


@pytest.fixture
def here(world: Callable[..., Any], invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Serves a sandbox as ``world`` does; its ``run`` runs the command in the folder ``vidgo.folder``, cheaply."""

    def serve(*faults: str, **shape: Any) -> Any:
        served = world(*faults, **shape)
        monkeypatch.chdir(served.vidgo.folder)
        variables = {"VIDGO_BASE_URL": served.url, "VIDGO_API_KEY": SANDBOX_KEY, "VIDGO_SAVE_DIR": "off"}
        served.vidgo.environment["VIDGO_SAVE_DIR"] = "off"
        served.run = lambda *arguments, **more: invoke(arguments, **(variables | more))
        return served

    return serve


def test_the_picture_is_written_beside_the_usual_saving(here: Callable[..., Any], tmp_path: Path) -> None:
    served, save_dir = here(), tmp_path / "save_dir"
    made = served.run("generate", "a red fox", "-o", "fox.png", VIDGO_SAVE_DIR=str(save_dir))
    assert (made.exit_code, served.movements()) == (0, [("charge", 2)])
    written = served.vidgo.folder / "fox.png"
    (kept,) = save_dir.iterdir()
    assert written.read_bytes() == kept.read_bytes()
    with Image.open(written) as picture:
        picture.load()
        assert picture.format == "PNG"
    assert f"  saved as {kept}\n  saved as {written}\n" in made.stdout
    as_json = json.loads(
        served.run("task", served.task_id(), "--json", "-o", "b.png", VIDGO_SAVE_DIR=str(save_dir)).stdout
    )
    assert as_json["saved_paths"] == [str(kept), str(served.vidgo.folder / "b.png")]
    assert (served.vidgo.folder / "b.png").read_bytes() == kept.read_bytes()


def test_the_same_command_again_is_free_and_leaves_the_file_as_it_is(here: Callable[..., Any]) -> None:
    served = here()
    first = served.run("generate", "a red fox", "-o", "fox.png")
    written = served.vidgo.folder / "fox.png"
    before = written.stat()
    again = served.run("generate", "a red fox", "-o", "fox.png")
    over = served.run("generate", "a red fox", "-o", "fox.png", "--overwrite")
    assert [ran.exit_code for ran in (first, again, over)] == [0, 0, 0]
    assert "Already paid for" in again.stdout
    assert f"saved as {written}" in again.stdout
    after = written.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert served.movements() == [("charge", 2)]


def test_no_new_picture_is_paid_for_whose_file_is_there_already(here: Callable[..., Any]) -> None:
    served = here()
    file = served.vidgo.folder / "fox.png"
    file.write_bytes(b"a year of work")
    for more in ([], ["--max-credits", "5"], ["--json"]):
        refused = served.run("generate", "a red fox", "-o", "fox.png", *more)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"{file} exists, and this picture is not paid for yet" in refused.stderr
        assert "--overwrite" in refused.stderr
    assert file.read_bytes() == b"a year of work"
    assert [record for record in served.sandbox.requests if record.method == "POST"] == []
    assert served.run("generate", "a red fox", "-o", "fox.png", "--overwrite").exit_code == 0
    assert file.read_bytes().startswith(PNG)
    assert served.movements() == [("charge", 2)]


def test_a_paid_picture_does_not_take_the_place_of_another_file(here: Callable[..., Any]) -> None:
    served = here()
    assert served.run("generate", "a red fox").exit_code == 0
    file = served.vidgo.folder / "an owl.png"
    file.write_bytes(b"another picture")
    for command in (["generate", "a red fox"], ["task", served.task_id()]):
        ran = served.run(*command, "-o", "an owl.png")
        assert ran.exit_code == 4
        assert file.read_bytes() == b"another picture"
        assert any(line.startswith(served.url) for line in ran.stdout.splitlines())
        assert f"Error: {file} was left as it is: it is another file. The picture is paid for." in ran.stderr
    said = served.run("task", served.task_id(), "-o", "an owl.png").stderr.partition("vidgo-mcp ")[2].strip()
    assert shlex.split(said) == ["task", served.task_id(), "-o", "an owl.png", "--overwrite"]
    assert served.run(*shlex.split(said)).exit_code == 0
    assert file.read_bytes().startswith(PNG)
    assert served.movements() == [("charge", 2)]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("nowhere/fox.png", "there is no folder"),
        ("nowhere/", "there is no such folder"),
        ("notes/", "there is no such folder"),
        ("notes/fox.png", "Not a directory"),
        ("", "names no file"),
        ("  ", "names no file"),
        (f"{'x' * 300}.png", "File name too long"),
        ("~/nowhere/fox.png", "home/nowhere"),
        pytest.param("pipe", "it is not a regular file", marks=on_posix),
        pytest.param(
            "/sys/fox.png", "no file can be made (", marks=pytest.mark.skipif(sys.platform != "linux", reason="/sys")
        ),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_paid(
    here: Callable[..., Any], place: str, says: str
) -> None:
    served = here()
    (served.vidgo.folder / "notes").touch()
    if place == "pipe":
        os.mkfifo(served.vidgo.folder / "pipe")
    for more in ([], ["--overwrite"]):
        refused = served.run("generate", "a red fox", "--output", place, *more)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert says in refused.stderr
    assert served.sandbox.requests == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "a fox", "--overwrite"], "--overwrite needs --output"),
        (["generate", "a fox", "-o", "-", "--json"], "would both write to stdout"),
        (["task", "-o", "fox.png"], "--output needs the ID"),
        (["task", "", "-o", "fox.png"], "--output needs the ID"),
    ],
)
def test_an_output_that_makes_no_sense_is_a_usage_error(
    here: Callable[..., Any], arguments: list[str], says: str
) -> None:
    served = here()
    refused = served.run(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert says in refused.stderr
    assert served.sandbox.requests == []


def test_in_a_folder_it_gets_a_readable_name(here: Callable[..., Any]) -> None:
    served = here()
    folder = served.vidgo.folder / "pictures"
    folder.mkdir()
    for _ in range(2):
        assert served.run("generate", "a red fox", "-o", "pictures").exit_code == 0
    (only,) = folder.iterdir()
    assert "-a-red-fox-" in only.name
    assert only.suffix == ".png"
    assert served.movements() == [("charge", 2)]


def test_a_task_that_this_computer_did_not_start_is_written_as_vidgo_gives_it(here: Callable[..., Any]) -> None:
    served = here()
    assert served.run("generate", "a red fox").exit_code == 0
    assert served.run("task", served.task_id(), "-o", ".", VIDGO_JOURNAL="memory").exit_code == 0
    (only,) = served.vidgo.folder.iterdir()
    assert "-picture-" in only.name
    assert b"a red fox" not in only.read_bytes()


@on_posix
def test_a_link_to_a_folder_is_a_folder_and_a_link_to_a_file_is_never_followed(here: Callable[..., Any]) -> None:
    served = here()
    inside = served.vidgo.folder
    (inside / "real").mkdir()
    (inside / "folder").symlink_to("real")
    (inside / "precious").write_bytes(b"precious")
    (inside / "link.png").symlink_to("precious")
    assert served.run("generate", "a red fox", "-o", "folder").exit_code == 0
    assert len(list((inside / "real").iterdir())) == 1
    assert served.run("generate", "a red fox", "-o", "link.png").exit_code == 4
    assert served.run("generate", "a red fox", "-o", "link.png", "--overwrite").exit_code == 0
    assert (inside / "precious").read_bytes() == b"precious"
    assert not (inside / "link.png").is_symlink()


def test_stdout_gets_the_bytes_and_stderr_the_words(here: Callable[..., Any]) -> None:
    served = here()
    made = served.vidgo.piped("generate", "a red fox", "-o", "-")
    assert served.run("task", served.task_id(), "-o", "fox.png").exit_code == 0
    assert made.returncode == 0
    assert made.stdout == (served.vidgo.folder / "fox.png").read_bytes()
    assert served.url.encode() in made.stderr
    assert b"Finished. 2 credits." in made.stderr


@on_posix
def test_no_picture_is_written_to_a_terminal(here: Callable[..., Any]) -> None:
    served = here()
    keyboard, terminal = os.openpty()
    try:
        ran = served.vidgo.piped("generate", "a red fox", "-o", "-", stdout=terminal)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert ran.returncode == 2
    assert b"to the terminal" in ran.stderr
    assert served.sandbox.requests == []


@on_posix
def test_a_reader_that_goes_away_leaves_a_paid_picture_and_the_command_for_it(here: Callable[..., Any]) -> None:
    served = here()
    with served.vidgo.start("generate", "a red fox", "-o", "-") as running:
        running.popen.stdout.close()
        code, said = running.ended()
    assert code == 4
    assert "Error: stdout could not be written: Broken pipe. The picture is paid for." in said
    assert said.endswith(f"Fetch it with: vidgo-mcp task {served.task_id()} -o -\n")
    assert "Traceback" not in said


def test_an_extension_that_does_not_fit_is_kept_and_said(here: Callable[..., Any]) -> None:
    served = here()
    for name, warned in (("fox.jpg", True), ("fox.txt", True), ("fox.PNG", False), ("fox", False)):
        ran = served.run("generate", "a red fox", "-o", name)
        assert ran.exit_code == 0
        assert (f"Warning: {name} is image/png" in ran.stderr) is warned
        assert (served.vidgo.folder / name).read_bytes().startswith(PNG)


def test_a_pending_picture_is_fetched_to_its_file_later(here: Callable[..., Any]) -> None:
    served = here(seconds=(60, 60))
    started = served.run("generate", "a red fox", "--wait-seconds", "0", "-o", "it's a fox.png")
    assert started.exit_code == 4
    assert list(served.vidgo.folder.iterdir()) == []
    fetch = started.stdout.partition("Fetch it with: vidgo-mcp ")[2].splitlines()[0]
    served.sandbox.advance(60)
    assert served.run(*shlex.split(fetch)).exit_code == 0
    assert (served.vidgo.folder / "it's a fox.png").read_bytes().startswith(PNG)
    assert served.movements() == [("charge", 2)]


@pytest.mark.parametrize(
    ("fault", "code"), [("task:failed=no foxes", 3), ("submit:lose_answer", 5), ("submit:refuse", 1)]
)
def test_without_a_picture_there_is_no_file(here: Callable[..., Any], fault: str, code: int) -> None:
    served = here(fault)
    assert served.run("generate", "a red fox", "-o", "fox.png").exit_code == code
    assert list(served.vidgo.folder.iterdir()) == []


def test_what_cannot_be_fetched_is_paid_for_and_said_so(here: Callable[..., Any]) -> None:
    served = here("file:refuse=500*9")
    made = served.run("generate", "a red fox", "-o", "fox.png")
    assert made.exit_code == 4
    assert served.url in made.stdout
    assert f"Fetch it with: vidgo-mcp task {served.task_id()} -o fox.png" in made.stderr
    as_json = json.loads(served.run("generate", "a red fox", "-o", "fox.png", "--json").stdout)
    assert (as_json["outcome"], as_json["credits_charged"]) == ("finished", 0)
    assert any("-o fox.png" in note for note in as_json["notes"])
    assert list(served.vidgo.folder.iterdir()) == []


def test_a_picture_that_is_gone_is_not_said_to_be_fetched_later(here: Callable[..., Any]) -> None:
    served = here("file:refuse=403")
    charged = served.run("generate", "a red fox", "-o", "fox.png")
    later = served.run("task", served.task_id(), "-o", "fox.png")
    assert (charged.exit_code, later.exit_code) == (4, 1)
    for ran in (charged, later):
        assert "no longer at its address" in ran.stderr
        assert "Fetch it with" not in ran.stderr


def test_bytes_that_are_no_picture_are_not_written(here: Callable[..., Any]) -> None:
    served = here("file:html")
    assert served.run("generate", "a red fox", "-o", "fox.png").exit_code == 4
    foreign = served.run("task", served.task_id(), "-o", "fox.png", VIDGO_JOURNAL="memory")
    assert foreign.exit_code == 4
    assert "Error: What its URL gave is no picture." in foreign.stderr
    assert list(served.vidgo.folder.iterdir()) == []


def test_a_folder_that_goes_away_after_the_payment_costs_no_picture(here: Callable[..., Any]) -> None:
    served = here(seconds=(60, 60))
    folder = served.vidgo.folder / "stick"
    folder.mkdir()
    with served.vidgo.start("generate", "a red fox", "-o", "stick/fox.png") as running:
        running.until("accepted")
        folder.rmdir()
        served.sandbox.advance(60)
        shown = running.popen.stdout.read()
        code, said = running.ended()
    assert code == 4
    assert f"Error: {folder / 'fox.png'} could not be written: No such file or directory." in said
    assert f"Fetch it with: vidgo-mcp task {served.task_id()} -o stick/fox.png" in said
    assert shown.startswith("Finished. 2 credits.")
    assert served.url in shown
    folder.mkdir()
    assert served.run("task", served.task_id(), "-o", "stick/fox.png").exit_code == 0
    assert served.movements() == [("charge", 2)]


def test_ctrl_c_names_the_command_that_writes_the_file(here: Callable[..., Any]) -> None:
    served = here(seconds=NEVER)
    with served.vidgo.start("generate", "a red fox", "-o", "fox.png") as running:
        running.until("accepted")
        code, said = running.stop()
    fetch = f"vidgo-mcp task {served.task_id()} -o fox.png\n"
    assert code == 130
    assert fetch in said
    with served.vidgo.start("task", served.task_id(), "-o", "fox.png") as running:
        running.until("task")
        code, said = running.stop()
    assert code == 130
    assert said.endswith(fetch)
    assert list(served.vidgo.folder.iterdir()) == []


def test_the_sandbox_inside_the_process_saves_nothing_but_what_is_asked_for(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["--sandbox", "generate", "a fox"]).exit_code == 0
    assert list((tmp_path / "home").rglob("*")) == []
    made = invoke(["--sandbox", "generate", "a fox", "-o", "fox.png"])
    assert made.exit_code == 0
    assert "The sandbox ended with this command, and its URL with it." in made.stdout
    assert (tmp_path / "fox.png").read_bytes().startswith(PNG)
    assert list((tmp_path / "home").rglob("*")) == []


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_name_is_quoted_so_that_a_shell_reads_it_back(name: str) -> None:
    assert shlex.split(quoted(name, windows=False)) == [name]


def test_a_name_is_quoted_as_windows_reads_it() -> None:
    assert quoted("a fox.png", windows=True) == '"a fox.png"'
    assert quoted("C:\\pictures\\fox.png", windows=True) == "C:\\pictures\\fox.png"
