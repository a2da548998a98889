"""The least that tests have to take of each room: see `tests/covered.py`."""

from __future__ import annotations

from collections.abc import Mapping

FLOORS = {
    "adopt": 85,
    "commands": 40,
    "config": 50,
    "disk": 50,
    "fleet": 25,
    "git": 35,
    "gotemplate": 94,
    "inventory": 35,
    "kubernetes": 60,
    "plan": 50,
    "policies": 95,
    "signatures": 25,
    "sources": 50,
    "yamledit": 65,
    "values": 55,
}
"""Room -> the least share of its lines and branches that tests have to take, in percent; `values` are the modules at the top."""
PARSERS = ("sources/registry/links", "sources/registry/challenge", "sources/registry/listing", "sources/registry/heads", "sources/registry/sockets", "strict_json", "sources/keychain", "sources/credential*")  # fmt: skip
"""What reads texts of registries, docker and helpers: these together have a floor of their own."""
PARSERS_FLOOR = 98


def below(shares: Mapping[str, float]) -> list[str]:
    """Return a line for each share that is below its floor."""
    floors = {**FLOORS, "parsers": PARSERS_FLOOR}
    return [f"{name}: {share:.1f}% of lines and branches, the floor is {floors[name]}%" for name, share in shares.items() if share < floors[name]]
