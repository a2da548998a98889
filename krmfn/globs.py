"""Globs of repositories, policies and URIs."""

import re


def matches(glob: str, name: str) -> bool:
    """True if a glob matches the whole name: `*` stays inside a path part, `**` crosses.

    >>> matches("ghcr.io/acme/*", "ghcr.io/acme/web"), matches("ghcr.io/acme/*", "ghcr.io/acme/team/web")
    (True, False)
    >>> matches("ghcr.io/**", "ghcr.io/acme/team/web"), matches("shop:*", "shop:web")
    (True, True)
    """
    if "*" not in glob:
        return glob == name
    ends = [0]
    # Positions of the name up to which the glob so far may reach, ascending. All are followed at once, so that a name
    # costs its length for each star; backtracking would cost a power of it.
    for part in re.split(r"(\*+)", glob):
        if part.startswith("**"):
            ends = [*range(ends[0], len(name) + 1)] if ends else []
        elif part == "*":
            ends = _within_parts(ends, name)
        else:
            ends = [end + len(part) for end in ends if name.startswith(part, end)]
    return len(name) in ends


def _within_parts(starts: list[int], name: str) -> list[int]:
    """Return where `*` may end that starts at one of these positions: before the next `/` at the latest."""
    ends: list[int] = []
    for start in starts:
        stop = name.find("/", start)
        stop = len(name) if stop < 0 else stop
        if not ends or stop > ends[-1]:
            ends += range(start, stop + 1)
    return ends
