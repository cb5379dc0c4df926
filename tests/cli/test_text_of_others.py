"""Text of others gives a terminal no orders, forges no line, and is no formula in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import World

HOSTILE = [
    "fox\x1b]52;c;aGk=\x07\x1b[2J",
    "fox\x9b2J\x85end",
    "fox\rdone",
    "fox\nNext: pay",
    "fox\u2028Next: pay",
    "\u202efox\u2066\u200b",
    'fox" 0 credits',
    "[red]fox[/red] [link=https://evil.example]here[/link]",
    '=HYPERLINK("https://evil.example")',
    " +fox",
    "-fox",
    "\uff20fox",
    "\tfox",
]
TITLE = "\x1b]0;owned\x07"


def check_orders(text: str) -> None:
    """Nothing moves the cursor, turns the text, or orders the terminal about."""
    assert all(line.isprintable() for line in text.split("\n")), text


def check_lines(text: str) -> None:
    """Hold what a terminal gets against what it may get."""
    check_orders(text)
    assert not any(line.startswith("Next:") for line in text.split("\n"))


@pytest.fixture
def paid(world: Callable[..., World]) -> World:
    """A journal with a picture for each hostile prompt."""
    here = world()
    for prompt in HOSTILE:
        assert here.run("generate", "--wait-seconds", "0", "--", prompt).exit_code == 4
    here.sandbox.advance(600)
    return here


def test_no_prompt_reaches_a_terminal_raw(paid: World) -> None:
    task_id = next(iter(paid.sandbox.tasks))
    for command in (
        ("journal", "--limit", "50"),
        ("journal", "--json"),
        ("journal", "show", task_id),
        ("journal", "export"),
        ("task", "--limit", "50"),
        ("task", "--json"),
        ("task", task_id),
        ("doctor",),
    ):
        ran = paid.vidgo.run(*command)
        assert ran.returncode == 0, ran.stderr
        check_lines(ran.stdout)
        check_lines(ran.stderr)
    # Between its quotation marks a cell may have several lines.
    check_orders(paid.vidgo.run("journal", "export", "--format", "csv").stdout)
    assert 'low, variation 1: "[red]fox[/red] [link=https://evil.example]here' in paid.vidgo.run("journal").stdout


def test_json_is_exact_and_no_cell_of_the_export_is_a_formula(paid: World, tmp_path: Path) -> None:
    exported = json.loads(paid.vidgo.run("journal", "export").stdout)["entries"]
    place = tmp_path / "out.csv"
    assert paid.vidgo.run("journal", "export", "--format", "csv", "-o", str(place)).returncode == 0
    cells = [row["prompt"] for row in csv.DictReader(io.StringIO(place.read_bytes().decode()))]

    assert [entry["prompt"] for entry in exported] == HOSTILE[::-1]
    formulas = [cell for cell in cells if cell.startswith("'")]
    assert formulas == ["'\\tfox", "'\uff20fox", "'-fox", "' +fox", '\'=HYPERLINK("https://evil.example")']
    assert not any(character in cell for cell in cells for character in "\x1b\x9b\r\u202e\u2028")


@pytest.mark.parametrize("words", HOSTILE, ids=ascii)
def test_words_of_vidgo_are_quoted_on_a_terminal(world: Callable[..., World], words: str) -> None:
    failed = world(f"task:failed=not {words}", seconds=0.1).run("generate", "a fox")
    refused = world(f"submit:refuse=400:not {words}").run("generate", "a fox")

    for ran in (failed, refused):
        check_lines(ran.output)
        assert 'Vidgo says: "not ' in ran.output


def test_what_is_typed_reaches_no_terminal_raw(world: Callable[..., World]) -> None:
    here, typed = world(), f"fox{TITLE}\nNext: pay"
    for command in (
        (typed,),
        (f"--{typed}",),
        ("generate", "a fox", f"--{typed}", "1"),
        ("generate", "a fox", "--size", typed),
        ("generate", "a fox", "--image", typed),
        ("generate", "a fox", "-o", f"no folder/{typed}"),
        ("task", typed),
        ("journal", "show", typed),
        ("journal", "export", "-o", f"no folder/{typed}"),
        ("journal", "--limit", typed),
        ("demo", "--output", f"/dev/null/{typed}"),
        ("serve", "--http", "--host", typed),
        ("sandbox", "--fault", typed),
    ):
        ran = here.vidgo.run(*command)
        assert ran.returncode != 0, command
        check_lines(ran.stdout + ran.stderr)


@pytest.mark.parametrize(
    "name",
    [
        *("VIDGO_JOURNAL", "VIDGO_SAVE_DIR", "VIDGO_INPUT_DIRS", "VIDGO_BASE_URL", "VIDGO_PRICES", "VIDGO_LOG_LEVEL"),
        *("VIDGO_API_KEY", "VIDGO_WAIT_SECONDS", f"VIDGO_NEW{TITLE}", "HTTPS_PROXY", "SSL_CERT_FILE", "HOME"),
        *("XDG_STATE_HOME", "XDG_PICTURES_DIR", "OTEL_TRACES_EXPORTER"),
    ],
    ids=ascii,
)
def test_no_variable_reaches_a_terminal_raw(invoke: Callable[..., Result], tmp_path: Path, name: str) -> None:
    for value in (f"fox{TITLE}\nNext: pay", str(tmp_path / f"fox{TITLE}")):
        check_lines(invoke("doctor", "--sandbox", **{name: value}).output)


def test_a_picture_is_saved_below_a_hostile_folder_and_its_path_is_one_line(world: Callable[..., World]) -> None:
    here = world(seconds=0.1)
    place = here.vidgo.folder / f"fox{TITLE}\nNext: pay"
    place.mkdir()

    ran = here.vidgo.run("generate", "a fox", "-o", str(place))

    assert ran.returncode == 0, ran.stderr
    check_lines(ran.stdout)
    assert f"saved as {here.vidgo.folder}/fox\\x1b]0;owned\\x07\\nNext: pay/" in ran.stdout
