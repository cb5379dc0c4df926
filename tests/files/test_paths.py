"""Which path a typed name means on each system, and which existing name it nearly was."""

from __future__ import annotations

import os
import tracemalloc
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidgo_mcp.files.paths import LONGEST, nearest, parse_path, shown
from vidgo_mcp.files.unusable import UnusableError

HOME = {False: "/home/ann", True: "C:\\Users\\ann"}


def meant(text: str, *, windows: bool = False) -> str:
    return parse_path(text, home=HOME[windows], windows=windows)


def refusal(text: str, *, windows: bool = False, home: str | None = "/home/ann") -> str:
    with pytest.raises(UnusableError) as caught:
        parse_path(text, home=home, windows=windows)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("fox.png", "fox.png"),
        ("sub/../fox.png", "sub/../fox.png"),
        (" fox.png ", " fox.png "),
        ("100%.png", "100%.png"),
        ("my%20fox.png", "my%20fox.png"),
        ("a:b.png", "a:b.png"),
        ("CON", "CON"),
        ("back\\slash.png", "back\\slash.png"),
        ("~", "/home/ann"),
        ("~/fox.png", "/home/ann/fox.png"),
        ("~//etc/passwd", "/home/ann/etc/passwd"),
        ("./~fox.png", "./~fox.png"),
        ("file:///in/fox.png", "/in/fox.png"),
        ("FILE:///in/fox.png", "/in/fox.png"),
        ("file:/in/fox.png", "/in/fox.png"),
        ("file://localhost/in/fox.png", "/in/fox.png"),
        ("file://LocalHost/in/fox.png", "/in/fox.png"),
        ("file:///in/my%20fox.png", "/in/my fox.png"),
        ("file:///in/%2e%2e/fox.png", "/in/../fox.png"),
        ("file:///in%2Ffox.png", "/in/fox.png"),
        ("file:///in/%252e.png", "/in/%2e.png"),
        ("file:///in/100%.png", "/in/100%.png"),
        ("file:///in/what%3F%23.png", "/in/what?#.png"),
        ("file:///in/Fuchs-\u00fc.png", "/in/Fuchs-\u00fc.png"),
        ("file:///in/%FF.png", "/in/\udcff.png"),
        ("file:///~/fox.png", "/~/fox.png"),
    ],
)
def test_a_name_means_a_path(text: str, path: str) -> None:
    assert meant(text) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("fox.png", "fox.png"),
        ("sub\\..\\fox.png", "sub\\..\\fox.png"),
        ("C:\\in\\fox.png", "C:\\in\\fox.png"),
        ("c:/in/fox.png", "c:/in/fox.png"),
        ("~", "C:\\Users\\ann"),
        ("~\\fox.png", "C:\\Users\\ann\\fox.png"),
        ("~/fox.png", "C:\\Users\\ann/fox.png"),
        ("file:///C:/in/my%20fox.png", "C:/in/my fox.png"),
        ("file:/C:/in/fox.png", "C:/in/fox.png"),
        ("file://localhost/c:/in/fox.png", "c:/in/fox.png"),
        ("file:///C:/in/%C3%BC.png", "C:/in/\u00fc.png"),
        ("CONSOLE.png", "CONSOLE.png"),
        ("COM10.png", "COM10.png"),
    ],
)
def test_a_name_means_a_path_of_windows(text: str, path: str) -> None:
    assert meant(text, windows=True) == path


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "\\\\server\\share\\fox.png",
        "//server/share/fox.png",
        "/\\server/share/fox.png",
        "\\/server/share/fox.png",
        "\\\\?\\C:\\fox.png",
        "\\\\?\\UNC\\server\\share\\fox.png",
        "\\\\.\\pipe\\fox",
        "\\??\\C:\\fox.png",
        "file:////server/share/fox.png",
        "file://///server/share/fox.png",
        "file://localhost//server/share/fox.png",
        "file:///%2Fserver/share/fox.png",
        "file:///%5Cserver/share/fox.png",
        "file:///\\server/share/fox.png",
    ],
)
def test_a_network_or_device_path_is_refused_on_every_system(text: str, windows: bool) -> None:
    assert refusal(text, windows=windows).startswith("network and device paths are never opened")


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("host", ["server", "fox.png", "~", ".", "127.0.0.1", "localhost:80", "ann@localhost", "C:"])
def test_a_file_address_of_another_machine_is_refused(host: str, windows: bool) -> None:
    assert "has three slashes" in refusal(f"file://{host}/share/fox.png", windows=windows)
    assert "has three slashes" in refusal(f"file://{host}", windows=windows)


