"""The key goes over https only, except to this very machine."""

from __future__ import annotations

import pytest

from vidgo_mcp.models.urls import checked_base_url, is_loopback_host


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_a_host_that_can_only_be_this_machine_is_loopback(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host", ["", "example.com", "localhost.example.com", "127.0.0.1.nip.io", "10.0.0.1", "0.0.0.0", "127.1", "fe80::1"]
)
def test_any_other_host_is_not_loopback(host: str) -> None:
    assert not is_loopback_host(host)


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://api.vidgo.ai", "https://api.vidgo.ai"),
        (" https://api.vidgo.ai/v1/ ", "https://api.vidgo.ai/v1"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_is_kept_without_its_last_slash(url: str, checked: str) -> None:
    assert checked_base_url(url) == checked


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.vidgo.ai", "unencrypted"),
        ("http://localhost.example.com", "unencrypted"),
        ("ftp://api.vidgo.ai", "not an http"),
        ("api.vidgo.ai", "not an http"),
        ("https://", "not an http"),
        ("https://api vidgo.ai", "not an http"),
        ("https://[::1", "not a valid URL"),
        ("https://api.vidgo.ai:port", "not a valid URL"),
        ("https://key@api.vidgo.ai", "no user name"),
        ("https://:key@api.vidgo.ai", "no user name"),
        ("https://api.vidgo.ai?key=1", "no user name, query"),
        ("https://api.vidgo.ai#top", "fragment"),
    ],
)
def test_a_base_url_that_could_leak_or_lose_the_key_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked_base_url(url)
