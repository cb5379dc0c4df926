"""Which folders of this computer can be used for pictures, found out by trying, and without leaving anything behind."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vidgo_mcp.app import save_folder
from vidgo_mcp.cli.checks import Check
from vidgo_mcp.cli.terminal import plain_reason
from vidgo_mcp.settings import Settings

LEAST_SPACE: Final = 200_000_000
"""Bytes; a large picture of high quality may have 20 MB."""
ANOTHER_FOLDER: Final = "Make it writable for you, or name another folder in VIDGO_SAVE_DIR; `off` saves nothing."


def folder_checks(settings: Settings) -> list[Check]:
    """Judge the folders where pictures are saved and read, and tell how large a reference may be."""
    largest = f"a local or inline picture may have {settings.max_upload_mb} MB (VIDGO_MAX_UPLOAD_MB)"
    return [saving_check(settings), *input_checks(settings), Check("uploads", "ok", largest)]


def saving_check(
    settings: Settings, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
) -> Check:
    """Say where pictures are saved, and whether they can be; a folder that is not there yet is not made.

    Args:
        settings: what the user set.
        free: how many bytes the disk of a folder still takes.
    """
    folder = save_folder(settings)
    if folder is None and settings.save_dir is None and not settings.sandbox:
        what = "Pictures are not saved: no home folder is known here, and a URL dies after 24 hours."
        return Check("saving", "warning", what, "Name a folder in VIDGO_SAVE_DIR, or `off`.")
    if folder is None and settings.save_dir is None:
        return Check("saving", "ok", "off: a sandbox's pictures are saved only where VIDGO_SAVE_DIR says")
    if folder is None:
        return Check("saving", "ok", "off: nothing is saved, and a URL dies after 24 hours")
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    done = f"{folder} can be written" if there == folder else f"{folder} will be made by the first picture"
    why = why_unwritable(there)
    if why is not None:
        what = f"Pictures cannot be saved to {folder}: in {there} no file can be made ({why})."
        return Check("saving", "problem", what, ANOTHER_FOLDER)
    space = free(there)
    if space < LEAST_SPACE:
        return Check("saving", "warning", f"{done}, but its disk has only {space // 1_000_000} MB left.", "Free some.")
    return Check("saving", "ok", done)


def input_checks(settings: Settings, home: Path | None = None) -> list[Check]:
    """Say from which folders an edit may read, and judge each; ``home`` is the person's own by default."""
    folders = settings.input_dirs
    if not folders:
        return [Check("input", "ok", "an edit reads only what is saved here; VIDGO_INPUT_DIRS names more folders")]
    found = [check for folder in folders if (check := _input_check(folder, home or _home())) is not None]
    return found or [Check("input", "ok", f"an edit may also read from {', '.join(map(str, folders))}")]


def why_unwritable(folder: Path) -> str | None:
    """Return why no file can be made in a folder, None when one can: permissions alone do not tell on every system."""
    # Named like an unfinished picture, so that one whose process is killed right now is swept away with those.
    trial = folder / f".vidgo-{secrets.token_hex(8)}.part"
    try:
        os.close(os.open(trial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        trial.unlink()
    except OSError as error:
        return plain_reason(error)
    return None


def _input_check(folder: Path, home: Path | None) -> Check | None:
    try:
        with os.scandir(folder) as names:
            next(names, None)
    except OSError as error:
        what = f"Pictures cannot be read from {folder} ({plain_reason(error)})."
        return Check("input", "problem", what, "Correct VIDGO_INPUT_DIRS, or make the folder readable for you.")
    real = Path(os.path.realpath(folder))
    if real == Path(real.anchor) or (home is not None and Path(os.path.realpath(home)).is_relative_to(real)):
        what = f"{folder} is very wide: a model may name any picture in it, and its bytes go to Vidgo."
        return Check("input", "warning", what, "Name the folders of your pictures in VIDGO_INPUT_DIRS instead.")
    return None


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