@pytest.mark.parametrize("text", ["file:", "file:fox.png", "file:~/fox.png", "file:C:/fox.png", "file:\\\\server\\a"])
def test_a_file_address_without_the_whole_path_is_refused(text: str) -> None:
    assert "needs the whole path" in refusal(text)


@pytest.mark.parametrize("text", ["file:///in/fox.png?size=1", "file:///in/fox.png#top", "file:///in/#1/fox.png"])
def test_a_file_address_with_a_query_or_fragment_says_how_to_write_these_characters(text: str) -> None:
    assert '"?" is written %3F and "#" is written %23' in refusal(text)


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("text", ["a\0.png", "a\n.png", "a\x1b[2J.png", "a\x7f.png", "file:///a%00.png", "file:///%0a"])
def test_a_control_character_is_refused(text: str, windows: bool) -> None:
    assert "control character" in refusal(text, windows=windows)


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_an_empty_name_is_refused(text: str) -> None:
    assert refusal(text) == "it names no file"


def test_an_absurdly_long_name_is_refused_before_it_is_decoded() -> None:
    assert "more than 4,096 characters" in refusal("a" * (LONGEST + 1))
    assert "more than 4,096 characters" in refusal("file:///" + "a" * LONGEST)
    endless = "file:///" + "%61" * 1_000_000
    tracemalloc.start()
    try:
        assert "more than 4,096 characters" in refusal(endless)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert meant("a" * LONGEST) == "a" * LONGEST
    assert meant("file:///" + "%C3%A9" * 2000) == "/" + "é" * 2000


def test_a_half_character_is_refused() -> None:
    assert "no file name can have" in refusal("fox\ud800.png")


@pytest.mark.parametrize(
    "text", ["C:\\Users\\ann\\fox.png", "c:/in/fox.png", "file:///C:/in/fox.png", "/C:/in/fox.png"]
)
def test_a_path_of_windows_is_refused_elsewhere(text: str) -> None:
    assert refusal(text) == "it is a path of Windows, and this server does not run on Windows"


def test_only_the_own_home_is_known() -> None:
    assert "written ./~name" in refusal("~bob/fox.png")
    assert "written ./~name" in refusal("~root")
    assert "written ./~name" in refusal("~\\fox.png")
    assert "written ./~name" in refusal("~bob\\fox.png", windows=True)
    for home in (None, ""):
        assert "write the whole path" in refusal("~/fox.png", home=home)
    assert parse_path("~/fox.png", home="/", windows=False) == "/fox.png"


@pytest.mark.parametrize("text", ["C:fox.png", "c:", "C:..\\fox.png", "file:///C:fox.png", "file:///C:"])
def test_a_path_that_depends_on_a_drives_folder_is_refused_on_windows(text: str) -> None:
    assert "folder is missing after the drive" in refusal(text, windows=True)


@pytest.mark.parametrize("text", ["\\in\\fox.png", "/in/fox.png", "file:///in/fox.png", "file:///./C:/fox.png"])
def test_a_path_without_its_drive_is_refused_on_windows(text: str) -> None:
    assert "its drive is missing" in refusal(text, windows=True)


@pytest.mark.parametrize(
    "name",
    ["CON", "con.png", "Nul", "aux.tar.png", "COM1", "com9.png", "LPT1", "COM\u00b9.png", "CONIN$", "nul .png", "PRN"],
)
@pytest.mark.parametrize("form", ["{}", "C:\\in\\{}", "C:/in/{}/fox.png", "~\\{}", "file:///C:/in/{}"])
def test_a_device_of_windows_is_refused(form: str, name: str) -> None:
    assert "a device of Windows" in refusal(form.format(name), windows=True, home=HOME[True])


@pytest.mark.parametrize(
    "text", ["fox.png:secret", "C:\\in\\fox.png::$DATA", "~\\a:b", "file:///C:/in/fox.png%3Asecret"]
)
def test_another_stream_of_a_file_is_refused_on_windows(text: str) -> None:
    assert "behind a colon" in refusal(text, windows=True, home=HOME[True])


