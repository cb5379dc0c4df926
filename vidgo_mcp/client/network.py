"""Which way requests leave this machine: the proxies and certificates that the usual variables name, each checked.

httpx and ssl read these variables by themselves, and end in whatever exception comes first where one cannot be used.
Here each is looked at when it is needed, and named. A proxy's URL may hold a password, so it is never shown whole.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import httpx

from vidgo_mcp.errors import UnavailableError
from vidgo_mcp.foreign_text import escape
from vidgo_mcp.models.urls import is_loopback_host

PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
SCHEMES: Final[Mapping[str, str]] = {
    **{scheme: scheme for scheme in ("http", "https", "socks5", "socks5h")},
    "socks": "socks5",  # as GNOME writes it
}
_UNEXPANDED: Final = re.compile(r"\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*|%[A-Za-z_][A-Za-z0-9_]*%")
"""What a client passed on because it could not fill it in; it counts as unset, as with our own settings."""
_EXCEPTION: Final = re.compile(r"(?:\[(?P<address>.*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")
"""The names by which OpenSSL finds the certificates of a folder."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class NamedProxy:
    """A proxy, and the variable that names it."""

    variable: str
    proxy: httpx.Proxy

    def __str__(self) -> str:
        return f"{self.proxy.url.scheme}://{self.proxy.url.netloc.decode('ascii')}"


@dataclass(frozen=True)
class Network:
    """The network as an environment describes it.

    Attributes:
        environment: the variables.
        proxies: by scheme, as ``urllib.request.getproxies`` returns them; ``no`` has the exceptions.
    """

    environment: Mapping[str, str]
    proxies: Mapping[str, str]

    @classmethod
    def of_this_process(cls) -> Self:
        return cls(dict(os.environ), getproxies())

    def proxy_for(self, url: httpx.URL) -> NamedProxy | None:
        """Return the proxy that a request to a URL goes through; there is none for loopback.

        Raises:
            UnavailableError: it cannot be used.
        """
        given = next((name for name in (url.scheme, "all") if _filled_in(self.proxies.get(name))), None)
        # A proxy would see the key on its way to loopback, and would look for the API on its own machine.
        if given is None or is_loopback_host(url.host):
            return None
        if _excepted(url.host.rstrip("."), url.port or PORTS.get(url.scheme), self.proxies.get("no", "")):
            return None
        names = [name for name in sorted(self.environment, reverse=True) if name.lower() == f"{given}_proxy"]
        variable = next((name for name in names if self.environment[name]), "The system's proxy setting")
        return NamedProxy(variable, self._parsed(variable, self.proxies[given].strip()))

    def _parsed(self, variable: str, text: str) -> httpx.Proxy:
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
        except ValueError:
            raise _unusable(variable, "it is not a URL") from None
        scheme = SCHEMES.get(parts.scheme)
        if scheme is None:
            raise _unusable(variable, "a proxy's URL begins with http, https, socks5 or socks5h")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise _unusable(variable, "its port is not a number from 1 to 65535")
        host = parts.hostname or ""
        with suppress(httpx.InvalidURL):
            url = httpx.URL(scheme=scheme, host=host, port=port)
            if host and not any(c.isspace() for c in host):
                secret = parts.username or parts.password
                return httpx.Proxy(
                    url,
                    ssl_context=self.certificates if scheme == "https" else None,
                    auth=(unquote(parts.username or ""), unquote(parts.password or "")) if secret else None,
                )
        raise _unusable(variable, "it names no host")

    @property
    def certificates_from(self) -> tuple[str, str] | None:
        """The variable that names certificate authorities, with what it names; None where httpx's own are used."""
        named = ((name, self.environment.get(name, "")) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        return next(((name, value) for name, value in named if _filled_in(value)), None)

    @cached_property
    def certificates(self) -> ssl.SSLContext:
        """What servers are checked with. Made once, when needed: that takes longer than a small download.

        Raises:
            UnavailableError: a variable names what cannot be used.
        """
        if log := self.environment.get("SSLKEYLOGFILE"):
            # ssl writes the session keys there, and would fail as if the certificates were missing.
            with _naming("SSLKEYLOGFILE", log):
                Path(log).open("ab").close()
        variable, place = self.certificates_from or ("", "")
        if variable == "SSL_CERT_FILE":
            with _naming(variable, place):
                return ssl.create_default_context(cafile=place)
        if variable == "SSL_CERT_DIR":
            found: list[str] = []
            for folder in place.split(os.pathsep):
                with suppress(OSError):
                    found += [path.name for path in Path(folder).iterdir()]
            if not any(map(_HASHED.fullmatch, found)):
                raise _unusable(variable, f"{place} has no certificates with the names that `openssl rehash` makes")
            return ssl.create_default_context(capath=place)
        return httpx.create_ssl_context(trust_env=False)

    def client(self, url: httpx.URL, named: NamedProxy | None, **options: Any) -> httpx.AsyncClient:
        """Return an HTTP client for the host of a URL, directly or through a proxy; it reads no variable by itself.

        Raises:
            UnavailableError: the certificates are needed, and cannot be used.
        """
        if options.get("transport") is None:
            options["proxy"] = None if named is None else named.proxy
            options["verify"] = self.certificates if url.scheme == "https" else False
        # A few bytes that are compressed twice fill the memory.
        options["headers"] = {"Accept-Encoding": "identity", **options.get("headers", {})}
        # No cookie is kept: one that fits into no header would fail all calls after it, and many fill the header.
        nothing = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        return httpx.AsyncClient(trust_env=False, cookies=nothing, **options)


def literal_address(host: str) -> Address | None:
    """Return the address that a host is written as, None for a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _filled_in(value: str | None) -> bool:
    return bool(value and value.strip()) and not _UNEXPANDED.fullmatch((value or "").strip())


def _excepted(host: str, port: int | None, exceptions: str) -> bool:
    """Return whether NO_PROXY excepts a host; an entry of it that cannot be read is skipped."""
    address = literal_address(host)
    for entry in re.split(r"[\s,]+", exceptions.lower()):
        if entry == "*":
            return True
        found = _EXCEPTION.fullmatch(entry.rpartition("://")[2])
        name, only = (found["address"] or found["name"], found["port"]) if found else (entry, None)
        if not name or only not in {None, str(port)}:
            continue
        if address is not None:
            with suppress(ValueError):
                if address in ip_network(name, strict=False):
                    return True
        elif (domain := name.lstrip("*.")) and (host == domain or host.endswith(f".{domain}")):
            return True
    return False


@contextmanager
def _naming(variable: str, path: str) -> Generator[None]:
    """Name the variable of a file that cannot be opened, or has no certificates."""
    try:
        yield
    except ssl.SSLError:
        raise _unusable(variable, f"{path} has no certificates in PEM form") from None
    except OSError as error:
        raise _unusable(variable, f"{path} cannot be opened ({error.strerror})") from None


def _unusable(variable: str, why: str) -> UnavailableError:
    return UnavailableError(f"{variable} cannot be used: {escape(why)}.", retryable=False, remedy="fix_network")
