"""The first gate: reads what a model sent, and names every fault of it at once, in words it can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from vidgo_mcp.errors import Facts, Fault, InvalidRequestError
from vidgo_mcp.foreign_text import plain_text
from vidgo_mcp.models.fields import References
from vidgo_mcp.models.references import check_reach, read_reference
from vidgo_mcp.models.requests import Arguments, EditArguments, GenerateArguments, Picture
from vidgo_mcp.models.sizes import nearest_offered, parse_size
from vidgo_mcp.pricing import PUBLISHED, PriceTable, UnpriceableError, quote

A = TypeVar("A", bound=Arguments)

SENTENCES: Final[Mapping[str, str]] = {
    "literal_error": "{name} {seen} is not offered; allowed: {allowed}",
    "int": "{name} {seen} is not a whole number",
    "greater_than_equal": "{name} {seen} is too small; at least {ge} is allowed",
    "less_than_equal": "{name} {seen} is too large; at most {le} is allowed",
    "string_type": "{name} must be text, {seen} was given",
    "text_too_long": "{name} has {actual_length:,} characters; at most {max_length:,} are allowed",
    "too_long": "{name} has {actual_length} entries; at most {max_length} are allowed",
    "too_short": "{name} is empty; at least one is needed",
    "list_type": "{name} must be a list of texts, {seen} was given",
    "value_error": "{name}: {error}",
}
"""What is wrong, by pydantic's word for it and with what it tells of it."""
COUNTS: Final = frozenset({"n", "count", "num_images", "number_of_images", "num_outputs", "batch_size"})
SAME_THING: Final[Mapping[str, str]] = {
    "aspect_ratio": "size",
    "width": "size",
    "height": "size",
    "dimensions": "size",
    "image": "image_urls",
    "images": "image_urls",
    "image_url": "image_urls",
    "reference": "image_urls",
    "timeout": "wait_seconds",
    "wait": "wait_seconds",
    "seed": "variation",
    "text": "prompt",
    "budget": "max_credits",
    "id": "task_id",
}
LONGEST_ECHO: Final = 200
LONGEST_NAME: Final = 60
MOST_FAULTS: Final = 20
"""Of one call, of what is wrong with its arguments; a call can have thousands that are not known."""

_REFERENCES: Final = TypeAdapter(References)


def read_arguments(
    model: type[A], raw: Mapping[str, Any] | None, prices: PriceTable = PUBLISHED, *, local_api: bool = False
) -> A:
    """Return the arguments of a call; ``prices`` are those of the examples.

    ``local_api``: Vidgo is imitated on this machine, and reaches what is on it.

    Raises:
        InvalidRequestError: with every fault of the call, and a corrected example with its price.
    """
    given = dict(raw or {})
    faults: list[Fault] = []
    arguments: A | None = None
    try:
        arguments = model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults = list(dict.fromkeys(_fault(model, detail) for detail in details[:MOST_FAULTS]))
        if len(details) > MOST_FAULTS:
            faults.append(Fault("arguments", f"and {len(details) - MOST_FAULTS:,} more faults"))
    unreadable = {fault.field for fault in faults}
    if issubclass(model, Picture) and not unreadable & {"size", "resolution"}:
        readable = {name: given[name] for name in given.keys() & Picture.model_fields.keys() - unreadable}
        picture = arguments if isinstance(arguments, Picture) else Picture.model_validate(readable)
        try:
            quote(parse_size(picture.size), picture.resolution, picture.quality, prices)
        except UnpriceableError as error:
            faults.append(Fault(error.field, str(error)))
    if issubclass(model, EditArguments) and "image_urls" not in unreadable:
        for index, reference in enumerate(_REFERENCES.validate_python(given["image_urls"])):
            try:
                source = read_reference(reference)
                if not local_api:
                    check_reach(source)
            except ValueError as error:
                faults.append(Fault("image_urls", f"image_urls[{index}] {shown_reference(reference)}: {error}"))
                unreadable.add("image_urls")
    if arguments is None or faults:
        raise InvalidRequestError.from_faults(faults, facts=_example(model, given, unreadable, prices))
    return arguments


