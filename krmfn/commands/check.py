"""`krmfn check`: which images of manifests have newer versions. Needs no policy, no marker and no configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from krmfn import terminal
from krmfn.choosing.newer import Newer, newer, state
from krmfn.commands import options
from krmfn.configuration.config import Config, load
from krmfn.errors import ConfigError, RegistryError
from krmfn.foreign import printable
from krmfn.image import ImageRef
from krmfn.inventory import files
from krmfn.inventory.survey import Inventory, Place, survey
from krmfn.model import Listing, Repository
from krmfn.steps.resolve import ask

WORKERS = 8
_HEADER = ("IMAGE", "CURRENT", "SAME MAJOR", "NEWEST", "STATE", "WHERE")


class Verdict(NamedTuple):
    """What was found out about one image and all places that name it. `now` is the digest of the tag today."""

    ref: ImageRef
    places: tuple[Place, ...]
    newer: Newer
    listed: int = 0
    is_gone: bool = False
    now: str | None = None
    error: str | None = None

    @property
    def has_drifted(self) -> bool:
        """True when the tag points to another digest than the pinned one."""
        return self.now is not None and self.now != self.ref.digest

    @property
    def has_update(self) -> bool:
        """True when there is something to do: a newer version, or a rebuilt image behind the pinned tag."""
        return self.newer.newest is not None or self.has_drifted

    @property
    def states(self) -> tuple[str, ...]:
        """The words of the STATE column."""
        if self.error:
            return (state(self.ref), "unknown")
        more = (("drifted", self.has_drifted), ("not listed", self.is_gone))
        return (state(self.ref), *(word for word, holds in more if holds))


@click.command(
    epilog=options.examples(
        "krmfn check .",
        "krmfn check clusters/prod --exit-code -o markdown",
        "krmfn check . --source layout:./images",
        exits="0 done, 1 an image could not be asked about, 2 usage or, with --exit-code, there are updates",
    )
)
@options.PATHS
@click.option("--source", metavar="registry|layout:DIR", help="Where tags come from.")
@click.option("--exit-code", is_flag=True, help="Exit 2 when there are updates.")
@click.option("--output", "-o", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
def command(paths: tuple[Path, ...], source: str | None, exit_code: bool, output: str) -> int:
    """Say which images in the manifests below PATHS have newer versions. Nothing is written.

    Images are found with and without markers; a newer tag keeps the variant (-alpine) and the precision (1.2) of the
    current one. A digest behind a tag is compared with what the registry says today.
    """
    tree = files.read(paths)
    found = survey(tree.blocks)
    verdicts = judge(found, configuration(tree, source))
    _PRINTERS[output](verdicts)
    _remark(tree, found, verdicts)
    if any(verdict.error for verdict in verdicts):
        return 1
    return 2 if exit_code and any(verdict.has_update for verdict in verdicts) else 0


def configuration(tree: files.Tree, source: str | None) -> Config:
    """Take snapshots and access to registries from the files. Wrong configuration is passed over: check needs none."""
    finish = options.finishing(source, None, None, None)
    try:
        return load(tree.blocks, None, finish)
    except ConfigError as error:
        click.echo(f"krmfn: warning: configuration was passed over: {printable(error.problems[0], 1000)}", err=True)
        return Config(settings=options.settings_of(finish))


def judge(found: Inventory, config: Config) -> list[Verdict]:
    """Ask about every image once, and compare."""
    places: dict[ImageRef, list[Place]] = {}
    for named in found.named:
        places.setdefault(named.ref, []).append(named.place)
    access = {one.repository.image.canonical: one.repository.access for one in config.repositories.values()}
    repositories = {ref: _repository(ref, access) for ref in places}
    with terminal.watching() as progress:
        from krmfn.tagsources.sources import Sources

        source = Sources(config, os.environ, progress)
        listings = ask((repositories[ref] for ref in places), source.tags, WORKERS)
        pins = [(repositories[ref], ref.tag) for ref in places if ref.digest and ref.tag]
        digests = ask(pins, lambda pin: source.digest(*pin), WORKERS)
    return [
        _verdict(ref, tuple(where), listings[repositories[ref]], digests.get((repositories[ref], ref.tag or "")))
        for ref, where in sorted(places.items(), key=lambda one: one[0].name)
    ]


def _repository(ref: ImageRef, access: Mapping[str, object]) -> Repository:
    bare = replace(ref, tag=None, digest=None)
    known = access.get(ref.canonical)
    return Repository(bare, known) if known is not None else Repository(bare)  # type: ignore[arg-type]


def _verdict(
    ref: ImageRef, places: tuple[Place, ...], listing: Listing | RegistryError, digest: str | RegistryError | None
) -> Verdict:
    if isinstance(listing, RegistryError):
        return Verdict(ref, places, Newer(), error=str(listing))
    current = ref.tag or ("" if ref.digest else "latest")
    is_gone = bool(current) and current not in listing.tags
    better = newer(current, listing.tags)
    failed = isinstance(digest, RegistryError) and not is_gone
    return Verdict(
        ref, places, better, len(listing.tags), is_gone, digest if isinstance(digest, str) else None,
        str(digest) if failed else None,
    )  # fmt: skip


def _current(ref: ImageRef) -> str:
    tag = ref.tag or ("" if ref.digest else "latest")
    return tag + (f"@{ref.digest[:19]}" if ref.digest else "")


def _where(places: Sequence[Place]) -> str:
    first = places[0].file
    more = f" +{len(places) - 1}" if len(places) > 1 else ""
    return f"{first.path}:{first.line}{more}"


def _row(verdict: Verdict) -> tuple[str, ...]:
    same, newest = verdict.newer
    return (
        verdict.ref.name, _current(verdict.ref), same or "-", newest or "-", ", ".join(verdict.states),
        _where(verdict.places),
    )  # fmt: skip


def _print_text(verdicts: Sequence[Verdict]) -> None:
    if verdicts:
        terminal.table(_HEADER, [_row(verdict) for verdict in verdicts])


def _print_markdown(verdicts: Sequence[Verdict]) -> None:
    if not verdicts:
        click.echo("No image found.")
        return
    header = tuple(cell.lower() for cell in _HEADER)
    for cells in (header, ("---",) * len(header), *map(_row, verdicts)):
        click.echo("| " + " | ".join(printable(cell, 1000).replace("|", "\\|") for cell in cells) + " |")


def _print_json(verdicts: Sequence[Verdict]) -> None:
    import json

    click.echo(json.dumps({"images": [_plain(verdict) for verdict in verdicts]}, indent=2, ensure_ascii=False))


def _plain(verdict: Verdict) -> dict[str, object]:
    ref = verdict.ref
    made: dict[str, object] = {
        "image": ref.name,
        "repository": ref.canonical,
        "tag": ref.tag,
        "digest": ref.digest,
        "states": list(verdict.states),
        "sameMajor": verdict.newer.same_major,
        "newest": verdict.newer.newest,
        "listed": verdict.listed,
        "places": [
            {"path": one.file.path, "line": one.file.line, "column": one.file.column, "field": one.field, "resource": one.resource}
            for one in verdict.places
        ],
    }  # fmt: skip
    return (
        made | ({"digestNow": verdict.now} if verdict.now else {}) | ({"error": verdict.error} if verdict.error else {})
    )


_PRINTERS = {"text": _print_text, "json": _print_json, "markdown": _print_markdown}


def _remark(tree: files.Tree, found: Inventory, verdicts: Sequence[Verdict]) -> None:
    for one in found.unread:
        place = one.place.file
        _say(f"{place.path}:{place.line}: {one.why}: passed over")
    for skipped in tree.skipped:
        if skipped.is_no_yaml or skipped.matters:
            _say(f"{skipped.path}: {skipped.why}")
    for message in dict.fromkeys(verdict.error for verdict in verdicts if verdict.error):
        _say(message)
    click.echo(summary(verdicts), err=True)


def _say(message: str) -> None:
    click.echo(f"krmfn: warning: {printable(message, 1000)}", err=True)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Say in one line how the images stand."""
    if not verdicts:
        return "no image found: krmfn reads .yaml, .yml and Kustomization files"
    places = sum(len(verdict.places) for verdict in verdicts)
    counts = (
        ("updatable", _count(verdict.has_update for verdict in verdicts)),
        ("mutable", _count("mutable" in verdict.states for verdict in verdicts)),
        ("drifted", _count(verdict.has_drifted for verdict in verdicts)),
        ("unknown", _count(verdict.error is not None for verdict in verdicts)),
    )
    said = ", ".join(f"{count} {word}" for word, count in counts if count) or "all up to date"
    return f"{len(verdicts)} image{'s' * (len(verdicts) != 1)} in {places} place{'s' * (places != 1)}: {said}"


def _count(found: Iterable[bool]) -> int:
    return sum(found)
