"""Policies at random, answered by Flux's own package and by krmfn."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from krmfn.errors import RulesError
from krmfn.policies.rules import parse_rules
from krmfn.policies.selection import outranks, select

Row = dict[str, Any]
OPERATORS = ("", "=", "!=", ">", "<", ">=", "<=", "~", "^", "~>", "=>", "=<")
PATTERNS = (
    None,
    {"pattern": "^v?(?P<v>.*)$", "extract": "$v"},
    {"pattern": "^(?P<n>[0-9]+)", "extract": "$n"},
    {"pattern": "^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "extract": "$ts"},
    {"pattern": "1"},
    {"pattern": "([0-9]+)\\.([0-9]+)", "extract": "${2}.$1.0"},
    {"pattern": "(?i)^V", "extract": ""},
    {"pattern": "^[^-]+$"},
    {"pattern": "-alpine$"},
    {"pattern": "(unclosed", "extract": "$1"},
    {"pattern": "", "extract": "same"},
    *(
        {"pattern": text}
        for text in (
            r"^\p{lu}",
            r"\p{greek}|1",
            r"\p{L_u}",
            r"\p{Cn}",
            r"\p{Assigned}",
            r"^[\p{ll}\p{Nd}.]+$",
            r"\p{Old_Italic}|2",
            r"\p{olditalic}",
            r"1{99999999999}",
            r"1{1001}",
            r"\B1",
            r"\Q1.\E",
            r"(?P<a>1)(?P<a>2)",
            r"[[:^alpha:]]$",
            r"\pN\pL",
        )
    ),
)


def _version(rng: random.Random) -> str:
    numbers = ".".join(rng.choice(("0", "1", "2", "3", "10", "01")) for _ in range(rng.choice((1, 2, 3, 3, 3, 3, 4))))
    tail = rng.choice(("", "", "", "", "-rc.1", "-rc.2", "-alpha", "-0", "-01", "+b1", "-rc.1+b", "-alpine"))
    return rng.choice(("", "", "v", "V")) + numbers + tail


def _term(rng: random.Random) -> str:
    version = _version(rng) if rng.random() < 0.8 else rng.choice(("*", "1.x", "1.2.X", "x", "1.*", ""))
    if rng.random() < 0.1:
        return f"{_version(rng)} - {_version(rng)}"
    return rng.choice(OPERATORS) + rng.choice(("", "", " ")) + version


def _range(rng: random.Random) -> str:
    groups = (
        rng.choice((" ", ", ", ",")).join(_term(rng) for _ in range(rng.choice((1, 1, 2, 3))))
        for _ in range(rng.choice((1, 1, 1, 2)))
    )
    return rng.choice((" || ", "||")).join(groups)


def _tag(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return _version(rng).replace("+", "_" if rng.random() < 0.5 else "-")
    if kind < 0.8:
        return f"main-{rng.randrange(1 << 24):06x}-{rng.randrange(10**9)}"
    return rng.choice(
        ("latest", "stable", "1e3", "NaN", "0x10", str(rng.randrange(10**6)), f"{rng.randrange(99)}.5", "Inf", "_1")
    )


def row(rng: random.Random) -> Row:
    """Make a policy, a filter and a list of tags."""
    kind = rng.choice(("semver", "semver", "semver", "alphabetical", "numerical"))
    policy: Row = {kind: {"range": _range(rng)} if kind == "semver" else {"order": rng.choice(("asc", "desc"))}}
    tags = list(dict.fromkeys(_tag(rng) for _ in range(rng.choice((1, 3, 6, 12, 20)))))
    if kind == "numerical" and rng.random() < 0.5:
        tags = list(dict.fromkeys(str(rng.randrange(10**6)) for _ in tags))
    return {"policy": policy, "filterTags": rng.choice(PATTERNS), "tags": tags}


def answer(asked: Row) -> Row:
    """Return what krmfn chooses, in the form of the Go program."""
    try:
        rules = parse_rules(asked["policy"], filter_tags=asked["filterTags"])
    except RulesError as error:
        return {"error": str(error)}
    chosen = select(rules, asked["tags"])
    return {"error": chosen.message} if chosen.tag is None else {"tag": chosen.tag}


def compare(
    program: Path, rng: random.Random, count: int, _folder: Path, known: Counter[str], others: list[str]
) -> int:
    """Ask both about `count` policies; return how many chose a tag."""
    asked = [row(rng) for _ in range(count)]
    done = subprocess.run(
        [program], input="\n".join(json.dumps(one) for one in asked), capture_output=True, text=True, check=True
    )
    chosen = 0
    for one, line in zip(asked, done.stdout.splitlines(), strict=True):
        flux, ours = json.loads(line), answer(one)
        chosen += "tag" in flux
        if flux.get("tag") == ours.get("tag") and ("error" in flux) == ("error" in ours):
            continue
        why = _documented(one, flux, ours)
        if why:
            known[why] += 1
        else:
            others.append(json.dumps({"asked": one, "flux": flux, "krmfn": ours}, indent=1))
    return chosen


def _documented(asked: Row, flux: Row, ours: Row) -> str:
    """Return the class of docs/compatibility.md that a difference belongs to; nothing without one."""
    if "tag" not in flux or "tag" not in ours or asked["filterTags"] is None:
        return ""
    rules = parse_rules(asked["policy"], filter_tags=asked["filterTags"])
    is_tie = not outranks(rules, flux["tag"], ours["tag"]) and not outranks(rules, ours["tag"], flux["tag"])
    return "versions or numbers that tie under filterTags" if is_tie else ""
