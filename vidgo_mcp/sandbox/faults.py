"""The ways in which the sandbox misbehaves on request: each has a name, the endpoints it fits, and a use count.

A fault is written `endpoint:name`, with `=VALUE` where it takes one and `*N` for only the next N matching requests.
"""

import difflib
import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

_API = ("submit", "status", "upload", "balance")
_SERVED = (*_API, "file")
_PAID = ("submit", "upload")
_FILE = ("file",)
_TASK = ("task",)
_CALLBACK = ("callback",)
_DELAYED = (*_SERVED, *_CALLBACK)
_ENDPOINTS = (*_DELAYED, *_TASK)

_STATUSES = (307, 400, 401, 403, 404, 408, 500, 502, 503, 504)
_STATUSES_OF_PAID = (402, 405, 409, 413, 415, 451)
_STATUSES_CHARGED = (408, 500, 502, 503, 504)
_STATUSES_NAMING = (200, 307, 400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503)


@dataclass(frozen=True, slots=True)
class _Kind:
    endpoints: tuple[str, ...]
    description: str
    value: Literal["none", "number", "status", "naming", "text", "shape", "object", "base64", "price"] = "none"
    default: str | None = None
    combines: bool = False


_FIELDS = "=JSON, in which URL, HOST and PATH stand for the picture's address and its parts; adds to another fault"
_PREVIEW = '{"files": [{"file_url": "URL"}]}'
_SUCCESS = '{"status": "SUCCESS", "files": {"url": "PATH"}}'
_BMP = "Qk06AAAAAAAAADYAAAAoAAAAAQAAAAEAAAABABgAAAAAAAQAAAASCwAAEgsAAAAAAAAAAAAAAIDAAA=="

_KINDS: Mapping[str, _Kind] = {
    "refuse": _Kind(
        _SERVED,
        "an HTTP error, nothing accepted; =STATUS (400; a 3xx points to another path) or =STATUS:MESSAGE",
        "status",
        "400",
    ),
    "charged": _Kind(
        _PAID, "an HTTP error after accepting and charging; =STATUS (500) or =STATUS:MESSAGE", "status", "500"
    ),
    "names": _Kind(
        ("submit",),
        "accepted and charged, answered with =STATUS (429) and an error that holds the task_id, or =STATUS:BODY, in "
        "which TASK stands for it",
        "naming",
        "429",
    ),
    "names_stranger": _Kind(("submit",), "the same with the id of no task, nothing accepted", "naming", "429"),
    "unprocessable": _Kind(_API, "422 with the list-shaped detail, nothing accepted"),
    "rate_limited": _Kind(_SERVED, "429, nothing accepted; =SECONDS adds a Retry-After", "number"),
    "rate_limited_date": _Kind(
        _SERVED, "429 with the Retry-After as an HTTP date; =SECONDS from now (3)", "number", "3"
    ),
    "envelope_error": _Kind(_API, "HTTP 200 whose envelope says code =CODE (500), nothing accepted", "number", "500"),
    "drop_before": _Kind(_SERVED, "the connection closes without an answer, nothing accepted"),
    "hang_before": _Kind(_SERVED, "no answer ever, nothing accepted; =SECONDS closes after that", "number"),
    "lose_answer": _Kind(_API, "accepted and charged, then the connection closes without an answer"),
    "lose_half": _Kind(_API, "accepted and charged, then the connection closes after half of the body"),
    "hang": _Kind(_API, "accepted and charged, no answer ever; =SECONDS closes after that", "number"),
    "html": _Kind(_SERVED, "accepted and charged, answered with a page of HTML"),
    "broken_json": _Kind(_API, "accepted and charged, answered with JSON cut short"),
    "empty_body": _Kind(_API, "accepted and charged, answered with 200 and no body"),
    "wrong_shape": _Kind(
        _API, "accepted and charged, answered with =list (a JSON list) or =string (data as text)", "shape", "list"
    ),
    "missing_task_id": _Kind(("submit",), "accepted and charged, answered without the task_id"),
    "huge": _Kind(_SERVED, "accepted and charged, answered with =MEGABYTES (2) of body", "number", "2"),
    "slow": _Kind(
        _DELAYED, "accepted at once, answered after =SECONDS (2); adds to another fault", "number", "2", combines=True
    ),
    "truncated": _Kind(_FILE, "half of the picture, then the connection closes"),
    "redirect_loop": _Kind(_FILE, "a redirect to itself"),
    "bytes": _Kind(_FILE, "these bytes instead of the picture, =BASE64 (a BMP)", "base64", _BMP),
    "price": _Kind(
        _TASK,
        "the submit is charged =CREDITS (5), or =QUALITY/TIER/CREDITS only those; adds to another fault",
        "price",
        "5",
        combines=True,
    ),
    "called": _Kind(
        _TASK, "the id of the task is =TEXT (a b/c); adds to another fault", "text", "a b/c", combines=True
    ),
    "stuck": _Kind(_TASK, "the task runs forever"),
    "failed": _Kind(_TASK, "the task fails at its end and is refunded; =MESSAGE sets the text", "text"),
    "failed_early": _Kind(_TASK, "the task fails after 2 s and is refunded"),
    "no_files": _Kind(_TASK, "the task finishes, its files stay empty"),
    "late_files": _Kind(_TASK, "the first =N (2) reads of the finished task show no files", "number", "2"),
    "strange_status": _Kind(_TASK, "an unknown word, =WORD (reviewing), instead of running", "text", "reviewing"),
    "no_progress": _Kind(_TASK, "progress is missing; adds to another fault", combines=True),
    "null_progress": _Kind(_TASK, "progress is null; adds to another fault", combines=True),
    "says_running": _Kind(
        _TASK, f"fields that replace those of the answer while it runs, {_FIELDS}", "object", _PREVIEW, combines=True
    ),
    "says_ended": _Kind(_TASK, f"the same once it has ended, {_FIELDS}", "object", _SUCCESS, combines=True),
    "extra_fields": _Kind(_TASK, "fields that nobody documented; adds to another fault", combines=True),
    "duplicate": _Kind(_CALLBACK, "the callback is sent twice"),
    "lost": _Kind(_CALLBACK, "the callback is never sent"),
    "early": _Kind(_CALLBACK, "a callback claims finished at once, the true one follows"),
}

