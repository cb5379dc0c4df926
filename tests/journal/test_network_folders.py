"""Which places are on a network, by what the system lists as mounted."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from vidgo_mcp.journal.network_folders import network_folder

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/me/local xfs rw 0 0
me@host: /mnt/my\\040files fuse.sshfs rw 0 0
tmpfs /covered tmpfs rw 0 0
//server/share /covered cifs rw 0 0
broken
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    (tmp_path / "mounts").write_text(MOUNTS, encoding="utf-8")
    return tmp_path / "mounts"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/journal.db", None),
        ("/home/journal.db", "nfs4"),
        ("/home/me/journal.db", "nfs4"),
        ("/home/me/local/journal.db", None),
        ("/homes/journal.db", None),
        ("/mnt/my files/journal.db", "fuse.sshfs"),
        ("/covered/journal.db", "cifs"),
        ("relative/journal.db", None),
    ],
)
def test_the_deepest_mount_decides(path: str, kind: str | None, mounts: Path) -> None:
    assert network_folder(PurePosixPath(path), mounts) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (r"\\server\share\journal.db", "a network share"),
        ("//server/share/journal.db", "a network share"),
        (r"\\?\UNC\server\share\journal.db", "a network share"),
        (r"\\?\C:\Users\me\journal.db", None),
        (r"C:\Users\me\journal.db", None),
    ],
)
def test_a_windows_share_is_a_network_folder(path: str, kind: str | None, tmp_path: Path) -> None:
    assert network_folder(PureWindowsPath(path), tmp_path / "no such list") == kind


def test_a_system_without_a_list_of_mounts_cannot_tell(tmp_path: Path) -> None:
    assert network_folder(tmp_path, tmp_path / "no such list") is None
