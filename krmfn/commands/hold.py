"""`krmfn hold`: keep a policy on a tag or away from one, as an ImageHold beside the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import completion, options
from krmfn.commands.package import HOLDS, Package, tell_written
from krmfn.config.hold import NEWER, Hold
from krmfn.config.loading import load
from krmfn.config.objects import policy_named
from krmfn.config.snapshot import name_of
from krmfn.diagnostics import misconfigured
from krmfn.image import is_tag
from krmfn.inventory import files
from krmfn.plan.holdfile import hold_document
from krmfn.policies.number import read_time
from krmfn.sanitize import for_shell

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.model import PolicyKey

PATH = click.argument("path", default=".", type=click.Path(path_type=Path, exists=True))


@options.verb(
    "krmfn hold shop:web@1.4.1 --because 'freeze'            # stay on 1.4.1",
    "krmfn hold shop:web@1.4.2 --not --until 2026-12-01      # skip 1.4.2; krmfn update takes the next best",
    "krmfn release shop:web                                  # drop every hold of the policy",
    exits="0 written, 1 an error (nothing is written), 2 usage",
)
@click.argument("what", metavar="POLICY@TAG", shell_complete=completion.policies)
@PATH
@click.option("--not", "is_not", is_flag=True, help="Skip this tag; without it the policy stays on this tag.")
@click.option("--until", metavar="TIME", default="", help="When it ends, exclusive: a date (00:00 UTC), an RFC 3339 time, or `newer`: with the first newer tag.")
@click.option("--because", metavar="TEXT", default="", help="Why, for those who meet it.")
def command(what: str, path: Path, is_not: bool, until: str, because: str) -> int:
    """Write an ImageHold for POLICY (`name` or `namespace:name`) into krmfn-holds.yaml below PATH, or where holds stand."""
    if until and read_time(until) is None and not (until == NEWER and is_not):
        expected = f"a date, an RFC 3339 time, or {NEWER} with --not"
        raise click.BadParameter(f"expected {expected}, found {until!r}", param_hint="--until")
    package, rules, policy, tag = opened(path, what, needs_tag=True)
    write(package, rules, {"policy": str(policy), "not" if is_not else "tag": tag, "until": until, "because": because})
    return 0


def opened(path: Path, what: str, *, needs_tag: bool) -> tuple[Package, Config, PolicyKey, str]:
    """Read what stands below a path, and POLICY[@TAG]. Raises ConfigError, also for no such policy, and InputError."""
    tree = files.read((path,))
    options.tell_skipped(one for one in tree.skipped if one.matters)
    rules = load(tree.blocks, None, options.finishing())
    name, _, tag = what.partition("@")
    if tag and not is_tag(tag):
        raise click.BadParameter(f"{tag!r} is not a tag", param_hint="POLICY@TAG")
    policy = policy_named(name, rules.declared)
    if needs_tag and not tag:
        raise click.BadParameter(f"name the tag too: {policy}@TAG", param_hint="POLICY@TAG")
    return Package(tree, path if path.is_dir() else path.parent), rules, policy, tag


def write(package: Package, rules: Config, spec: dict[str, str]) -> None:
    """Write one hold behind the others. Raises ConfigError, also for an equal one, and InputError."""
    rival = next((one for one in rules.holds if spec.get("tag") and one.tag and str(one.policy) == spec["policy"]), None)
    if rival is not None:
        raise misconfigured(f"policy {spec['policy']} is held on {rival.tag} already: run {for_shell('krmfn', 'release', spec['policy'])} first")
    kind = next(name for name in ("tag", "not", "releaseAge") if spec.get(name))
    if any(_is_same(one, spec) for one in rules.holds):
        release = for_shell("krmfn", "release", f"{spec['policy']}@{spec[kind]}")
        raise misconfigured(f"policy {spec['policy']} has this hold already: run {release} first")
    resources = [one.resource for one in rules.holds if one.resource]
    home = resources[0].block.text.name if resources else str(package.base / HOLDS)
    name = name_of(f"{spec['policy']}-{kind}-{spec[kind]}", {one.id.name for one in resources})
    package.append(home, hold_document({key: value for key, value in spec.items() if value}, name))
    tell_written(package.put())
    for lock in _behind(rules, spec):
        terminal.say(f"{lock}: builds in mode frozen follow the hold after the next krmfn update", "note")


def _behind(rules: Config, spec: dict[str, str]) -> list[str]:
    """Return which locks record for the policy what a hold with `tag` or `not` excludes, each with what it records."""
    if "releaseAge" in spec:
        return []
    recorded = {
        (lock.object.block.text.name, one.tag): None
        for lock in rules.locks.every
        for one in lock.all
        if lock.object and str(one.policy) == spec["policy"] and (one.tag == spec.get("not") or one.tag != spec.get("tag", one.tag))
    }
    return [f"{name} records {tag}" for name, tag in recorded]


def _is_same(one: Hold, spec: dict[str, str]) -> bool:
    mine = (one.tag, one.skip, one.no_wait)
    return str(one.policy) == spec["policy"] and mine == tuple(spec.get(name, "") for name in ("tag", "not", "releaseAge"))
