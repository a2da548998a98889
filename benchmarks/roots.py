"""Hold `krmfn check` and `krmfn update` against `kustomize build`, for every root of real repositories.

    python -m benchmarks.roots KUSTOMIZE CHECKOUT... [--limit N] [--failures]

For each checkout (benchmarks/recall.py says where they come from) its files are copied. A root is a folder with a
kustomization that is no Component and that `kustomize build` can build without a network, helm or git.

1. Every image that a build emits with a version is one that `check` calls current: at a place that is not overridden, or,
   in a folder that another kustomization takes in and changes, at one that is, or under the name that it has there. In
   hidden folders and in files that are no YAML, which nobody writes, it is one that `check` shows.
2. `update` gets one policy for each repository that `check` names, and for each a made-up newer tag with a digest.
   Then every build emits the new tag, and a new digest where there was one, for each image at a place that is sure; what
   stands only at places that are not sure stays, and so may, in a folder that another kustomization takes in, what that overrides.
   `check` afterwards names no sure place without the new version.
3. In every file that changed, PyYAML finds the same nodes; each changed scalar is the old one with the new version in it;
   with the old scalars put back, the file is the old file, byte for byte.
4. A second `update` changes nothing.

Files whose own configuration `update` refuses (test data of Flux) are set aside.

kustomize and PyYAML decide; krmfn is only run. Images are the strings under the key `image` of what a build emits, except
in CustomResourceDefinitions.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.edits import contents, unintended
from benchmarks.recall import Run, canonical, check, krmfn, places

NEW_TAG = "99999999999999.0.0"
NEW_DIGEST = "sha256:" + "c0ffee00" * 8
POLICIES = "krmfn-roots.yaml"
COLUMNS = (
    *("folders", "roots", "with images", "current", "updated", "sure", "written"),
    *("files changed", "files proven", "scalars changed", "second run empty", "set aside"),
)
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
OFFLINE = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "PATH": "/nowhere",
    "HOME": "/nowhere",
}
"""No proxy answers, no git or helm is found: what needs a network fails at once."""


class Emitted(NamedTuple):
    """An image that a build emits: which repository, and `tag@digest`."""

    repository: str
    version: str


class UpdateError(Exception):
    """The update ended with an error that names no file below the folder."""


Counted = dict[Emitted, set[bool]]
"""What `check` calls current, and whether its places are sure."""


class Score(NamedTuple):
    """What was seen in one checkout."""

    counts: Counter[str]
    failures: list[str]

    def tell(self, column: str, where: Path, wrong: list[str], *, counts: bool) -> None:
        """Count what holds, keep what does not."""
        self.counts[column] += counts and not wrong
        self.failures.extend(f"{where}: {text}" for text in wrong)


def roots(folder: Path) -> list[Path]:
    """Return the folders whose kustomization can be built by itself."""
    component = re.compile(r"^kind:\s*Component\b", re.MULTILINE)
    files = [path for name in NAMES for path in folder.rglob(name)]
    return sorted(
        {path.parent for path in files if not component.search(path.read_text(encoding="utf-8", errors="replace"))}
    )


def referred(folders: list[Path]) -> set[Path]:
    """Return the folders that another kustomization takes in."""
    taken = set()
    for folder in folders:
        path = next(folder / name for name in NAMES if (folder / name).is_file())
        try:
            data = yaml.load(path.read_bytes(), Loader=yaml.CBaseLoader)
        except yaml.YAMLError:
            continue
        for key in ("resources", "bases", "components") if isinstance(data, dict) else ():
            names = data.get(key) or ()
            taken |= {(folder / name).resolve() for name in names if isinstance(name, str) and "://" not in name}
    return taken


def build(kustomize: Path, root: Path) -> list[Emitted] | None:
    """Return the images that a build emits, in its order; None when it cannot be built here."""
    command = [kustomize, "build", "--load-restrictor", "LoadRestrictionsNone", root]
    try:
        run = subprocess.run(command, env=OFFLINE, capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return None
    if run.returncode:
        return None
    documents = yaml.load_all(run.stdout, Loader=yaml.CBaseLoader)
    return [
        Emitted(*canonical(image))
        for document in documents
        if isinstance(document, dict) and document.get("kind") != "CustomResourceDefinition"
        for image in images(document)
        if image and not re.search(r"\s", image)
    ]


def is_hidden(path: Path) -> bool:
    """True for what stands in a hidden folder."""
    return any(part.startswith(".") for part in path.parts)


def images(value: object) -> Iterator[str]:
    """Yield the strings under the key `image`, wherever they stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from images(inner)


