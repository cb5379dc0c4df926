"""``--image`` with a file: what a person types is read wherever it is, for this call, and nothing beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vidgo_mcp.cli.typed_files import typed_references
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.service import LocalFiles

on_posix = pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")


@pytest.fixture
def run(world: Callable[..., Any], invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the command against a sandbox, in a folder with a photo; the home has another one."""
    served = world()
    monkeypatch.chdir(served.vidgo.folder)
    picture(served.vidgo.folder / "photo.png", "red")
    picture(tmp_path / "home" / "photo.png", "green")
    variables = {"VIDGO_BASE_URL": served.url, "VIDGO_API_KEY": SANDBOX_KEY, "VIDGO_SAVE_DIR": "off"}
    served.run = lambda *arguments: invoke(arguments, **variables)
    return served


def picture(path: Path, colour: str) -> None:
    Image.new("RGB", (64, 48), colour).save(path)


@pytest.mark.parametrize(
    "spelled", ["photo.png", "./photo.png", "../work/photo.png", "{folder}/photo.png", "file://{folder}/photo.png"]
)
def test_a_file_is_uploaded_however_it_is_spelled_and_paid_for_once(run: Any, spelled: str) -> None:
    first = run.run("generate", "at night", "--image", "photo.png", "--json")
    again = run.run("generate", "at night", "--image", spelled.format(folder=run.vidgo.folder.as_posix()), "--json")
    made, found = json.loads(first.stdout), json.loads(again.stdout)
    assert (made["outcome"], made["model"]) == ("finished", "gpt-image-2-edit")
    assert (found["task_id"], found["reused"]) == (made["task_id"], True)
    assert run.movements() == [("charge", 2)]


def test_a_file_of_the_home_folder_is_another_picture(run: Any) -> None:
    for name in ("photo.png", "~/photo.png"):
        assert run.run("generate", "at night", "--image", name).exit_code == 0
    assert run.movements() == [("charge", 2)] * 2


@on_posix
def test_a_link_is_followed_to_the_file_that_is_meant(run: Any, tmp_path: Path) -> None:
    (run.vidgo.folder / "link.png").symlink_to(tmp_path / "home" / "photo.png")
    assert run.run("generate", "at night", "--image", "link.png").exit_code == 0
    assert run.movements() == [("charge", 2)]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("foto.png", "did you mean"),
        ("photo.jpg", 'photo.png"?'),
        ("-", "there is no such file"),
        ("nowhere/photo.png", "there is no such file"),
        (".", "it is a folder"),
        ("notes.txt", "it is text"),
        ("ftp://host/a.png", "ftp: addresses are not supported"),
        ("file://server/photo.png", "files of other machines are never opened"),
    ],
)
def test_a_file_that_cannot_be_used_is_the_services_own_error_and_free(run: Any, typed: str, says: str) -> None:
    (run.vidgo.folder / "notes.txt").write_text("no picture")
    refused = run.run("generate", "at night", "--image", typed)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert says in refused.stderr
    assert "othing was spent" in refused.stderr
    assert [record for record in run.sandbox.requests if record.method == "POST"] == []


def test_only_the_folders_of_the_files_that_were_typed_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    disk = LocalFiles(Folders((tmp_path / "allowed",), home=str(tmp_path / "home")), tmp_path / "save_dir")
    kept = ["https://example.com/a.png", "task:t1", "data:image/png;base64,AAAA"]
    assert typed_references(kept, disk) == (kept, disk)
    references, wider = typed_references([*kept, "a/b.png", "~/c.png"], disk)
    here = Path(os.path.realpath(tmp_path))
    assert references == [*kept, str(here / "a" / "b.png"), str(here / "home" / "c.png")]
    assert wider.folders is not None
    assert wider.folders.allowed == (tmp_path / "allowed", here / "a", here / "home")
    assert (wider.save_dir, wider.folders.home) == (disk.save_dir, str(tmp_path / "home"))


def test_a_command_that_ends_before_all_is_uploaded_says_that_nothing_was_spent(run: Any) -> None:
    names = [f"{number}.png" for number in range(7)]
    for number, name in enumerate(names):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(run.vidgo.folder / name)
    images = [part for name in names for part in ("--image", name)]
    # In real time: one second for the first five, and at least a minute for the others.
    ended = run.run("generate", "at night", *images, "--wait-seconds", "0")
    assert ended.exit_code == 1
    assert "nothing was spent" in ended.stderr
    assert "what was uploaded is not uploaded again" in ended.stderr
    assert run.movements() == []
