"""Every message between a view and a host, held against the official schema of MCP Apps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

UNKNOWN_METHOD: Final = "ui/of-tomorrow"
"""What a host of the future might ask; no schema has it."""
DEMANDED: Final = frozenset({"containerDimensions", "variables"})
"""Where the schema asks for what the specification leaves open: one dimension and no other, and every style."""


class MessageSchema:
    """The schema that ``@modelcontextprotocol/ext-apps`` brings."""

    def __init__(self, home: Path) -> None:
        path = home / "node_modules/@modelcontextprotocol/ext-apps/dist/src/generated/schema.json"
        definitions: Mapping[str, Any] = json.loads(path.read_text("utf-8"))["$defs"]
        self._validators = {name: Draft202012Validator(found) for name, found in definitions.items()}
        self._names = {
            found["properties"]["method"]["const"]: name
            for name, found in definitions.items()
            if "method" in found.get("properties", {})
        }

    def check(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Hold every ``ui/*`` message against the schema, and every answer to one.

        Raises:
            ValidationError: one is not as the schema says.
        """
        asked: dict[tuple[str, Any], str] = {}
        for recorded in messages:
            message, sender = recorded["message"], recorded["from"]
            method = message.get("method", "")
            if method.startswith("ui/") and method != UNKNOWN_METHOD:
                name = self._names[method]
                self._validators[name].validate(
                    _sayable({part: message[part] for part in ("method", "params") if part in message})
                )
                if "id" in message:
                    asked[sender, message["id"]] = name.replace("Request", "Result")
            elif not method:
                answered = asked.pop(("host" if sender == "view" else "view", message["id"]), "")
                if answered in self._validators and "result" in message:
                    self._validators[answered].validate(_sayable(message["result"]))


def _sayable(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _sayable(value) for key, value in told.items() if key not in DEMANDED}
    return told
