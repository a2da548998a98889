"""Globs of repositories, policies and URIs."""

import re


def matches(glob: str, name: str) -> bool:
    """True if a glob matches the whole name: `*` stays inside a path part, `**` crosses.

    >>> matches("ghcr.io/acme/*", "ghcr.io/acme/web"), matches("ghcr.io/acme/*", "ghcr.io/acme/team/web")
    (True, False)
    >>> matches("ghcr.io/**", "ghcr.io/acme/team/web"), matches("shop:*", "shop:web")
    (True, True)
    """
    parts = re.split(r"(\*+)", glob)
    pattern = "".join("[^/]*" if part == "*" else ".*" if part.startswith("**") else re.escape(part) for part in parts)
    return re.fullmatch(pattern, name) is not None
