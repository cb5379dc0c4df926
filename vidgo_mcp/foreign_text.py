"""Text of others is data: prompts, Vidgo's words, names and paths are made safe for each place where they are shown.

Each place has one function: ``plain_text`` for a line, ``quoted`` for a sentence of ours, ``escape`` where nothing may
get lost (a path), ``terminal_text`` for a whole output, ``csv_cell`` for a spreadsheet, ``json_text`` for JSON, and
``plain_url`` for a URL that stands alone.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from unicodedata import category, normalize

SHOWN: Final = 300
"""Characters of a foreign text before it is cut."""
LONGEST_URL: Final = 4096

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters that show nothing, and what is reserved for more of them: https://www.unicode.org/reports/tr44/ (ignorable)
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_MOST_MARKS: Final = 3
"""On one letter. More of them cover the lines above and below, or carry a hidden text."""
_QUOTES: Final = str.maketrans(
    dict.fromkeys(
        '"\u02ba\u02dd\u02ee\u02f6\u05f4\u1cd3\u201c\u201d\u201e\u201f\u2033\u2034\u2036\u2037\u2057\u275d\u275e\u2760\u2e42'
        "\u3003\u301d\u301e\u301f\uff02\U0001f676\U0001f677\U0001f678",
        "'",
    )
)
_CELL_ENDS: Final = re.compile(r"([;\n])")
_UNUSUAL: Final = re.compile(r"[^\n -~]")
_URL: Final = re.compile(r"https?://[!#-;=?-\[\]^_a-z{|}~]+", re.IGNORECASE | re.ASCII)


def plain_text(text: str, limit: int = SHOWN) -> str:
    """Return foreign text as one trimmed line without control, formatting or invisible characters."""
    kept, marks = [], 0
    for character in " ".join(text.split(maxsplit=limit * 4))[: limit * 4]:
        kind = category(character)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if marks <= _MOST_MARKS:
            kept.append(" " if kind in _HIDDEN or _BLANK.match(character) else character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def quoted(text: str, limit: int = SHOWN) -> str:
    """Return foreign text as one line in quotation marks, which it cannot close; a cut one says how long it was."""
    line = plain_text(text, max(limit, len(text)))
    shown = (line if len(line) <= limit else f"{line[:limit]}...").translate(_QUOTES)
    # After a backslash our own mark would look like one of the text.
    end = " " if shown.endswith("\\") else ""
    return f'"{shown}{end}"{"" if len(line) <= limit else f" ({len(text)} characters)"}'


def escape(text: str) -> str:
    r"""Return a text on one line without losing anything: what is not printable is escaped, such as ``\n``."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def terminal_text(text: str) -> str:
    """Return lines as a terminal may get them: what moves its cursor, turns its text or gives orders is escaped."""

    def shown(found: re.Match[str]) -> str:
        return found[0] if category(found[0]) == "Zs" else escape(found[0])

    return _UNUSUAL.sub(shown, text.replace("\r\n", "\n"))


def csv_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection."""
    # Where ; separates cells (as in Excel with a decimal comma) our commas and quotes do not: a cell may begin inside.
    inside = "".join(f"'{part}" if _is_formula(part) else part for part in _CELL_ENDS.split(text))
    return terminal_text(f"'{inside}" if text.startswith(("\t", "\r", "\n")) else inside)


def _is_formula(text: str) -> bool:
    return normalize("NFKC", plain_text(text, 8)[:1]).startswith(("=", "+", "-", "@"))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON whose texts are exact and yet plain: what does not print, or breaks or turns a line, is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def plain_url(url: str) -> bool:
    """Return whether a URL may stand on a line of its own: plain characters, and not too many."""
    return len(url) <= LONGEST_URL and _URL.fullmatch(url) is not None


def described_url(url: str) -> str:
    """Return a URL, or what it is like where it is too long or too odd to be shown."""
    return url if plain_url(url) else f"(a URL of {len(url)} characters, which is not shown)"