@pytest.mark.parametrize("text", ["fox.png.", "fox.png ", "a \\fox.png", "...\\fox.png", "wh*t.png", "C:\\in\\a|b.png"])
def test_a_name_that_windows_would_change_or_cannot_have_is_refused(text: str) -> None:
    assert refusal(text, windows=True) == "Windows has no file of such a name"


def test_a_file_address_that_is_not_utf_8_is_refused_on_windows() -> None:
    assert "not UTF-8" in refusal("file:///C:/in/%FF.png", windows=True)


@given(
    text=st.text(st.characters()) | st.text(st.sampled_from("file:/\\.%2eE0~C\0?# \ud800\udcff")),
    windows=st.booleans(),
    home=st.sampled_from([None, "/home/ann", "C:\\Users\\ann", "/"]),
)
@example(text="file:\ud800", windows=True, home=None)
def test_any_text_means_a_harmless_path_or_is_refused(text: str, windows: bool, home: str | None) -> None:
    try:
        path = parse_path(text, home=home, windows=windows)
    except UnusableError:
        return
    os.fsencode(path)
    assert not any(unicodedata.category(character) == "Cc" for character in path)
    assert not path.replace("\\", "/").startswith("//")
    assert not windows or ":" not in path[2:]


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: not any(byte < 32 or byte == 127 for byte in raw)))
def test_every_name_can_be_written_as_a_file_address(raw: bytes) -> None:
    path = "/in/" + os.fsdecode(raw)
    if any(unicodedata.category(character) == "Cc" for character in path):
        return
    assert meant("file://" + quote(os.fsencode(path))) == path


@pytest.mark.parametrize(
    ("typed", "there"),
    [
        ("fox.png", "Fox.PNG"),
        ("FOX.PNG", "fox.png"),
        ("f\u00fcchse.png", "fu\u0308chse.png"),
        ("Fu\u0308chse.png", "f\u00fcchse.png"),
        ("my%20fox.png", "my fox.png"),
        ("my fox.png", "my%20fox.png"),
        ("My%20Fox.png", "my fox.png"),
        ("fox.jpg", "fox.png"),
        ("fox", "fox.webp"),
        ("fox.jpeg", "fox"),
        ("fox.pgn", "fox.png"),
        ("Fox.txt", "fox.jpeg"),
        ("fxo.png", "fox.png"),
        ("lighthouse-at-dwan.png", "lighthouse-at-dawn.png"),
    ],
)
def test_the_name_that_was_nearly_typed_is_found(typed: str, there: str) -> None:
    assert nearest(typed, ["zebra.gif", "notes.txt", there, "unrelated.webp"]) == there


def test_the_nearer_of_two_near_names_is_found() -> None:
    assert nearest("fox.png", ["fox.jpg", "fax.png", "FOX.png"]) == "FOX.png"
    assert nearest("a%20b.png", ["a-b.png", "a b.jpg", "a b.png"]) == "a b.png"
    assert nearest("fox.png", ["fax.png", "fox.jpg"]) == "fox.jpg"
    assert nearest("foxes.png", ["fox.png", "foxe.png"]) == "foxe.png"


def test_no_name_is_found_when_none_is_near() -> None:
    assert nearest("fox.png", ["zebra.gif", "notes.txt", ".png"]) is None
    assert nearest("fox.png", []) is None
    assert nearest("fox.tar", ["fox.zip"]) is None
    assert nearest("fx.pgn", ["fx.txt"]) is None


def test_a_shown_name_has_no_character_that_moves_the_terminal_or_cannot_be_encoded() -> None:
    assert shown("f\u00fcchse \U0001f98a.png") == "f\u00fcchse \U0001f98a.png"
    assert shown("a\nb\x1b\x9b\u202e\u2028\ud800\udcff\U000e0001") == (
        "a\\x0ab\\x1b\\x9b\\u202e\\u2028\\ud800\\xff\\U000e0001"
    )


@given(st.text(st.characters()))
def test_any_name_can_be_shown(name: str) -> None:
    assert not {unicodedata.category(one) for one in shown(name)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown(name).encode()