def policies(repositories: list[str]) -> str:
    """Return an ImageAutomation that binds each image by its name, and TagSnapshots with one newer tag each."""
    entries = [
        {"name": f"image-{n}", "image": repository, "policy": {"semver": {"range": ">=0.0.0-0"}}}
        for n, repository in enumerate(repositories)
    ]
    snapshots = [
        {
            "apiVersion": "krmfn.dev/v1alpha1",
            "kind": "TagSnapshot",
            "metadata": {"name": f"tags-{n}"},
            "spec": {"image": repository, "tags": [{"name": NEW_TAG, "digest": NEW_DIGEST}]},
        }
        for n, repository in enumerate(repositories)
    ]
    automation = {
        "apiVersion": "krmfn.dev/v1alpha1",
        "kind": "ImageAutomation",
        "metadata": {"name": "roots"},
        "spec": {"policies": entries},
    }
    return yaml.safe_dump_all([automation, *snapshots], sort_keys=False)


def is_new(before: Emitted, after: Emitted) -> bool:
    """True if an image moved to the new tag, and a digest to the new digest."""
    tag, at, _ = before.version.partition("@")
    wanted = {NEW_TAG + (at + NEW_DIGEST if at else "")} | ({at + NEW_DIGEST} if at and not tag else set())
    return after.repository == before.repository and after.version in wanted


def is_intended(before: str, after: str) -> bool:
    """True if a scalar differs from the old one in the new tag and the new digest alone."""
    pattern = re.escape(after).replace(re.escape(NEW_DIGEST), "sha256:[0-9a-f]{64}")
    pattern = pattern.replace(":" + re.escape(NEW_TAG), r"(?::[\w][\w.-]*)?")
    pattern = pattern.replace(re.escape(NEW_TAG), r"[\w][\w.-]*")
    return re.fullmatch(pattern, before) is not None


def not_current(found: list[Emitted], known: set[Emitted]) -> list[str]:
    """Return the images of a build that `check` does not call current."""
    unknown = {image for image in found if image.version} - known
    return [f"emits {image.repository} {image.version}, which check does not call current" for image in sorted(unknown)]


def not_moved(found: list[Emitted], moved: list[Emitted] | None, counted: Counted, hidden: set[str]) -> list[str]:
    """Return the images of a build that are not what they should be after the update; `hidden` versions may stay."""
    if moved is None or len(moved) != len(found):
        return ["builds no longer"]
    wrong = []
    for was, now in zip(found, moved, strict=True):
        certain = counted.get(was, {False})
        if now == was and was.version in hidden:
            continue
        if certain == {True} and not is_new(was, now):
            wrong.append(f"{was.repository} {was.version} became {now.version}, not the new one")
        elif was.version and True not in certain and now != was:
            wrong.append(f"{was.repository} {was.version} became {now.version}, which nobody is sure of")
    return sorted(set(wrong))


def update(folder: Path, run: Run = krmfn) -> list[str]:
    """Run the update; files that it refuses are removed, and returned. Raise UpdateError when it names none."""
    command = ("update", "--source", "layout:/nowhere", "--on-error", "keep", ".")
    removed = []
    while (done := run(folder, *command)).returncode:
        refused = {
            path
            for path in re.findall(r"^krmfn: error: ([^:\n]+):", done.stderr, re.MULTILINE)
            if Path(folder, path).is_file()
        }
        if not refused or POLICIES in refused:
            raise UpdateError(f"update: exit {done.returncode}: {done.stderr.strip()[-300:]}")
        for path in sorted(refused):
            Path(folder, path).unlink()
        removed += sorted(refused)
    return removed


