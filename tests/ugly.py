"""Manifests as people really write them: every habit that a YAML printer would undo, made from a seed.

A file is a template whose images that are to change read `OLD`; nothing else in it may ever change.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

OLD, NEW = "1.2.0", "1.3.1"
HOLE = "\x00"
"""Where a template holds the version that is to change."""
IMAGE = "ghcr.io/acme/web"


class Ugly(NamedTuple):
    """A file: its name, what it holds, and what it is to hold."""

    name: str
    before: bytes
    after: bytes


class _Pen:
    """Writes one file with one person's habits."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        choose = self.random.choice
        self.step, self.dash = choose([2, 2, 2, 4]), choose([0, 0, 2])
        self.gap, self.after_dash = choose(["", "", "", "  "]), choose([" ", " ", "   "])
        self.quotes = ["", "", '"', "'"]
        self.is_marked = True

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def comment(self) -> str:
        words = [
            "TODO",
            "keep in sync",
            "see #123",
            "größer als früher",
            "don't touch",
            'was: "old"',
            "image: web:0.1",
            "1.2.0 was bad",
            "🚀",
            "---",
            "{{ .Values.x }}",
        ]
        return self.random.choice(words)

    def image(self, *, in_flow: bool = False) -> str:
        """Write an image that is to change: value, marker, spaces."""
        quote = self.random.choice(self.quotes[2:] if in_flow else self.quotes)
        blanks = self.random.choice([" ", " ", "  ", "      ", "\t"])
        mark = self.random.choice(
            [
                '# {"$imagepolicy": "flux-system:web"}',
                '#{"$imagepolicy":"flux-system:web"}',
                '## { "$imagepolicy" : "flux-system:web" }',
            ]
        )
        return f"{self.gap}{quote}{IMAGE}:{HOLE}{quote}" + ("" if in_flow else f"{blanks}{mark}")

    def tag(self) -> str:
        quote = self.random.choice(self.quotes)
        return f'{self.gap}{quote}{HOLE}{quote} # {{"$imagepolicy": "flux-system:web:tag"}}'

    def indented(self, text: str, by: int) -> str:
        return "".join(" " * by + line if line.strip() else line for line in text.splitlines(keepends=True))

    def noise(self) -> str:
        """Write a few keys that nobody may reformat."""
        some = [
            "long: " + "word " * 60 + "\n", "list: [ a,b ,  'c', \"d\" ]\n", "map: {a: 1,b: '2' }\n", "empty:\n", "tilde: ~\n", "octal: 0777\n", "float: 1.10\n",
            "on: off\n", "date: 2024-01-02t03:04:05.60-05:00\n", 'escaped: "\\u00e9\\t\\x41"\n', "quoted: 'it''s #1'\n", "folded: >\n  some folded\n  text   \n\n  more\n",
            'literal: |\n  image: ghcr.io/acme/web:1.2.0 # {"$imagepolicy": "flux-system:web"}\n  trailing   \n', "kept: |+\n  x\n\n", "plain: a\n  b\n  c\n", 'double: "a\n  b\n\n  c"\n',
            "? complex\n: value\n", "emoji: '🚀'\n", "anchor: &x{n} {{a: 1}}\nalias: *x{n}\n".replace("{n}", str(self.random.randrange(1000))).replace("{{", "{").replace("}}", "}"),
            "seq:\n- a\n-   b\n- - c\n  - d\n", "wide:\n    - a\n    - b: 1\n      c: 2\n", "tab: a\t# tab\n", "spaced   :   x\n", '"quoted key": y\n', "~: null key\n", "tagged: !!str 12\n", "hash: a#b\n", "url: https://x.y/z?a=b&c=d\n",
        ]  # fmt: skip
        chosen = self.random.sample(some, self.random.randrange(1, 6))
        lines = [line + ("\n" * self.random.randrange(3) if self.chance(0.2) else "") for line in chosen]
        return "".join(f"# {self.comment()}\n{line}" if self.chance(0.2) else line for line in lines)

    def containers(self) -> str:
        """Write a list of containers, one of which is to change."""
        pad, key = " " * self.dash, " " * (1 + len(self.after_dash))
        lines = [f"containers:{self.random.choice(['', ' # ' + self.comment()])}\n"]
        if self.chance(0.3):
            lines.append(f"{pad}# {self.comment()}\n")
        if self.chance(0.5):
            lines.append(f"{pad}-{self.after_dash}name: log\n{pad}{key}image: other/log:1.2.0 # {self.comment()}\n")
        in_flow = self.chance(0.15)
        if in_flow:
            lines.append(
                f'{pad}-{self.after_dash}{{name: web, ports: [ 80,443 ],\n{pad}{key}  image: {self.image(in_flow=True)}, # {{"$imagepolicy": "flux-system:web"}}\n{pad}{key}}}\n'
            )
        else:
            first, second = f"name: {self.gap}web\n", f"image: {self.image()}\n"
            if self.chance(0.4):
                first, second = second, first
            lines.append(f"{pad}-{self.after_dash}{first}{pad}{key}{second}")
        if self.chance(0.6) and not in_flow:
            lines.append(
                self.indented('args: [ \'--a\',"--b" ]\nenv:\n- {name: A,  value: "yes"}\n', len(pad) + len(key))
            )
        return "".join(lines)

    def workload(self) -> str:
        kind = self.random.choice(["Deployment", "StatefulSet", "DaemonSet", "Job"])
        step = self.step
        spec = self.indented(self.containers(), step * 3)
        template = f"{' ' * step}template:\n{' ' * step * 2}spec:\n{spec}"
        annotations = f"{' ' * step}annotations:\n{self.indented(self.noise(), step * 2)}" if self.chance(0.2) else ""
        return f"apiVersion: apps/v1\nkind:   {kind}\nmetadata:\n{' ' * step}name: web\n{annotations}spec:\n{template}{self.noise()}"

    def release(self) -> str:
        values = f"image:\n  repository: {IMAGE}\n  tag: {self.tag()}\n{self.noise()}"
        return f"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: web,   namespace: apps}}\nspec:\n  values:\n{self.indented(values, 4)}"

    def values(self) -> str:
        return f"# -- {self.comment()}\nweb:\n  image:\n    repository: {IMAGE}\n    # -- the tag\n    tag: {self.tag()}\n{self.noise()}"

    def kustomization(self) -> str:
        return f"resources: [ a.yaml,b.yaml ]\nimages:\n- name: web\n  newName: {IMAGE}\n  newTag: {self.tag()}\n{self.noise()}"

    def patches(self) -> str:
        return f"- op: replace\n  path: /spec/template/spec/containers/0/image\n  value: {self.image()}\n- {{op: add,  path: /x, value: y}}\n"

    def members(self) -> str:
        return f"apiVersion: v1\nkind: List\nitems:\n-\n{self.indented(self.workload(), 2)}"


