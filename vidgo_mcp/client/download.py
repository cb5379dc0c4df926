"""Fetch a picture from a URL that somebody else chose: under limits, and never from a private address.

A name is resolved once, all of its addresses are checked, and the connection goes to one that was checked: a name that
leads elsewhere a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from vidgo_mcp import __version__
from vidgo_mcp.client.error_mapping import TRANSPORT_ERRORS, in_words
from vidgo_mcp.errors import NotFoundError, PermissionDeniedError, UnavailableError
from vidgo_mcp.models.urls import Address, is_public

USER_AGENT: Final = f"vidgo-mcp/{__version__}"
MAX_DOWNLOAD: Final = 64 * 1024 * 1024
DOWNLOAD_SECONDS: Final = 20.0
MAX_REDIRECTS: Final = 3
GONE: Final = (403, 404, 410)
"""What hosts answer for a file that they no longer have, or whose signature has run out."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def is_gone(url: str) -> bool:
    """Return whether the server on this machine that gave out a URL has ended, or no longer has the file."""
    try:
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=5) as http:  # noqa: S501  # a mere look
            answer = await http.head(url)
    except httpx.ConnectError:
        return True
    except (*TRANSPORT_ERRORS, ValueError):
        return False
    return answer.status_code in GONE


async def download(
    url: str,
    *,
    verify: ssl.SSLContext,
    allow_loopback: bool = False,
    seconds: float = DOWNLOAD_SECONDS,
    find: Resolve = resolve,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """Return a file over http(s), at most 64 MB within ``seconds``, after at most 3 redirects.

    ``allow_loopback`` is for an API that itself runs on loopback.

    Raises:
        PermissionDeniedError: the address is private, or the URL is not http(s).
        NotFoundError: the host no longer has the file.
        UnavailableError: it could not be fetched, or is too large.
    """
    fetcher = _Fetcher(transport, verify, seconds, allow_loopback, find)
    try:
        with anyio.fail_after(seconds):
            for _ in range(MAX_REDIRECTS + 1):
                answer = await fetcher.fetch(url)
                if isinstance(answer, bytes):
                    return answer
                url = answer
    except TimeoutError:
        raise UnavailableError(f"The picture could not be fetched within {seconds:.0f} s.") from None
    except (*TRANSPORT_ERRORS, OSError) as error:
        raise UnavailableError(f"The picture could not be fetched: {in_words(error)}.") from None
    except ValueError:
        # A host name that IDNA does not allow, for instance.
        raise UnavailableError("The URL of the picture cannot be used.", retryable=False) from None
    raise UnavailableError(f"The URL of the picture redirects more than {MAX_REDIRECTS} times.")


@dataclass(frozen=True, slots=True)
class _Fetcher:
    transport: httpx.AsyncBaseTransport | None
    verify: ssl.SSLContext
    seconds: float
    allow_loopback: bool
    find: Resolve

    async def fetch(self, url: str) -> bytes | str:
        """Return the file, or the address to which it redirects."""
        target = httpx.URL(url)
        if target.scheme not in {"http", "https"} or not target.host:
            raise PermissionDeniedError("Only http(s) URLs can be fetched.")
        port = target.port or (443 if target.scheme == "https" else 80)
        if port >= 1 << 16:
            raise UnavailableError("The URL of the picture names a port that does not exist.", retryable=False)
        address = await self._checked_address(target.host, port)
        direct = self.transport is not None or address.is_loopback
        proxy = None if direct else _proxy(target.scheme, f"{target.host}:{port}")
        async with self._connect(proxy) as http:
            request = http.build_request("GET", target)
            # Inside a tunnel httpcore holds the certificate against the host of the URL, so the URL keeps the name. A
            # private host to which the name may lead by now has no certificate for it.
            if proxy is None or target.scheme == "http":
                request = http.build_request(
                    "GET",
                    target.copy_with(host=str(address)),
                    headers={"Host": target.netloc.decode("ascii")},
                    extensions={"sni_hostname": target.raw_host.decode("ascii")},
                )
            return await self._read(http, request, url)

    async def _checked_address(self, host: str, port: int) -> Address:
        try:
            found = await self.find(host.strip("[]"), port)
        except (OSError, UnicodeError):
            raise UnavailableError("The host of the picture cannot be found.") from None
        addresses = [ip_address(text.partition("%")[0]) for text in found]
        for address in addresses:
            if not is_public(address) and not (self.allow_loopback and address.is_loopback):
                raise PermissionDeniedError(
                    "The host of the picture has a private address; only public hosts are asked."
                )
        return addresses[0]

    def _connect(self, proxy: str | None) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                transport=self.transport,
                proxy=proxy,
                verify=self.verify,
                trust_env=False,
                headers={"User-Agent": USER_AGENT},
                timeout=httpx.Timeout(self.seconds, connect=min(10.0, self.seconds)),
            )
        except (ImportError, ValueError):
            raise UnavailableError("The proxy that the environment names cannot be used.", retryable=False) from None

    async def _read(self, http: httpx.AsyncClient, request: httpx.Request, url: str) -> bytes | str:
        async with aclosing(await http.send(request, stream=True)) as response:
            status = response.status_code
            if response.has_redirect_location:
                return str(httpx.URL(url).join(response.headers["location"]))
            if status in GONE:
                raise NotFoundError(
                    f"The picture is no longer at its address (HTTP {status}); most live for 24 hours.",
                    http_status=status,
                    remedy="make_again",
                )
            if status != 200:
                raise UnavailableError(f"The host of the picture answered HTTP {status}.")
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_DOWNLOAD:
                    raise UnavailableError(
                        f"The picture is larger than {MAX_DOWNLOAD // 1024**2} MB.",
                        retryable=False,
                        remedy="show_picture",
                    )
            return bytes(content)


def _proxy(scheme: str, authority: str) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(authority):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
