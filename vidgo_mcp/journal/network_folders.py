"""Folders of other machines, on which SQLite's locks cannot be trusted."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Final

NETWORK_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs"}
    | {"davfs", "vboxsf", "prl_fs", "beegfs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse"}
    | {"fuse.glusterfs", "fuse.ceph", "fuse.juicefs", "fuse.davfs2", "fuse.vmhgfs-fuse"}
)
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
_SHARE: Final = re.compile(r"[\\/]{2}(?![?.][\\/])|[\\/]{2}\?[\\/]UNC[\\/]", re.IGNORECASE)
r"""``\\server\share``, also as ``\\?\UNC\server\share``; ``\\?\C:\`` is a disk."""


def network_folder(path: PurePath, mounts: Path = Path("/proc/mounts")) -> str | None:
    """Return the kind of network file system that a path is on; None when it is local, or cannot be told.

    Args:
        path: absolute, with its links resolved.
        mounts: the kernel's list of what is mounted where; only Linux has one.
    """
    if _SHARE.match(str(path)):
        return "a network share"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    depth, kind = 0, ""
    for fields in map(str.split, lines):
        if len(fields) < 3:
            continue
        point = PurePath(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[1]))
        # Of two mounts on one point the later covers the earlier.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            depth, kind = len(point.parts), fields[2]
    return kind if kind in NETWORK_SYSTEMS else None
