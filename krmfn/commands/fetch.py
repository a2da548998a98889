"""`krmfn fetch`: the one step that needs a network; what it learns travels on as TagSnapshot and ImageLock items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from krmfn import pipeline, terminal
from krmfn.commands import builds, options, output, ruling
from krmfn.commands.base import with_changed
from krmfn.commands.package import LOCK, TAGS, Package, tell_written
from krmfn.commands.workspace import root_of
from krmfn.config.loading import load
from krmfn.config.snapshot import Snapshot, merged, name_of
from krmfn.diagnostics import misconfigured
from krmfn.errors import RegistryError
from krmfn.inventory import files
from krmfn.model import Choice, Chosen, Diagnostic, Location, NotChosen, PolicyKey
from krmfn.plan import lockfile, report, sightings
from krmfn.plan.records import by_policy
from krmfn.plan.snapshot import take
from krmfn.policies.number import moment
from krmfn.yamledit.scalars import Refusal
from krmfn.yamledit.text import Edit

if TYPE_CHECKING:
    from krmfn.config.objects import Object
    from krmfn.config.records import Config, Finish
    from krmfn.outcome import Run

_TRANSIENT = ("not-found", "denied", "rate-limited", "unavailable", "no-match")


@options.verb(
    "krmfn fetch .                            # krmfn-lock.yaml and krmfn-tags.yaml, or where such items stand",
    "krmfn fetch . --lock                     # the lock alone: krmfn update goes on asking registries",
    "krmfn fetch . --to base                  # new files go where kustomize can load them",
    "krmfn fetch . --check                    # is the lock up to date?",
    exits="0 done, 1 an error (nothing is written), 2 usage, 10 with --check: something would change",
)
@options.PATHS
@ruling.RULES
@options.WINDOWS
@click.option("--lock", is_flag=True, help="Write only the ImageLock.")
@click.option("--snapshot", is_flag=True, help="Write only the TagSnapshots.")
@click.option("--bootstrap", is_flag=True,
              help="What repositories without a TagSnapshot offer counts as old enough for every age.")  # fmt: skip
@click.option("--merge", "others", multiple=True, type=click.Path(path_type=Path, exists=True), metavar="PATH",
              help="Merge the first sightings of the TagSnapshots there, and ask no registry.")
@click.option("--all-tags", is_flag=True, help="Keep every tag, also those that no policy can use.")
@click.option("--to", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Where new files go; default is PATH.")  # fmt: skip
@options.SOURCE
@click.option("--on-error", type=click.Choice(["fail", "keep"]), help="keep: a policy that failed keeps its entries.")
@click.option("--on-downgrade", type=click.Choice(["keep", "allow", "fail"]),
              help="When the list lacks what is recorded.")  # fmt: skip
@options.CHECK
@options.STRICT
def command(
    paths: tuple[Path, ...], lock: bool, snapshot: bool, all_tags: bool, to: Path | None, source: str | None,
    on_error: str | None, on_downgrade: str | None, check: bool, strict: bool, bootstrap: bool, others: tuple[Path, ...],
) -> int:  # fmt: skip
    """Write what the policies below PATHS need from registries as items, so that later runs need no network.

    \b
    krmfn-tags.yaml: a TagSnapshot per repository, from which krmfn chooses
    krmfn-lock.yaml: the ImageLock, one entry per policy, for mode frozen
    Where such items stand already, they are updated in place.
    """  # noqa: D301 - \b is click's mark
    base = to or (paths[0] if paths[0].is_dir() else paths[0].parent)
    tree = options.read(paths, *(path for name in (LOCK, TAGS) if (path := base / name).is_file()))
    finish = options.finishing(
        source, is_check=check, strict=strict, mode="update", on_error=on_error, on_downgrade=on_downgrade
    )
    is_unread = options.tell_skipped(tree.skipped, "error" if check or strict else "warning")
    rules = ruling.load(tree.blocks, finish)
    if others:
        return _merge(Package(tree, base), rules, others, finish, check=check)
    rules = rules._replace(recording="bootstrap" if bootstrap else "first-seen")
    _refuse_the_past(rules)
    rules = with_changed(rules, tree.texts, root_of(paths[0]))
    anew = rules._replace(snapshots={})  # what is recorded answers no question here
    with options.open_source(anew) as fresh:
        run = pipeline.examine(tree.blocks, anew, lambda _: fresh, every=True, graph=tree.graph)
    package = Package(tree, base)
    results = list(_concerns(run))
    if lock or not snapshot:
        results += _lock(package, run)
    if snapshot or not lock:
        results += _snapshots(package, run, rules, all_tags=all_tags)
    results = list(dict.fromkeys(report.judged(results, run.config.settings)))
    is_error = is_unread or any(result.severity == "error" for result in results)
    written = package.put(is_check=check, is_error=is_error)
    _say(run, results, written, check=check)
    return options.exit_code(is_error=is_error, is_check=check, would_change=bool(written))


def _concerns(run: Run) -> Iterator[Diagnostic]:
    """Yield what went wrong with any policy, whether a field takes it or not, and what the guard and digests say."""
    keep = run.config.settings.on_error == "keep"
    choices = by_policy(run.choices, run.wanted)
    for choice in (choice for by_tag in choices.values() for choice in by_tag.values()):
        policy = choice.policy
        if isinstance(choice, NotChosen) or choice.record:
            is_kept = keep or policy.on_error == "keep"
            message = f"policy {policy.key}: {choice.message if isinstance(choice, NotChosen) else choice.note}"
            failure = choice.failure if isinstance(choice, NotChosen) else "unavailable"
            yield _failed(message, failure, policy.defined, keep=is_kept)._replace(cause=choice.cause)
    for key, unresolved in run.config.unresolved.items():
        yield _failed(f"policy {key}: {unresolved.why}", "not-found", unresolved.defined, keep=keep)
    if not choices:
        yield Diagnostic("warning", "no-policy", "no policy is configured here: nothing to fetch")
    for (key, tag), digest in run.pins.digests.items():
        if isinstance(digest, RegistryError):
            policy = run.config.policies[key.plain]
            message = f"policy {key}: failed fetching digest of {policy.repository.image.name}:{tag}: {digest}"
            yield _failed(message, digest.failure, policy.defined, keep=keep)._replace(cause=digest)
    yield from (*run.judged.results, *run.pins.results, *run.guarded.results, *run.config.notes)


def _failed(message: str, failure: str, where: Any, *, keep: bool) -> Diagnostic:
    is_kept = keep and failure in _TRANSIENT
    tail = "; its entries stay" if is_kept else ""
    return Diagnostic("warning" if is_kept else "error", "not-chosen", message + tail, Location(where))


def _lock(package: Package, run: Run) -> list[Diagnostic]:
    """Note how the locks change, and the new one for policies that none of them is for."""
    lock, home, problems = run.config.lock, str(package.base / LOCK), []
    locks = lock.objects if lock else ()
    at_home = next((one for one in locks if one.block.text.name == home), None)

    def place(key: PolicyKey) -> Object | None:
        return (lock.home(key) if lock else None) or at_home

    for resource in locks:
        mine = run.recorded.renewal.at(resource, place)
        edits = lockfile.edit_lock(resource, mine.entries)
        if not isinstance(edits, Refusal):
            package.edit(resource.block.text, edits)
        elif mine:
            why = f"is out of date ({mine.described}) and cannot be edited: {edits.why}"
            message = f"the lock {why}; delete it, and krmfn fetch writes it anew"
            problems.append(Diagnostic("error", "lock", message, Location(resource.id)))
    entries = [entry for entry in run.recorded.renewal.entries if place(entry.policy) is None]
    if entries:
        package.append(home, lockfile.lock_document(entries))
    return problems


def _snapshots(package: Package, run: Run, rules: Config, *, all_tags: bool) -> list[Diagnostic]:
    """Note how the snapshots change, and the new ones in their places."""
    taken = take(run, rules.stored, all_tags=all_tags)
    results = _edit_snapshots(package, {image: _with_sightings(one, run, rules) for image, one in taken.items()}, rules)
    used = {policy.repository.image.canonical for policy in rules.policies.values()}
    for image, unused in sorted(rules.stored.items()):
        if image not in used and unused.object:
            message = f"no policy uses the TagSnapshot of {unused.image}: it can be deleted"
            results.append(Diagnostic("info", "snapshot", message, Location(unused.object.id)))
    return results


def _refuse_the_past(rules: Config) -> None:
    """Refuse a now before what was written already: sightings would come out too old. Raises ConfigError."""
    now = rules.settings.now
    for image, snapshot in rules.stored.items():
        if now is not None and snapshot.time is not None and now < snapshot.time:
            raise misconfigured(
                f"the TagSnapshot of {image} was written at {moment(snapshot.time)}, and now is {moment(now)}: "
                "set the clock (or KRMFN_NOW) right"
            )


def _with_sightings(fresh: Snapshot, run: Run, rules: Config) -> Snapshot:
    """Add what is recorded of first sightings, where it is."""
    recorded, old = run.evidence.get(fresh.image), rules.stored.get(fresh.image)
    policies = [one for one in rules.policies.values() if one.repository.image.canonical == fresh.image]
    is_bootstrap = run.config.recording == "bootstrap"
    is_wanted = any(sightings.is_recorded(one, rules.stored, is_bootstrap=is_bootstrap) for one in policies)
    if recorded is None or not is_wanted:
        return fresh
    moved = {entry.policy.plain for entry in (*run.recorded.renewal.added, *(new for _, new in run.recorded.renewal.changed))}
    is_decided_anew = rules.lock is None or any(one.key in moved for one in policies)
    return sightings.written(fresh, recorded, old, is_decided_anew=is_decided_anew)


def _merge(package: Package, rules: Config, others: Sequence[Path], finish: Finish, *, check: bool) -> int:
    """Merge the TagSnapshots of other places into those below PATHS; raises ConfigError, InputError."""
    together = dict(rules.stored)
    for place in others:
        for image, other in load(files.read((place,)).blocks, None, finish).stored.items():
            mine = together.get(image)
            snapshot = merged(mine, other) if mine else other
            together[image] = snapshot._replace(object=mine.object if mine else None)
    problems = _edit_snapshots(package, together, rules)
    for one in problems:
        output.tell(one)
    written = package.put(is_check=check, is_error=bool(problems))
    tell_written(written, is_check=check)
    return options.exit_code(is_error=bool(problems), is_check=check, would_change=bool(written))


def _edit_snapshots(package: Package, snapshots: Mapping[str, Snapshot], rules: Config) -> list[Diagnostic]:
    """Note the edits of the snapshots that are there, and the new ones; return what cannot be edited."""
    problems: list[Diagnostic] = []
    for image, snapshot in snapshots.items():
        there = rules.stored.get(image)
        for resource in (there.object, *there.twins) if there else ():
            if resource is None:
                continue
            edits = lockfile.edit_snapshot(resource, snapshot)
            if isinstance(edits, Refusal):
                message = f"the snapshot cannot be edited: {edits.why}; delete it, and krmfn fetch writes it anew"
                problems.append(Diagnostic("error", "snapshot", message, Location(resource.id)))
            else:
                package.edit(resource.block.text, edits)
    _insert(package, [one for image, one in snapshots.items() if image not in rules.stored], rules.stored)
    return problems


def _insert(package: Package, new: Sequence[Snapshot], there: Mapping[str, Snapshot]) -> None:
    """Put new snapshots in order among those that stand in a file, or behind each other in a new one."""
    resources = {one.image: one.object for one in there.values() if one.object}
    # By image in one file, so that a new snapshot shows as one hunk of a diff, whenever its policy was added.
    names = {resource.id.name for resource in resources.values()}
    home = min((resource.block.text.name for resource in resources.values()), default=str(package.base / TAGS))
    places = [(image, one.block) for image, one in sorted(resources.items()) if one.block.text.name == home]
    for snapshot in new:
        name = name_of(snapshot.image, names)
        names.add(name)
        document = lockfile.snapshot_document(snapshot, name)
        block = next((block for image, block in places if image > snapshot.image and block.index > 0), None)
        if block is None:
            package.append(home, document)
        else:
            package.edit(block.text, [Edit(block.start, block.start, f"---\n{document}".encode())])


def _say(run: Run, results: Sequence[Diagnostic], written: Mapping[str, bytes], *, check: bool) -> None:
    errors = sum(result.severity == "error" for result in results)
    rows = [_row(run, key, by_tag) for key, by_tag in by_policy(run.choices, run.wanted).items() if _are_fresh(by_tag.values())]
    if rows and not errors:
        terminal.table((), list(dict.fromkeys(rows)))
    output.tell_all(results)
    if errors:
        terminal.tell(f"{errors} error{'s' * (errors != 1)}, nothing written", err=True)
        return
    tell_written(written, is_check=check)
    locks = {one.block.text.name for one in (run.config.lock.objects if run.config.lock else ())}
    news = {name for name in written if Path(name).name == LOCK}
    for name in sorted(news | (locks & written.keys())):
        read_by = builds.reader(name)
        if read_by or len(locks | news) > 1:
            terminal.say(f"{name} decides for the manifests below {Path(name).parent}{read_by}", "note")
    for hint in builds.unseen(written):
        terminal.say(hint, "note")


def _are_fresh(choices: Iterable[Choice]) -> bool:
    return all(isinstance(one, Chosen) and not one.record for one in choices)


def _row(run: Run, key: PolicyKey, choices: Mapping[str, Choice]) -> tuple[str, str, str, str]:
    """Return policy, image, tag (before and after when it moved) and why."""
    policy, choice = run.config.policies[key.plain], choices.get("")
    old = [entry.tag for entry in run.config.lock.of(key)] if run.config.lock else []
    new = [entry.tag for entry in run.recorded.renewal.entries if entry.policy == key]
    moved = ", ".join(new) if old in ([], new) else f"{', '.join(old)} -> {', '.join(new)}"
    counts = ""
    if isinstance(choice, Chosen) and choice.listed:
        counts = f", {choice.eligible} of {choice.listed} tags eligible"
    return str(key), policy.repository.image.name, moved or "-", f"{policy.rules.described}{counts}"
