"""The ways in which the sandbox misbehaves on request: each has a name, the endpoints it fits, and a use count.

A fault is written `endpoint:name`, with `=VALUE` where it takes one and `*N` for only the next N matching requests.
"""

import difflib
import math
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

ValueKind = Literal["none", "number", "text", "shape"]

ENDPOINTS = ("submit", "status", "upload", "balance", "file", "callback", "task")

_API = ("submit", "status", "upload", "balance")
_SERVED = (*_API, "file")
_PAID = ("submit", "upload")
_FILE = ("file",)
_TASK = ("task",)
_CALLBACK = ("callback",)


@dataclass(frozen=True, slots=True)
class _Kind:
    endpoints: tuple[str, ...]
    description: str
    value: ValueKind = "none"
    default: str | None = None
    combines: bool = False


_KINDS: Mapping[str, _Kind] = {
    "refuse": _Kind(_API, "400 before anything is accepted; =MESSAGE sets the text", "text"),
    "unprocessable": _Kind(_API, "422 with the list-shaped detail, nothing accepted"),
    "unauthorized": _Kind(_API, "401 although the key is right"),
    "insufficient": _Kind(("submit",), "the refusal for too few credits, whatever the balance"),
    "forbidden": _Kind(_SERVED, "403, nothing accepted"),
    "not_found": _Kind(_API, "404, nothing accepted"),
    "not_allowed": _Kind(_PAID, "405, nothing accepted"),
    "conflict": _Kind(_PAID, "409, nothing accepted"),
    "too_large": _Kind(_PAID, "413, nothing accepted"),
    "unsupported": _Kind(_PAID, "415, nothing accepted"),
    "blocked": _Kind(_PAID, "451, nothing accepted"),
    "rate_limited": _Kind(_SERVED, "429, nothing accepted; =SECONDS adds a Retry-After", "number"),
    "rate_limited_date": _Kind(
        _SERVED, "429 with the Retry-After as an HTTP date; =SECONDS from now (3)", "number", "3"
    ),
    "envelope_error": _Kind(_API, "HTTP 200 whose envelope says code =CODE (500), nothing accepted", "number", "500"),
    "redirect": _Kind(_API, "a redirect to another path, nothing accepted; =STATUS (307)", "number", "307"),
    "drop_before": _Kind(_SERVED, "the connection closes without an answer, nothing accepted"),
    "hang_before": _Kind(_SERVED, "no answer ever, nothing accepted; =SECONDS closes after that", "number"),
    "timeout_408": _Kind(_API, "408 in plain text, nothing accepted"),
    "error_500": _Kind(_SERVED, "500, nothing accepted"),
    "error_502": _Kind(_SERVED, "502, nothing accepted"),
    "error_503": _Kind(_SERVED, "503, nothing accepted"),
    "error_504": _Kind(_SERVED, "504, nothing accepted"),
    "charged_408": _Kind(_PAID, "408 in plain text after accepting and charging"),
    "charged_500": _Kind(_PAID, "500 after accepting and charging"),
    "charged_502": _Kind(_PAID, "502 after accepting and charging"),
    "charged_503": _Kind(_PAID, "503 after accepting and charging"),
    "charged_504": _Kind(_PAID, "504 after accepting and charging"),
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
        (*_SERVED, "callback"),
        "accepted at once, answered after =SECONDS (2); adds to another fault",
        "number",
        "2",
        combines=True,
    ),
    "error_404": _Kind(_FILE, "404, as for a URL that died early"),
    "truncated": _Kind(_FILE, "half of the picture, then the connection closes"),
    "redirect_loop": _Kind(_FILE, "a redirect to itself"),
    "stuck": _Kind(_TASK, "the task runs forever"),
    "failed": _Kind(_TASK, "the task fails at its end and is refunded; =MESSAGE sets the text", "text"),
    "failed_early": _Kind(_TASK, "the task fails after 2 s and is refunded"),
    "no_files": _Kind(_TASK, "the task finishes, its files stay empty"),
    "late_files": _Kind(_TASK, "the first =N (2) reads of the finished task show no files", "number", "2"),
    "strange_status": _Kind(_TASK, "an unknown word, =WORD (reviewing), instead of running", "text", "reviewing"),
    "no_progress": _Kind(_TASK, "progress is missing; adds to another fault", combines=True),
    "null_progress": _Kind(_TASK, "progress is null; adds to another fault", combines=True),
    "extra_fields": _Kind(_TASK, "fields that nobody documented; adds to another fault", combines=True),
    "duplicate": _Kind(_CALLBACK, "the callback is sent twice"),
    "lost": _Kind(_CALLBACK, "the callback is never sent"),
    "early": _Kind(_CALLBACK, "a callback claims finished at once, the true one follows"),
}

