"""Every key of a configuration, its line, and what became of it: none is dropped silently."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from krmfn.errors import RuleError
from krmfn.image import ImageRef
from krmfn.yamledit.yamltree import children

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

Steps = tuple[str, ...]
NO_EQUAL = "has no equal in krmfn"


class Fate(NamedTuple):
    """What became of a key: what it is in krmfn, or why it is nothing there."""

    is_mapped: bool
    what: str


class Leaf(NamedTuple):
    """A scalar of a configuration and its line, from one."""

    value: str
    line: int


@dataclass
class Document:
    """One document of another tool's configuration, or the comments of a file."""

    path: str
    leaves: Mapping[Steps, Leaf]
    fates: dict[Steps, Fate] = field(default_factory=dict)

    def value(self, *steps: str) -> str:
        """Return a scalar's text; empty when it is not there."""
        leaf = self.leaves.get(steps)
        return leaf.value if leaf else ""

    def below(self, *steps: str) -> dict[Steps, str]:
        """Return the scalars below a key, by the rest of their path."""
        size = len(steps)
        return {key[size:]: leaf.value for key, leaf in self.leaves.items() if key[:size] == steps}

    def items(self, *steps: str) -> list[str]:
        """Return the texts of a list, or the one text that stands in its place."""
        return list(self.below(*steps).values())

    def count(self, *steps: str) -> list[Steps]:
        """Return the paths of the entries of a list."""
        return list(dict.fromkeys((*steps, key[0]) for key in self.below(*steps) if key and key[0].startswith("[")))

    def map(self, what: str, *steps: str) -> None:
        """Note what a key, and all below it, is in krmfn."""
        self._note(Fate(is_mapped=True, what=what), steps)

    def leave(self, why: str, *steps: str) -> None:
        """Note why a key, and all below it, is nothing in krmfn."""
        self._note(Fate(is_mapped=False, what=why), steps)

    def leave_all(self, reasons: Mapping[str, str]) -> None:
        """Note for every key why it is nothing in krmfn, by the first word of its path that has a reason."""
        for key in self.leaves:
            why = next((why for word, why in reasons.items() if word in key), None)
            if why:
                self.leave(why, *key)

    def _note(self, fate: Fate, steps: Steps) -> None:
        for key in self.leaves:
            if key[: len(steps)] == steps:
                self.fates.setdefault(key, fate)

    def told(self) -> Iterator[tuple[int, str, Fate]]:
        """Yield line, key and fate of every scalar."""
        for key, leaf in self.leaves.items():
            yield leaf.line, ".".join(key).replace(".[", "["), self.fates.get(key, Fate(is_mapped=False, what=NO_EQUAL))


def leaves(block: Block) -> dict[Steps, Leaf]:
    """Return every scalar of a document by its path; an empty list or mapping counts as one."""
    # Children go on the stack in reverse, so that leaves come in the order of the document, which is that of rules.
    leaves_by_steps: dict[Steps, Leaf] = {}
    todo: list[tuple[Steps, Any]] = [((), block.root)]
    while todo:
        steps, node = todo.pop()
        below = list(children(node)) if isinstance(node, yaml.CollectionNode) else []
        todo += [
            ((*steps, f"[{step}]" if isinstance(step, int) else str(step)), child) for step, child in reversed(below)
        ]
        if not below and isinstance(node, yaml.Node):
            value = node.value if isinstance(node, yaml.ScalarNode) else ""
            leaves_by_steps[steps] = Leaf(value, block.text.locate(block.span(node)[0])[0])
    return leaves_by_steps


@dataclass
class Wanted:
    """A policy as the other tool meant it: `spec` is what stands beside name and image in an ImageAutomation."""

    image: str
    spec: dict[str, Any]
    path: str
    line: int
    require: dict[str, Any] = field(default_factory=dict)
    """What is required of its tags, as an entry of `spec.require`."""


def aged(ages: Mapping[str, str]) -> dict[str, Any]:
    """Return the requirement of a minimumReleaseAge, by step and `default`; nothing for none."""
    if not ages:
        return {}
    return {"minimumReleaseAge": ages["default"] if [*ages] == ["default"] else dict(ages)}


def canonical(image: str) -> str:
    """Return the canonical repository of an image; empty for what is none."""
    try:
        return ImageRef.parse(image).canonical
    except RuleError:
        return ""


KINDS = ("major", "minor", "patch")


def within(kinds: Container[str]) -> str:
    """Return the bound of policy version that takes only steps that are allowed; empty when that is none.

    >>> within({"major", "minor", "patch"}), within({"patch", "major"}), within({"major"})
    ('major', 'patch', '')
    """
    bound = ""
    for kind in reversed(KINDS):
        if kind not in kinds:
            break
        bound = kind
    return bound


def is_bound(refused: Collection[str]) -> bool:
    """True if a bound of policy version says the same: with a step, all that are larger are refused."""
    return set(refused) == set(KINDS[: len(set(refused))])


def is_like(name: str, patterns: Iterable[str]) -> bool:
    """True if a name is like one of the globs, in any case; a star also stands for a slash."""
    return any(fnmatchcase(name.lower(), one.lower()) for one in patterns)


def glob(pattern: str, *, only_stars: bool = False) -> str:
    r"""Return a pattern of RE2 for a glob of whole tags, of Go's filepath.Match, or of stars and nothing else.

    >>> glob("v1.*-dev"), glob("1.[0-9].?"), glob("a?", only_stars=True)
    ('^v1\\..*\\-dev$', '^1\\.[0-9]\\..$', '^a\\?$')
    """
    token = r"(?P<star>\*)" if only_stars else r"(?P<star>\*)|(?P<one>\?)|(?P<class>\[\^?[^\]]+\])|\\(?P<quoted>.)"
    parts, at = [], 0
    for token_match in re.finditer(token, pattern):
        parts.append(re.escape(pattern[at : token_match.start()]))
        named = token_match.groupdict()
        escaped = re.escape(named.get("quoted") or "")
        parts.append(".*" if named["star"] else "." if named.get("one") else named.get("class") or escaped)
        at = token_match.end()
    return f"^{''.join(parts)}{re.escape(pattern[at:])}$"
