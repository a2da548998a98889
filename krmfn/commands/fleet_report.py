"""`krmfn fleet report`: what the trees of a fleet run, judged from a scan without asking anybody."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import options, ruling, scans
from krmfn.commands.judging import Verdict, judge
from krmfn.commands.output import to_json
from krmfn.config.loading import settings_among
from krmfn.config.records import Config, Finish
from krmfn.errors import ConfigError, GitError, InputError, RegistryError
from krmfn.fleet import page, trees
from krmfn.fleet.report import Finding, Flag, Place, Problem, Report, as_data, join
from krmfn.git.program import Allowance, seconds_allowed
from krmfn.image import is_digest
from krmfn.kubernetes import finder
from krmfn.kubernetes.places import COUNTS
from krmfn.plan.inspection import Needs
from krmfn.plan.refusals import Facts, Refusals
from krmfn.plan.resolve import StaticTags
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.settings import Settings
    from krmfn.config.snapshot import Snapshot
    from krmfn.fleet.publishing import Remote
    from krmfn.fleet.store import Store
    from krmfn.outcome import Run

_IDLE = ("unbound-policy", "unknown-policy", "dangling-policy")
"""Codes of policies that never matched a field."""
_WHY: Mapping[str, Flag] = {"age": "waits", "unjudged": "not judged"}


@options.verb(
    "krmfn fleet report --scan scan > report.html",
    "krmfn fleet report clusters/prod --scan oci://ghcr.io/acme/scan@sha256:... -o markdown",
    "krmfn fleet report - --scan scan --exit-code -o json < trees.txt",
    exits="0 done, 1 a tree could not be read (the others are reported), 2 usage, 10 with --exit-code: something is refused, gone, unknown or has an update",
)
@options.looking(click.argument("places", nargs=-1, metavar="[TREE...]"))
@ruling.RULES
@click.option("--scan", required=True, metavar="DIR|oci://...", help="The scan to judge by; without a TREE those of its plan are read.")
@click.option("--within", type=options.WITHIN, default="minor", show_default=True, help="The bound of updates where no policy says another.")
@click.option("--exit-code", is_flag=True, help="Exit 10 when there is something to do.")
@options.output("html", "markdown", "json")
def report(places: tuple[str, ...], scan: str, within: str, exit_code: bool, form: str) -> int:
    """Report what the trees of a fleet run, and how far behind it is. No registry is asked: the scan tells.

    Which trees run what, one image in many versions, one tag with several digests, versions and days behind, what is not pinned, what
    does not meet `require`, policies that never matched, what is held and why. Everything is judged at the time of the scan. The page
    is one file that loads nothing.
    """
    judged, unread = _report(places, scans.opened(scan), within)
    if form == "html":
        terminal.document(page.html(judged))
    else:
        terminal.echo(page.markdown(judged) if form == "markdown" else to_json(as_data(judged)), nl=form == "json")
    for name in unread:
        terminal.say(f"{name}: the tree could not be read: the report says why", "error")
    return 1 if unread else options.WOULD_CHANGE if exit_code and judged.asks_for_action else 0


def _report(places: Iterable[str], scan: Store | Remote, within: str) -> tuple[Report, list[str]]:
    """Return the report, and the trees that could not be read at all."""
    plan = scan.plan
    named = scans.named(places) or [trees.source(one.name) for one in plan.trees]
    finish = _at(plan.now, options.finishing(unnamed=options.unnamed(within)))
    known = _Known(scan)
    commits, unread, findings, problems = [], list[str](), list[Finding](), list[Problem]()
    with terminal.watching("reading trees") as progress:
        for one in named:
            try:
                tree = trees.read(one, Allowance(seconds_allowed(os.environ)), options.excluded())
            except (InputError, GitError) as error:
                problems.append(Problem(one.name, "not read", str(error)))
                unread.append(one.name)
                continue
            commits.append((one.name, tree.commit))
            problems += [Problem(one.name, "not read", skipped.message) for skipped in tree.files.skipped if skipped.matters]
            findings += _of_tree(tree, finish, known, problems)
            if progress:
                progress(one.name, "listed", 0)
    return join(plan.now, moment(plan.now), commits, findings, problems, known.snapshots), unread


def _at(now: float, finish: Finish) -> Finish:
    """Return settings at the time of the scan; a lock, a layout or another scan that a tree names play no part."""

    def finished(settings: Settings) -> Settings:
        return finish(settings)._replace(now=now, mode="update", is_check=True, layout=None, artifact=None)

    return finished


class _Known:
    """What the scan knows, looked up once."""

    def __init__(self, scan: Store | Remote) -> None:
        self._scan, self._failed = scan, cache(scan.failed)
        self.snapshots: dict[str, Snapshot] = {}

    def source(self, images: set[str]) -> _Offline:
        """Return a source that knows some repositories."""
        self.snapshots |= self._scan.snapshots(images - self.snapshots.keys())
        there = {image: self.snapshots[image] for image in images if image in self.snapshots}
        return _Offline({image: one.tags for image, one in there.items()}, None, {image: self._why(image) for image in images - there.keys()})

    def _why(self, image: str) -> RegistryError:
        failed = self._failed(image.partition("/")[0])
        return failed.get(image) or RegistryError("unavailable", image, "the scan does not have this repository")


class _Offline(StaticTags):
    """The tags of a scan. What nobody asked for is unknown, not gone."""

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest."""
        try:
            return super().digest(repository, tag)
        except RegistryError as error:
            what = "whether the digest is there still" if is_digest(tag) else f"the digest of tag {tag}"
            raise RegistryError("unavailable", error.repository, f"the scan did not ask {what}") from None


