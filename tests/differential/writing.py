"""Marked files at random, updated by Flux's own setters and by krmfn."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.differential.judging import ODD_TAGS, documented, documents

OLD, NEW = "1.0.0", "1.3.1"
DIGEST = "sha256:" + "c0ffee00" * 8
LATEST = {
    "web": {"name": "ghcr.io/acme/web", "tag": NEW},
    "api": {"name": "registry.example.com:5000/api", "tag": NEW, "digest": DIGEST},
    "db": {"name": "postgres", "tag": "16.3"},
}
PLAIN = {
    "": ("ghcr.io/acme/web:1.0.0", "nginx", "acme/api:1", "postgres:16.2"),
    ":tag": (OLD, "16.2", "1.10", "latest"),
    ":name": ("ghcr.io/acme/web", "nginx", "oci.example.com/a/b"),
    ":digest": ("sha256:" + "0" * 64,),
}
OTHERS = ("é:1", "ü", "größe", "x", '"é"', "nginx")
COMMENTS = (
    "# a word",
    "# größer",
    "#",
    '# {"$imagepolicy": "none"}',
    "# {}",
    "#! 🚀",
    '# was: {"$imagepolicy": "flux:web"}',
)


class _Pen:
    """Writes one file."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.step = rng.choice((2, 2, 2, 3, 4))
        self.lines: list[str] = []
        self.in_block = False

    def mark(self) -> tuple[str, str]:
        """Return a marker and a value that its form takes."""
        policy, part = self.rng.choice(tuple(LATEST)), self.rng.choice(("", "", "", ":tag", ":name", ":digest"))
        if part == ":digest":
            policy = "api"
        blank = self.rng.choice((" ", " ", "", "  "))
        setter = f"flux:{policy}{part}"
        marker = self.rng.choice(
            (f'#{blank}{{"$imagepolicy": "{setter}"}}',) * 8
            + (
                f'##{blank}{{"$imagepolicy":"{setter}"}}',
                f'# {{"$ref": "#/definitions/io.k8s.cli.setters.{setter}"}}',
                f'# {{"\\u0024imagepolicy": "{setter}"}}',
                f'# {{"$imagepolicy": "{setter}", "more": "x"}}',
            ),
        )
        return marker, self.quoted(self.rng.choice(PLAIN[part]))

    def quoted(self, value: str) -> str:
        kind = self.rng.random()
        return value if kind < 0.6 else f'"{value}"' if kind < 0.8 else f"'{value}'"

    def noise(self, column: int) -> None:
        """Write a comment or a blank line now and then."""
        kind = self.rng.random()
        if kind < 0.06:
            self.lines.append("")
        elif kind < 0.16:
            deeper = 0 if self.in_block else self.step  # below a block it would be a line of its text
            shift = self.rng.choice((0, 0, 0, -self.step, deeper, -column))
            self.lines.append(" " * max(column + shift, 0) + self.rng.choice(COMMENTS))
        elif kind < 0.2:
            self.lines.append(" " * column + self.mark()[0])

    def scalar(self, lead: str, column: int) -> None:
        """Write a value behind `key:` or `-`, marked or not, in one of many ways."""
        marker, value = self.mark()
        kind = self.rng.random()
        self.in_block = 0.55 <= kind < 0.65
        blank = self.rng.choice((" ", " ", "  ", "\t"))
        if kind < 0.45:
            self.lines.append(f"{lead} {value}{blank}{marker}")
        elif kind < 0.55:
            other = self.rng.choice(OTHERS)
            self.lines.append(f"{lead} {other}")
        elif kind < 0.65:
            style = self.rng.choice(("|", ">", "|-", ">-", ">+"))
            bare = value.strip("'\"")
            self.lines += [f"{lead} {style} {marker}", " " * (column + self.step) + bare]
        elif kind < 0.75:
            inner = " " * (column + self.rng.choice((1, 2, self.step)))
            self.lines += [f"{lead} {marker}", inner + value]
        elif kind < 0.8:
            inner = " " * (column + self.step)
            self.lines += [lead, f"{inner}{marker}", inner + self.rng.choice((value, value, *OTHERS))]
        elif kind < 0.86:
            at = len(self.lines)
            plain_tags = (f"&a{at} ", "!!str ", f"!!str &b{at} ", "!<tag:yaml.org,2002:str> ")
            anchor = self.rng.choice((*plain_tags, *plain_tags, *plain_tags, *ODD_TAGS, "*nowhere "))
            value = "" if anchor.startswith("*") else value
            self.lines.append(f"{lead} {anchor}{value} {marker}")
        elif kind < 0.92:
            key = self.rng.choice(("a", "image", "tag"))
            first = self.rng.choice((f"{key}: {self.quoted('x')}",) * 9 + (f"{key}:",))
            self.lines.append(f"{lead} {{{first}, b: {value}}} {marker}")
        elif kind < 0.96:
            inner = " " * (column + self.step)
            self.lines += [
                f"{lead} [",
                f"{inner}{value}, {marker}",
                f"{inner}'y' {self.rng.choice((marker, ''))}",
                " " * column + "]",
            ]
        else:
            self.lines.append(f"{lead} {value} {self.rng.choice(COMMENTS)}")

    def mapping(self, column: int, depth: int, *, lead: str = "") -> None:
        """Write a mapping; `lead` is what stands before its first key."""
        names = self.rng.sample(("image", "tag", "name", "a", "b", "spec", "größe", "x-y"), self.rng.choice((1, 2, 3)))
        names += names[: self.rng.random() < 0.02]
        for index, name in enumerate(names):
            before = lead if index == 0 and lead else " " * column
            if not (index == 0 and lead):
                self.noise(column)
            self.value(f"{before}{name}:", column, depth)

    def value(self, lead: str, column: int, depth: int) -> None:
        """Write what stands behind a key."""
        kind = self.rng.random()
        if depth <= 0 or kind < 0.55:
            self.scalar(lead, column)
        elif kind < 0.75:
            self.lines.append(lead + self.rng.choice(("", "", "", " # why")))
            self.mapping(column + self.step, depth - 1)
        else:
            self.lines.append(lead + self.rng.choice(("", "", "", " # why")))
            self.sequence(column + self.rng.choice((0, self.step)), depth - 1)

    def sequence(self, column: int, depth: int) -> None:
        """Write a list."""
        for _ in range(self.rng.choice((1, 2, 2, 3))):
            self.noise(column)
            lead = " " * column + "-"
            kind = self.rng.random()
            if kind < 0.08:
                self.scalar(lead + " -", column + 2)
            elif depth > 0 and kind < 0.5:
                gap = self.rng.choice((" ", " ", "   "))
                self.mapping(column + 1 + len(gap), depth - 1, lead=lead + gap)
            else:
                self.scalar(lead, column)

    def file(self) -> str:
        """Write a file of one or two documents."""
        for number in range(self.rng.choice((1, 1, 1, 2))):
            if number or self.rng.random() < 0.2:
                self.lines.append("---")
            self.lines += ["apiVersion: v1", "kind: X", f"metadata: {{name: x{number}}}"]
            self.mapping(0, 3)
        ends = self.rng.choice(("\n",) * 20 + ("\r\n", "\r"))
        marks = self.rng.choice(("",) * 40 + ("\ufeff", "\ufeff\ufeff"))
        return marks + ends.join(self.lines) + self.rng.choice((ends, ends, ends, ""))


