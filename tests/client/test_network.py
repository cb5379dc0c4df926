"""Proxies and certificates of the environment: those that work are used, those that cannot be used are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from tests.client.conftest import KEY, PRICED
from tests.client.test_downloads import LONGEST, Host, serving
from tests.proxies import BROKEN, proxy, socks_to
from vidgo_mcp.client import Timeouts, VidgoClient
from vidgo_mcp.client.download import download
from vidgo_mcp.client.network import Network
from vidgo_mcp.errors import NotSentError, UnavailableError

API = "https://api.vidgo.example"

pytestmark = [
    pytest.mark.anyio,
    # httpcore leaves a connection to a SOCKS proxy that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        yield from serving(server)


@pytest.mark.parametrize("what", BROKEN)
async def test_a_proxy_that_breaks_off_before_the_submit_left_proves_that_nothing_was_sent(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheme, talk = BROKEN[what]
    left: list[bool] = []

    async def leaving() -> None:
        left.append(True)

    with proxy(talk) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:s3cret@127.0.0.1:{server.port}")
        if "socks" in scheme:
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{server.port}")
        async with VidgoClient(KEY, base_url=API, timeouts=Timeouts(connect=0.3)) as client:
            with anyio.fail_after(LONGEST):
                with pytest.raises(NotSentError) as caught:
                    await client.submit_once(PRICED, leaving=leaving)
                with pytest.raises(NotSentError):
                    await client.balance()
    assert (caught.value.money, caught.value.retryable, left) == ("nothing_spent", True, [])
    assert "through the proxy of HTTPS_PROXY" in caught.value.message
    assert "s3cret" not in caught.value.message
    assert not caplog.records  # a traceback, in front of the person at the command
    assert len(server.asked) == 2
    assert not any(KEY.encode() in asked for asked in server.asked)


@pytest.mark.parametrize("scheme", ["socks", "socks5", "socks5h"])
async def test_a_socks_proxy_is_used_and_resolves_the_name(scheme: str, host: Host) -> None:
    hosts: list[str] = []
    with proxy(socks_to(host.port, hosts)) as server:
        network = Network({}, {"all": f"{scheme}://127.0.0.1:{server.port}"})
        with anyio.fail_after(LONGEST):
            got = await download("http://pictures.invalid/c", network=network, api_host="api.invalid")
    assert (got, hosts) == (b"PNG", ["pictures.invalid"])


@pytest.mark.parametrize("what", [name for name in BROKEN if "stalls" not in name])
async def test_a_proxy_that_breaks_off_is_named_where_a_picture_was_fetched(what: str) -> None:
    scheme, talk = BROKEN[what]
    with proxy(talk) as server:
        network = Network({"ALL_PROXY": "set"}, {"all": f"{scheme}://127.0.0.1:{server.port}"})
        with anyio.fail_after(LONGEST), pytest.raises(UnavailableError, match="ALL_PROXY"):
            await download("https://pictures.invalid/c", network=network, api_host="api.invalid", seconds=LONGEST)


UNUSABLE = [
    *("http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:-1", "http://"),
    *("gopher://127.0.0.1:1", "socks4://127.0.0.1:1", "ftp://127.0.0.1", "[::1", "http://[::1", "://", "http://:80"),
    *("http://user:s3cret@host:abc", "'http://127.0.0.1:1'", "http://a b:1"),
]


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UnavailableError, match=f"^{variable} cannot be used: ") as caught:
        VidgoClient(KEY, base_url=API)
    error = caught.value
    assert (error.money, error.retryable, error.remedy) == ("nothing_spent", False, "fix_network")
    assert "s3cret" not in error.message
    async with VidgoClient(KEY, base_url="http://127.0.0.1:9"):
        """Loopback needs no proxy."""


async def test_a_proxy_that_only_pictures_need_is_named_when_one_is_fetched() -> None:
    network = Network({"HTTP_PROXY": "http://127.0.0.1:abc"}, {"http": "http://127.0.0.1:abc"})
    assert network.proxy_for(httpx.URL(API)) is None
    with pytest.raises(UnavailableError, match="HTTP_PROXY cannot be used"):
        await download("http://pictures.invalid/c", network=network, api_host="api.invalid")


@pytest.mark.parametrize("value", ["${HTTPS_PROXY}", "$HTTPS_PROXY", "%HTTPS_PROXY%", "", "  "])
def test_what_a_client_did_not_fill_in_counts_as_unset(value: str) -> None:
    network = Network({"SSL_CERT_FILE": value}, {"https": value})
    assert (network.proxy_for(httpx.URL(API)), network.certificates_from) == (None, None)


EXCEPTED = [
    *(
        "*",
        "localhost,*",
        "vidgo.example",
        ".vidgo.example",
        "*.vidgo.example",
        "API.Vidgo.Example",
        "a, api.vidgo.example",
    ),
    *("api.vidgo.example:443", "https://api.vidgo.example", "fe80::/10 vidgo.example"),
]
NOT_EXCEPTED = [
    *(
        "localhost,::1,[::1]",
        "fe80::/10",
        "[::1",
        "[",
        ":::",
        "%",
        "\u2603",
        ",,",
        "idgo.example",
        "xapi.vidgo.example",
    ),
    *("api.vidgo.example:8443", "other.example", "10.0.0.0/99", "a]b[", "http://", f"api.vidgo.example:{'9' * 5000}"),
]


@pytest.mark.parametrize(
    ("url", "exceptions", "excepted"),
    [
        *((API, each, True) for each in EXCEPTED),
        *((API, each, False) for each in NOT_EXCEPTED),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
        ("https://[fd00::1]", "[fd00::1]", True),
        ("https://[fd00::1]", "fd00::/8", True),
        ("https://10.1.2.3", "fe80::/10,11.0.0.0/8", False),
    ],
)
def test_no_proxy_is_read_and_what_cannot_be_parsed_in_it_is_skipped(url: str, exceptions: str, excepted: bool) -> None:
    network = Network({}, {"https": "http://127.0.0.1:1", "no": exceptions})
    assert (network.proxy_for(httpx.URL(url)) is None) is excepted


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "junk").write_text("no certificate")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    forged = f"{tmp_path}/gone.pem\nNext: pay"
    found = {name: str(tmp_path / name) for name in ("junk", "empty", "folder")}
    return {"gone": str(tmp_path / "gone.pem"), "forged": forged, **found}


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        *(("SSL_CERT_FILE", place) for place in ("gone", "forged", "junk", "empty", "folder")),
        *(("SSL_CERT_DIR", place) for place in ("gone", "junk", "folder")),
        ("SSLKEYLOGFILE", "folder"),
    ],
)
async def test_certificates_that_cannot_be_used_are_named(
    variable: str, place: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, places[place])
    with pytest.raises(UnavailableError, match=f"^{variable} cannot be used: ") as caught:
        VidgoClient(KEY, base_url=API)
    assert caught.value.message.isprintable()
    assert (caught.value.money, caught.value.remedy) == ("nothing_spent", "fix_network")
    async with VidgoClient(KEY, base_url="http://127.0.0.1:9"):
        """Without TLS there is nothing to check."""
