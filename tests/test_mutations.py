"""The mutants that benchmarks/mutants.py draws: every kind is one edit, is Python, and leaves alone what runs nothing."""

from __future__ import annotations

import ast

import pytest

from benchmarks.mutants import drawn, modules
from benchmarks.mutations import Source, is_python
from tests.tools import ROOT

CODE = b'''"""A docstring."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import this
LIMIT: int = 7
NAMES = ("one",)

def choose(tags: "list[str]", first: bool = True) -> str:
    """Choose."""
    if not tags:
        raise ValueError("none is 1 of 2")
    for tag in tags:
        if len(tag) > LIMIT and tag != "latest":
            continue
        print(f"{tag} 1")
    return min(tags) + 1
'''
MUTANTS = {
    "LIMIT: int = (6)", "LIMIT: int = (8)", 'NAMES = ("~one",)', 'def choose(tags: "list[str]", first: bool = False) -> str:',
    "if tags:", "if not (not tags):", "if False:", "pass", 'if len(tag) >= LIMIT and tag != "latest":', 'if len(tag) > LIMIT or tag != "latest":',
    'if len(tag) > LIMIT and tag == "latest":', 'if len(tag) > LIMIT and tag != "~latest":', "if len(tag) > LIMIT:", 'if tag != "latest":',
    'if not (len(tag) > LIMIT and tag != "latest"):', "break", "return max(tags) + 1", "return min(tags) - 1", "return min(tags) + (0)",
    "return min(tags) + (2)", "return None",
}  # fmt: skip


def test_every_kind_of_mutation_is_one_edit():
    lines = CODE.splitlines()
    seen = set()
    for mutation in Source("krmfn/a.py", CODE).mutations():
        changed = mutation.applied(CODE).splitlines()
        (line,) = [new for old, new in zip(lines, changed, strict=True) if old != new]
        seen.add(line.decode().strip())
    assert seen == MUTANTS


@pytest.mark.slow
def test_a_seed_draws_the_same_mutants_from_every_room():
    sources = modules(ROOT)
    first = drawn(sources, 7, 60, "")
    assert first == drawn(sources, 7, 60, "") != drawn(sources, 8, 60, "")
    assert len({mutation.path.split("/")[1] for mutation in first if mutation.path.count("/") > 1}) == sum(
        path.is_dir() and path.name[0] != "_" for path in (ROOT / "krmfn").iterdir()
    )
    for mutation in first:
        changed = mutation.applied(sources[mutation.path])
        assert is_python(changed)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(sources[mutation.path]))