def _fault(model: type[Arguments], detail: ErrorDetails) -> Fault:
    location = [str(part) for part in detail["loc"]]
    if not location:
        return Fault("arguments", "the arguments must be a JSON object")
    field, kind, value, context = location[0], detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        name = plain_text(field, LONGEST_NAME)
        return Fault(name, _unknown_argument(model, name))
    if kind == "missing":
        return Fault(field, f"{field} is required: {model.model_fields[field].description}")
    if kind.startswith("int_"):
        kind = "int"
    elif kind == "too_long" and isinstance(value, str) and field != "image_urls":  # one text may name several
        kind = "text_too_long"
    name = f"{field}[{location[1]}]" if len(location) > 1 else field
    allowed = str(context.get("expected", "")).replace("'", "")
    sentence = SENTENCES.get(kind, "{name} {seen} is not allowed")
    return Fault(field, sentence.format(name=name, seen=_shown(value), allowed=allowed, **context))


def _unknown_argument(model: type[Arguments], field: str) -> str:
    known = list(model.model_fields)
    lowered = field.lower()
    if lowered in COUNTS and issubclass(model, GenerateArguments):
        return (
            f"{field} is no argument: one call makes one picture; for several, make several calls with variation "
            "1, 2, 3, ... and otherwise the same arguments"
        )
    meant = "count" if lowered in COUNTS and "count" in known else SAME_THING.get(lowered, lowered)
    if meant == "image_urls" and model is GenerateArguments:
        return f"{field} is no argument of generate_image: to change or combine pictures call edit_image"
    near = [meant] if meant in known else get_close_matches(lowered, known, n=1, cutoff=0.5)
    if near:
        return f"{field} is no argument; did you mean {near[0]}?"
    takes = f"the arguments are {', '.join(known)}" if known else "this tool takes no arguments"
    return f"{field} is no argument; {takes}"


def shown_reference(reference: str) -> str:
    """Return a reference as errors show it: short, in quotes, and without a password."""
    # What stands before an @ may be one, and errors are logged by clients.
    return _shown(re.sub(r"//[^/]*@", "//...@", reference))


def _example(model: type[Arguments], given: Mapping[str, Any], unreadable: set[str], prices: PriceTable) -> Facts:
    """Return the call again, corrected: what was right is kept, what was wrong takes its default or its replacement."""
    kept = {k: v for k, v in given.items() if k in model.model_fields and k not in unreadable}
    if "size" in unreadable and isinstance(given["size"], str) and (nearest := nearest_offered(given["size"])):
        kept["size"] = nearest
    # Placeholders, not examples: a model may copy them, and a picture that nobody asked for costs credits.
    if "prompt" in model.model_fields:
        kept.setdefault("prompt", "<your prompt>")
        if len(kept["prompt"]) > LONGEST_ECHO:
            kept["prompt"] = "<the same prompt>"
    if "image_urls" in model.model_fields:
        kept.setdefault("image_urls", ["task:<task_id>"])
        if len(str(kept["image_urls"])) > LONGEST_ECHO:
            kept["image_urls"] = ["<the same image_urls>"]
    if "task_id" in model.model_fields and model.model_fields["task_id"].is_required():
        kept.setdefault("task_id", "<task_id>")
    if not issubclass(model, Picture):
        return Facts(example=kept)
    call = model.model_validate(kept)
    limit = call.max_credits if isinstance(call, GenerateArguments) else None
    changes, price = _priceable(call, limit, prices)
    example = {name: value for name, value in (kept | changes).items() if value is not None}
    return Facts(example=example, price=price, limit=limit)


def _priceable(picture: Picture, limit: int | None, prices: PriceTable) -> tuple[dict[str, Any], int]:
    """Return what has to change so that the picture has a price, within the limit where that can be, and the price."""
    try:
        return {}, quote(parse_size(picture.size), picture.resolution, picture.quality, prices).credits
    except UnpriceableError as error:
        affordable = (s for s in error.suggestions if limit is None or s.credits <= limit)
        best = next(affordable, min(error.suggestions, key=lambda suggestion: suggestion.credits))
        return {"size": best.size, "resolution": best.resolution}, best.credits


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = "(too long to show)"
    shown = plain_text(text, 60)
    # A text that was cut has lost its closing quote.
    return f'{shown}"' if text.startswith('"') and not shown.endswith('"') else shown