def template(seed: int) -> tuple[str, str]:
    """Write the name and the text of one file, `HOLE` where the version goes."""
    pen = _Pen(seed)
    kinds: list[Callable[[], str]] = [
        pen.workload,
        pen.workload,
        pen.release,
        pen.values,
        pen.kustomization,
        pen.patches,
        pen.members,
    ]
    text = pen.random.choice(kinds)()
    if pen.chance(0.3):
        separator = pen.random.choice(
            ["---\n", "---   \n", f"--- # {pen.comment()}\n", "...\n---\n", "---\n# only a comment\n---\n"]
        )
        text = f"{pen.random.choice(['', '# head' + chr(10)])}kind: Other\n{pen.noise()}{separator}{text}"
    if pen.chance(0.3):
        text = f"# {pen.comment()}\n\n---\n{text}"
    text += pen.random.choice(["", "", "", "\n\n", "# the end\n", "---\n", "...\n"])
    if pen.chance(0.1) and text.endswith("}\n"):
        text = text[:-1]
    if pen.chance(0.15):
        text = text.replace("\n", "\r\n")
    if pen.chance(0.05):
        text = "\ufeff" + text
    return f"{seed:04}/{pen.random.choice(['app.yaml', 'app.yml', 'values.yaml'])}", text


def ugly(seed: int) -> Ugly:
    """Make one file from its seed."""
    name, text = template(seed)
    return Ugly(name, text.replace(HOLE, OLD).encode(), text.replace(HOLE, NEW).encode())
