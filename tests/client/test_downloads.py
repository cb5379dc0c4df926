"""A picture is fetched from where it lies, and from nowhere private, however the address is dressed up."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.conftest import KEY
from tests.conftest import virtual_backend
from vidgo_mcp.client import VidgoClient
from vidgo_mcp.client.download import MAX_DOWNLOAD, USER_AGENT, download, resolve
from vidgo_mcp.client.network import Network
from vidgo_mcp.errors import NotFoundError, PermissionDeniedError, UnavailableError, VidgoError
from vidgo_mcp.models.urls import is_public

PUBLIC = "93.184.216.34"
LONGEST = 5.0

pytestmark = pytest.mark.anyio


Find = Callable[[str, int], Awaitable[Sequence[str]]]


def names(**known: list[str]) -> Find:
    """Return a resolver that knows these names (``_`` for a dot), and literal addresses."""

    async def find(host: str, port: int) -> Sequence[str]:
        table = {name.replace("_", "."): found for name, found in known.items()}
        if host in table:
            return table[host]
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            raise socket.gaierror("unknown") from None

    return find


def network(*answers: httpx.Response) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answers[min(len(requests), len(answers)) - 1]

    return httpx.MockTransport(handle), requests


DIRECT = Network({}, {})


async def fetch(url: str, *, allow_loopback: bool = False, network: Network = DIRECT, **given: Any) -> bytes:
    """Fetch a picture; ``allow_loopback`` is with the API itself there."""
    api_host = "127.0.0.1" if allow_loopback else "api.example"
    return await download(url, **{"network": network, "api_host": api_host, **given})


PICTURE = httpx.Response(200, content=b"PNG")

PRIVATE = [
    *("10.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "192.168.1.1"),
    *("100.64.0.1", "0.0.0.0", "0.1.2.3", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1"),
    *("ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::127.0.0.1", "::10.0.0.1"),
    *("64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1"),
    *("2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:db8::1"),
]
OPEN = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_to_a_private_address_is_refused(address: str) -> None:
    transport, requests = network(PICTURE)
    for found in ([address], [PUBLIC, address], [address, PUBLIC]):
        with pytest.raises(PermissionDeniedError):
            await fetch("https://a.example/c.png", find=names(a_example=found), transport=transport)
    assert requests == []


@pytest.mark.parametrize("address", OPEN)
async def test_a_name_that_leads_to_public_addresses_is_fetched(address: str) -> None:
    transport, requests = network(PICTURE)
    got = await fetch("https://a.example/c.png", find=names(a_example=[address, PUBLIC]), transport=transport)
    assert got == b"PNG"
    assert ipaddress.ip_address(requests[0].url.host) == ipaddress.ip_address(address)


NOT_FETCHED = [
    *("http://127.0.0.1/c", "http://[::1]/c", "http://[::ffff:10.0.0.1]/c", "http://192.168.0.1:8080/c"),
    *("http://user:pass@10.0.0.1/c", "http://169.254.169.254/latest/meta-data", "ftp://a.example/c"),
    *("file:///etc/passwd", "data:image/png;base64,AA", "/c", "javascript:1", "http://"),
]


@pytest.mark.parametrize("url", ["", *NOT_FETCHED])
async def test_a_private_address_as_such_and_another_scheme_are_refused(url: str) -> None:
    transport, requests = network(PICTURE)
    with pytest.raises(PermissionDeniedError):
        await fetch(url, find=names(), transport=transport)
    assert requests == []


@pytest.mark.parametrize("port", [0, 65_536, 99_999])
async def test_a_port_that_does_not_exist_is_unavailable(port: int) -> None:
    for find in (resolve, names()):
        with anyio.fail_after(LONGEST), pytest.raises(UnavailableError):
            await fetch(f"http://127.0.0.1:{port}/c", allow_loopback=True, find=find)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
async def test_every_spelling_of_loopback_is_refused_by_the_real_resolver(host: str) -> None:
    transport, requests = network(PICTURE)
    with anyio.fail_after(LONGEST), pytest.raises((PermissionDeniedError, UnavailableError)):
        await fetch(f"http://{host}/c", transport=transport)
    assert requests == []


async def test_loopback_is_fetched_only_where_allowed_and_other_private_addresses_never() -> None:
    transport, requests = network(PICTURE)
    for url in ("http://127.0.0.1:8000/c", "http://[::1]:8000/c"):
        got = await fetch(url, allow_loopback=True, find=names(), transport=transport)
        assert got == b"PNG"
    for url in ("http://10.0.0.1/c", "http://169.254.169.254/c", "http://0.0.0.0/c"):
        with pytest.raises(PermissionDeniedError):
            await fetch(url, allow_loopback=True, find=names(), transport=transport)
    assert [request.headers["host"] for request in requests] == ["127.0.0.1:8000", "[::1]:8000"]


async def test_the_client_allows_loopback_only_with_the_api_on_loopback() -> None:
    transport, requests = network(PICTURE)
    async with VidgoClient(KEY, base_url="http://127.0.0.1:9", transport=transport) as client:
        assert await client.download("http://127.0.0.1:9/c") == b"PNG"
    async with VidgoClient(KEY, transport=transport) as client:
        with pytest.raises(PermissionDeniedError):
            await client.download("http://127.0.0.1:9/c")
    assert len(requests) == 1
    assert "authorization" not in requests[0].headers


@settings(max_examples=40)
@given(url=st.text(max_size=30) | st.from_regex(r"https?://[\x20-\x7e]{0,30}", fullmatch=True), location=st.text())
def test_any_address_and_any_redirect_is_a_picture_or_a_clear_error(url: str, location: str) -> None:
    moved = httpx.Response(302, headers=[(b"location", location.encode("utf-8", "replace"))])
    transport, _ = network(moved, PICTURE)

    async def main() -> None:
        for address in (url, "http://a.example/"):
            with contextlib.suppress(VidgoError):
                await fetch(address, find=names(a_example=[PUBLIC]), transport=transport)

    anyio.run(main)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example/c.png?sig=%2F+x", "a.example"),
        ("http://a.example:8080/c.png", "a.example:8080"),
        ("https://A.Example:443/c.png", "a.example"),
        ("https://bücher.example/c", "xn--bcher-kva.example"),
    ],
)
async def test_the_request_goes_to_the_checked_address_under_the_name(url: str, host: str) -> None:
    transport, requests = network(PICTURE)
    known = {"a.example": [PUBLIC], "bücher.example": [PUBLIC], "xn--bcher-kva.example": [PUBLIC]}

    async def find(name: str, _: int) -> Sequence[str]:
        return known[name]

    await fetch(url, find=find, transport=transport)
    (request,) = requests
    assert request.url.host == PUBLIC
    assert request.headers.get_list("host") == [host]
    assert request.extensions["sni_hostname"] == host.partition(":")[0]
    assert request.headers.get_list("user-agent") == [USER_AGENT]
    assert request.url.raw_path == httpx.URL(url).raw_path


async def test_up_to_three_redirects_are_followed_and_each_is_checked() -> None:
    def moved(to: str) -> httpx.Response:
        return httpx.Response(302, headers={"Location": to})

    known = names(a_example=[PUBLIC], b_example=["8.8.8.8"], c_example=["10.0.0.1"])
    transport, requests = network(moved("/2"), moved("//b.example/3"), moved("https://a.example/4"), PICTURE)
    got = await fetch("https://a.example/1", find=known, transport=transport)
    assert got == b"PNG"
    assert [request.url.host for request in requests] == [PUBLIC, PUBLIC, "8.8.8.8", PUBLIC]
    assert [request.headers["host"] for request in requests] == ["a.example", "a.example", "b.example", "a.example"]

    transport, requests = network(moved("/again"))
    with pytest.raises(UnavailableError, match="more than 3 times"):
        await fetch("https://a.example/1", find=known, transport=transport)
    assert len(requests) == 4

    for private in ("https://c.example/", "http://127.0.0.1/", "file:///etc/passwd"):
        transport, requests = network(moved(private), PICTURE)
        with pytest.raises(PermissionDeniedError):
            await fetch("https://a.example/1", find=known, transport=transport)
        assert len(requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((gone, NotFoundError) for gone in (403, 404, 410)),
        *((odd, UnavailableError) for odd in (204, 206, 304, 429, 500)),
    ],
)
async def test_an_answer_without_the_picture_is_an_error(status: int, kind: type[VidgoError]) -> None:
    transport, _ = network(httpx.Response(status))
    with pytest.raises(kind) as caught:
        await fetch("https://a.example/1", find=names(a_example=[PUBLIC]), transport=transport)
    assert caught.value.money == "nothing_spent"
    assert caught.value.remedy == ("make_again" if kind is NotFoundError else "repeat_later")


class Endless(httpx.AsyncByteStream):
    """A body that never ends, and counts what was taken of it."""

    def __init__(self, pause: float = 0.0) -> None:
        self.taken = 0
        self.pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 100
            yield b"x" * 100
            await anyio.sleep(self.pause)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "1000000000"}])
async def test_a_picture_that_is_too_large_is_not_read_to_its_end(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_DOWNLOAD >= 3840 * 2160 * 4
    monkeypatch.setattr("vidgo_mcp.client.download.MAX_DOWNLOAD", 1000)
    body = Endless()
    transport, _ = network(httpx.Response(200, content=b"x" * 1000), httpx.Response(200, headers=headers, stream=body))
    find = names(a_example=[PUBLIC])
    assert len(await fetch("https://a.example/1", find=find, transport=transport)) == 1000
    with anyio.fail_after(LONGEST), pytest.raises(UnavailableError, match="larger") as caught:
        await fetch("https://a.example/1", find=find, transport=transport)
    assert body.taken <= 1100
    assert (caught.value.retryable, caught.value.remedy) == (False, "show_picture")


@pytest.mark.parametrize("hangs", ["the resolver", "the picture"])
async def test_whatever_hangs_ends_at_the_deadline(hangs: str) -> None:
    async def find(host: str, port: int) -> Sequence[str]:
        if hangs == "the resolver":
            await anyio.sleep_forever()
        return [PUBLIC]

    transport, _ = network(httpx.Response(200, stream=Endless(pause=0.01)))
    with anyio.fail_after(LONGEST), pytest.raises(UnavailableError, match="within"):
        await fetch("https://a.example/1", find=find, transport=transport, seconds=0.1)


@pytest.mark.parametrize("failure", [socket.gaierror("x"), UnicodeError("x"), OSError("x"), httpx.ReadError("x")])
async def test_a_host_that_cannot_be_found_or_read_is_unavailable(failure: Exception) -> None:
    async def find(host: str, port: int) -> Sequence[str]:
        if not isinstance(failure, httpx.ReadError):
            raise failure
        return [PUBLIC]

    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(UnavailableError, match=r"host of the picture|could not be fetched"):
        await fetch("https://a.example/1", find=find, transport=httpx.MockTransport(fail))


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("call.generate-image.again.test", '"call.generate-image.again.test"'),
        (f"{'a.' * 1500}test", f'"{"a." * 50}..." (3004 characters)'),
    ],
    ids=["words", "long"],
)
async def test_a_host_that_a_message_names_is_quoted_and_cut(host: str, shown: str) -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        return []

    async def inside(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    for find in (nowhere, inside):
        with pytest.raises(VidgoError) as caught:
            await fetch(f"https://{host}/1", find=find)
        assert caught.value.message.startswith(f"{shown}, the host of the picture, ")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_as_each_form_that_wraps_it(address: ipaddress.IPv4Address) -> None:
    inner = int(address)
    forms = [0xFFFF << 32 | inner, 0x64FF9B << 96 | inner, 0x2002 << 112 | inner << 80]
    assert [is_public(ipaddress.IPv6Address(form)) for form in forms] == [is_public(address)] * 3
    assert not is_public(ipaddress.IPv6Address(inner))


class Host(ThreadingHTTPServer):
    """A real server of pictures that keeps the headers it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.sni: list[str | None] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that end early are the point."""


class Page(BaseHTTPRequestHandler):
    timeout = LONGEST

    def do_GET(self) -> None:
        assert isinstance(self.server, Host)
        self.server.heads.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"PNG")

    def do_CONNECT(self) -> None:
        assert isinstance(self.server, Host)
        self.server.heads.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_error(403)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Keep quiet."""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as server:
        yield from serving(server)


