"""Which web addresses may carry the key: https ones, and plain http only to this very machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


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
    """Return a base URL without a trailing slash.

    Raises:
        ValueError: it is no http(s) URL, or plain http to another machine, which would show the key to the network.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{text!r} is not a valid URL") from None
    if parts.scheme not in {"http", "https"} or not host or any(c.isspace() for c in url):
        raise ValueError(f"{text!r} is not an http(s) URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a base URL has no user name, query or fragment")
    if parts.scheme == "http" and not is_loopback_host(host):
        raise ValueError(
            f"{url} would send the key unencrypted; use https (plain http is allowed only to this machine)"
        )
    return url