FAULTS: Mapping[str, str] = {name: kind.description for name, kind in _KINDS.items()}
"""What each fault does, by name."""

FAULT_ENDPOINTS: Mapping[str, tuple[str, ...]] = {name: kind.endpoints for name, kind in _KINDS.items()}
"""Which endpoints each fault fits, by name."""

_WRITTEN = re.compile(r"(?P<endpoint>\w+):(?P<name>\w+)(?:=(?P<value>.*?))?(?:\*(?P<times>\d+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at one endpoint. `times` is how many requests it spoils, None for all."""

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

    @property
    def text(self) -> str | None:
        """The value as it was written, or the default of this fault."""
        return _KINDS[self.name].default if self.value is None else self.value

    @property
    def number(self) -> float | None:
        """The value as a number, or the default of this fault."""
        return None if self.text is None else float(self.text)


def parse_fault(text: str) -> Fault:
    """Read `endpoint:name[=VALUE][*N]`. Raises ValueError with a sentence that says what would fit."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a fault: write endpoint:name, endpoint:name=VALUE or endpoint:name*N.")
    endpoint, name, value = match["endpoint"], match["name"], match["value"]
    if endpoint not in ENDPOINTS:
        raise ValueError(f"Unknown endpoint {endpoint!r} in {text!r}.{_nearest(endpoint, ENDPOINTS)}")
    if name not in _KINDS:
        known = [known for known, kind in _KINDS.items() if endpoint in kind.endpoints]
        raise ValueError(f"Unknown fault {name!r} for {endpoint}.{_nearest(name, known)}")
    kind = _KINDS[name]
    if endpoint not in kind.endpoints:
        raise ValueError(f"The fault {name!r} does not fit {endpoint}; it fits {', '.join(kind.endpoints)}.")
    _check_value(name, kind.value, value)
    times = None if match["times"] is None else int(match["times"])
    if times == 0:
        raise ValueError(f"{text!r} would never happen: the number after * must be at least 1.")
    return Fault(endpoint, name, value, times)


@dataclass(slots=True)
class _Planned:
    fault: Fault
    left: int | None

    def __str__(self) -> str:
        return str(replace(self.fault, times=self.left))


class FaultPlan:
    """The faults that are to come: at each endpoint the first with uses left has its turn."""

    def __init__(self, faults: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._planned = _plan(faults)

    def replace(self, faults: Iterable[str]) -> None:
        """Forget all faults and plan these. Raises ValueError, changing nothing, when one cannot be read."""
        planned = _plan(faults)
        with self._lock:
            self._planned = planned

    def add(self, fault: str) -> None:
        """Plan one more fault, after those that are planned already."""
        planned = _plan([fault])
        with self._lock:
            self._planned = self._planned + planned

    def take(self, endpoint: str) -> tuple[Fault, ...]:
        """Use up, and return, what spoils the next request: one fault that takes turns, with what adds to it."""
        taken: dict[str, Fault] = {}
        with self._lock:
            for planned in self._planned:
                fault = planned.fault
                turn = fault.name if fault.combines else "turn"
                if fault.endpoint != endpoint or turn in taken:
                    continue
                taken[turn] = fault
                if planned.left is not None:
                    planned.left -= 1
            self._planned = [planned for planned in self._planned if planned.left != 0]
        return tuple(taken.values())

    def listed(self) -> list[str]:
        """Write the faults that are still to come, with the uses that are left."""
        with self._lock:
            return [str(planned) for planned in self._planned]


def _plan(faults: Iterable[str]) -> list[_Planned]:
    return [_Planned(fault, fault.times) for fault in map(parse_fault, faults)]


def _check_value(name: str, kind: ValueKind, value: str | None) -> None:
    if value is None:
        return
    if kind == "none":
        raise ValueError(f"The fault {name!r} takes no value.")
    if kind == "shape" and value not in ("list", "string"):
        raise ValueError(f"The value of {name!r} must be list or string, not {value!r}.")
    if kind == "number":
        try:
            fits = 0 <= float(value) < math.inf
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"The value of {name!r} must be a number from 0, not {value!r}.")


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(names)}."
