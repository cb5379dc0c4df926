"""The doctor on folders: what can be written and read, what is too wide, and that a look changes nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidgo_mcp.cli.folder_checks import input_checks, saving_check, why_unwritable
from vidgo_mcp.settings import load

SYS = Path("/sys")
unwritable = pytest.mark.skipif(sys.platform != "linux", reason="a folder in which nobody can make a file")


@pytest.fixture
def examined(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Runs the doctor; returns its exit code, what it says at last, and its checks of a name."""

    def examine(name: str, **variables: str) -> tuple[int, str, list[dict[str, str]]]:
        plain = invoke(["doctor", "--sandbox"], **variables)
        said = json.loads(invoke(["doctor", "--sandbox", "--json"], **variables).stdout)
        found = [check for check in said["checks"] if check["name"] == name]
        return plain.exit_code, plain.stdout.splitlines()[-1], found

    return examine


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_folder_that_is_there_is_proved_writable_and_left_as_it_was(
    examined: Callable[..., Any], tmp_path: Path
) -> None:
    save_dir = tmp_path / "save_dir"
    save_dir.mkdir()
    (save_dir / "picture.png").touch()
    code, _, (check,) = examined("saving", VIDGO_SAVE_DIR=str(save_dir))
    assert (code, check["state"], check["message"]) == (0, "ok", f"{save_dir} can be written")
    assert everything_in(save_dir) == [str(save_dir / "picture.png")]


def test_a_folder_that_is_not_there_yet_is_not_made(examined: Callable[..., Any], tmp_path: Path) -> None:
    before = everything_in(tmp_path)
    save_dir = tmp_path / "new" / "save_dir"
    code, _, (check,) = examined("saving", VIDGO_SAVE_DIR=str(save_dir))
    assert (code, check["state"], check["message"]) == (0, "ok", f"{save_dir} will be made by the first picture")
    assert everything_in(tmp_path) == before


def test_without_a_setting_it_is_the_pictures_folder_of_the_home(tmp_path: Path) -> None:
    check = saving_check(load({"VIDGO_API_KEY": "key"}))
    assert check.message == f"{tmp_path / 'home' / 'Pictures' / 'vidgo'} will be made by the first picture"


def test_saving_that_is_off_is_in_order_and_says_what_it_means(examined: Callable[..., Any]) -> None:
    assert "a URL dies after 24 hours" in examined("saving", VIDGO_SAVE_DIR="off")[2][0]["message"]
    assert "a sandbox's pictures" in examined("saving")[2][0]["message"]


@pytest.mark.parametrize(
    "place", ["file", "file/below", pytest.param("/sys", marks=unwritable), pytest.param("/sys/new", marks=unwritable)]
)
def test_a_place_where_no_picture_can_be_saved_is_a_problem_with_a_remedy(
    examined: Callable[..., Any], tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    code, last, (check,) = examined("saving", VIDGO_SAVE_DIR=str(tmp_path / place))
    assert (code, last, check["state"]) == (1, "1 problem.", "problem")
    assert check["message"].startswith(f"Pictures cannot be saved to {tmp_path / place}: in ")
    assert "VIDGO_SAVE_DIR" in check["remedy"]


def test_a_disk_that_is_nearly_full_is_a_warning(tmp_path: Path) -> None:
    settings = load({"VIDGO_SAVE_DIR": str(tmp_path)})
    nearly = saving_check(settings, lambda _: 199_999_999)
    assert (nearly.state, nearly.remedy) == ("warning", "Free some.")
    assert "only 199 MB left" in nearly.message
    assert saving_check(settings, lambda _: 200_000_000).state == "ok"


def test_folders_that_may_be_read_are_named(examined: Callable[..., Any], tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "home" / "pictures"]
    for folder in folders:
        folder.mkdir()
    code, _, (check,) = examined("input", VIDGO_INPUT_DIRS=os.pathsep.join(map(str, folders)))
    assert (code, check["state"]) == (0, "ok")
    assert all(str(folder) in check["message"] for folder in folders)
    assert "VIDGO_INPUT_DIRS" in examined("input")[2][0]["message"]


def test_each_folder_that_cannot_be_read_is_a_problem(examined: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wrong = [tmp_path / "file", tmp_path / "nowhere"]
    code, last, found = examined("input", VIDGO_INPUT_DIRS=os.pathsep.join(map(str, [*wrong, tmp_path / "home"])))
    assert (code, last) == (1, "2 problems, 1 warning.")
    assert [check["state"] for check in found] == ["problem", "problem", "warning"]
    for folder, check in zip(wrong, found, strict=False):
        assert f"Pictures cannot be read from {folder} (" in check["message"]
        assert "VIDGO_INPUT_DIRS" in check["remedy"]
    assert not (tmp_path / "nowhere").exists()


def test_the_whole_disk_and_whatever_has_the_home_in_it_are_warned_of(tmp_path: Path) -> None:
    home, beside = tmp_path / "home", tmp_path / "beside"
    beside.mkdir()
    (tmp_path / "link").symlink_to(home)
    wide = [Path(tmp_path.anchor), tmp_path, home, tmp_path / "link"]
    settings = load({"VIDGO_INPUT_DIRS": os.pathsep.join(map(str, [*wide, beside]))})
    found = input_checks(settings)
    assert [(check.state, check.message.split(" is very wide")[0]) for check in found] == [
        ("warning", str(folder)) for folder in wide
    ]
    assert [check.state for check in input_checks(settings, home=beside)] == ["warning"] * 3


def test_a_warning_alone_is_no_failure(examined: Callable[..., Any], tmp_path: Path) -> None:
    code, last, (check,) = examined("input", VIDGO_INPUT_DIRS=str(tmp_path / "home"))
    assert (code, last, check["state"]) == (0, "1 warning.", "warning")


def test_the_upload_limit_is_told(examined: Callable[..., Any]) -> None:
    assert "may have 7 MB" in examined("uploads", VIDGO_MAX_UPLOAD_MB="7")[2][0]["message"]


@unwritable
def test_why_a_folder_cannot_be_written_is_the_systems_own_reason(tmp_path: Path) -> None:
    assert why_unwritable(tmp_path) is None
    assert why_unwritable(tmp_path / "nowhere") == "No such file or directory"
    assert why_unwritable(SYS) in {"Permission denied", "Read-only file system"}