FAULTS: Mapping[str, str] = {name: kind.description for name, kind in _KINDS.items()}
FAULT_ENDPOINTS: Mapping[str, tuple[str, ...]] = {name: kind.endpoints for name, kind in _KINDS.items()}

_VALUES = {
    "number": (r"[0-9]+(\.[0-9]+)?", "a number from 0"),
    "status": (r"[345][0-9][0-9](:.*)?", "an HTTP status from 300 to 599, with a message after a colon or without"),
    "naming": (r"[2345][0-9][0-9](:.*)?", "an HTTP status from 200, with a body after a colon or without"),
    "text": (r".*", "a text"),
    "shape": (r"list|string", "list or string"),
    "object": (r"\{.*\}", "a JSON object"),
    "base64": (r"[A-Za-z0-9+/]*={0,2}", "base64"),
    "price": (r"((low|medium|high)/[124]K/)?[0-9]+", "a number of credits, or like low/1K/5"),
}
_WRITTEN = re.compile(r"(?P<endpoint>\w+):(?P<name>\w+)(?:=(?P<value>.*?))?(?:\*(?P<times>\d+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at one endpoint. `times` is how many requests it strikes, None for all."""

    endpoint: str
    name: str
    value: str | None = None
    times: int | None = None

    def __str__(self) -> str:
        value = "" if self.value is None else f"={self.value}"
        return f"{self.endpoint}:{self.name}{value}" + ("" if self.times is None else f"*{self.times}")

    @property
    def combines(self) -> bool:
        """Whether it adds to another fault instead of taking its turn."""
        return _KINDS[self.name].combines

    def price(self, quality: str, tier: str) -> int | None:
        """Return what a picture is charged because of this fault, None when it is charged as always."""
        cell, _, amount = (self.text or "").rpartition("/")
        return int(amount) if self.name == "price" and cell in ("", f"{quality}/{tier}") else None

    @property
    def text(self) -> str | None:
        """The value, or the default of this fault."""
        return _KINDS[self.name].default if self.value is None else self.value

    @property
    def number(self) -> float | None:
        """The value as a number, or the default of this fault."""
        return None if self.text is None else float(self.text)


def every_fault(endpoint: str) -> list[str]:
    """Return each fault of an endpoint as it is written after the colon, with every status that Vidgo documents."""
    refused = _STATUSES + (_STATUSES_OF_PAID if endpoint in _PAID else ())
    statuses = {"refuse": refused, "charged": _STATUSES_CHARGED, "names": _STATUSES_NAMING}
    written: list[str] = []
    for name, kind in _KINDS.items():
        if endpoint in kind.endpoints:
            written += [f"{name}={status}" for status in statuses[name]] if name in statuses else [name]
    return written


def parse_fault(text: str) -> Fault:
    """Read `endpoint:name[=VALUE][*N]`. Raises ValueError with a sentence that says what would fit."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a fault: write endpoint:name, endpoint:name=VALUE or endpoint:name*N.")
    endpoint, name, value = match["endpoint"], match["name"], match["value"]
    if endpoint not in _ENDPOINTS:
        raise ValueError(f"Unknown endpoint {endpoint!r} in {text!r}.{_nearest(endpoint, _ENDPOINTS)}")
    if name not in _KINDS:
        known = [known for known, kind in _KINDS.items() if endpoint in kind.endpoints]
        raise ValueError(f"Unknown fault {name!r} for {endpoint}.{_nearest(name, known)}")
    kind = _KINDS[name]
    if endpoint not in kind.endpoints:
        raise ValueError(f"The fault {name!r} does not fit {endpoint}; it fits {', '.join(kind.endpoints)}.")
    if value is not None:
        if kind.value == "none":
            raise ValueError(f"The fault {name!r} takes no value.")
        pattern, words = _VALUES[kind.value]
        if not re.fullmatch(pattern, value, re.DOTALL) or (kind.value == "object" and not _is_json(value)):
            raise ValueError(f"The value of {name!r} must be {words}, not {value!r}.")
    times = None if match["times"] is None else int(match["times"])
    if times == 0:
        raise ValueError(f"{text!r} would never happen: the number after * must be at least 1.")
    return Fault(endpoint, name, value, times)


class FaultPlan:
    """The faults that are to come: at each endpoint the first with uses left has its turn."""

    def __init__(self, faults: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._planned = [parse_fault(fault) for fault in faults]

    def replace(self, faults: Iterable[str]) -> None:
        """Plan these faults instead of all others. Raises ValueError, changing nothing, when one cannot be read."""
        planned = [parse_fault(fault) for fault in faults]
        with self._lock:
            self._planned = planned

    def add(self, fault: str) -> None:
        """Plan one more fault. Raises ValueError when it cannot be read."""
        planned = parse_fault(fault)
        with self._lock:
            self._planned.append(planned)

    def take(self, endpoint: str, *, use_up: bool = True) -> tuple[Fault, ...]:
        """Return what strikes the next request, and use it up: one fault that takes turns, with what adds to it."""
        taken: dict[str, Fault] = {}
        left: list[Fault] = []
        with self._lock:
            for fault in self._planned:
                turn = f"{fault.name} {(fault.value or '').rpartition('/')[0]}" if fault.combines else "turn"
                if fault.endpoint != endpoint or turn in taken:
                    left.append(fault)
                    continue
                taken[turn] = fault
                if fault.times is None:
                    left.append(fault)
                elif fault.times > 1:
                    left.append(replace(fault, times=fault.times - 1))
            if use_up:
                self._planned = left
        return tuple(taken.values())

    def listed(self) -> list[str]:
        """Return the faults that are still to come, as they are written."""
        with self._lock:
            return [str(fault) for fault in self._planned]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(names)}."
