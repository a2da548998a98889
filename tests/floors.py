"""The least that tests have to take of each room: see `tests/covered.py`."""

from __future__ import annotations

from collections.abc import Mapping

FLOORS = {
    "adopt": 91,
    "commands": 82,
    "config": 87,
    "disk": 76,
    "fleet": 84,
    "git": 66,
    "gotemplate": 94,
    "inventory": 85,
    "kubernetes": 83,
    "plan": 85,
    "policies": 96,
    "signatures": 90,
    "sources": 86,
    "yamledit": 90,
    "values": 80,
}
"""Room -> the least share of its lines and branches that tests have to take, in percent; `values` are the modules at the top."""
PARSERS = ("sources/registry/challenge", "sources/registry/listing", "sources/registry/heads", "sources/registry/sockets", "strict_json", "sources/keychain", "sources/credential*")  # fmt: skip
"""What reads texts of registries, docker and helpers: these together have a floor of their own."""
PARSERS_FLOOR = 98


def below(shares: Mapping[str, float]) -> list[str]:
    """Return a line for each share that is below its floor."""
    floors = {**FLOORS, "parsers": PARSERS_FLOOR}
    return [f"{name}: {share:.1f}% of lines and branches, the floor is {floors[name]}%" for name, share in shares.items() if share < floors[name]]