def serving(server: Host) -> Iterator[Host]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(LONGEST)


def rebinding(*answers: list[str]) -> tuple[Find, list[str]]:
    asked: list[str] = []

    async def find(name: str, _: int) -> Sequence[str]:
        asked.append(name)
        return answers[min(len(asked), len(answers)) - 1]

    return find, asked


async def test_a_name_is_resolved_once_and_the_connection_goes_to_the_checked_address(host: Host) -> None:
    find, asked = rebinding(["127.0.0.1"], ["10.0.0.1"])
    url = f"http://rebound.invalid:{host.port}/c.png?sig=1"
    with anyio.fail_after(LONGEST):
        got = await fetch(url, find=find, allow_loopback=True)
    assert got == b"PNG"
    assert asked == ["rebound.invalid"]
    ((path, head),) = host.heads
    assert path == "/c.png?sig=1"
    assert head["host"] == f"rebound.invalid:{host.port}"
    assert "authorization" not in head


async def test_the_certificate_must_fit_the_name_not_the_address(host: Host, tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "pictures.invalid")
    network = Network({"SSL_CERT_FILE": str(certificate)}, {})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def keep_name(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
        host.sni.append(name)

    context.sni_callback = keep_name
    host.socket = context.wrap_socket(host.socket, server_side=True)
    find, _ = rebinding(["127.0.0.1"])
    with anyio.fail_after(LONGEST):
        got = await fetch(f"https://pictures.invalid:{host.port}/c", network=network, find=find, allow_loopback=True)
        assert got == b"PNG"
        with pytest.raises(UnavailableError):
            await fetch(f"https://others.invalid:{host.port}/c", network=network, find=find, allow_loopback=True)
    assert host.sni == ["pictures.invalid", "others.invalid"]
    assert len(host.heads) == 1


def write_certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def through(host: Host, **more: str) -> Network:
    """Return a network whose proxy is this host."""
    return Network({"ALL_PROXY": "set"}, {"all": f"http://127.0.0.1:{host.port}", **more})


async def nowhere(name: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{name} was looked up here")


async def test_a_proxy_is_given_the_name_and_nothing_is_resolved_here(host: Host) -> None:
    with anyio.fail_after(LONGEST):
        assert await fetch("http://pictures.invalid/c", network=through(host), find=nowhere) == b"PNG"
        with pytest.raises(UnavailableError, match="the proxy answered HTTP 403, through the proxy of ALL_PROXY"):
            await fetch("https://pictures.invalid/c", network=through(host), find=nowhere)
    (path, head), (tunnel, _) = host.heads
    assert (path, head["host"], head["accept-encoding"]) == (
        "http://pictures.invalid/c",
        "pictures.invalid",
        "identity",
    )
    assert tunnel == "pictures.invalid:443"


WRITTEN = [
    *("10.0.0.1", "127.0.0.1", "[::1]", "localhost", "LOCALHOST.", "127.1", "2130706433", "0x7f.1", "0"),
    *("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "metadata.google.internal", "Metadata.Google.Internal."),
    *("[::ffff:169.254.169.254]", "198.18.0.1", "2852039166", "127.0.0.1."),
]


@pytest.mark.parametrize("name", WRITTEN)
async def test_what_is_private_as_it_is_written_is_refused_behind_a_proxy_too(name: str, host: Host) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(PermissionDeniedError):
            await fetch(f"{scheme}://{name}/c", network=through(host), find=nowhere)
    assert host.heads == []


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
async def test_loopback_pictures_need_no_proxy(address: str, host: Host) -> None:
    network = Network({}, {"http": "http://127.0.0.1:1", "all": "gopher://x"})
    url = f"http://{address}:{host.port}/c"
    with anyio.fail_after(LONGEST):
        got = await fetch(url, allow_loopback=True, network=network, find=rebinding(["127.0.0.1"])[0])
    assert got == b"PNG"


async def test_a_host_that_is_excepted_from_the_proxy_is_connected_directly(host: Host) -> None:
    network = Network({}, {"all": "http://127.0.0.1:1", "no": "pictures.invalid"})
    find, asked = rebinding(["127.0.0.1"])
    with anyio.fail_after(LONGEST):
        got = await fetch(
            f"http://cdn.pictures.invalid:{host.port}/c", network=network, find=find, api_host="localhost"
        )
    assert (got, asked) == (b"PNG", ["cdn.pictures.invalid"])


POOLS = [
    ("198.18.0.7", "198.18.3.1", True),
    ("198.19.255.1", "198.18.0.4", True),
    ("fdfe:dcba:9876::7", "fdfe:dcba:9876::1", True),
    ("10.255.0.9", "10.255.3.1", True),
    ("fc00::8", "fc00::1", True),
    ("240.0.0.9", "240.0.0.1", True),
    ("198.18.0.7", "93.184.216.34", False),
    ("10.1.2.3", "198.18.0.4", False),
    ("10.1.2.3", "10.2.2.3", False),
    ("fdfe:dcba:9999::7", "fdfe:dcba:9876::1", False),
    ("fdfe:dcba:9876::7", "198.18.0.4", False),
    ("fd00:ec2::254", "fd00:ec2::1", False),
    ("100.100.100.200", "100.100.0.1", False),
    ("169.254.169.254", "169.254.0.1", False),
    ("127.0.0.1", "127.0.0.2", False),
    ("::1", "::2", False),
    ("0.0.0.0", "0.0.0.0", False),
    ("::", "::", False),
    ("::ffff:127.0.0.1", "::ffff:198.18.0.4", False),
    ("::ffff:169.254.169.254", "::ffff:198.18.0.4", False),
]


@pytest.mark.parametrize(("address", "api", "accepted"), POOLS)
async def test_an_address_that_a_vpn_made_up_is_asked_where_the_apis_is_of_the_same_pool(
    address: str, api: str, accepted: bool
) -> None:
    transport, requests = network(PICTURE)
    find = names(pictures_example=[address], api_example=[api])
    if accepted:
        assert await fetch("https://pictures.example/c", find=find, transport=transport) == b"PNG"
        assert requests[0].headers["host"] == "pictures.example"
    else:
        with pytest.raises(PermissionDeniedError, match="in this network") as caught:
            await fetch("https://pictures.example/c", find=find, transport=transport)
        assert "HTTPS_PROXY" in caught.value.message
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(PermissionDeniedError):
        await fetch(f"https://{written}/c", find=find, transport=transport)
    assert len(requests) == accepted


async def test_every_checked_address_is_tried(host: Host) -> None:
    """The host listens on 127.0.0.1 only."""
    find, asked = rebinding(["::1", "127.0.0.3", "127.0.0.1"])
    with anyio.fail_after(LONGEST):
        got = await fetch(f"http://pictures.invalid:{host.port}/c", find=find, allow_loopback=True)
    assert (got, asked, len(host.heads)) == (b"PNG", ["pictures.invalid"], 1)


@pytest.mark.parametrize(
    ("dead", "alive"),
    [
        ([f"2606:2800:220:1::{number}" for number in range(1, 9)], [f"93.184.216.{number}" for number in range(1, 5)]),
        ([f"93.184.216.{number}" for number in range(1, 8)], ["8.8.8.8"]),
        (["2606:2800:220:1::1", "93.184.216.34"], ["2606:2800:220:1::2"]),
    ],
)
@pytest.mark.parametrize("anyio_backend", [virtual_backend()], ids=["virtual"])
async def test_addresses_that_answer_nothing_leave_time_for_the_one_that_does(
    dead: list[str], alive: list[str]
) -> None:
    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host in dead:
            await anyio.sleep(request.extensions["timeout"]["connect"])
            raise httpx.ConnectTimeout("dead")
        return PICTURE

    transport = httpx.MockTransport(handle)
    assert await fetch("https://a.example/c", find=names(a_example=[*dead, *alive]), transport=transport) == b"PNG"


SAID: dict[str, tuple[str, bytes, bytes | None]] = {
    "nothing, and is plain": ("", b"PNG as it is", b"PNG as it is"),
    "identity": ("identity", b"PNG as it is", b"PNG as it is"),
    "gzip, and is plain": ("gzip", b"PNG as it is", b"PNG as it is"),
    "gzip": ("gzip", gzip.compress(b"PNG"), None),
    "deflate": ("deflate", zlib.compress(b"PNG"), None),
    "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(b"PNG")), None),
}


@pytest.mark.parametrize(("encoding", "content", "expected"), SAID.values(), ids=SAID)
async def test_a_compressed_picture_is_refused_and_one_that_is_only_said_to_be_so_is_read(
    encoding: str, content: bytes, expected: bytes | None
) -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield content

    transport, requests = network(httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Body()))
    fetching = fetch("https://a.example/c", find=names(a_example=[PUBLIC]), transport=transport)
    if expected is None:
        with pytest.raises(UnavailableError, match="sent it compressed"):
            await fetching
    else:
        assert await fetching == expected
    assert requests[0].headers["accept-encoding"] == "identity"
