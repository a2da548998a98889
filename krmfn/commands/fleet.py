"""`krmfn fleet`: one scan of the registries for many trees, and a report of what they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from krmfn import terminal
from krmfn.commands import options, ruling
from krmfn.config.floor import Rulebook
from krmfn.config.loading import Config
from krmfn.config.lock import Snapshot
from krmfn.disk import writing
from krmfn.disk.reading import max_bytes, read_stdin
from krmfn.fleet import plan as plans
from krmfn.fleet import publishing, trees
from krmfn.fleet import scan as scanning
from krmfn.fleet import store as stores
from krmfn.fleet.plan import Lane, Plan, PlannedTree
from krmfn.fleet.publishing import Remote
from krmfn.git.program import Allowance, seconds_allowed
from krmfn.model import Repository
from krmfn.policies.number import moment
from krmfn.sources.artifact import SCHEME, Artifact, reference
from krmfn.sources.registry_source import RegistrySource, Settings
from krmfn.sources.sources import Sources

Verb = TypeVar("Verb", bound=Callable[..., object])
_STEP = 10
"""Lines of progress of a lane without a terminal."""


@click.group(short_help="Plan, scan and report what many trees run.")
def command() -> None:
    """Scan the registries once for many trees, and report what they run and how far behind it is.

    \b
    krmfn fleet plan TREE... > plan.json      which repositories, in a lane for each registry host
    krmfn fleet scan plan.json --lane 0 --to scan
    krmfn fleet run TREE... --to scan         both, on this machine
    """  # noqa: D301 - \b is click's mark


TREES = click.argument("places", nargs=-1, required=True, metavar="TREE...")


@command.command(
    epilog=options.examples(
        "krmfn fleet plan clusters/prod ../shop > plan.json",
        "krmfn fleet plan https://github.com/acme/shop ssh://git@git.example/infra#main",
        "krmfn fleet plan - < trees.txt            # one a line",
        "krmfn fleet plan - --since last < trees.txt > plan.json",
        exits="0 done, 1 a tree could not be read (nothing is printed), 2 usage",
    )
)
@options.looking(TREES)
@ruling.RULES
@click.option("--since", metavar="DIR|oci://...", help="An earlier scan: git repositories at the same commit are not read again.")
def plan(places: tuple[str, ...], since: str | None) -> int:
    """Print the plan of a scan: every image repository of the trees, in lanes and shards.

    A TREE is a folder, or the URL of a git repository (https or ssh), with #REF for a branch, tag or commit; - reads more from
    stdin, one a line. The same trees at the same time give the same bytes. New tags will count as first seen at its time.
    """
    made = planned(places, since)
    sys.stdout.write(plans.encode(made).decode())
    terminal.say(f"{summary(made)}")
    return 0


def summary(made: Plan) -> str:
    """Return in one line what is planned."""
    images = sum(len(shard.images) for lane in made.lanes for shard in lane.shards)
    return f"{len(made.trees)} trees use {images} repositories at {len(made.lanes)} registries: lanes 0 to {len(made.lanes) - 1}" if images else "no image found"


def named(places: Iterable[str]) -> list[trees.Source]:
    """Return the trees that are named, those on stdin for `-`. Raise InputError."""
    lines: list[str] = []
    for place in places:
        text = read_stdin(sys.stdin.buffer, max_bytes()).decode("utf-8", "surrogateescape") if place == "-" else place
        lines += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [trees.source(line) for line in dict.fromkeys(lines)]


def planned(places: Iterable[str], since: str | None) -> Plan:
    """Make a plan. Raise InputError, GitError, ConfigError."""
    now = options.settings_of(options.finishing(None, None, None, None)).now or 0.0
    earlier = {tree.name: tree for tree in opened(since).plan.trees} if since else {}
    allowance = Allowance(seconds_allowed(os.environ))
    with terminal.watching("reading trees") as progress:
        made = [_planned(one, earlier, allowance, progress) for one in named(places)]
    return plans.make(now, made)


def _planned(one: trees.Source, earlier: Mapping[str, PlannedTree], allowance: Allowance, progress: terminal.Progress | None) -> PlannedTree:
    known = trees.known(one, earlier, allowance)
    if known is None:
        tree = trees.read(one, allowance)
        for problem in tree.problems:
            terminal.say(f"{one.name}: {problem}", "warning")
        known = trees.used(tree)
    if progress:
        progress(one.name, "listed", 0)
    return known


@command.command(
    epilog=options.examples(
        "krmfn fleet scan plan.json --lane 0 --to scan",
        "krmfn fleet scan plan.json --lane ghcr.io --to scan --since last",
        exits="0 done, 1 a registry could not be asked (run it again: nothing else is asked twice), 2 usage",
    )
)
@options.looking(click.argument("plan", type=click.Path(path_type=Path), metavar="PLAN"))
@click.option("--lane", required=True, envvar="JOB_COMPLETION_INDEX", metavar="N|HOST", help="Which lane, by number or by host.")
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where shards go; what is there is done.")
@ruling.RULES
@click.option("--since", metavar="DIR|oci://...", help="The last scan, for when tags were first seen.")
@click.option("--bootstrap", is_flag=True, help="What repositories without an earlier snapshot offer counts as old enough for every age.")
def scan(plan: Path, lane: str, to: Path, since: str | None, bootstrap: bool) -> int:
    """Ask one registry host for everything that the PLAN wants of it, and write it below DIR.

    A run that is killed is started again as it was: only what was under way is asked again. What a registry refuses (no such
    repository, no login) is a warning; what could not be asked at all is an error, and asked again by the next run.
    """
    made = stores.read_plan(plan)
    chosen = _lane(made, lane)
    store = stores.Store(to)
    scanning.check_age(made, store, chosen, options.settings_of(options.finishing(None, None, None, None)).now or 0.0)
    store.begin(made)
    writing.remove_leftovers(to / chosen.folder)
    with terminal.watching() as progress:
        failures = scanning.scan(made, chosen, store, lambda: _registries(progress), _earlier(since), _Teller(), is_bootstrap=bootstrap)
    waits = scanning.passing(failures)
    for error in failures.values():
        terminal.say(str(error), "error" if error.repository in waits else "warning")
    if waits:
        terminal.say(f"{chosen.host}: {len(waits)} of its repositories could not be asked: run the same command again, and only those are asked")
    return int(bool(waits))


def _lane(made: Plan, name: str) -> Lane:
    if name.isdecimal() and int(name) < len(made.lanes):
        return made.lanes[int(name)]
    lane = made.lane(name)
    if lane is None:
        last = len(made.lanes) - 1
        raise click.BadParameter(f"expected 0 to {last}, or a host: {', '.join(one.host for one in made.lanes[:20])}", param_hint="--lane")
    return lane


def _earlier(since: str | None) -> scanning.Earlier:
    if since is None:
        return lambda _images: dict[str, Snapshot]()
    return opened(since).snapshots


def opened(scan: str) -> stores.Store | Remote:
    """Open a scan in a folder, or one that was published: by digest, or by a tag under rules from outside. Raise ConfigError."""
    return Remote(published_at(scan)) if scan.startswith(SCHEME) else stores.Store(Path(scan))


def published_at(scan: str) -> Artifact:
    """Open a scan that was published. Raise ConfigError for a tag that nobody vouches for."""
    settings = options.settings_of(options.finishing(scan, None, None, None))
    return Sources(Config(settings=settings, rulebook=Rulebook(floor=ruling.given())), os.environ).scan


@command.command(
    epilog=options.examples(
        "krmfn fleet publish scan oci://ghcr.io/acme/scan:latest",
        "cosign sign $(krmfn fleet publish scan oci://ghcr.io/acme/scan:latest | sed 's,^oci://,,')",
        exits="0 done, 1 an error, 2 usage",
    )
)
@options.looking(click.argument("folder", type=click.Path(path_type=Path), metavar="DIR"))
@click.argument("place", metavar="oci://HOST/PATH:TAG")
def publish(folder: Path, place: str) -> int:
    """Push the scan in DIR as an OCI artifact, and print its name by digest: one artifact a lane, and an index over them.

    Logins are those of docker's configuration, under the rules that hold for pulling. What is there already is not sent again.
    """
    image = reference(place)
    if not image.tag or image.digest:
        raise click.BadParameter("expected a tag to publish under, such as oci://ghcr.io/acme/scan:latest", param_hint="oci://HOST/PATH:TAG")
    with terminal.watching("pushing"):
        done = publishing.publish(stores.Store(folder), _registries(None).pusher(Repository(image._replace(tag=None))), image.tag)
    for name in done.missing:
        terminal.say(f"{name} is not done, and left out: krmfn fleet scan goes on with it", "warning")
    terminal.echo(f"{SCHEME}{image.name}@{done.digest}")
    terminal.say(f"{done.shards} shards, {done.sent} of them new; also under {place}")
    return 0


@command.command(
    epilog=options.examples(
        "krmfn fleet pull oci://ghcr.io/acme/scan@sha256:... --to scan",
        exits="0 done, 1 an error, 2 usage",
    )
)
@options.looking(click.argument("place", metavar="oci://HOST/PATH@DIGEST"))
@ruling.RULES
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where it is written, as it was scanned.")
def pull(place: str, to: Path) -> int:
    """Write a published scan into the folder DIR. Nothing but its plan and its TagSnapshots is taken."""
    made = publishing.pull(published_at(place), to, lambda host, shards: terminal.detail(f"{host}: {shards} shards"))
    terminal.say(f"{summary(made)}; scanned at {moment(made.now)}")
    return 0


def _registries(progress: terminal.Progress | None) -> RegistrySource:
    """Open the registries for one shard: the limits on a run are those of a shard, and rate limits are waited for."""
    settings = Settings.of(os.environ, progress=progress, run_seconds=float("inf"), repository_seconds=900.0, retry_after_seconds=600.0)
    return RegistrySource(settings)


class _Teller:
    """Tells how far a lane is where no terminal shows it: ten lines, and the last."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, progress: scanning.Progress) -> None:
        """Print a line when another tenth is done."""
        part = _STEP * progress.done // max(progress.whole, 1)
        if part > self._told and (progress.done == progress.whole or not terminal.is_terminal(sys.stderr)):
            self._told = part
            failed = f", {progress.failed} could not be asked" if progress.failed else ""
            terminal.say(f"{progress.host}: {progress.done} of {progress.whole} repositories{failed}")


