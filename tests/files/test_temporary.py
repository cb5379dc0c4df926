"""The private folder among the temporary files is this user's alone, or not used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidgo_mcp.files.temporary import private_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="on Windows the temporary folder is the user's own")


def test_it_is_private_and_the_same_each_time() -> None:
    folder = private_folder("fox")
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert private_folder("fox") == folder != private_folder("hare")


def test_another_home_is_another_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = private_folder("fox")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert private_folder("fox") != folder


@pytest.mark.parametrize("trap", ["link", "file", "open to all", "another owner"])
def test_what_another_user_put_there_is_not_used(trap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder("fox")
    assert folder is not None
    folder.rmdir()
    if trap == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        folder.touch(mode=0o600)
    else:
        folder.mkdir()
        folder.chmod(0o777 if trap == "open to all" else 0o700)
    if trap == "another owner":
        owner = os.getuid()
        real = Path.lstat

        def of_another(path: Path) -> os.stat_result:
            fields = list(real(path))
            fields[4] = owner + 1
            return os.stat_result(fields)

        monkeypatch.setattr(Path, "lstat", of_another)
    assert private_folder("fox") is None
