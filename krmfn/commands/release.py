"""`krmfn release`: drop the holds of a policy, or let one tag through before it is old enough."""

from __future__ import annotations

from pathlib import Path

import click

from krmfn.commands import completion, hold, options
from krmfn.commands.package import tell_written
from krmfn.diagnostics import misconfigured
from krmfn.kubernetes.resource import describe
from krmfn.yamledit.text import Edit


@options.verb(
    "krmfn release shop:web                                    # drop every hold of the policy",
    "krmfn release shop:web@1.4.2                              # drop the hold that names this tag",
    "krmfn release --age shop:web@1.4.3 --because 'CVE fix'    # this tag need not wait",
    exits="0 written, 1 an error (nothing is written), 2 usage",
)
@click.argument("what", metavar="POLICY[@TAG]", shell_complete=completion.policies)
@hold.PATH
@click.option("--age", is_flag=True, help="Let this tag through although it is younger than minimumReleaseAge.")
@click.option("--because", metavar="TEXT", default="", help="Why, with --age.")
def command(what: str, path: Path, age: bool, because: str) -> int:
    """Drop the ImageHolds of POLICY below PATH, all of them or those of one tag; with --age write one that ends a wait."""
    package, rules, policy, tag = hold.opened(path, what, needs_tag=age)
    if because and not age:
        raise click.UsageError("--because goes with --age: what is dropped needs no reason")
    if age:
        hold.write(package, rules, policy, "releaseAge", tag, because=because)
        return 0
    mine = [one for one in rules.holds if one.policy == policy and tag in ("", one.tag, one.skip, one.no_wait)]
    if not mine:
        raise misconfigured(f"nothing holds {what}: no ImageHold of policy {policy} is below {path}")
    for one in mine:
        if one.resource is None:
            continue
        block = one.resource.block
        if len(list(describe(block))) > 1:
            raise misconfigured(f"{one.resource.id} stands in a List in {block.text.name}: remove it there")
        package.edit(block.text, [Edit(block.start, block.end, b"")])
    tell_written(package.put())
    return 0
