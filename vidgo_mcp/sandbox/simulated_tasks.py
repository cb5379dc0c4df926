"""The life of one task: its state is computed from the clock when somebody looks, so no background work is needed."""

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from vidgo_mcp.sandbox.answers import invented
from vidgo_mcp.sandbox.faults import Fault
from vidgo_mcp.sandbox.storage import StoredFile
from vidgo_mcp.sandbox.submit_rules import Submission

POLICY_VIOLATION = invented("The prompt was rejected by the content policy")
LOST_REFERENCE = invented("A reference picture could not be downloaded: its URL has expired")
EARLY_FAILURE_SECONDS = 2.0


@dataclass(slots=True)
class Task:
    """One accepted submit. `started` and `seconds` are on the sandbox's clock; `account` is a label."""

    task_id: str
    account: str
    submission: Submission
    created: datetime
    started: float
    seconds: float
    faults: tuple[Fault, ...]
    result: StoredFile
    base_url: str
    lost_reference: bool = False
    settled: bool = False
    finished_reads: int = 0

    def fault(self, name: str) -> Fault | None:
        """Return the fault of this name that was planned for this task."""
        return next((fault for fault in self.faults if fault.name == name), None)

    @property
    def fails(self) -> bool:
        return bool(self.lost_reference or self.fault("failed") or self.fault("failed_early"))

    @property
    def ends_at(self) -> float:
        """When it ends, on the sandbox's clock; infinite for a task that is stuck."""
        if self.fault("stuck"):
            return math.inf
        return self.started + (EARLY_FAILURE_SECONDS if self.fault("failed_early") else self.seconds)

    def ended(self, at: float) -> bool:
        return at >= self.ends_at

    def status(self, at: float) -> str:
        if self.ended(at):
            return "failed" if self.fails else "finished"
        if at - self.started < min(0.5, self.seconds / 10):
            return "not_started"
        strange = self.fault("strange_status")
        return strange.text or "" if strange else "running"

    def data(self, at: float, file_url: str) -> dict[str, Any]:
        """Return the `data` of a status read at that moment."""
        data: dict[str, Any] = {
            "task_id": self.task_id,
            "status": self.status(at),
            "files": [],
            "created_time": self.created_time,
            "progress": int(min(95, 100 * (at - self.started) / self.seconds)) if self.seconds else 95,
            "error_message": None,
        }
        if self.ended(at):
            # 0 for a failed task, as documented.
            data["progress"] = 0 if self.fails else 100
        if data["status"] == "failed":
            planned = self.fault("failed")
            why = LOST_REFERENCE if self.lost_reference else POLICY_VIOLATION
            data["error_message"] = (planned and planned.text) or why
        if data["status"] == "finished" and not self.fault("no_files"):
            late = self.fault("late_files")
            if late is None or self.finished_reads > (late.number or 0):
                data["files"] = [{"file_url": file_url, "file_type": "image"}]
        if self.fault("null_progress"):
            data["progress"] = None
        if self.fault("no_progress"):
            del data["progress"]
        if self.fault("extra_fields"):
            data |= {"credits_amount": self.submission.credits, "queue": {"position": 0}, "seed": None}
            for file in data["files"]:
                file |= {"width": self.submission.width, "labels": ["undocumented"]}
        said = self.fault("says_ended" if self.ended(at) else "says_running")
        return data | _filled(said.text or "", file_url) if said else data

    @property
    def created_time(self) -> str:
        """The naive ISO 8601 time of the submit."""
        return self.created.replace(tzinfo=None, microsecond=0).isoformat()


def _filled(fields: str, file_url: str) -> dict[str, Any]:
    """Read planned fields, with the address of the picture put where they name it."""
    parts = urlsplit(file_url)
    for name, part in {"URL": file_url, "HOST": parts.netloc, "PATH": f"{parts.path}?{parts.query}"}.items():
        fields = fields.replace(name, part)
    return dict(json.loads(fields))


def duration_of(suffix: str, seconds: tuple[float, float]) -> float:
    """Choose how long a task takes, between the two bounds, from the last part of its id."""
    share = hashlib.sha256(suffix.encode()).digest()[0] / 255
    return seconds[0] + share * (seconds[1] - seconds[0])
