"""Each argument and result field, defined once: its type, its limits, how it is folded, and the words that describe it.

The client, the tools, the command line and the documents all take a field from here. Input is read leniently
(``"2"`` is 2, ``HIGH`` is high, one string is a list of one) because the caller is a language model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from vidgo_mcp.models.references import split_references
from vidgo_mcp.models.sizes import LONGEST_SIZE, Quality, Tier, fold_size, parse_size
from vidgo_mcp.models.tasks import TASK_ID_RULE, is_task_id

PROMPT_LIMIT: Final = 4000
MOST_REFERENCES: Final = 16
DEFAULT_WAIT: Final = 40
LONGEST_WAIT: Final = 600

_TASK_PREFIXES = re.compile(r"\A(\s*task:)+", re.IGNORECASE)


def _folded(fold: Callable[[str], Any]) -> BeforeValidator:
    """Fold what is text; the type of anything else is checked as it is."""
    return BeforeValidator(lambda value: fold(value) if isinstance(value, str) else value)


def _fold_tier(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value in {1, 2, 4}:
        return f"{value}K"
    if not isinstance(value, str) or len(value) > LONGEST_SIZE:
        return value
    folded = "".join(value.split()).upper()
    return f"{folded}K" if folded in {"1", "2", "4"} else folded


def _fold_integer(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "a truth value is not a whole number")
    return value.strip() if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """Return references as a list, however they were written: as one text, as JSON, as Python writes a list."""
    if isinstance(value, str):
        value = _from_json(value.strip())
    if not isinstance(value, list | tuple):
        return value
    return [one for item in value for one in (split_references(item) if isinstance(item, str) else [item])]


def _from_json(text: str) -> Any:
    for written in (text, text.replace("'", '"')) if text.startswith("[") else ():
        with suppress(ValueError, RecursionError):
            return json.loads(written)
    return [text]


def _sendable(value: str) -> str:
    if not value.strip():
        raise ValueError("it is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair; send whole characters") from None
    return value


def _usable_id(value: str) -> str:
    if not is_task_id(value):
        raise ValueError(f"{value[:60]!r} is no task_id, which has {TASK_ID_RULE}; copy it from an earlier result")
    return value


Integer = Annotated[int, BeforeValidator(_fold_integer)]
Prompt = Annotated[
    str,
    AfterValidator(_sendable),
    Field(
        max_length=PROMPT_LIMIT,
        strict=True,
        description=f"What the image shows, or what an edit changes, in words; at most {PROMPT_LIMIT} characters. "
        "Sent unchanged.",
    ),
]
SizeText = Annotated[
    str,
    _folded(fold_size),
    AfterValidator(lambda text: str(parse_size(text))),
    Field(
        description="A ratio, unless the user names pixels: 1:1, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 16:9, 9:16, 21:9. auto "
        "(default): Vidgo chooses, at 1K. WIDTHxHEIGHT (multiples of 16) needs resolution 2K, or 4K for an edge of "
        "3840."
    ),
]
Resolution = Annotated[
    Tier,
    BeforeValidator(_fold_tier),
    Field(description="1K, 2K or 4K; more costs more. Left out, a ratio is 1K. 4K exists for 16:9, 9:16 and 21:9."),
]
QualityField = Annotated[
    Quality,
    _folded(lambda text: text.strip().lower()),
    Field(description="Default low."),
]
Variation = Annotated[
    Integer,
    Field(
        ge=1,
        le=1_000_000,
        description="Which image of this request, not how many: one call makes one image; for four, call four times "
        "with 1, 2, 3, 4 (default 1). Each new number costs again.",
    ),
]
MaxCredits = Annotated[
    Integer,
    Field(
        ge=0,
        le=1_000_000_000,
        description="Limit of this one call, not a total: refused before spending when the price is higher. 0: only "
        "return it if already paid for.",
    ),
]
WaitSeconds = Annotated[
    Integer,
    Field(
        ge=0,
        le=LONGEST_WAIT,
        description=f"How many seconds this call may wait, 0 to {LONGEST_WAIT}; then it answers pending. Many clients "
        "give up after 60.",
    ),
]
Reference = Annotated[str, _folded(str.strip), AfterValidator(_sendable), Field(strict=True)]
References = Annotated[
    list[Reference],
    BeforeValidator(_listed),
    Field(
        min_length=1,
        max_length=MOST_REFERENCES,
        description=f"1 to {MOST_REFERENCES} pictures to edit or combine, in order: task:<task_id> for one made here, "
        "an http(s) URL, or a data:image/...;base64 URI.",
    ),
]
TaskId = Annotated[
    str,
    _folded(lambda text: _TASK_PREFIXES.sub("", text).strip()),
    AfterValidator(_usable_id),
    Field(max_length=200, strict=True, description="The task_id of an earlier result."),
]
Limit = Annotated[
    Integer, Field(ge=1, le=50, description="Without task_id: how many of the newest tasks, 1 to 50 (default 10).")
]
Count = Annotated[Integer, Field(ge=1, le=1000, description="How many pictures to price, 1 to 1000 (default 1).")]
MaxEdge = Annotated[Integer, Field(ge=256, le=1024, description="Longest edge in pixels, 256 to 1024 (default 768).")]
ShownEdge = Annotated[Integer, Field(ge=64, le=2048, description="Longest edge in pixels, 64 to 2048 (default 1024).")]

Outcome = Literal["finished", "pending", "failed", "unknown"]
