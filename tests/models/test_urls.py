"""The key goes over https only, except to this very machine; and what only this network knows is told from the rest."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidgo_mcp.models.urls import account_address, checked_base_url, is_loopback_host, is_public_host


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
        ("HTTPS://API.Vidgo.AI", "https://api.vidgo.ai"),
        ("https://api.vidgo.ai:443//", "https://api.vidgo.ai"),
        ("https://api.vidgo.ai:0443", "https://api.vidgo.ai"),
        ("https://api.vidgo.ai:", "https://api.vidgo.ai"),
        ("https://api.vidgo.ai.", "https://api.vidgo.ai"),
        ("https://api.vidgo.ai/./a/../", "https://api.vidgo.ai"),
        ("https://api.vidgo.ai/../..", "https://api.vidgo.ai"),
        ("https://a.example/%2e/x/%2E%2e/v1/.", "https://a.example/v1"),
        ("https://a.example//v1///b", "https://a.example/v1/b"),
        ("https://a.example/%76%31/%c3%a9%2f", "https://a.example/v1/%C3%A9%2F"),
        ("https://a.example/é%", "https://a.example/%C3%A9%25"),
        ("https://XN--BCHER-KVA.example", "https://xn--bcher-kva.example"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://127.0.0.1:80", "https://127.0.0.1:80"),
        *((f"http://{host}:8080", "http://127.0.0.1:8080") for host in ("127.1", "0x7f000001", "2130706433", "0177.1")),
        ("http://[::ffff:127.0.0.1]:8080", "http://127.0.0.1:8080"),
        ("http://[0:0::0001]:8080", "http://[::1]:8080"),
        ("http://LocalHost.:8080", "http://localhost:8080"),
    ],
)
def test_a_base_url_has_one_spelling(url: str, checked: str) -> None:
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
        ("https://@api.vidgo.ai", "no user name"),
        ("https://api.vidgo.ai/?", "no user name, query"),
        ("https://api.vidgo.ai/#", "fragment"),
        ("https://api.vidgo.a\u0131", "beyond ASCII"),
        ("https://\u212a.example", "beyond ASCII"),
        ("https://api%2evidgo.ai", "not a valid URL"),
        ("https://api..vidgo.ai", "not a valid URL"),
        ("https://1.2.3.4.5", "not a valid URL"),
        ("https://api.vidgo.ai\\v1", "not an http"),
        ("https://api.vidgo.ai/\x00", "not an http"),
        ("http://0x08080808", "unencrypted"),
        ("http://[::ffff:8.8.8.8]", "unencrypted"),
    ],
)
def test_a_base_url_that_could_leak_or_lose_the_key_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked_base_url(url)


@given(st.text(max_size=30) | st.text("/.%2eEfF0aé~;:", max_size=20))
@example("/%25%32%65%2e/")
@example("%%341")
def test_the_spelling_of_a_base_url_is_the_end_of_it(path: str) -> None:
    try:
        url = checked_base_url(f"https://a.example/{path}")
    except ValueError:
        return
    assert checked_base_url(url) == url
    assert url.isascii()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "a.localhost.", "[::1]", "0x7f.1", "LOCALHOST"]
)
def test_all_addresses_of_this_machine_name_one_api(host: str) -> None:
    assert account_address(f"http://{host}:8787/v1/") == "http://127.0.0.1:8787/v1"
    assert account_address(f"http://{host}:80") == "http://127.0.0.1"


def test_what_has_no_address_names_itself() -> None:
    assert account_address("sandbox") == "sandbox"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "host.docker.internal"),
        *("nas.local", "Nas.LOCAL.", "printer.lan", "box.home", "box.home.arpa", "git.corp", "wiki.intranet"),
        "metadata.goog",
        *(
            "api.svc.cluster.local",
            "api.default.svc",
            "db.internal",
            "nas",
            "fileserver.",
            "",
            ".",
            "a..example",
            ".a.example",
        ),
        *("a.test", "a.invalid", "a.onion"),
        *("127.0.0.1", "127.0.0.1.", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.20", "100.64.0.1"),
        *("192.0.0.0", "192.0.0.8", "192.0.0.192", "192.0.0.255", "168.63.129.16", "2822734096", "0xa83f8110"),
        *("3fff::1", "3fff:fff:ffff::1", "2001:db8::1", "2001:2::1", "2001:1::4", "2001:10::1", "5f00::1", "100::1"),
        *("64:ff9b:1::808:808", "64:ff9b::a83f:8110", "2002:c0a8:101::1", "2002:a9fe:a9fe::", "::ffff:168.63.129.16"),
        *("::ffff:192.0.0.1", "2001:0:808:808::3f57:fefe", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
        *("feff::1", "::8.8.8.8", "4000::1", "fe80::a9fe:a9fe", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376"),
        *("100.127.255.255", "0.1.2.3", "198.19.255.255", "172.31.255.255", "169.254.0.1", "ff0e::1"),
        *("169.254.169.254", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "198.18.0.7"),
        *("2130706433", "0x7f000001", "0x7f.1", "0X7F.0x1", "127.1", "10.1", "017700000001", "0177.0.0.01", "0", "0x"),
        *("256.1.1.1", "08.8.8.8", "8.8.8.8.8", "1.2.3.4.0", "8.8..8", "4294967296", "a.b.1", "9" * 5000),
        *("::1", "[::1]", "::", "fe80::1", "fe80::1%25eth0", "fd00::1", "fc00::1", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:a00:1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "v1.fe80::1"),
        *(
            "\uff11\uff12\uff17.0.0.1",
            "127\u30020.0.1",
            "\uff4cocalhost",
            "\u24db\u24de\u24d2\u24d0\u24dbhost",
            "nas.\uff4cocal",
        ),
    ],
    ids=ascii,
)
def test_a_host_that_nobody_elsewhere_reaches_is_not_public(host: str) -> None:
    assert not is_public_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *("example.com", "EXAMPLE.COM.", "x.example", "localhost.example.com", "local.example", "internal.example.org"),
        *(
            "nas.example.com",
            "10.0.0.1.nip.io",
            "home.arpa.example",
            "lan.example",
            "\u4f8b\u3048.jp",
            "xn--r8jz45g.jp",
        ),
        *("1.example.com", "0x7f.example.com", "a_b.example.com", "\U0001fae8.example"),
        *("8.8.8.8", "134744072", "0x08080808", "010.8.8.8", "172.32.0.1", "100.128.0.1", "1.1"),
        *("192.0.0.9", "192.0.0.10", "192.0.1.1", "168.63.129.15", "100.63.255.255", "198.20.0.1", "192.31.196.1"),
        *("2001:4860:4860::8888", "3fff:1000::1", "2001:20::1", "2001:4:112::1", "2002:808:808::1", "2620:4f:8000::1"),
        *("[2606:4700:4700::1111]", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
    ids=ascii,
)
def test_a_host_that_may_be_anywhere_is_public(host: str) -> None:
    assert is_public_host(host)
