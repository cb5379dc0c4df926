"""Fetch a picture from a URL that somebody else chose: under limits, and never from a private address.

It takes the route that the API's own calls take. Through a proxy, which resolves names itself, a name is handed on as
it stands. Without one a name is resolved once, all of its addresses are checked, and connections go to those that were
checked: a name that leads elsewhere a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import zip_longest
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx

from vidgo_mcp import __version__
from vidgo_mcp.client.error_mapping import TRANSPORT_ERRORS, in_words
from vidgo_mcp.client.network import PORTS, NamedProxy, Network, literal_address
from vidgo_mcp.client.wire import is_compressed
from vidgo_mcp.errors import NotFoundError, PermissionDeniedError, UnavailableError, VidgoError
from vidgo_mcp.foreign_text import quoted
from vidgo_mcp.models.urls import Address, is_loopback_host, is_public

USER_AGENT: Final = f"vidgo-mcp/{__version__}"
MAX_DOWNLOAD: Final = 64 * 1024 * 1024
DOWNLOAD_SECONDS: Final = 20.0
CONNECT_SECONDS: Final = 10.0
NEXT_ADDRESS_SECONDS: Final = 3.0
"""To connect to an address when there is another one: a second try of the first packet is in it. Many have less."""
MAX_REDIRECTS: Final = 3
GONE: Final = (403, 404, 410)
"""What hosts answer for a file that they no longer have, or whose signature has run out."""
METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    )
)
"""Where clouds tell their own machines secrets; no VPN and no proxy makes these a host of pictures."""
METADATA_NAMES: Final = ("metadata.google.internal", "metadata.goog", "metadata", "instance-data")
ONLY_PUBLIC: Final = "only public hosts are asked for pictures."
_BENCHMARKING: Final = ip_network("198.18.0.0/15")
_NO_POOLS: Final = (ip_network("0.0.0.0/8"), ip_network("::/8"))
"""This machine, as blocking resolvers write it, and IPv4 addresses written as IPv6 ones."""

log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def is_gone(url: str, api: str | None = None) -> bool:
    """Return whether the server on this machine that gave out a URL has ended, or no longer has the file.

    ``api``: the base URL of one that may lead on to Vidgo itself. Then only what this very server answers counts: when
    it is down, or the file is on another one, it may be there again in a moment.
    """
    try:
        if api is not None and urlsplit(url).port != urlsplit(api).port:
            return False
        # Not HEAD: some take that for a forbidden request. The file itself is not read.
        async with (
            httpx.AsyncClient(trust_env=False, verify=False, timeout=5) as http,  # noqa: S501  # a mere look
            http.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            return answer.status_code in GONE
    except httpx.ConnectError:
        return api is None
    except (*TRANSPORT_ERRORS, ValueError):
        return False


async def download(
    url: str,
    *,
    network: Network,
    api_host: str,
    seconds: float = DOWNLOAD_SECONDS,
    find: Resolve = resolve,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """Return a file over http(s), at most 64 MB within ``seconds``, after at most 3 redirects.

    ``api_host`` is Vidgo's: pictures may come from loopback where the API runs there, and from the addresses that a
    VPN made up where it made up the API's too.

    Raises:
        PermissionDeniedError: the address is private, or the URL is not http(s).
        NotFoundError: the host no longer has the file.
        UnavailableError: it could not be fetched, or is too large.
    """
    fetcher = _Fetcher(network, api_host, seconds, find, transport)
    try:
        with anyio.fail_after(seconds):
            for _ in range(MAX_REDIRECTS + 1):
                answer = await fetcher.fetch(url)
                if isinstance(answer, bytes):
                    return answer
                url = answer
    except VidgoError:
        raise
    except TimeoutError:
        raise UnavailableError(f"The picture could not be fetched within {seconds:.0f} s.") from None
    except ValueError:
        # A host name that IDNA does not allow, for instance.
        raise UnavailableError("The URL of the picture cannot be used.", retryable=False) from None
    except Exception as error:  # what a proxy's library raises is not always httpx's
        if not isinstance(error, (*TRANSPORT_ERRORS, OSError)):
            log.exception("a picture could not be fetched (%s)", type(error).__name__)
        raise UnavailableError(f"The picture could not be fetched: {in_words(error)}.") from None
    raise UnavailableError(f"The URL of the picture redirects more than {MAX_REDIRECTS} times.")


@dataclass(frozen=True, slots=True)
class _Fetcher:
    network: Network
    api_host: str
    seconds: float
    find: Resolve
    transport: httpx.AsyncBaseTransport | None

    async def fetch(self, url: str) -> bytes | str:
        """Return the file, or the address to which it redirects."""
        target = httpx.URL(url)
        if target.scheme not in PORTS or not target.host:
            raise PermissionDeniedError("Only http(s) URLs can be fetched.")
        port = target.port or PORTS[target.scheme]
        if port >= 1 << 16:
            raise UnavailableError("The URL of the picture names a port that does not exist.", retryable=False)
        self._check_written(target.host.rstrip("."))
        named = None if self.transport is not None else self.network.proxy_for(target)
        if named is not None:
            # It resolves the name, and may be the only one who can.
            return await self._ask(target, target, CONNECT_SECONDS, named)
        addresses = await self._checked_addresses(target.host, port)
        patience = min(NEXT_ADDRESS_SECONDS, self.seconds / (len(addresses) + 1))
        for address in addresses[:-1]:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._ask(target, target.copy_with(host=str(address)), patience)
        return await self._ask(target, target.copy_with(host=str(addresses[-1])), CONNECT_SECONDS)

    def _check_written(self, host: str) -> None:
        """Refuse what is private as it is written, by whatever route."""
        address = written_address(host)
        loopback = is_loopback_host(host) if address is None else address.is_loopback
        private = loopback or host in METADATA_NAMES or (address is not None and not is_public(address))
        if private and not (loopback and is_loopback_host(self.api_host)):
            raise PermissionDeniedError(f"{_shown(host)}, is private; {ONLY_PUBLIC}")

    async def _checked_addresses(self, host: str, port: int) -> list[Address]:
        found = await self._resolved(host, port)
        if not found:
            raise UnavailableError(f"{_shown(host)}, cannot be found.")
        private = [one for one in found if not is_public(one)]
        if is_loopback_host(self.api_host):
            private = [one for one in private if not one.is_loopback]
        elif private and written_address(host) is None and written_address(self.api_host) is None:
            # A VPN that resolves names itself makes up an address for each, Vidgo's too.
            api = await self._resolved(self.api_host, port)
            private = [one for one in private if one in METADATA or not any(is_made_up_like(one, it) for it in api)]
        if private:
            raise PermissionDeniedError(
                f"{_shown(host)}, leads to the private address {private[0]} in this network; "
                f"{ONLY_PUBLIC} A proxy that HTTPS_PROXY names is given the name instead."
            )
        # Where one family leads nowhere, all of its addresses do: large hosts have eight of IPv6.
        same, other = ([one for one in found if (one.version == found[0].version) is first] for first in (True, False))
        return [one for pair in zip_longest(same, other) for one in pair if one is not None]

    async def _resolved(self, host: str, port: int) -> list[Address]:
        try:
            found = await self.find(host.strip("[]"), port)
        except (OSError, UnicodeError):
            return []
        return list(dict.fromkeys(ip_address(text.partition("%")[0]) for text in found))

    async def _ask(
        self, target: httpx.URL, url: httpx.URL, connect: float, named: NamedProxy | None = None
    ) -> bytes | str:
        """Ask for a picture at a URL that leads to its host: the one it has, or one with a checked address."""
        headers = {"Host": target.netloc.decode("ascii"), "User-Agent": USER_AGENT}
        timeout = httpx.Timeout(self.seconds, connect=min(connect, self.seconds))
        try:
            async with self.network.client(url, named, transport=self.transport, timeout=timeout) as http:
                request = http.build_request("GET", url, headers=headers)
                if named is None:
                    request.extensions["sni_hostname"] = target.raw_host.decode("ascii")
                return await self._read(http, request, target)
        except TRANSPORT_ERRORS as error:
            if named is None:
                raise
            why = f"{in_words(error)}, through the proxy of {named.variable}"
            raise UnavailableError(f"The picture could not be fetched: {why}.") from None

    async def _read(self, http: httpx.AsyncClient, request: httpx.Request, target: httpx.URL) -> bytes | str:
        async with aclosing(await http.send(request, stream=True)) as response:
            status = response.status_code
            if response.has_redirect_location:
                return str(target.join(response.headers["location"]))
            if status in GONE:
                raise NotFoundError(
                    f"The picture is no longer at its address (HTTP {status}); most live for about 24 hours.",
                    http_status=status,
                    remedy="make_again",
                )
            if status != 200:
                raise UnavailableError(f"The host of the picture answered HTTP {status}.")
            # Without the header httpx hands on the bytes as they come.
            encoding = response.headers.pop("content-encoding", None)
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_DOWNLOAD:
                    raise _unfit(f"The picture is larger than {MAX_DOWNLOAD // 1024**2} MB.")
            if encoding and is_compressed(bytes(content[:1024])):
                raise _unfit("The host of the picture sent it compressed (Content-Encoding), though asked not to.")
            return bytes(content)


def _shown(host: str) -> str:
    return f"{quoted(host, 100)}, the host of the picture"


def _unfit(what: str) -> UnavailableError:
    return UnavailableError(what, retryable=False, remedy="show_picture")


def written_address(host: str) -> Address | None:
    """Return the address that a host is written as, also in the ways of old (``127.1``); None for a name."""
    with suppress(OSError):
        return literal_address(host) or IPv4Address(socket.inet_aton(host))
    return None


def is_made_up_like(address: Address, other: Address) -> bool:
    """Return whether two private addresses are of one pool, from which a VPN gives each name one of its own."""
    if is_public(other) or address.is_loopback or address.is_link_local or address.is_multicast:
        return False
    if any(address in none for none in _NO_POOLS):
        return False
    size = 48 if other.version == 6 else 16
    pool = _BENCHMARKING if other in _BENCHMARKING else ip_network(f"{other}/{size}", strict=False)
    return address in pool
