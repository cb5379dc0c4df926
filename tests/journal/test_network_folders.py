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
        (r"\\server\share\journal.db", "a network share"),
        ("//server/share/journal.db", "a network share"),
        (r"\\?\UNC\server\share\journal.db", "a network share"),
        (r"\\?\C:\Users\me\journal.db", None),
        (r"C:\Users\me\journal.db", None),
    ],
)
def test_the_deepest_mount_decides_and_a_share_is_always_on_a_network(
    path: str, kind: str | None, tmp_path: Path
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS, encoding="utf-8")
    windows = "\\" in path or path.startswith("//")
    where = PureWindowsPath(path) if windows else PurePosixPath(path)
    assert network_folder(where, tmp_path / ("no such list" if windows else "mounts")) == kind
