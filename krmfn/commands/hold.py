"""`krmfn hold`: keep a policy on a tag or away from one, as an ImageHold beside the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import completion, options
from krmfn.commands.package import HOLDS, Package, tell_written
from krmfn.config.hold import NEWER
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
    write(package, rules, policy, "not" if is_not else "tag", tag, until=until, because=because)
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


def write(package: Package, rules: Config, policy: PolicyKey, kind: str, tag: str, **more: str) -> None:
    """Write a hold behind the others. `kind` is `tag`, `not` or `releaseAge`. Raises ConfigError, InputError."""
    mine = [one for one in rules.holds if one.policy == policy]
    if kind == "tag" and (rival := next((one.tag for one in mine if one.tag), "")):
        release = for_shell("krmfn", "release", str(policy))
        raise misconfigured(f"policy {policy} is held on {rival} already: run {release} first")
    if any({"tag": one.tag, "not": one.skip, "releaseAge": one.no_wait}[kind] == tag for one in mine):
        release = for_shell("krmfn", "release", f"{policy}@{tag}")
        raise misconfigured(f"policy {policy} has this hold already: run {release} first")
    resources = [one.resource for one in rules.holds if one.resource]
    home = resources[0].block.text.name if resources else str(package.base / HOLDS)
    name = name_of(f"{policy}-{kind}-{tag}", {one.id.name for one in resources})
    spec = {"policy": str(policy), kind: tag, **{name: text for name, text in more.items() if text}}
    package.append(home, hold_document(spec, name))
    tell_written(package.put())
    for lock in _behind(rules, policy, kind, tag) if kind != "releaseAge" else ():
        terminal.say(f"{lock}: builds in mode frozen follow the hold after the next krmfn update", "note")


def _behind(rules: Config, policy: PolicyKey, kind: str, tag: str) -> list[str]:
    """Return which locks record for the policy what a hold with `tag` or `not` excludes, each with what it records."""
    recorded = {
        (lock.object.block.text.name, one.tag): None
        for lock in rules.locks.every
        for one in lock.all
        if lock.object and str(one.policy) == str(policy) and (one.tag == tag) == (kind == "not")
    }
    return [f"{name} records {tag}" for name, tag in recorded]
