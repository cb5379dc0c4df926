"""What a reference picture can be, and what is refused before it reaches a file system or the network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidgo_mcp.models.references import ReferenceSource, read_reference


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
    ],
)
def test_a_broken_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a valid URL"):
        read_reference(url)


@pytest.mark.parametrize("text", ["task:", "task:  ", "task:a b", "task:a\tb", "task:a\x00b", "task:a\u200bb"])
def test_a_task_without_a_usable_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"task:<task_id>"):
        read_reference(text)


@settings(deadline=None, derandomize=True, max_examples=300)
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
