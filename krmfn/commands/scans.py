"""Where a fleet's trees and scans are: what the verbs of `krmfn fleet` share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from krmfn import terminal
from krmfn.access import Repository
from krmfn.commands import options, ruling
from krmfn.config.records import Config, Rulebook
from krmfn.disk.reading import max_bytes, read_stdin
from krmfn.errors import GitError, InputError, KrmfnError
from krmfn.fleet import plan as plans
from krmfn.fleet import publishing, trees
from krmfn.fleet.plan import Plan, PlannedTree
from krmfn.fleet.publishing import Remote
from krmfn.fleet.store import Store
from krmfn.git.program import Allowance, seconds_allowed
from krmfn.sources.artifact import SCHEME, Artifact, reference
from krmfn.sources.layout import LayoutSource
from krmfn.sources.registry.limits import Settings
from krmfn.sources.sources import Sources

if TYPE_CHECKING:
    from krmfn.plan.tag_source import TagSource
    from krmfn.sources.registry.source import RegistrySource

Verb = TypeVar("Verb", bound=Callable[..., object])
_REMOTES = 8
"""Git repositories that are read at once."""


def named(places: Iterable[str]) -> list[trees.Source]:
    """Return the trees that are named, those on stdin for `-`. Raise InputError."""
    lines: list[str] = []
    for place in places:
        text = read_stdin(sys.stdin.buffer, max_bytes()).decode("utf-8", "surrogateescape") if place == "-" else place
        lines += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [trees.source(line) for line in dict.fromkeys(lines)]


def opened(scan: str) -> Store | Remote:
    """Open a scan in a folder, or one that was published: by digest, or by a tag under rules from outside. Raise ConfigError."""
    return Remote(published_at(scan)) if scan.startswith(SCHEME) else Store(Path(scan))


def published_at(scan: str) -> Artifact:
    """Open a scan that was published. Raise ConfigError for a tag that nobody vouches for."""
    settings = options.settings(scan)
    return Sources(Config(settings=settings, rulebook=Rulebook(floor=ruling.given())), os.environ).scan


TREES = click.argument("places", nargs=-1, required=True, metavar="TREE...")
SOURCE = click.option("--source", metavar="registry|layout:DIR", help="What is scanned; image layouts on disk are, as if they were registries.")


def source_of(source: str | None, progress: terminal.Progress | None) -> Callable[[], TagSource]:
    """Return what opens the source of one shard: the limits on a run are those of a shard, and rate limits are waited for."""
    settings = options.settings(source)
    if source and source.startswith(SCHEME):
        raise click.BadParameter("a scan asks registries or layouts, not another scan (--since takes one)", param_hint="--source")
    if settings.layout is None:
        return lambda: registries(progress)
    place = Path(settings.layout)
    return lambda: LayoutSource(place, None)


def registries(progress: terminal.Progress | None) -> RegistrySource:
    """Open the registries, without a limit on the whole run, and with patience for rate limits."""
    from krmfn.sources.registry.source import RegistrySource

    settings = Settings.of(os.environ, progress=progress, run_seconds=float("inf"), repository_seconds=900.0, retry_after_seconds=600.0)
    return RegistrySource(settings)


def summary(fleet_plan: Plan) -> str:
    """Return in one line what is planned."""
    images = sum(len(shard.images) for lane in fleet_plan.lanes for shard in lane.shards)
    return f"{len(fleet_plan.trees)} trees use {images} repositories at {len(fleet_plan.lanes)} registries: lanes 0 to {len(fleet_plan.lanes) - 1}" if images else "no image found"


def to(what: str) -> Callable[[Verb], Verb]:
    """Return the option for the folder of a scan."""
    return click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help=what)


def since(what: str) -> Callable[[Verb], Verb]:
    """Return the option for an earlier scan, of which `what` says what counts."""
    return click.option("--since", metavar="DIR|oci://...", help=what)


BOOTSTRAP = click.option("--bootstrap", is_flag=True, help="What repositories without an earlier snapshot offer counts as old enough for every age.")
ON_ERROR = click.option("--on-error", type=click.Choice(["fail", "keep"]), default="fail", show_default=True,
                        help="keep: a tree that cannot be read is as the scan of --since had it, or left out.")  # fmt: skip


def planned(places: Iterable[str], since: str | None, *, keep: bool) -> Plan:
    """Make a plan. Raise InputError, GitError, ConfigError."""
    now = options.settings().now or 0.0
    earlier = {tree.name: tree for tree in opened(since).plan.trees} if since else {}
    exclude, floor = options.excluded(), ruling.given()  # asked here: threads have no context of click

    def read_tree(one: trees.Source) -> trees.Tree:
        return trees.read(one, Allowance(seconds_allowed(os.environ)), exclude, floor)

    with terminal.watching("reading trees") as progress, ThreadPoolExecutor(_REMOTES) as pool:
        read = list(pool.map(lambda one: _planned(one, earlier, read_tree, progress), sources := named(places)))
    failed = [(source, tree) for source, (tree, _) in zip(sources, read, strict=True) if isinstance(tree, KrmfnError)]
    for one, error in failed:
        what = "" if not keep else "; its images are those of the earlier scan" if one.name in earlier else "; it is left out"
        advice = f" ({error.help})" if isinstance(error, GitError) and error.help else ""
        terminal.say(f"{error}{what}{advice}", "warning" if keep else "error")
    if failed and not keep:
        message = f"{len(failed)} of {len(sources)} trees could not be read; --on-error keep goes on without them"
        raise InputError(message, name="the plan")
    for problem in (problem for _, problems in read for problem in problems):
        terminal.say(problem, "warning")
    kept = [earlier[one.name] for one, _ in failed if one.name in earlier]
    return plans.make(now, [*kept, *(tree for tree, _ in read if isinstance(tree, PlannedTree))])


def _planned(
    one: trees.Source, earlier: Mapping[str, PlannedTree], read_tree: Callable[[trees.Source], trees.Tree], progress: terminal.Progress | None
) -> tuple[PlannedTree | KrmfnError, tuple[str, ...]]:
    """Return what a tree uses, or why it cannot be read, and what of it was left out. Git has its time for each tree."""
    try:
        known, problems = trees.known(one, earlier, Allowance(seconds_allowed(os.environ))), tuple[str, ...]()
        if known is None:
            tree = read_tree(one)
            known, problems = trees.used(tree), tuple(f"{one.name}: {problem}" for problem in tree.problems)
    except (InputError, GitError) as error:
        return error, ()
    if progress:
        progress(one.name, "listed", 0)
    return known, problems


def published(store: Store, place: str) -> str:
    """Publish a scan under a tag, and return its name by digest. Raise RegistryError, InputError, click.BadParameter."""
    image = reference(place)
    if not image.tag or image.digest:
        raise click.BadParameter("expected a tag to publish under, such as oci://ghcr.io/acme/scan:latest", param_hint="oci://HOST/PATH:TAG")
    with terminal.watching("pushing"):
        done = publishing.publish(store, registries(None).pusher(Repository(image._replace(tag=None))), image.tag)
    for name in done.missing:
        terminal.say(f"{name} is not done, and left out: krmfn fleet scan goes on with it", "warning")
    terminal.say(f"{done.shards} shards, {done.sent} of them new; also under {place}")
    return f"{SCHEME}{image.name}@{done.digest}"
