"""`krmfn lint`: what in manifests does nothing, or not what it seems to. Nothing is asked of any registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from krmfn import terminal
from krmfn.commands import options, output, ruling
from krmfn.config.records import Config
from krmfn.diagnostics import LINT_CODES
from krmfn.errors import ConfigError
from krmfn.git import changelog
from krmfn.git.automation import Automation
from krmfn.inventory import files, flux_objects
from krmfn.inventory.lint import in_files, lint, misconfigured
from krmfn.inventory.signed import UNJUDGED, of_the_cluster, wants_signatures
from krmfn.kubernetes import finder
from krmfn.kubernetes.places import RANGE, VARIABLE
from krmfn.model import Diagnostic, Field, File, Location


@options.verb(
    "krmfn lint .                       # path:line:column code message",
    "krmfn lint . -o sarif > lint.sarif # for code scanning",
    "krmfn lint --codes                 # every code and what it means",
    exits="0 nothing found, 1 something found, 2 usage",
)
@options.looking(click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATHS..."))
@ruling.RULES
@options.output("text", "json", "sarif", "junit", "github")
@click.option("--ignore", multiple=True, metavar="CODE", type=click.Choice(list(LINT_CODES)),
              help="Leave this code out; repeatable.")  # fmt: skip
@click.option("--codes", is_flag=True, help="Print every code and what it means.")
def command(paths: tuple[Path, ...], form: str, ignore: tuple[str, ...], codes: bool) -> int:
    """Find markers, annotations and policies below PATHS that do nothing, or not what they seem to, and say why."""
    if codes:
        for code, meaning in LINT_CODES.items():
            terminal.tell(f"{code:16} {meaning}")
        return 0
    if not paths:
        raise click.UsageError("missing argument PATHS: a file or a directory")
    tree = options.read(paths)
    ruling.given()
    try:
        config = ruling.load(tree.blocks)
        findings = tuple(sorted((*lint(tree.blocks, config, tree.skipped), *_overruled(config, tree), *_of_the_cluster(config, tree)), key=in_files))
    except ConfigError as error:
        config, findings = Config(), misconfigured(error.problems, tree.blocks)
    is_blank = not findings and not config.declared
    findings = tuple(finding for finding in findings if finding.code not in ignore)
    names = [text.name for text in tree.texts]
    if printed := _printed(findings, names, form):
        (terminal.tell if form == "text" else terminal.echo)(printed)
    if form == "github":
        output.annotate(findings)
        lines = "".join(f"- {changelog.safe(output.finding(one))}\n" for one in findings) or "Nothing found.\n"
        output.summarise(f"## krmfn lint\n\n{lines}")
    if form in ("text", "github"):
        many = f"{len(findings)} finding{'s' * (len(findings) != 1)}" if findings else f"nothing found{', as there is no policy,' * is_blank}"
        terminal.say(f"{many} in {len(names)} file{'s' * (len(names) != 1)}")
    return int(any(one.severity != "info" for one in findings))


def _of_the_cluster(config: Config, tree: files.Tree) -> Iterator[Diagnostic]:
    """Yield the fields whose version the cluster chooses, of images that must be signed."""
    if not wants_signatures(config):
        return
    places = list(finder.find(tree.blocks, tree.graph))
    unjudged = of_the_cluster(places, config)
    for place in places:
        if place.ref in unjudged and place.state in (RANGE, VARIABLE):
            message = f"{place.ref.name} must be signed; {UNJUDGED} ({place.constraint or place.text})"
            yield Diagnostic("info", "cluster-chooses", message, Location(place.resource.id, Field(place.field, place.text), place.file))


def _overruled(config: Config, tree: files.Tree) -> Iterator[Diagnostic]:
    """Yield the automations whose policies have requirements or holds: the controller in the cluster knows neither."""
    if not any(policy.is_judged for policy in config.policies.values()):
        return
    objects = flux_objects.gather(tree.blocks).all
    for one in config.automations:
        try:
            automation = Automation.read(one, objects)
        except ConfigError:
            continue  # it updates nothing
        mine = automation.narrow(config, objects).policies.values()
        judged = ", ".join(str(policy.key) for policy in mine if policy.is_judged and policy.defined.kind == "ImagePolicy")
        if judged and not automation.is_suspended:
            block = one.block
            line, column = block.text.locate(block.span(block.root)[0]) if block.root is not None else (0, 0)
            message = f"the controller in the cluster updates {judged} without regard to require and holds: suspend it, or select others"
            yield Diagnostic("warning", "overruled", message, Location(one.id, file=File(block.text.name, block.index, line, column)))


def _printed(findings: Sequence[Diagnostic], files: Sequence[str], form: str) -> str:
    if form == "json":
        return output.findings_json(findings)
    if form == "sarif":
        return output.sarif(findings, LINT_CODES)
    if form == "junit":
        return output.junit(findings, files)
    return "" if form == "github" else "\n".join(map(output.finding, findings))
