"""What the host of a web address tells without a look at the network: whether it is this machine, or a public one.

The key goes over https only, and over plain http to this machine. What Vidgo is to fetch has to be public.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import quote, unquote, urlsplit

Address = IPv4Address | IPv6Address

_PORTS: Final = {"http": 80, "https": 443}
_LABEL: Final = re.compile(r"[a-z0-9_-]+")
_ESCAPE: Final = re.compile(r"%(?:[0-9A-Fa-f]{2})?")
_PATH: Final = "/%:@!$&'()*+,;=~"
"""What ``quote`` leaves as it is."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""The internet's lie in here: not site-local, IPv4-compatible, local NAT64 and segment routing ones."""
_NOT_PUBLIC: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
            *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20"),
            "168.63.129.16/32",  # Azure's own, which only its machines reach
        ),
    )
)
"""What the IANA's registries of special-purpose addresses call not globally reachable. Python's table is older in each
of its versions. https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry"""
_YET_PUBLIC: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    map(
        ip_network,
        (
            *("192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32"),
            *("2001:4:112::/48", "2001:20::/28", "2001:30::/28"),
        ),
    )
)
"""What the same registries except from those."""
_LOCAL_DOMAINS: Final = frozenset(
    {"localhost", "localdomain", "local", "internal", "lan", "home", "corp", "intranet", "private", "test", "invalid"}
    | {"onion", "alt", "svc", "docker"}
)
"""Last parts of names that only networks of homes, offices and containers know; no public one is given out under them
(RFC 6761, 6762, 7686 and 9476, and https://www.icann.org/resources/board-material/resolutions-2018-02-04-en#2.c)."""


def is_loopback_host(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_on_this_machine(url: str) -> bool:
    """Return whether the host of a URL is this machine, under an address that can mean no other."""
    try:
        return is_loopback_host(urlsplit(url).hostname or "")
    except ValueError:
        return False


def checked_base_url(text: str) -> str:
    """Return a base URL in the one spelling that it has here, without a trailing slash.

    Spellings of one address would be several accounts, each with a budget of its own
    (https://datatracker.ietf.org/doc/html/rfc3986#section-6.2).

    Raises:
        ValueError: it is no http(s) URL, or plain http to another machine, which would show the key to the network.
    """
    url = text.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text!r} is not a valid URL") from None
    if parts.scheme not in _PORTS or not parts.hostname or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError(f"{text!r} is not an http(s) URL")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("a base URL has no user name, query or fragment")
    if not parts.netloc.isascii():
        raise ValueError(f"{text!r} has a host with letters beyond ASCII; write it as DNS has it (xn--...)")
    host = _one_host(parts.hostname)
    if host is None:
        raise ValueError(f"{text!r} is not a valid URL")
    shown = "" if port in {None, _PORTS[parts.scheme]} else f":{port}"
    url = f"{parts.scheme}://{host}{shown}{_one_path(parts.path)}"
    if parts.scheme == "http" and not is_loopback_host(host):
        raise ValueError(
            f"{url} would send the key unencrypted; use https (plain http is allowed only to this machine)"
        )
    return url


def account_address(base_url: str) -> str:
    """Return what names the API at a base URL: of this machine every name and address are one.

    What is no base URL, as for a sandbox inside the process, names itself.
    """
    try:
        url = checked_base_url(base_url)
    except ValueError:
        return base_url
    parts = urlsplit(url)
    if is_loopback_host(parts.hostname or ""):
        parts = parts._replace(netloc="127.0.0.1" if parts.port is None else f"127.0.0.1:{parts.port}")
    return parts.geturl()


def _one_host(host: str) -> str | None:
    """Return a host in ASCII as it is written in a URL; None for one that cannot be."""
    if ":" in host:
        try:
            address = ip_address(host)
        except ValueError:
            return None
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(inner) if inner else f"[{address}]"
    labels = host.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return None
    if not _is_number(labels[-1]):
        return ".".join(labels)
    number = _ipv4(labels)
    return None if number is None else str(number)


def _one_path(path: str) -> str:
    """Return a path without what may be written in several ways: escapes, dots, and slashes that say nothing."""
    plain = _ESCAPE.sub(lambda found: _unescaped(found[0]), quote(path, safe=_PATH))
    kept: list[str] = []
    for segment in plain.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "".join(f"/{segment}" for segment in kept)


def _unescaped(escape: str) -> str:
    if escape == "%":
        return "%25"
    letter = unquote(escape)
    return letter if letter.isascii() and (letter.isalnum() or letter in "-._~") else escape.upper()


def is_public(address: Address) -> bool:
    """Return whether an address, or the IPv4 one that it wraps, belongs to the public internet."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST:
            return False
    return not any(address in network for network in _NOT_PUBLIC) or any(address in network for network in _YET_PUBLIC)


def is_public_host(host: str) -> bool:
    """Return whether somebody elsewhere may reach a host, as far as its name or address tells; names are not resolved.

    Every spelling counts that a browser takes for an address (https://url.spec.whatwg.org/#host-parsing).
    """
    name = _ascii(host.strip("[]")).rstrip(".").lower()
    if ":" in name:
        try:
            return is_public(ip_address(name))
        except ValueError:
            return False
    labels = name.split(".")
    if _is_number(labels[-1]):
        address = _ipv4(labels)
        return address is not None and is_public(address)
    local = labels[-1] in _LOCAL_DOMAINS or labels[-2:] in (["home", "arpa"], ["metadata", "goog"])
    return len(labels) > 1 and all(labels) and not local


def _ascii(host: str) -> str:
    """Return a host as it is looked up: wide digits and letters, and other full stops, become the plain ones."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _is_number(label: str) -> bool:
    return label.isdecimal() or label.startswith("0x")


def _ipv4(parts: list[str]) -> IPv4Address | None:
    """Return an address of up to four numbers, decimal, 0x or 0 for octal; the last one fills what is left."""
    if len(parts) > 4:
        return None
    try:
        *first, last = [_number(part) for part in parts]
        return IPv4Address(bytes(first) + last.to_bytes(4 - len(first)))
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
