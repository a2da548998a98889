"""Which proxy, if any: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY with the rules of Go's net/http, which Flux follows."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import quote

from krmfn.sources.registry.origin import Origin, is_loopback_name

NAMES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
"""Variables that name a proxy, in lower or in upper case."""


def proxy_for(origin: Origin, env: Mapping[str, str]) -> str:
    """Return the URL of the proxy for this origin, or an empty text. Loopback is never asked through a proxy.

    >>> env = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".corp.example,10.0.0.0/8"}
    >>> [proxy_for(Origin("https", host, 443), env) for host in ("ghcr.io", "r.corp.example", "10.1.2.3", "localhost")]
    ['http://proxy:3128', '', '', '']
    """
    rules = filter(None, (rule.strip().lower() for rule in _read(env, "no_proxy").split(",")))
    if is_loopback_name(origin.host) or any(_matches(origin, rule) for rule in rules):
        return ""
    if origin.scheme == "http" and env.get("REQUEST_METHOD"):
        return ""  # a CGI script: HTTP_PROXY may be the client's own Proxy header
    return _read(env, f"{origin.scheme}_proxy") or _read(env, "all_proxy")


def _read(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or env.get(name.upper()) or ""


def _matches(origin: Origin, rule: str) -> bool:
    if rule == "*":
        return True
    try:
        return ipaddress.ip_address(origin.host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        pass
    # httpproxy of golang.org/x/net: a rule may have a port; `example.com`, `.example.com` and `*.example.com`
    # stand for what is below, the first one for itself, too
    name, colon, port = rule.rpartition(":")
    if colon and port.isdecimal() and "]" not in port:
        if int(port) != origin.port:
            return False
        rule = name
    rule = rule.strip("[]").removeprefix("*")
    return origin.host == rule or origin.host.endswith("." + rule.lstrip("."))


def proxy_url(address: str, username: str | None, password: str | None) -> str:
    """Put the log-in of a proxy into its URL, the one form all code here takes proxies in.

    >>> proxy_url("http://proxy:3128", "me", "p@ss")
    'http://me:p%40ss@proxy:3128'
    """
    if not username:
        return address
    scheme, slashes, rest = address.rpartition("://")
    login = quote(username, safe="") + (":" + quote(password, safe="") if password else "")
    return f"{scheme or 'http'}{slashes or '://'}{login}@{rest}"
