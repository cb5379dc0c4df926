"""What a reference picture can be, and what is refused before it reaches a file system or the network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from vidgo_mcp.models import references
from vidgo_mcp.models.fields import References
from vidgo_mcp.models.references import (
    MOST_PARTS,
    MOST_SEPARATORS,
    ReferenceSource,
    check_reach,
    read_reference,
    split_references,
)

A, B = "https://x.example/a.png", "https://x.example/b.png"
DIGITS = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"


def listed(value: object) -> list[str]:
    return TypeAdapter(References).validate_python(value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "http://example.com:8080/a.png?sig=a%20b&x=1#top",
        "HTTPS://EXAMPLE.COM/A.PNG",
        "https://[2001:db8::1]/a.png",
        "https://例え.jp/写真.png",
        "https://example.com",
    ],
)
def test_a_web_address_is_a_url_and_stays_as_it_is(url: str) -> None:
    assert read_reference(url) == ReferenceSource("url", url)


@pytest.mark.parametrize("text", ["task:task-unified-1-a", "TASK:task-unified-1-a", "task: task-unified-1-a "])
def test_an_earlier_picture_is_named_by_its_task(text: str) -> None:
    assert read_reference(text) == ReferenceSource("task", "task-unified-1-a")


@pytest.mark.parametrize("text", ["data:image/png;base64,AAAA", "DATA:image/webp;base64,AAAA"])
def test_inline_data_is_kept_whole(text: str) -> None:
    assert read_reference(text) == ReferenceSource("data", text)


@pytest.mark.parametrize(
    "path",
    [
        "photo.png",
        "./photo.png",
        "../photo.png",
        "/home/me/photo 1.png",
        "~/photo.png",
        "C:\\x.png",
        "c:/x.png",
        "D:x.png",
        "\\\\server\\share\\x.png",
        "file:///home/me/photo.png",
        "FILE:///C:/x.png",
        "holiday 12:30.png",
        "写真.png",
        "http",
        "//example.com/a.png",
        ".",
    ],
)
def test_everything_else_is_a_file_and_a_scheme_of_one_letter_is_a_drive(path: str) -> None:
    assert read_reference(path) == ReferenceSource("file", path)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@example.com/a.png",
        "https://user@example.com/a.png",
        "https://:secret@example.com/a.png",
    ],
)
def test_a_url_with_credentials_is_refused_and_the_refusal_does_not_repeat_them(url: str) -> None:
    with pytest.raises(ValueError, match="user name or password") as refused:
        read_reference(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ftp://example.com/a.png", "ftp"),
        ("s3://bucket/a.png", "s3"),
        ("sandbox:/mnt/data/a.png", "sandbox"),
        ("javascript:alert(1)", "javascript"),
        ("Blob:https://example.com/1", "blob"),
        ("git+ssh://example.com/a", "git+ssh"),
        ("mcp-image.v1:7", "mcp-image.v1"),
    ],
)
def test_another_scheme_is_refused_by_its_name_and_told_what_works(text: str, named: str) -> None:
    with pytest.raises(ValueError, match="http") as refused:
        read_reference(text)

    assert str(refused.value).startswith(f"{named}: ")
    assert "task:<task_id>" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a b.png",
        "https://exam ple.com/",
        "https://example.com/a\tb.png",
        "https://example.com/a\nb.png",
        "https://example.com/\x00",
        "https://example.com/\u202egnp.a",
        "https://",
        "https:///a.png",
        "https:example.com",
        "http:a",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://[::1/a.png",
        "http://localhost\\.example.com/a.png",
        "http://%6cocalhost/a.png",
        "http://127.0.0.1%2eexample.com/a.png",
    ],
)
def test_a_broken_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a valid URL"):
        read_reference(url)


@pytest.mark.parametrize("text", ["task:", "task:  ", "task:a b", "task:a\tb", "task:a\x00b", "task:a\u200bb"])
def test_a_task_without_a_usable_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"task:<task_id>"):
        read_reference(text)


@settings(derandomize=True, max_examples=300)
@given(
    st.sampled_from(("", "http://", "https://", "https:", "task:", "data:", "file:", "ftp:", "c:")),
    st.text(max_size=40) | st.text(alphabet="a0.:/@[]?#%\\ ", max_size=20),
)
def test_any_text_is_read_as_one_kind_or_refused_with_a_sentence(start: str, rest: str) -> None:
    try:
        source = read_reference(start + rest)
    except ValueError as error:
        refusal = str(error)
    else:
        assert source.value == ((start + rest)[5:].strip() if source.kind == "task" else start + rest)
        return
    assert refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8188/a.png",
        "HTTP://LocalHost./a.png",
        "http://192.168.1.20/view?filename=a.png",
        "https://nas.local/a.png",
        "http://host.docker.internal:9000/a.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/a.png",
        "http://[fe80::1%25eth0]:8080/a.png",
        "http://2130706433/a.png",
        "http://0x7f.1/a.png",
        "http://@localhost/a.png",
        "http://nas/a.png#https://example.com",
        "http://127.1?https://example.com",
    ],
)
def test_a_url_that_vidgo_cannot_reach_is_told_with_what_works(url: str) -> None:
    source = read_reference(url)
    with pytest.raises(ValueError, match="Vidgo cannot reach this address: give a public one, or the picture itself"):
        check_reach(source)


@pytest.mark.parametrize(
    "text",
    ["https://example.com/http://localhost/a.png", "https://example.com/?u=@localhost", "task:localhost", "localhost"],
)
def test_only_the_host_of_a_url_decides_whether_it_is_reached(text: str) -> None:
    check_reach(read_reference(text))


@pytest.mark.parametrize(
    "written",
    [
        f"{A},{B}",
        f"{A}, {B}",
        f"{A} {B}",
        f" {A}\n{B}\n",
        f"{A}\r\n\r\n{B}",
        f"{A};{B};",
        f"{A} ; {B},",
        f"{A} | {B}",
        f'"{A}", "{B}"',
        f"'{A}','{B}'",
        f'"{A}, {B}"',
        f"['{A}', '{B}']",
        f'["{A}", "{B}"]',
        f'["{A},{B}"]',
        [f"{A},{B}"],
        [f'"{A}"', f" '{B}' "],
        (A, B),
    ],
    ids=repr,
)
def test_addresses_in_one_text_are_as_many_references(written: object) -> None:
    assert listed(written) == [A, B]


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        (f"task:t-1,{A}", ["task:t-1", A]),
        ("task:t-1 task:t-2", ["task:t-1", "task:t-2"]),
        ([f"{A},task:t-1", "cat.png"], [A, "task:t-1", "cat.png"]),
        (f"{A},file:///in/cat.png", [A, "file:///in/cat.png"]),
        (
            "data:image/png;base64,AAAA,data:image/png;base64,BBBB",
            ["data:image/png;base64,AAAA", "data:image/png;base64,BBBB"],
        ),
        (f"data:image/png;base64,AA\nAA\n{A}", ["data:image/png;base64,AA\nAA", A]),
    ],
)
def test_addresses_of_all_kinds_are_told_apart(written: object, parts: list[str]) -> None:
    assert listed(written) == parts


@pytest.mark.parametrize(
    "text",
    [
        "https://x.example/a.png?size=100,200",
        "https://x.example/a.png?tags=a;b;c",
        "https://x.example/fetch/w_300,h_200/https://y.example/a.png",
        "https://x.example/a.png?next='https://y.example/b.png'",
        "https://x.example/a,b.png,c",
        "data:image/png;base64,AAAA",
        "cats, dogs.png",
        "/in/cats,https:/a.png",
        "it's a cat.png",
        '"cat.png',
        "'",
        "[1].png",
    ],
)
def test_what_is_one_reference_stays_as_it_is(text: str) -> None:
    assert listed(text) == listed([text]) == [text]


@pytest.mark.parametrize("filling", [" ", ",", "'", ",'", "https://a.example "])
def test_a_long_text_is_passed_over_once(filling: str) -> None:
    """A pattern that went back at each character would take hours."""
    for text in (f"{A}{filling * 300_000}:", f"{filling * 300_000}{A}:"):
        assert "".join(split_references(text)).count(":") == text.count(":")


@pytest.mark.parametrize(
    "quoted",
    ['"{}"', "'{}'", "`{}`", '  "{}" ', "\"'{}'\"", "\u201c{}\u201d", "\u2018{}\u2019"],
    ids=ascii,
)
@pytest.mark.parametrize(
    "path", ["C:\\My Pictures\\cat.png", "/in/my cat.png", "file:///in/my%20cat.png", A, "task:t-1"]
)
def test_quotes_around_a_reference_are_taken_away(quoted: str, path: str) -> None:
    assert listed(quoted.format(path)) == listed([quoted.format(path)]) == [path]


@pytest.mark.parametrize("begins", ["iVBORw0KGgo", "/9j/", "_9j_", "UklGR", "R0lGODlh", "R0lGODdh"])
def test_base64_of_a_picture_is_inline_data_without_its_beginning(begins: str) -> None:
    bare = begins + DIGITS
    for text in (bare, f"base64,{bare}", f"image/png;base64,{bare}"):
        assert read_reference(text) == ReferenceSource("data", f"data:image/png;base64,{bare}")


@pytest.mark.parametrize("path", ["/9j/cat.png", "iVBORw0KGgo.png", "UklGR", "R0lGODlh/cat.gif", f"a{DIGITS}"])
def test_a_path_that_begins_like_base64_is_a_path(path: str) -> None:
    assert read_reference(path) == ReferenceSource("file", path)


def test_of_a_text_only_so_many_parts_are_told_apart() -> None:
    assert len(split_references("task:one " * (MOST_PARTS + 2))) == MOST_PARTS + 1


@pytest.mark.parametrize("separator", " ,;|\t\r\n")
def test_megabytes_of_separators_are_not_looked_through(separator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"task:one{separator * MOST_SEPARATORS}task:two"
    assert split_references(text) == ["task:one", "task:two"]
    monkeypatch.setattr(references, "_BETWEEN", None)
    assert split_references(f"task:one{separator}{separator * MOST_SEPARATORS}task:two") != ["task:one", "task:two"]


@pytest.mark.parametrize("text", ["image/" + "a" * 1000 + ";base64,AAAA", "a" * 1000 + ":b"])
def test_a_kind_is_looked_for_only_at_the_beginning(text: str) -> None:
    assert read_reference(text) == ReferenceSource("file", text)
