"""Globs of repositories, policies and URIs."""

import re
from collections.abc import Iterator


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
    """How much of the name the glob so far may have taken, in order: each step is linear, however many stars there are."""
    for part in re.split(r"(\*+)", glob):
        if part.startswith("**"):
            ends = list(range(ends[0], len(name) + 1)) if ends else []
        elif part == "*":
            ends = list(_inside_parts(ends, name))
        else:
            ends = [end + len(part) for end in ends if name.startswith(part, end)]
    return len(name) in ends


def _inside_parts(starts: list[int], name: str) -> Iterator[int]:
    """Yield where `*` may end that starts at one of the positions: before the next `/` at the latest."""
    done = 0
    for start in starts:
        stop = name.find("/", start)
        stop = len(name) if stop < 0 else stop
        yield from range(max(start, done), stop + 1)
        done = stop + 1
