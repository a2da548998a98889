"""Score the finder of images against labels that were written by hand.

    python -m benchmarks.recall CHECKOUTS LABELS.tsv... [--places]

LABELS.tsv has one row for each place where the version of an image or OCI artifact stands, and rows for lines that only
look like one. A sampled file without any place has one row of line 0. Everything below a sampled file is labelled, so a
place that `krmfn check` reports there and no row knows is a false one. Columns:

| column | holds |
|---|---|
| repo, commit, path, line | where; the line of the tag, or of the digest when there is no tag |
| also | further lines of the same place: name, registry, a digest beside the tag, the key of a block of text |
| kind | the form: image, image-field (another key), helm-pair, kustomize-images, oci-ref, oci-chart, flag, env, list, text |
|  | (YAML, JSON, XML or shell inside a scalar), key (of a mapping), crossplane, var (`${VAR}` in it or substituted by one), |
|  | argo, tekton-param, annotation, tag-only (its image is named elsewhere), workflow (of GitHub), template (Helm's), other |
| ref | what stands there, put together |
| sure | yes: a newer tag is right here; no: a place, but a copy, an example, a range, overridden or ambiguous; negative; file |

`also` counts for finding; the reference is compared too. A report without tag and digest claims no version and is left out.
Where the labels are held out (their name says `heldout`), only rates are printed, never a place: a finder that is mended by
looking at them is not measured by them.

To repeat: clone what the columns `repo` and `commit` name to CHECKOUTS/owner__name:

    tail -n +2 LABELS.tsv | cut -f1,2 | sort -u | while read -r repo commit; do
      git clone -q "https://github.com/$repo" "CHECKOUTS/${repo%%/*}__${repo#*/}"
      git -C "CHECKOUTS/${repo%%/*}__${repo#*/}" checkout -q "$commit"
    done

Seven tables stand in benchmarks/labels. Each was made by reading, before the finder was run on its files, and hashed.

| table | repositories | files | labelled | seed |
|---|--:|--:|---|---|
| dev.tsv | 18 | half of 294 | 2026-11-26; the finder was mended by looking at it | `krmfn-14-REPOSITORY` |
| heldout.tsv | the same | the other half, by a hash of repository and path | the same; only rates are printed | the same |
| fresh.tsv | 9 others | 111 | 2026-11-26 12:20 UTC, sha256 fab14a48...; by somebody who had not read the finder; spent since: its misses were mended | `krmfn-14-fresh-REPOSITORY` |
| fresh2.tsv | 10 others | 200 | 2026-11-26 15:39 UTC, sha256 416eb749...; by somebody who had not read the finder | 20261126 |
| fresh2-hard.tsv | the same | 108 | the same, sha256 d5ae8511...; files with rarer forms, no random sample | |
| fresh3.tsv | 10 others | 200 | 2026-11-26 19:02 UTC, sha256 ccc230dc...; by somebody who had not read the finder; spent since | `20261127-REPOSITORY` |
| fresh3-hard.tsv | the same | 80 | the same, sha256 0fd15251...; files with rarer forms, no random sample | |

fresh2 was scored once, on a finder whose author had not seen its files; so was fresh3, and its misses were mended afterwards
(RESULTS.md). Of fresh3, GoogleContainerTools/kpt-functions-catalog was read without the folders whose objects the copy lacked, files
named `enc-*` and JSON schemas were left out, and 350 of 620 places are of kubevirt/hyperconverged-cluster-operator.

Of each repository half the files were drawn among those with a word such as image, tag, digest or version, others among all
YAML files, and some among those with rarer forms.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

OUTSIDE_YAML = {"key", "template"}
"""Kinds that are no scalar value of a YAML document; recall is printed with and without them."""


class Label(NamedTuple):
    """A place that somebody labelled; `sure` is `yes` or `no`."""

    repo: str
    path: str
    line: int
    also: frozenset[int]
    kind: str
    ref: str
    sure: str


class Place(NamedTuple):
    """A place that `krmfn check` reported."""

    path: str
    line: int
    repository: str
    version: str
    sure: bool
    state: str
    """`counts`, `overridden`, `range`, `variable`, or `left alone`."""
    why: str = ""
    """Why it is not sure."""


class Match(NamedTuple):
    """A report, the label it meets, and whether both read the same reference."""

    place: Place
    label: Label | None
    same: bool


class Sample(NamedTuple):
    """The labels of some files, and every file that was read for them."""

    labels: list[Label]
    files: set[tuple[str, str]]


def canonical(ref: str) -> tuple[str, str]:
    """Return the repository with its registry, and `tag@digest` as it stands."""
    ref = re.sub(r"^(oci|docker)://", "", ref)
    name, at, digest = ref.partition("@")
    head, slash, tail = name.rpartition("/")
    tail, _, tag = tail.partition(":")
    name = head + slash + tail
    first, slash, rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not re.search(r"[.:]|^localhost$", first):
        name = f"docker.io/{name}"
    elif first in ("docker.io", "index.docker.io"):
        name = f"docker.io/{rest if '/' in rest else f'library/{rest}'}"
    return name, tag + at + digest


def read_sample(path: Path) -> Sample:
    """Return the labels of a table; lines that only look like an image are no labels."""
    sample = Sample([], set())
    with path.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            sample.files.add((row["repo"], row["path"]))
            if row["sure"] in ("yes", "no"):
                also = frozenset(map(int, row["also"].split()))
                sample.labels.append(
                    Label(row["repo"], row["path"], int(row["line"]), also, row["kind"], row["ref"], row["sure"])
                )
    return sample


Run = Callable[..., subprocess.CompletedProcess[str]]
"""Runs krmfn in a folder."""


def krmfn(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this checkout's krmfn in a folder."""
    command = [sys.executable, "-m", "krmfn", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check(folder: Path, run: Run = krmfn) -> dict:
    """Return what `krmfn check -o json` says of a folder, without asking a registry."""
    with tempfile.TemporaryDirectory() as nothing:
        done = run(folder, "check", "--all", "--source", f"layout:{nothing}", "-o", "json", ".")
    if not done.stdout.startswith("{"):
        sys.exit(f"krmfn check in {folder}: exit {done.returncode}, no JSON on stdout\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def places(said: dict) -> list[Place]:
    """Return where versions stand; a place is sure unless it says otherwise, and never when it does not count.

    Ranges and variables have no tag of their own. What was left alone (a tag without its image, charts of HTTP
    repositories) claims nothing: it can find a label, and is no false report when there is none.
    """
    found = []
    for image in said["images"]:
        version = (image["tag"] or "") + ("@" + image["digest"] if image["digest"] else "")
        repository = canonical(image["repository"])[0] if image["repository"] else ""
        for place in image["places"]:
            state = place.get("state", "counts")
            if version or state in ("range", "variable"):
                sure = place.get("sure", True) and state == "counts"
                why = place.get("why", "")
                found.append(Place(located(place), place["line"], repository, version, sure, state, why))
    return found + [
        Place(located(place), place["line"], "", place["text"], sure=False, state="left alone")
        for place in said.get("leftAlone", ())
    ]


def located(place: dict) -> str:
    """Return the path of a place below the folder that was checked."""
    return place["path"].removeprefix("./")


def meet(labels: list[Label], reported: list[Place]) -> list[Match]:
    """Return every report with its label: one label each, first those that agree in more."""
    pairs = []
    for p, place in enumerate(reported):
        for n, label in enumerate(labels):
            if place.path != label.path or place.line not in (label.line, *label.also):
                continue
            repository, version = canonical(label.ref)
            same = (place.repository, place.version or version) == (repository, version)
            same = same or (place.state == "left alone" and label.ref.endswith(place.version))
            if not same and place.line != label.line:
                continue  # several labels share the key of a block
            pairs.append((not same, place.line != label.line, p, n))
    taken: dict[int, tuple[int, bool]] = {}
    used = set()
    for other, _, p, n in sorted(pairs):
        if p not in taken and n not in used:
            taken[p] = n, not other
            used.add(n)
    return [
        Match(place, labels[taken[p][0]], taken[p][1]) if p in taken else Match(place, None, same=False)
        for p, place in enumerate(reported)
    ]


def rate(part: int, whole: int) -> str:
    """Return a share as text."""
    return f"{part}/{whole} = {100 * part / whole:.1f}%" if whole else "-"


def report(sample: Sample, matches: list[tuple[str, Match]], *, show: bool) -> None:
    """Print the rates, and every miss and false report when they may be seen."""
    found = {match.label for _, match in matches if match.label}
    inside = [label for label in sample.labels if label.kind not in OUTSIDE_YAML]
    visible = [label for label in inside if not re.search(r"(^|/)\.", label.path)]
    surely = [label for label in sample.labels if label.sure == "yes"]
    sure = [match for _, match in matches if match.place.sure]
    rest = [
        match for _, match in matches if not match.place.sure and (match.label or match.place.state != "left alone")
    ]
    print(f"{len(sample.files)} files, {len(sample.labels)} places\n\n| measure | |\n|---|--:|")
    print("| recall |", rate(len(found), len(sample.labels)), "|")
    print("| recall in values of YAML |", rate(sum(label in found for label in inside), len(inside)), "|")
    print(
        "| the same outside folders such as .github |",
        rate(sum(label in found for label in visible), len(visible)),
        "|",
    )
    print("| recall of what is surely right |", rate(sum(label in found for label in surely), len(surely)), "|")
    print(
        "| precision of *sure* |",
        rate(sum(m.label is not None and m.label.sure == "yes" for m in sure), len(sure)),
        "|",
    )
    print("| precision of the rest |", rate(sum(m.label is not None for m in rest), len(rest)), "|")
    print(
        "| found, and read as it stands |",
        rate(sum(m.same for _, m in matches), sum(m.label is not None for _, m in matches)),
        "|",
    )
    kinds = Counter(label.kind for label in sample.labels)
    claimed = {match.label for match in sure if match.label}
    print("\n| kind | found | called sure |\n|---|--:|--:|")
    for kind, count in kinds.most_common():
        of_kind = [label for label in sample.labels if label.kind == kind]
        print(
            f"| {kind} | {sum(label in found for label in of_kind)}/{count} | {sum(label in claimed for label in of_kind)} |"
        )
    if not show:
        return
    for heading, lines in {
        "missed": [f"{label.repo} {label.path}:{label.line} {label.kind} {label.ref}" for label in sample.labels if label not in found],
        "no place": [f"{repo} {m.place.path}:{m.place.line} {m.place.repository} {m.place.version}" for repo, m in matches if not m.label and m.place.state != "left alone"],
        "called sure": [
            f"{repo} {m.place.path}:{m.place.line} {m.label.kind} {m.label.ref}"
            for repo, m in matches if m.place.sure and m.label and m.label.sure == "no"
        ],
        "read otherwise": [
            f"{repo} {m.place.path}:{m.place.line} {m.label.ref}: {m.place.repository} {m.place.version}"
            for repo, m in matches if m.label and not m.same
        ],
    }.items():  # fmt: skip
        print(f"\n{heading}: {len(lines)}")
        print(*lines, sep="\n")


def main() -> None:
    """Run the finder on every checkout that has labels, and print a score for each table."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.recall")
    arguments.add_argument("checkouts", type=Path)
    arguments.add_argument("labels", type=Path, nargs="+")
    arguments.add_argument("--places", action="store_true", help="print what was missed and what is false")
    options = arguments.parse_args()
    samples = {path: read_sample(path) for path in options.labels}
    found = {
        repo: places(check(options.checkouts / repo.replace("/", "__")))
        for repo in sorted({repo for sample in samples.values() for repo, _ in sample.files})
    }
    for path, sample in samples.items():
        matches = []
        for repo, reported in found.items():
            labels = [label for label in sample.labels if label.repo == repo]
            matches += [
                (repo, m) for m in meet(labels, [place for place in reported if (repo, place.path) in sample.files])
            ]
        print(f"\n## {path.stem}\n")
        report(sample, matches, show=options.places and "heldout" not in path.name)


if __name__ == "__main__":
    main()