def score(kustomize: Path, checkout: Path, limit: int | None = None, run: Run = krmfn) -> Score:
    """Return what held and what did not in one checkout; the checkout itself is left alone."""
    seen = Score(Counter(), [])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, checkout.name).resolve()
        shutil.copytree(checkout, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        candidates = roots(folder)[:limit]
        emitted = {root: found for root in candidates if (found := build(kustomize, root)) is not None}
        with_images = sum(map(bool, emitted.values()))
        seen.counts.update({"folders": len(candidates), "roots": len(emitted), "with images": with_images})
        counted: Counted = defaultdict(set)
        shown: set[str] = set()
        told: dict[bool, set[Emitted]] = {True: set(), False: set()}
        for place in places(check(folder, run)):
            if place.state in ("counts", "overridden"):
                shown.add(place.version)
            if place.state == "shown only":
                told[is_hidden(Path(place.path))].add(Emitted(place.repository, place.version))
            for repository in (
                {place.repository, *re.findall(r"(?<=as )\S+", place.why)} if place.state == "counts" else ()
            ):
                counted[Emitted(repository, place.version)].add(place.sure)
        inner = referred(candidates)
        for root, found in emitted.items():
            hidden, where = shown if root in inner else set(), root.relative_to(folder)
            known = set(counted) | told[False] | (told[True] if is_hidden(where) else set())
            wrong = not_current([image for image in found if image.version not in hidden], known)
            seen.tell("current", where, wrong, counts=bool(found))
        Path(folder, POLICIES).write_text(policies(sorted({image.repository for image in counted})), encoding="utf-8")
        before = contents(folder)
        try:
            seen.counts["set aside"] += len(update(folder, run))
        except UpdateError as error:
            seen.failures.append(str(error))
            return seen
        sure = [place for place in places(check(folder, run)) if place.sure]
        stays = [place for place in sure if NEW_TAG not in place.version and NEW_DIGEST not in place.version]
        seen.counts.update({"sure": len(sure), "written": len(sure) - len(stays)})
        seen.failures.extend(f"{place.path}:{place.line}: {place.repository} {place.version} stays" for place in stays)
        after = contents(folder)
        for path in [path for path in after if after[path] != before.get(path)]:
            number, wrong_scalar = unintended(before.get(path, b"").decode(), after[path].decode(), is_intended)
            seen.counts.update({"files changed": 1, "scalars changed": number})
            seen.tell("files proven", path.relative_to(folder), [wrong_scalar] if wrong_scalar else [], counts=True)
        for root, found in emitted.items():
            if found:
                wrong = not_moved(found, build(kustomize, root), counted, shown if root in inner else set())
                seen.tell("updated", root.relative_to(folder), wrong, counts=True)
        update(folder, run)
        wrong = [] if contents(folder) == after else ["a second update changes more"]
        seen.tell("second run empty", Path(), wrong, counts=True)
    return seen


def main() -> None:
    """Print a row for each checkout."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.roots")
    arguments.add_argument("kustomize", type=Path)
    arguments.add_argument("checkouts", type=Path, nargs="+")
    arguments.add_argument("--limit", type=int, help="folders of a checkout that are built")
    arguments.add_argument("--failures", action="store_true", help="print what did not hold, on stderr")
    options = arguments.parse_args()
    print("| checkout |", " | ".join(COLUMNS), "|")
    print("|---|" + "--:|" * len(COLUMNS))
    for checkout in options.checkouts:
        seen = score(options.kustomize.resolve(), checkout, options.limit)
        print(f"| {checkout.name} |", " | ".join(str(seen.counts[column]) for column in COLUMNS), "|", flush=True)
        for failure in seen.failures if options.failures else ():
            print(f"{checkout.name}/{failure}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
