"""`krmfn fleet run`: plan, scan, publish on one machine. Each lane is a process of its own, and one that dies is started again."""

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
from krmfn.commands.scans import published
from krmfn.disk import writing
from krmfn.errors import InputError
from krmfn.fleet.plan import FILE
from krmfn.fleet.store import Store

if TYPE_CHECKING:
    from krmfn.fleet.plan import Lane, Plan

_TRIES = 5
"""How often the process of a lane is started that something ended; one that ends by itself has said why."""


@options.verb(
    "krmfn fleet run clusters/* --to scan",
    "krmfn fleet run - --to scan --since last --publish oci://ghcr.io/acme/scan:latest < trees.txt",
    exits="0 done, 1 a tree could not be read or a registry not be asked (run it again: nothing is asked twice), 2 usage",
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
    store = Store(to)
    if (to / FILE).exists():
        terminal.say(f"{to} holds a scan that was begun: it goes on with its plan", "note")
    else:
        store.begin(scans.planned(places, since, keep=on_error == "keep"))
    writing.remove_leftovers(to)
    options_of_scan = ["--since", since] if since else []
    options_of_scan += ["--source", source] if source else []
    options_of_scan += ["--bootstrap"] * bootstrap + ["-q"] * terminal.is_quiet()
    failed = _lanes(store.plan, to, options_of_scan, processes)
    if failed:
        terminal.say(f"not whole: {', '.join(failed)}; run the same command again", "error")
        return 1
    if place:
        terminal.echo(published(store, place))
    return 0


def _lanes(plan: Plan, to: Path, more: Sequence[str], processes: int) -> list[str]:
    """Scan every lane, and return the hosts of those that are not whole."""
    with ThreadPoolExecutor(processes) as pool:
        codes = list(pool.map(lambda lane: _lane(lane, to, more), plan.lanes))
    return [lane.host for lane, code in zip(plan.lanes, codes, strict=True) if code]


def _lane(lane: Lane, to: Path, more: Iterable[str]) -> int:
    """Scan a lane to its end, and return the exit code of the last process."""
    command = [sys.executable, "-P", "-m", "krmfn", "fleet", "scan", str(to / FILE), "--lane", lane.host, "--to", str(to), *more]
    code = 1
    for _ in range(_TRIES):
        try:
            code = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=os.environ).returncode
        except OSError as error:
            raise InputError(f"cannot be started: {error.strerror}", name=sys.executable) from None
        if code >= 0:  # a signal is a negative number
            break
    return code
