"""What the doctor reports: one thing that was looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; a problem has a remedy, and so has a warning, with which everything still works."""

    name: str
    state: State
    message: str
    remedy: str = ""