def _objects() -> Iterator[dict[str, Any]]:
    for name, latest in LATEST.items():
        of = {"name": name, "namespace": "flux"}
        head = "image.toolkit.fluxcd.io/v1"
        reflection = "IfNotPresent" if "digest" in latest else "Never"
        spec = {
            "imageRepositoryRef": {"name": name},
            "policy": {"alphabetical": {"order": "asc"}},
            "digestReflectionPolicy": reflection,
        }
        yield {"apiVersion": head, "kind": "ImageRepository", "metadata": of, "spec": {"image": latest["name"]}}
        yield {"apiVersion": head, "kind": "ImagePolicy", "metadata": of, "spec": spec, "status": {"latestRef": latest}}


def _argument(name: str, latest: dict[str, str]) -> str:
    return f"{name}={latest['name']}:{latest['tag']}" + (f"@{latest['digest']}" if "digest" in latest else "")


def compare(program: Path, rng: random.Random, count: int, folder: Path, known: Counter[str], others: list[str]) -> int:
    """Let both update `count` files; return how many Flux changed."""
    flux, ours = folder / "flux", folder / "ours"
    flux.mkdir()
    for number in range(count):
        (flux / f"{number}.yaml").write_bytes(_Pen(rng).file().encode())
    shutil.copytree(flux, ours)
    before = {path.name: path.read_bytes() for path in flux.iterdir()}
    policies = folder / "policies.yaml"
    policies.write_text("---\n".join(json.dumps(one) + "\n" for one in _objects()))
    subprocess.run([program, flux, *(_argument(*one) for one in LATEST.items())], check=True)
    refused = _update(ours, policies)
    after = {path.name: path.read_bytes() for path in ours.iterdir()}
    _update(ours, policies)
    changed = 0
    for name, text in before.items():
        theirs, mine = (flux / name).read_bytes(), after[name]
        changed += theirs != text
        if (ours / name).read_bytes() != mine:
            others.append(f"{name}: a second run changed it\n{text.decode()}")
        if theirs == mine or documents(theirs) == documents(mine):
            continue
        why = documented(text, theirs, mine, is_refused=name in refused)
        if why:
            known[why] += 1
        else:
            others.append(f"== file\n{text.decode()}\n== Flux\n{theirs.decode()}\n== krmfn\n{mine.decode()}")
    return changed


def _update(folder: Path, policies: Path) -> set[str]:
    """Run krmfn as Flux would decide (what status holds, no pins kept, no guard); return the files with a refused field."""
    options = ["--mode", "frozen", "--on-downgrade", "allow", "--on-error", "keep", "-o", "json"]
    command = [sys.executable, "-m", "krmfn", "update", str(folder), str(policies), *options]
    environment = os.environ | {"KRMFN_KEEP_PINS": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    results = json.loads(done.stdout)["results"]
    return {Path(one["file"]["path"]).name for one in results if one["code"] == "not-written"}
