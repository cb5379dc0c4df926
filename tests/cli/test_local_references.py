"""``--image`` with a file: what a person types is read wherever it is, for this call, and nothing beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

on_posix = pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")


@pytest.fixture
def here(world: Callable[..., Any], tmp_path: Path) -> Any:
    """A sandbox, and a folder with a photo to run commands in; the home has another one."""
    served = world()
    picture(served.vidgo.folder / "photo.png", "red")
    picture(tmp_path / "home" / "photo.png", "green")
    return served


def picture(path: Path, colour: str) -> None:
    Image.new("RGB", (64, 48), colour).save(path)


@pytest.mark.parametrize(
    "spelled", ["photo.png", "./photo.png", "../work/photo.png", "{folder}/photo.png", "file://{folder}/photo.png"]
)
def test_a_file_is_uploaded_however_it_is_spelled_and_paid_for_once(here: Any, spelled: str) -> None:
    task_id = here.paid("at night", "--image", "photo.png")
    name = spelled.format(folder=here.vidgo.folder.as_posix())
    found = json.loads(here.run("generate", "at night", "--image", name, "--wait-seconds", "0", "--json").stdout)
    assert (found["task_id"], found["sources"], found["reused"]) == (task_id, ["a file"], True)
    assert here.movements() == [("charge", 2)]


def test_a_file_of_the_home_folder_is_another_picture(here: Any) -> None:
    for name in ("photo.png", "~/photo.png"):
        here.paid("at night", "--image", name)
    assert here.movements() == [("charge", 2)] * 2


@on_posix
def test_a_link_is_followed_to_the_file_that_is_meant(here: Any, tmp_path: Path) -> None:
    (here.vidgo.folder / "link.png").symlink_to(tmp_path / "home" / "photo.png")
    task_id = here.paid("at night", "--image", "link.png")
    meant = here.run("generate", "at night", "--image", "~/photo.png", "--wait-seconds", "0", "--json")
    assert json.loads(meant.stdout)["task_id"] == task_id
    assert here.movements() == [("charge", 2)]


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
def test_a_file_that_cannot_be_used_is_the_services_own_error_and_free(here: Any, typed: str, says: str) -> None:
    (here.vidgo.folder / "notes.txt").write_text("no picture")
    refused = here.run("generate", "at night", "--image", typed)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert says in refused.stderr
    assert "othing was spent" in refused.stderr
    assert here.posts() == []
