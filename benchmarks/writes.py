"""Let `krmfn update --within major` write real repositories, with a newer tag for every image, and judge what it wrote.

    python -m benchmarks.writes CHECKOUT... [--failures]

Each checkout (benchmarks/recall.py says where they come from) is copied. An OCI layout offers, for every repository that
`krmfn check` names, the tags that stand in the files and each of them with its first number raised by one. Then:

1. Every changed scalar is the old one with one of those newer tags in the place of the old tag, and with its digest where
   there was a digest; PyYAML says which scalars changed, and that no other byte did, comments included.
2. Every tag of three numbers at a place that is sure and counts has become the highest of its repository; other tags may stay.
3. A place that held a digest holds one, and it is that of the tag beside it.
4. A second update changes nothing.

krmfn is only run; tags, digests and edits are judged without it.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.edits import contents, unintended
from benchmarks.recall import Place, check, krmfn, places
from tests import images

COLUMNS = (
    "places",
    "sure",
    "moved",
    "pins kept",
    "files changed",
    "files proven",
    "scalars changed",
    "second run empty",
)
CREATED = "2026-01-01T00:00:00Z"
DIGEST = re.compile("sha256:[0-9a-f]{64}")
HEX = re.compile("[0-9a-f]{64}")
PLAIN = re.compile(r"v?\d+\.\d+\.\d+")


def raised(tag: str) -> str | None:
    """Return a tag with its first number raised by one; None without a number."""
    number = re.search(r"\d+", tag)
    return tag[: number.start()] + str(int(number[0]) + 1) + tag[number.end() :] if number else None


def numbers(tag: str) -> tuple[int, ...]:
    """Return the numbers of a tag."""
    return tuple(map(int, re.findall(r"\d+", tag)))


class Offer:
    """What the made-up registry holds: for each repository its old tags and newer ones."""

    def __init__(self, found: list[Place]) -> None:
        """Offer the tags of these places and raised ones."""
        self.old: defaultdict[str, set[str]] = defaultdict(set)
        for place in found:
            tag = place.version.partition("@")[0]
            if re.fullmatch(r"[\w.:\[\]-]+/[\w./-]+", place.repository) and re.fullmatch(r"\w[\w.-]{0,120}", tag):
                self.old[place.repository].add(tag)
        self.new = {
            repository: {newer for tag in tags if (newer := raised(tag))} for repository, tags in self.old.items()
        }
        self.digests = {
            (repository, tag): f"sha256:{hashlib.sha256(images.blobs(repository, tag, CREATED)[2]).hexdigest()}"
            for repository in self.old
            for tag in self.old[repository] | self.new[repository]
        }
        self._every_new = {tag for tags in self.new.values() for tag in tags}
        self._every_digest = set(self.digests.values())

    def write(self, folder: Path) -> None:
        """Write the OCI layout."""
        images.write(
            folder,
            {repository: dict.fromkeys(sorted(tags | self.new[repository]), CREATED) for repository, tags in self.old.items()},
        )  # fmt: skip

    def is_intended(self, before: str, after: str) -> bool:
        """True if a scalar differs from the old one in offered tags and their digests alone, word by word."""
        old, new = (re.split(r"([\s\"'=,@{}\[\]]|(?<!sha256):)", text) for text in (before, after))
        return len(old) == len(new) and all(
            a == b or b in self._every_new or (DIGEST.fullmatch(a) is not None and b in self._every_digest)
            or (HEX.fullmatch(a) is not None and f"sha256:{b}" in self._every_digest)
            for a, b in zip(old, new, strict=True)
        )

    def highest(self, place: Place) -> str:
        """Return the highest plain tag that a place can take, with its digest when it holds one."""
        tag, at, _ = place.version.partition("@")
        alike = {
            one
            for one in self.old[place.repository] | self.new[place.repository]
            if PLAIN.fullmatch(one) and one.startswith("v") == tag.startswith("v")
        }
        best = max(alike, key=numbers)
        return best + (at + self.digests[place.repository, best] if at else "")


def stays(before: list[Place], after: list[Place], offer: Offer) -> list[str]:
    """Return the sure places with a plain tag that did not become the highest, and pins that do not fit their tag."""
    now = {(place.path, place.line, place.repository): place for place in after}
    wrong = []
    for place in before:
        moved = now.get((place.path, place.line, place.repository))
        at = f"{place.path}:{place.line}: {place.repository} {place.version}"
        if moved is None:
            wrong.append(f"{at} is no place any more")
            continue
        tag, pin, digest = moved.version.partition("@")
        if place.sure and PLAIN.fullmatch(place.version.partition("@")[0]) and moved.version != offer.highest(place):
            wrong.append(f"{at} became {moved.version}, not {offer.highest(place)}")
        elif "@" in place.version and (
            not pin or (moved != place and digest != offer.digests.get((place.repository, tag), digest))
        ):
            wrong.append(f"{at} became {moved.version}: the pin is lost or of another tag")
    return wrong  # fmt: skip


def update(folder: Path, layout: Path) -> None:
    """Run the update; a repository that refuses it ends the benchmark."""
    run = krmfn(folder, "update", "--within", "major", "--source", f"layout:{layout}", "--on-error", "keep", ".")
    if run.returncode:
        raise SystemExit(f"krmfn update in {folder}: exit {run.returncode}\n{run.stderr[-2000:]}")


def score(checkout: Path) -> tuple[Counter[str], list[str]]:
    """Return what held and what did not in one checkout; the checkout itself is left alone."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder, layout = Path(scratch, checkout.name).resolve(), Path(scratch, "layout").resolve()
        shutil.copytree(checkout, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        found = [place for place in places(check(folder)) if place.state in ("counts", "overridden")]
        offer = Offer(found)
        layout.mkdir()
        offer.write(layout)
        before = contents(folder)
        update(folder, layout)
        after = contents(folder)
        now = [place for place in places(check(folder)) if place.state in ("counts", "overridden")]
        failures = stays(found, now, offer)
        moved = {(place.path, place.line, place.version) for place in now} - {
            (place.path, place.line, place.version) for place in found
        }
        counts.update({"places": len(found), "sure": sum(place.sure for place in found), "moved": len(moved)})
        counts["pins kept"] = sum("@" in version for *_, version in moved)
        for path in (path for path in after if after[path] != before.get(path)):
            number, wrong = unintended(before.get(path, b"").decode(), after[path].decode(), offer.is_intended)
            counts.update({"files changed": 1, "scalars changed": number, "files proven": int(not wrong)})
            failures += [f"{path.relative_to(folder)}: {wrong}"] if wrong else []
        update(folder, layout)
        counts["second run empty"] = int(contents(folder) == after)
        failures += [] if counts["second run empty"] else ["a second update changes more"]
    return counts, failures


def main() -> int:
    """Print a row for each checkout; return 1 when anything did not hold."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.writes")
    arguments.add_argument("checkouts", type=Path, nargs="+")
    arguments.add_argument("--failures", action="store_true", help="print what did not hold, on stderr")
    options = arguments.parse_args()
    print("| checkout |", " | ".join(COLUMNS), "| failures |")
    print("|---|" + "--:|" * (len(COLUMNS) + 1))
    holds = True
    for checkout in options.checkouts:
        counts, wrong = score(checkout)
        print(f"| {checkout.name} |", *(f"{counts[column]} |" for column in COLUMNS), f"{len(wrong)} |", flush=True)
        holds = holds and not wrong
        for failure in wrong if options.failures else ():
            print(f"{checkout.name}/{failure}", file=sys.stderr, flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