def _of_tree(tree: trees.Tree, finish: Finish, known: _Known, problems: list[Problem]) -> Iterator[Finding]:
    name, blocks = tree.source.name, tree.files.blocks
    try:
        config = ruling.load(blocks, finish)
    except ConfigError as error:
        problems += [Problem(name, "policy", f"its policies do not count: {one}") for one in error.problems]
        config = Config(settings=settings_among(blocks, finish))
    places = finder.find(blocks, tree.files.graph)
    images = {place.ref.canonical for place in places if place.ref and place.state == COUNTS}
    source = known.source(images | {policy.repository.image.canonical for policy in config.policies.values()})
    config = config._replace(snapshots={}, evidence={**known.snapshots, **config.evidence})
    verdicts, run = judge(tree.files, places, config, source)
    problems += [Problem(name, "policy", str(one)) for one in run.results if one.code in _IDLE or (one.code == "not-chosen" and not one.cause)]
    yield from (_finding(name, one, run) for one in verdicts if one.is_asked)


def _finding(tree: str, verdict: Verdict, run: Run) -> Finding:
    ref, fate, flags, why = verdict.ref, verdict.fate, set[Flag](), list[str]()
    if verdict.error:
        flags.add("unknown")
        why.append(verdict.error.message)
    for policy in run.config.policies.values():
        if policy.is_judged and policy.repository.image.canonical == ref.canonical and fate.policy in (None, policy.key):
            refusals = Refusals(policy, Facts(run.config.settings, run.evidence, run.source))
            refused = refusals.known(ref.tag or "latest")
            flags |= {"refused"} if refused else set()
            why += [str(refused)] if refused else []
            if refusals.signed or refusals.needs != Needs():
                flags.add("not judged")
                why.append("require asks for signatures or parts of the image, of which no scan tells: krmfn verify, krmfn update")
    for passed in fate.passed_over:
        flags.add(_WHY.get(passed.rule, "held"))
        why.append(str(passed))
    flags |= {"gone"} if verdict.is_gone or verdict.is_digest_gone else set()
    flags |= {"moved"} if verdict.has_drifted else set()
    flags |= {"update"} if verdict.has_update else set()
    flags |= {"floating"} if "mutable" in verdict.states else set()
    flags |= {"unpinned"} if not ref.digest else set()
    places = tuple(Place(tree, f"{one.file.path.removeprefix(tree.rstrip('/') + '/')}:{one.file.line}") for one in verdict.places)
    newest = verdict.newer.newest or ""
    return Finding(ref.canonical, ref.tag or "", ref.digest or "", places, frozenset(flags), fate.tag or "", newest, str(fate.policy or ""), tuple(why))
