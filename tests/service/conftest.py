"""The service is tested on a virtual clock, with pictures in a folder of the person's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import virtual_backend
from tests.service.pictures import png
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.service import LocalFiles


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_backend()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    return pictures


@pytest.fixture
def cat(folder: Path) -> Path:
    path = folder / "cat.png"
    path.write_bytes(png())
    return path


@pytest.fixture
def disk(folder: Path) -> LocalFiles:
    """Read references from the folder; save nothing."""
    return LocalFiles(Folders((folder,)))


@pytest.fixture
def save_dir(tmp_path: Path) -> Path:
    """Return a folder that does not exist yet."""
    return tmp_path / "Pictures" / "vidgo"


@pytest.fixture
def saving(save_dir: Path) -> LocalFiles:
    """Save pictures there, and read references from there."""
    return LocalFiles(Folders((save_dir,)), save_dir)
