"""Origins (RFC 6454) and addresses: who is asked, and who else may be."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

_PORTS = {"https": 443, "http": 80}
_host = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(?:%[a-z0-9._-]+)?", re.ASCII).fullmatch
"""A name or an address, as it is looked up: libraries differ over what a percent sign in a name stands for."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL = ipaddress.ip_network("2000::/3")
"""All that IANA gives out for the public; Python's own list knows no site-local addresses, and others in late releases alone."""
_NOT_GLOBAL = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("3fff::/20"))


class Origin(NamedTuple):
    """Scheme, lower-case host and port. Credentials belong to exactly one.

    >>> Origin.of("https://Ghcr.io/v2/") == Origin.of("https://ghcr.io:443/token")
    True
    >>> str(Origin.of("http://[::1]:5000/v2/")), Origin.of("http://%31%36%39.254.169.254/")
    ('http://[::1]:5000', None)
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin | None:
        """Read the origin of a URL; None unless it is http or https, has a host, and carries no userinfo."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return None
        if parts.scheme not in _PORTS or not _host(host) or "@" in parts.netloc or not url.isascii():
            return None
        # Libraries differ over these: one reads a backslash as a slash, and another host than we looked at.
        if any(char <= " " or char in '\\"<>' for char in url):
            return None
        return cls(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL; the port is left out when it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def joined(url: str, location: str) -> str:
    """Return where a `Location` header leads from a URL (RFC 3986), empty for what is none."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def is_loopback_name(host: str) -> bool:
    """True if a host name or literal means this machine by its spelling alone, without asking DNS.

    >>> [is_loopback_name(host) for host in ("localhost", "x.localhost", "127.0.0.9", "::1", "localhost.evil.io")]
    [True, True, True, True, False]
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """True if an IP address is one that everybody may reach; an address inside an address counts too.

    >>> [is_public(text) for text in ("8.8.8.8", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "0.0.0.0")]
    [True, False, False, False, False]
    >>> [is_public(text) for text in ("2a00:1450::1", "64:ff9b::808:808", "fec0::1", "::10.0.0.1", "64:ff9b:1::a00:1", "::ffff:0:a00:1")]
    [True, True, False, False, False, False]
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:  # RFC 6052: the IPv4 address is its last 32 bits
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _GLOBAL:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_GLOBAL)


def literal(host: str) -> str | None:
    """Return the address when the host is an IP literal, else None."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return None
