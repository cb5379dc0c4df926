"""JSON schemas that every client can read, derived from the shared models: flat, without references, unions or nulls.

Some hosts reject a tool, or all tools, over ``$ref``, ``anyOf``, ``format`` or a null type, so what goes on the wire is
less than pydantic can say; the models check the rest.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from vidgo_mcp.models.requests import Arguments, GenerateArguments
from vidgo_mcp.pricing import PriceTable

KEPT: Final = frozenset(
    "type description enum default items minimum maximum minItems maxItems minLength maxLength".split()  # noqa: SIM905
)
UNLISTED: Final = frozenset(
    "prompt created_at model size quality variation width height sources remedy next_variation more finding "  # noqa: SIM905
    "hidden_url price_again".split()
)
"""Fields of results that are not branched on: they are sent, but listing them would cost every conversation tokens."""


def input_schema(model: type[Arguments]) -> dict[str, Any]:
    """Return the schema of a tool's arguments; optional means not required, never null."""
    described = model.model_json_schema()
    schema: dict[str, Any] = {"type": "object", "properties": _flat_properties(described)}
    if described.get("required"):
        schema["required"] = described["required"]
    return schema


def picture_schema(model: type[Arguments], prices: PriceTable) -> dict[str, Any]:
    """Return the schema of a tool's arguments, with the prices where it makes a picture: that saves an estimate."""
    schema = input_schema(model)
    if issubclass(model, GenerateArguments):
        # Short, because every conversation pays for these words.
        origin = "as of summer 2026" if prices.source == "published" else "VIDGO_PRICES"
        said = f"{prices.line(origin)}.".replace(": low ", ": low (default) ")
        schema["properties"]["quality"]["description"] = said
    return schema


def output_schema(*models: type[BaseModel]) -> dict[str, Any]:
    """Return one schema for all results of a tool: the fields that programs branch on, nothing required.

    Nothing is required because the TypeScript SDK v1 checks errors against this schema too, and hides one that misses.
    """
    properties: dict[str, Any] = {}
    for model in models:
        for name, field in _flat_properties(model.model_json_schema()).items():
            if name not in UNLISTED:
                properties.setdefault(name, field)
    return {"type": "object", "properties": properties}


def _flat_properties(described: dict[str, Any]) -> dict[str, Any]:
    return {name: _flat(field) for name, field in described.get("properties", {}).items()}


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        field = options[0] | field
    flat = {key: value for key, value in field.items() if key in KEPT and value is not None}
    if "items" in flat:
        flat["items"] = {"type": flat["items"].get("type", "object")}
    return flat
