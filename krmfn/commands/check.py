"""`krmfn check`: which images of manifests have newer versions. Needs no policy, no marker and no configuration."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from krmfn import terminal
from krmfn.commands import options
from krmfn.config.loading import Config, load, settings_among
from krmfn.errors import ConfigError, RegistryError
from krmfn.image import ImageRef
from krmfn.inventory import files
from krmfn.kubernetes import finder, forms
from krmfn.kubernetes.places import COUNTS, OVERRIDDEN, RANGE, UNJUDGED, Place
from krmfn.model import Listing
from krmfn.plan.resolve import ask
from krmfn.policies.newer import Newer, newer, state
from krmfn.sanitize import printable

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
    def is_asked(self) -> bool:
        """True when the version of any place is a tag or digest that decides about what runs."""
        return any(place.state == COUNTS for place in self.places)

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
        if not self.is_asked:
            return (_shown(self.places[0]),)
        if self.error:
            return (state(self.ref), "unknown")
        more = (("drifted", self.has_drifted), ("not listed", self.is_gone))
        return (state(self.ref), *(word for word, holds in more if holds))


@click.command(
    epilog=options.examples(
        "krmfn check .",
        "krmfn check clusters/prod --exit-code -o markdown",
        "krmfn check . --source layout:./images",
        exits="0 done, 1 an image could not be asked about, 2 usage, 10 with --exit-code: there are updates",
    )
)
@options.looking(options.LOOKED_AT)
@click.option("--source", metavar="registry|layout:DIR", help="Where tags come from.")
@click.option("--exit-code", is_flag=True, help="Exit 10 when there are updates.")
@click.option("--output", "-o", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
def command(paths: tuple[Path, ...], source: str | None, exit_code: bool, output: str) -> int:
    """Show which images in the manifests below PATHS have newer versions. Nothing is written.

    Images are found with and without markers; a newer tag keeps the variant (-alpine) and the precision (1.2) of the
    current one. A digest behind a tag is compared with what the registry says today.
    """
    tree = options.read(paths)
    found = finder.find(tree.blocks, tree.graph())
    verdicts = judge(found, configuration(tree, source))
    _PRINTERS[output](verdicts, [place for place in found if place.state == UNJUDGED])
    _remark(tree, found, verdicts)
    if any(verdict.error for verdict in verdicts):
        return 1
    return options.WOULD_CHANGE if exit_code and any(verdict.has_update for verdict in verdicts) else 0


def configuration(tree: files.Tree, source: str | None) -> Config:
    """Take snapshots and access to registries from the files. Wrong configuration is passed over: check needs none."""
    finish = options.finishing(source, None, None, None)
    try:
        return load(tree.blocks, None, finish)
    except ConfigError as error:
        terminal.say(f"configuration was passed over: {error.problems[0]}", "warning")
        return Config(settings=settings_among(tree.blocks, finish))


def judge(found: Sequence[Place], config: Config) -> list[Verdict]:
    """Ask about every image once, and compare. Ranges, variables and overridden fields are shown and not asked about."""
    places: dict[tuple[ImageRef, str, str], list[Place]] = {}
    for place in found:
        if place.ref is not None and place.state != UNJUDGED:
            standing = "" if place.state in (COUNTS, OVERRIDDEN) else place.state
            places.setdefault((place.ref, standing, place.constraint), []).append(place)
    shown = [Verdict(ref, tuple(where), Newer()) for (ref, _, _), where in places.items()]
    asked = [one.ref for one in shown if one.is_asked]
    repositories = {ref: config.repository(ref) for ref in asked}
    with terminal.watching() as progress:
        from krmfn.sources.sources import Sources

        source = Sources(config, os.environ, progress)
        listings = ask(repositories.values(), source.tags, WORKERS)
        pins = [(repositories[ref], ref.tag) for ref in asked if ref.digest and ref.tag]
        digests = ask(pins, lambda pin: source.digest(*pin), WORKERS)
    judged = [
        _verdict(
            one.ref,
            one.places,
            listings[repositories[one.ref]],
            digests.get((repositories[one.ref], one.ref.tag or "")),
        )
        if one.is_asked
        else one
        for one in shown
    ]
    return sorted(judged, key=lambda one: one.ref.name)


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


def _shown(place: Place) -> str:
    """Return why an image is shown and not asked about."""
    return f"overridden by {place.by}" if place.state == OVERRIDDEN else place.state


def _current(ref: ImageRef, place: Place) -> str:
    if place.state == RANGE:
        return place.constraint
    tag = ref.tag or ("" if ref.digest else "latest")
    return tag + (f"@{ref.digest[:19]}" if ref.digest else "")


def _where(places: Sequence[Place]) -> str:
    first = next((place for place in places if place.state == COUNTS), places[0]).file
    more = f" +{len(places) - 1}" if len(places) > 1 else ""
    return f"{first.path}:{first.line}{more}"


def _row(verdict: Verdict) -> tuple[str, ...]:
    same, newest = verdict.newer
    return (
        verdict.ref.name, _current(verdict.ref, verdict.places[0]), same or "-", newest or "-", ", ".join(verdict.states),
        _where(verdict.places),
    )  # fmt: skip


def _print_text(verdicts: Sequence[Verdict], _left: Sequence[Place]) -> None:
    if verdicts:
        terminal.table(_HEADER, [_row(verdict) for verdict in verdicts])


def _print_markdown(verdicts: Sequence[Verdict], _left: Sequence[Place]) -> None:
    if not verdicts:
        click.echo("No image found.")
        return
    header = tuple(cell.lower() for cell in _HEADER)
    for cells in (header, ("---",) * len(header), *map(_row, verdicts)):
        click.echo("| " + " | ".join(printable(cell, 1000).replace("|", "\\|") for cell in cells) + " |")


def _print_json(verdicts: Sequence[Verdict], left: Sequence[Place]) -> None:
    import json

    data = {
        "images": [_plain(verdict) for verdict in verdicts],
        "leftAlone": [{"text": place.text, **_plain_place(place)} for place in left],
    }
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _plain_place(place: Place) -> dict[str, object]:
    file = place.file
    made: dict[str, object] = {
        "path": file.path, "line": file.line, "column": file.column, "field": place.field,
        "resource": str(place.resource.id), "form": place.form, "sure": place.is_sure, "state": place.state,
    }  # fmt: skip
    return made | ({"why": place.why} if place.why else {}) | ({"overriddenBy": place.by} if place.by else {})


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
        "places": [_plain_place(place) for place in verdict.places],
    }  # fmt: skip
    constraint = verdict.places[0].constraint
    more = {"digestNow": verdict.now, "error": verdict.error, "constraint": constraint}
    return made | {name: value for name, value in more.items() if value}


_PRINTERS = {"text": _print_text, "json": _print_json, "markdown": _print_markdown}


_QUIET = ("tag-alone", "helm-release", *(row.code for row in forms.CHARTS))
"""Forms of which only the number of those left alone is told."""


def _remark(tree: files.Tree, found: Sequence[Place], verdicts: Sequence[Verdict]) -> None:
    left = [place for place in found if place.state == UNJUDGED]
    for one in left:
        if one.form not in _QUIET:
            _say(f"{one.file.path}:{one.file.line}: {one.why}: passed over")
    for skipped in tree.skipped:
        if skipped.is_no_yaml or skipped.matters:
            _say(skipped.message)
    for message in dict.fromkeys(verdict.error for verdict in verdicts if verdict.error):
        _say(message)
    counts = (
        ("tag without a repository", _count(place.form == "tag-alone" for place in left)),
        ("chart of an HTTP repository", _count(place.form in _QUIET and place.form != "tag-alone" for place in left)),
    )
    terminal.say(summary(verdicts))
    for what, count in counts:
        if count:
            terminal.say(f"left alone: {count} x {what} (-o json lists them)")


def _say(message: str) -> None:
    terminal.say(message, "warning")


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return in one line how the images stand."""
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
