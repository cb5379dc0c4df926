"""The tables in the documents are what the code says; ``REWRITE_DOCS=1`` writes them anew."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from vidgo_mcp.pricing import PUBLISHED
from vidgo_mcp.sandbox.submit_rules import CREDITS
from vidgo_mcp.server.tools import tool_entries
from vidgo_mcp.settings import PREFIX, SECRETS, Settings, SettingsError, load

ROOT = Path(__file__).parents[2]
REWRITE = os.environ.get("REWRITE_DOCS") == "1"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def prices() -> str:
    header, *rows = PUBLISHED.rows()
    return table(header, ([f"`{quality}`", *cells] for quality, *cells in rows))


def settings() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default in (None, ()) else f"`{int(default) if isinstance(default, bool) else default}`"
        rows.append((f"`{PREFIX}{name.upper()}`", shown, field.description or ""))
    return table(("variable", "default", "meaning"), rows)


def tools() -> str:
    rows = []
    for name, entry in tool_entries(40, PUBLISHED, reads_files=True).items():
        said = (entry.tool.description or "").split(". ")
        free = entry.tool.annotations is not None and entry.tool.annotations.read_only_hint
        cost = "free" if free else "spends credits"
        assert ("Free" if free else "Spends credits") in [part.rstrip(".") for part in said]
        arguments = ", ".join(f"`{argument}`" for argument in entry.tool.input_schema["properties"])
        rows.append((f"`{name}`", f"{said[0]}; {cost}", arguments or "none"))
    return table(("tool", "what it does", "arguments"), rows)


def environment_variables() -> list[dict[str, object]]:
    """Return what server.json says about the settings."""
    found = []
    for name, field in Settings.model_fields.items():
        variable: dict[str, object] = {
            "name": f"{PREFIX}{name.upper()}",
            "description": (field.description or "").replace("`", ""),
        }
        if name in SECRETS:
            variable["isSecret"] = True
        if field.annotation is bool:
            variable |= {"format": "boolean", "default": str(field.default).lower()}
        elif field.annotation is int:
            variable |= {"format": "number", "default": str(field.default)}
        elif field.default not in {None, ()}:
            variable["default"] = str(field.default)
        found.append(variable)
    return found


@pytest.mark.parametrize(
    ("document", "name", "expected"),
    [
        ("README.md", "tools", tools()),
        ("README.md", "prices", prices()),
        ("README.md", "settings", settings()),
        ("docs/billing.md", "prices", prices()),
    ],
    ids=str,
)
def test_a_table_says_what_the_code_says(document: str, name: str, expected: str) -> None:
    path = ROOT / document
    text = path.read_text("utf-8")
    between = re.compile(rf"(?<=<!-- {name} -->\n)(.*?)(?=<!-- /{name} -->)", re.DOTALL)
    assert len(between.findall(text)) == 1
    if REWRITE:
        path.write_text(between.sub(lambda _: f"{expected}\n", text), "utf-8")
        return
    assert between.findall(text)[0].strip() == expected


def test_server_json_names_the_settings() -> None:
    path = ROOT / "server.json"
    server = json.loads(path.read_text("utf-8"))
    if REWRITE:
        server["packages"][0]["environmentVariables"] = environment_variables()
        path.write_text(json.dumps(server, indent=2) + "\n", "utf-8")
        return
    assert server["packages"][0]["environmentVariables"] == environment_variables()


def test_the_sandbox_charges_what_the_documents_promise() -> None:
    assert PUBLISHED.credits == CREDITS


def test_what_the_documents_call_missing_is_missing() -> None:
    """README, docs/billing.md and the changelog say: no PostgreSQL, no HTTP abroad."""
    assert not [name for name in Settings.model_fields if re.match("http|allowed|public", name)]
    with pytest.raises(SettingsError, match="PostgreSQL is not supported yet"):
        load({"VIDGO_JOURNAL": "postgresql://host/journal"})


def test_the_documents_are_not_being_rewritten() -> None:
    """A run that writes must not pass for one that checks."""
    assert not REWRITE, "the tables were written anew; run again without REWRITE_DOCS"
