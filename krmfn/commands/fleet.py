"""`krmfn fleet`: one scan of the registries for many trees, and a report of what they run."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import options, ruling, scans
from krmfn.commands.output import alike, in_one_line
from krmfn.commands.scans import opened, planned, published, published_at, summary
from krmfn.config.snapshot import Snapshot
from krmfn.disk import writing
from krmfn.errors import PASSING
from krmfn.fleet import plan as plans
from krmfn.fleet import publishing
from krmfn.fleet import scan as scanning
from krmfn.fleet import store as stores
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.fleet.plan import Lane, Plan

_ELSEWHERE = ("report", "run")
"""Verbs in modules of their own."""
_STEP = 10
"""Lines of progress of a lane without a terminal."""


class _Verbs(click.Group):
    """Imports the verbs that stand in modules of their own when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every verb, in order."""
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb."""
        if cmd_name in _ELSEWHERE:
            imported: click.Command = getattr(import_module(f"krmfn.commands.fleet_{cmd_name}"), cmd_name)
            return imported
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Verbs, short_help="Plan, scan and report what many trees run.")
def command() -> None:
    """Scan the registries once for many trees, and report what they run and how far behind it is.

    \b
    krmfn fleet plan TREE... > plan.json      the repositories, by host
    krmfn fleet scan plan.json --lane 0 --to scan
    krmfn fleet run TREE... --to scan         both, on this machine
    """  # noqa: D301 - \b is click's mark


@options.verb(
    "krmfn fleet plan clusters/prod ../shop > plan.json",
    "krmfn fleet plan https://github.com/acme/shop ssh://git@git.example/infra#main",
    "krmfn fleet plan - < trees.txt            # one a line",
    "krmfn fleet plan - --since last < trees.txt > plan.json",
    exits="0 done, 1 a tree could not be read (nothing is printed), 2 usage",
    group=command,
)
@options.looking(scans.TREES)
@ruling.RULES
@scans.since("An earlier scan: git repositories at the same commit are not read again.")
@scans.ON_ERROR
def plan(places: tuple[str, ...], since: str | None, on_error: str) -> int:
    """Print the plan of a scan: every image repository of the trees, in lanes and shards.

    A TREE is a folder, or the URL of a git repository (https or ssh), with #REF for a branch, tag or commit; - reads more from
    stdin, one a line. The same trees at the same time give the same bytes. New tags will count as first seen at its time.
    """
    fleet_plan = planned(places, since, keep=on_error == "keep")
    terminal.document(plans.encode(fleet_plan).decode())
    terminal.say(summary(fleet_plan))
    return 0


@options.verb(
    "krmfn fleet scan plan.json --lane 0 --to scan",
    "krmfn fleet scan plan.json --lane ghcr.io --to scan --since last",
    exits="0 done, 1 a registry could not be asked (run it again: nothing else is asked twice), 2 usage",
    group=command,
)
@options.looking(click.argument("plan", type=click.Path(path_type=Path), metavar="PLAN"))
@click.option("--lane", required=True, envvar="JOB_COMPLETION_INDEX", metavar="N|HOST", help="Which lane, by number or by host.")
@scans.to("Where shards go; what is there is done.")
@ruling.RULES
@scans.since("The last scan, for when tags were first seen.")
@scans.BOOTSTRAP
@scans.SOURCE
def scan(plan: Path, lane: str, to: Path, since: str | None, bootstrap: bool, source: str | None) -> int:
    """Ask one registry host for everything that the PLAN wants of it, and write it below DIR.

    A run that is killed is started again as it was: only what was under way is asked again. What a registry refuses (no such
    repository, no login) is a warning; what could not be asked at all is an error, and asked again by the next run.
    """
    fleet_plan = stores.read_plan(plan)
    chosen = _lane(fleet_plan, lane)
    store = stores.Store(to)
    scanning.check_age(fleet_plan, store, chosen, options.settings().now or 0.0)
    store.begin(fleet_plan)
    writing.remove_leftovers(to / chosen.folder)
    with terminal.watching() as progress:
        opened_source = scans.source_of(source, progress)
        failures = scanning.scan(fleet_plan, chosen, store, opened_source, _earlier(since), _Teller(), is_bootstrap=bootstrap)
    for errors in alike(failures.values(), lambda error: error).values():
        terminal.say(in_one_line(errors), "error" if errors[0].failure in PASSING else "warning")
    waits = scanning.passing(failures)
    if waits:
        terminal.say(f"{chosen.host}: {len(waits)} of its repositories could not be asked: run the same command again, and only those are asked")
    return int(bool(waits))


def _lane(fleet_plan: Plan, name: str) -> Lane:
    if name.isdecimal() and int(name) < len(fleet_plan.lanes):
        return fleet_plan.lanes[int(name)]
    lane = fleet_plan.lane(name)
    if lane is None:
        last = len(fleet_plan.lanes) - 1
        raise click.BadParameter(f"expected 0 to {last}, or a host: {', '.join(one.host for one in fleet_plan.lanes[:20])}", param_hint="--lane")
    return lane


def _earlier(since: str | None) -> scanning.Earlier:
    if since is None:
        return lambda _images: dict[str, Snapshot]()
    return opened(since).snapshots


@options.verb(
    "krmfn fleet publish scan oci://ghcr.io/acme/scan:latest",
    "cosign sign $(krmfn fleet publish scan oci://ghcr.io/acme/scan:latest | sed 's,^oci://,,')",
    exits="0 done, 1 an error, 2 usage",
    group=command,
)
@options.looking(click.argument("folder", type=click.Path(path_type=Path), metavar="DIR"))
@click.argument("place", metavar="oci://HOST/PATH:TAG")
def publish(folder: Path, place: str) -> int:
    """Push the scan in DIR as an OCI artifact, and print its name by digest: one artifact a lane, and an index over them.

    Logins are those of docker's configuration, under the rules that hold for pulling. What is there already is not sent again.
    """
    terminal.echo(published(stores.Store(folder), place))
    return 0


@options.verb(
    "krmfn fleet pull oci://ghcr.io/acme/scan@sha256:... --to scan",
    exits="0 done, 1 an error, 2 usage",
    group=command,
)
@options.looking(click.argument("place", metavar="oci://HOST/PATH@DIGEST"))
@ruling.RULES
@scans.to("Where it is written, as it was scanned.")
def pull(place: str, to: Path) -> int:
    """Write a published scan into the folder DIR. Nothing but its plan and its TagSnapshots is taken."""
    fleet_plan = publishing.pull(published_at(place), to, lambda host, shards: terminal.detail(f"{host}: {shards} shards"))
    terminal.say(f"{summary(fleet_plan)}; scanned at {moment(fleet_plan.now)}")
    return 0


class _Teller:
    """Tells how far a lane is where no terminal shows it: ten lines, and the last."""

    def __init__(self) -> None:
        self._told, self._is_quiet = 0, terminal.is_quiet()  # answers come in other threads, which do not know the command

    def __call__(self, progress: scanning.Progress) -> None:
        """Print a line when another tenth is done."""
        part = _STEP * progress.done // max(progress.whole, 1)
        if part > self._told and not self._is_quiet and (progress.done == progress.whole or not terminal.is_terminal(sys.stderr)):
            self._told = part
            failed = f", {progress.failed} could not be asked" if progress.failed else ""
            terminal.say(f"{progress.host}: {progress.done} of {progress.whole} repositories{failed}")

