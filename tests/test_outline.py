"""The outline of an item must be what composing it says, or nothing at all."""

from __future__ import annotations

import os
import random
import re

import pytest
import yaml

from benchmarks.manifests import resource_list
from krmfn.errors import NotSeparableError
from krmfn.resources import outline
from krmfn.resources.resource import describe, outlined
from krmfn.text import compose, markers
from krmfn.text.yamltext import Block, Text

ROUNDS = int(os.environ.get("KRMFN_FUZZ", "4000"))
MARK = '# {"$imagepolicy": "ns:web"}'
PARTS = {
    "lead": ["", "  ", "    ", "      ", "        ", " ", "   "],
    "dash": ["", "", "", "", "- ", "- ", "-   ", "- - ", "-"],
    "key": ["name:", "image:", "spec:", "containers:", "metadata:", "annotations:", "a.b/c:", "kind:", "'q':", "? k", "items:", "1:", "x", "<<:", ""],
    "value": [
        "", "", "", "", " nginx:1", " 'it''s'", ' "a"', " a b", " 'open", ' "open', " |", " >-", " {a: b, c: 'd'}", ' [a, "b"]', " [a,",
        " {a: it's, b: c's}", " &x y", " *x", " !t v", " -x", " --x=1", " a#b", " a: b", " a:", " ~", " null", " - a", " ]", "\ta", " é", ' "a\\n"', " #",
    ],
    "tail": ["", "", "", "", f" {MARK}", f" {MARK}", f"   {MARK}", " # note", f"{MARK}", ' # {"$imagepolicy": "ns:web:tag"} ', f" # x {MARK}"],
}  # fmt: skip
PLAIN = {"dash": 4, "key": 8, "value": 8, "tail": 8}
"""How many of the first choices make a plain line, which is what most lines are."""


def made(chance: random.Random) -> str:
    """Write an item at random: mostly plain lines whose columns go in and out, some of them wild."""
    wild, column, lines = (
        chance.random() < 0.5,
        2,
        ["- " + chance.choice(["apiVersion: v1", "kind: Pod", "spec:", "name: a"])],
    )
    for number in range(chance.randrange(1, 12)):
        is_wild = wild and chance.random() < 0.25
        parts = {
            name: chance.choice(some if is_wild else some[: PLAIN.get(name, len(some))]) for name, some in PARTS.items()
        }
        dash = chance.choice(["- ", "", ""]) if not is_wild else parts["dash"]
        lead = parts["lead"] if is_wild else " " * column
        key = parts["key"] if chance.random() < 0.4 or is_wild else f"k{number}:"
        lines.append(lead + dash + key + parts["value"] + parts["tail"])
        if chance.random() < 0.1:
            lines.append(chance.choice(["", "  ", "# note", f"    {MARK}", "      # a: b"]))
        inner = column + (2 if dash and key else 0)
        column = chance.choice(
            [inner, inner, inner + 2, inner + 2 if not parts["value"] else inner, max(inner - 2, 2), 2, 4]
        )
        column = inner + chance.choice([0, 2]) if not parts["value"] and chance.random() < 0.7 else column
    return "\n".join(lines) + chance.choice(["\n", "\n", "\n", ""])


def compare(text: str) -> bool:
    """Compare the outline of an item with its composed tree; tell whether there was an outline."""
    data = b"items:\n" + text.encode()
    block = Block(Text(data), 7, len(data), 0, is_cut=True)
    found = outline.read(block)
    if found is None:
        return False
    try:
        assert block.root is not None
    except NotSeparableError:
        with pytest.raises(yaml.YAMLError):  # so that reading by lines leads to the same refusal
            compose.raw_parse(block.raw)
        return False
    resource = outlined(block, found.top, found.metadata, found.annotations)
    assert (resource,) == describe(block), text
    assert found.markers == tuple(markers.read(block)), text
    return True


def test_an_outline_says_what_composing_says() -> None:
    chance = random.Random(ROUNDS)
    seen = marked = 0
    for _ in range(ROUNDS):
        text = made(chance)
        if compare(text):
            seen += 1
            marked += "$imagepolicy" in text
    assert seen > ROUNDS / 20, seen
    assert marked > ROUNDS / 50, marked


def test_an_outline_of_a_workload_with_a_line_moved_says_what_composing_says() -> None:
    chance = random.Random(ROUNDS)
    items = [
        item + "\n"
        for item in re.split(r"\n(?=- )", resource_list(12).decode())
        if item.startswith("- ") and "imagepolicy" in item
    ]
    assert len(items) > 10
    seen = 0
    for _ in range(ROUNDS // 4):
        lines = chance.choice(items).splitlines()
        for _ in range(chance.randrange(4)):
            at = chance.randrange(1, len(lines))
            line = lines[at]
            moved = [
                " " * chance.choice([1, 2, 4]) + line,
                line[chance.choice([1, 2]) :] if line.startswith("    ") else line,
                line.replace("- ", "  "),
                "  " + line.lstrip(),
            ]
            some = chance.choice(
                [
                    [],
                    [line, line],
                    [chance.choice(moved)],
                    [chance.choice(moved)],
                    [chance.choice(lines)],
                    ["# note", line],
                    [line.partition(": ")[0]],
                ]
            )
            lines[at : at + 1] = some
            lines += [] if len(lines) > 1 else ["  kind: Pod"]
        seen += compare("\n".join(lines) + "\n")
    assert seen > ROUNDS / 20, seen
