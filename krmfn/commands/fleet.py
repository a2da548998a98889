"""`krmfn fleet`: one scan of the registries for many trees, and a report of what they run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import options, ruling, scans
from krmfn.commands.output import alike, in_one_line
from krmfn.commands.scans import opened, planned, published, published_at, summary
from krmfn.disk import writing
from krmfn.errors import PASSING, InputError
from krmfn.fleet import plan as plans
from krmfn.fleet import publishing
from krmfn.fleet import scan as scanning
from krmfn.fleet import store as stores
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.fleet.plan import Lane, Plan

_STEP = 10
"""Lines of progress of a lane without a terminal."""
_TRIES = 5
"""How often the process of a lane is started that something ended; one that ends by itself has said why."""


class _Verbs(click.Group):
    """Imports the report, for which a run is needed, when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every verb, in order."""
        return sorted([*super().list_commands(ctx), "report"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb."""
        if cmd_name == "report":
            from krmfn.commands.fleet_report import report

            return report
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
@scans.since("An earlier scan: git repositories at the same commit are not read again, whatever --exclude says now.")
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
    earlier: scanning.Earlier = opened(since).snapshots if since is not None else lambda _images: {}
    with terminal.watching() as progress:
        opened_source = scans.source_of(source, progress)
        failures = scanning.scan(fleet_plan, chosen, store, opened_source, earlier, _Teller(), is_bootstrap=bootstrap)
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


@options.verb(
    "krmfn fleet run clusters/* --to scan",
    "krmfn fleet run - --to scan --since last --publish oci://ghcr.io/acme/scan:latest < trees.txt",
    exits="0 done, 1 a tree could not be read or a registry not be asked (run it again: nothing is asked twice), 2 usage",
    group=command,
)
@options.looking(scans.TREES)
@ruling.RULES
@scans.to("The folder of the scan; one that is begun goes on.")
@scans.since("The last scan: what it saw first, and commits that stand still.")
@scans.BOOTSTRAP
@scans.ON_ERROR
@scans.SOURCE
@click.option("--processes", type=click.IntRange(1, 64), default=4, show_default=True, help="Lanes at once.")
@click.option("--publish", "place", metavar="oci://HOST/PATH:TAG", help="Push the scan when it is whole, and print its name by digest.")
def run(places: tuple[str, ...], to: Path, since: str | None, bootstrap: bool, on_error: str, source: str | None, processes: int, place: str | None) -> int:
    """Plan the trees, scan every lane in a process of its own, and publish the scan.

    A folder in which a scan was begun goes on with its plan, as it was made: the trees are not read again.
    """
    store = stores.Store(to)
    if (to / plans.FILE).exists():
        terminal.say(f"{to} holds a scan that was begun: it goes on with its plan", "note")
    else:
        store.begin(planned(places, since, keep=on_error == "keep"))
    writing.remove_leftovers(to)
    options_of_scan = ["--since", since] if since else []
    options_of_scan += ["--source", source] if source else []
    options_of_scan += ["--bootstrap"] * bootstrap + ["-q"] * terminal.is_quiet()
    failed = _run_lanes(store.plan, to, options_of_scan, processes)
    if failed:
        terminal.say(f"not whole: {', '.join(failed)}; run the same command again", "error")
        return 1
    if place:
        terminal.echo(published(store, place))
    return 0


def _run_lanes(fleet_plan: Plan, to: Path, more: Sequence[str], processes: int) -> list[str]:
    """Scan every lane, and return the hosts of those that are not whole."""
    with ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(lambda lane: _run_lane(lane, to, more), fleet_plan.lanes))
    return [lane.host for lane, code in zip(fleet_plan.lanes, codes, strict=True) if code]


def _run_lane(lane: Lane, to: Path, more: Iterable[str]) -> int:
    """Scan a lane to its end, and return the exit code; -1 when every process was ended by a signal."""
    words = [sys.executable, "-P", "-m", "krmfn", "fleet", "scan", str(to / plans.FILE), "--lane", lane.host, "--to", str(to), *more]
    try:
        runs = (subprocess.run(words, check=False, stdin=subprocess.DEVNULL, env=os.environ) for _ in range(_TRIES))
        return next((one.returncode for one in runs if one.returncode >= 0), -1)  # a signal is a negative number
    except OSError as error:
        raise InputError(f"cannot be started: {error.strerror}", name=sys.executable) from None


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

