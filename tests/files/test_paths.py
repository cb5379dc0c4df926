"""Which path a typed name means on each system, and which existing name it nearly was."""

from __future__ import annotations

import os
import tracemalloc
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidgo_mcp.files.paths import LONGEST, nearest, parse_path
from vidgo_mcp.files.unusable import UnusableError

HOME = {False: "/home/ann", True: "C:\\Users\\ann"}


def refusal(text: str, *, windows: bool = False, home: str | None = "/home/ann") -> str:
    with pytest.raises(UnusableError) as caught:
        parse_path(text, home=home, windows=windows)
    return str(caught.value)


@pytest.mark.parametrize(
    ("windows", "text", "path"),
    [
        (False, "fox.png", "fox.png"),
        (False, "sub/../fox.png", "sub/../fox.png"),
        (False, " fox.png ", " fox.png "),
        (False, "my%20fox.png", "my%20fox.png"),
        (False, "CON", "CON"),
        (False, "back\\slash.png", "back\\slash.png"),
        (False, "~", "/home/ann"),
        (False, "~/fox.png", "/home/ann/fox.png"),
        (False, "~fox.png", "~fox.png"),
        (False, "file:///in/fox.png", "/in/fox.png"),
        (False, "FILE:/in/fox.png", "/in/fox.png"),
        (False, "file://LocalHost/in/fox.png", "/in/fox.png"),
        (False, "file:///in/my%20fox.png", "/in/my fox.png"),
        (False, "file:///in/%2e%2e/fox.png", "/in/../fox.png"),
        (False, "file:///in%2Ffox.png", "/in/fox.png"),
        (False, "file:///in/%252e.png", "/in/%2e.png"),
        (False, "file:///in/100%?#.png", "/in/100%?#.png"),
        (False, "file:///in/Fuchs-\u00fc.png", "/in/Fuchs-\u00fc.png"),
        (False, "file:///in/%FF.png", "/in/\udcff.png"),
        (False, "file:///~/fox.png", "/~/fox.png"),
        (False, "file:///C:/in/fox.png", "/C:/in/fox.png"),
        (True, "C:\\in\\fox.png", "C:\\in\\fox.png"),
        (True, "sub\\..\\CONSOLE.png", "sub\\..\\CONSOLE.png"),
        (True, "COM10.png", "COM10.png"),
        (True, "~", "C:\\Users\\ann"),
        (True, "~\\fox.png", "C:\\Users\\ann\\fox.png"),
        (True, "~/fox.png", "C:\\Users\\ann/fox.png"),
        (True, "file:///C:/in/my%20fox.png", "C:/in/my fox.png"),
        (True, "file://localhost/c:/in/%C3%BC.png", "c:/in/\u00fc.png"),
    ],
)
def test_a_name_means_a_path(windows: bool, text: str, path: str) -> None:
    assert parse_path(text, home=HOME[windows], windows=windows) == path


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "\\\\server\\share\\fox.png",
        "//server/share/fox.png",
        "/\\server/share/fox.png",
        "\\\\?\\C:\\fox.png",
        "\\\\.\\pipe\\fox",
        "\\??\\C:\\fox.png",
        "file:////server/share/fox.png",
        "file://localhost//server/share/fox.png",
        "file:///%2Fserver/share/fox.png",
        "file:///%5Cserver/share/fox.png",
    ],
)
def test_a_network_or_device_path_is_refused_on_every_system(text: str, windows: bool) -> None:
    assert refusal(text, windows=windows).startswith("network and device paths are never opened")


@pytest.mark.parametrize("host", ["server", "fox.png", "~", "127.0.0.1", "localhost:80", "ann@localhost", "C:"])
def test_a_file_address_of_another_machine_is_refused(host: str) -> None:
    assert "has three slashes" in refusal(f"file://{host}/share/fox.png")
    assert "has three slashes" in refusal(f"file://{host}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no file"),
        (" \t", "names no file"),
        ("file:", "needs the whole path"),
        ("file:fox.png", "needs the whole path"),
        ("fox\0.png", "no file name can have"),
        ("file:///in/fox%00.png", "no file name can have"),
        ("fox\ud800.png", "no file name can have"),
        ("x" * (LONGEST + 1), "more than 12,288 characters"),
    ],
)
def test_what_names_no_file_is_refused(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_a_name_without_end_is_refused_without_being_looked_at() -> None:
    endless = "file:///" + "%41" * 3_000_000
    tracemalloc.start()
    try:
        refusal(endless)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_home_is_named_only_where_it_is_known() -> None:
    assert "write the whole path" in refusal("~/fox.png", home=None)
    assert "write the whole path" in refusal("~", home="")
    assert [parse_path(text, home="/", windows=False) for text in ("~/fox.png", "~")] == ["/fox.png", "/"]


@pytest.mark.parametrize("name", ["CON", "con.png", "aux.tar.png", "COM1", "LPT1", "COM\u00b9", "CONIN$", "nul .png"])
@pytest.mark.parametrize("form", ["{}", "C:\\in\\{}", "C:/in/{}/fox.png", "C:{}", "~\\{}:a", "file:///C:/in/{}"])
def test_a_device_of_windows_is_refused(form: str, name: str) -> None:
    assert "a device of Windows" in refusal(form.format(name), windows=True, home=HOME[True])


@given(
    text=st.text(st.characters()) | st.text(st.sampled_from("file:/\\.%2eE0~C\0?# \ud800\udcff")),
    windows=st.booleans(),
    home=st.sampled_from([None, "/home/ann", "C:\\Users\\ann", "/"]),
)
@example(text="file:\ud800", windows=True, home=None)
@example(text="~//", windows=False, home="/")
def test_any_text_means_a_harmless_path_or_is_refused(text: str, windows: bool, home: str | None) -> None:
    try:
        path = parse_path(text, home=home, windows=windows)
    except UnusableError:
        return
    assert b"\0" not in os.fsencode(path)
    assert not path.replace("\\", "/").startswith("//")


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw))
def test_every_name_can_be_written_as_a_file_address(raw: bytes) -> None:
    path = "/in/" + os.fsdecode(raw)
    assert parse_path("file://" + quote(os.fsencode(path)), home=None, windows=False) == path


@pytest.mark.parametrize(
    ("typed", "there"),
    [
        ("FOX.PNG", "fox.png"),
        ("fox.png", "Fox.PNG"),
        ("f\u00fcchse.png", "fu\u0308chse.png"),
        ("Fu\u0308chse.png", "f\u00fcchse.png"),
        ("my%20fox.png", "my fox.png"),
        ("f.webp", "f.png"),
        ("fox", "fox.webp"),
        ("fox.pgn", "fox.png"),
        ("fxo.png", "fox.png"),
        ("lighthouse-at-dwan.png", "lighthouse-at-dawn.png"),
    ],
)
def test_the_name_that_was_nearly_typed_is_found(typed: str, there: str) -> None:
    assert nearest(typed, ["zebra.gif", "notes.txt", there, "unrelated.webp"]) == there


def test_no_name_is_found_that_is_not_near_and_the_nearer_of_two() -> None:
    assert nearest("fox.png", ["zebra.gif", "owl.png", ".png"]) is None
    assert nearest("fox.png", []) is None
    for names in (["fox.jpg", "FOX.png", "fax.png"], ["FOX.png", "fox.jpg"]):
        assert nearest("fox.png", names) == "FOX.png"
