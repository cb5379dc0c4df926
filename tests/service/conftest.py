"""The service is tested on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import virtual_backend


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_backend()
