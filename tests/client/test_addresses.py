"""An address in an answer becomes a URL that can be handed on, or nothing."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidgo_mcp.client.addresses import MOST_FILES, is_web_url, picture_urls, web_url

BASE = "https://api.vidgo.ai"

SIGNED = "https://s3.a.b/x%20y.png?X-Amz-Signature=a+b/c==&t=%2f%C3%a9&n=[1]#top"


@pytest.mark.parametrize(
    ("written", "url"),
    [
        (SIGNED, SIGNED),
        ("http://a.b/c.png", "http://a.b/c.png"),
        ("HTTPS://A.b/C", "HTTPS://A.b/C"),
        ("https://a.b:8443/", "https://a.b:8443/"),
        (" https://a.b/c.png\r\n", "https://a.b/c.png"),
        ("\ufeffhttps://a.b/c.png\u200b", "https://a.b/c.png"),
        ("https://a.b/long\n/name.png", "https://a.b/long/name.png"),
        ("https://a.b/a fox.png?sig=a+b%2F", "https://a.b/a%20fox.png?sig=a+b%2F"),
        ("https://a.b/fuchs-ü.png", "https://a.b/fuchs-%C3%BC.png"),
        ("https://a.b/100% a%20fox.png", "https://a.b/100%25%20a%20fox.png"),
        ("https://bücher.example/c.png", "https://xn--bcher-kva.example/c.png"),
        ("//a.b/c.png", "https://a.b/c.png"),
        *((f"{a}https://a.b/c.png{z}", "https://a.b/c.png") for a, z in ("<>", '""', "``", ("\u202a", ""))),
        ("https:\\/\\/a.b\\/c.png", "https://a.b/c.png"),
        ("https:\\\\a.b\\c.png", "https://a.b/c.png"),
        ("https:/a.b/c.png", "https://a.b/c.png"),
        ("https%3A%2F%2Fa.b%2Fc.png%3Fsig%3D1", "https://a.b/c.png?sig=1"),
        ("https://a.b/c.png?e=1&amp;sig=2", "https://a.b/c.png?e=1&sig=2"),
        ("a.b.example/c.png", "https://a.b.example/c.png"),
        ("/files/c.png?sig=1", f"{BASE}/files/c.png?sig=1"),
        ("/at 12:30.png", f"{BASE}/at%2012:30.png"),
        ("c.png", f"{BASE}/c.png"),
        ("generated/a fox.webp?sig=1", f"{BASE}/generated/a%20fox.webp?sig=1"),
    ],
)
def test_an_address_is_encoded_and_resolved(written: str, url: str) -> None:
    assert web_url(written, BASE) == url


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "/", "//", "oops", "N/A", "c.txt", None, 5, {}),
        *("javascript:alert(1)", "JavaScript:alert(1).png", "java\nscript:alert(1)", "data:image/png;base64,AAAA"),
        *("file:///c.png", "ftp://a.b/c", "a:b.png"),
        *("https://", "https:///c.png", "http://[::1", "https://a b/c", "https://a.b:99999/c d"),
    ],
)
def test_what_is_no_web_address_is_none(written: object) -> None:
    assert web_url(written, BASE) is None


segments = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(
    st.text()
    | st.builds("https://a.b/{}?{}".format, segments, segments)
    | st.builds("{}{}".format, st.sampled_from(["//", "/", "http://", "https:/", "data:", "javascript:"]), segments)
)
@example("https://a.b/%")
@example("//[")
@example("/\ud800")
@example("HTTP:/\u0130")
def test_whatever_is_written_the_result_is_a_plain_url_and_stays_what_it_is(written: str) -> None:
    url = web_url(written, BASE)
    if url is not None:
        assert is_web_url(url)
        assert url.isascii()
        assert web_url(url, BASE) == url


@given(segments.filter(lambda name: name == name.strip() and not set(name) & set("/?#%\\") and name not in {".", ".."}))
@example("a fox ü.png")
def test_the_name_of_a_file_survives_its_encoding(name: str) -> None:
    url = web_url(f"https://a.b/files/{name}", BASE)
    assert url is not None
    assert unquote(urlsplit(url).path) == f"/files/{name}"


@pytest.mark.parametrize("name", ["files", "output", "image_urls"])
def test_of_an_answer_only_so_many_files_are_resolved(name: str) -> None:
    files = [f"/{number}.png" for number in range(MOST_FILES + 1)]
    assert picture_urls({name: files}, BASE, finished=True) == tuple(f"{BASE}{file}" for file in files[:-1])
