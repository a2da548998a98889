"""`krmfn get image`: Flux's tables, from manifests instead of a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from krmfn import pipeline, terminal
from krmfn.commands import interrupting, options, output, ruling
from krmfn.config.loading import settings_among
from krmfn.config.objects import key_of, mapping, nearest, text
from krmfn.config.settings import Settings, dated, overridden
from krmfn.errors import InputError, KrmfnError
from krmfn.git.automation import Automation
from krmfn.inventory import files, flux_objects, flux_status
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.config.records import Finish
    from krmfn.inventory.flux_status import Standing
    from krmfn.model import PolicyKey
    from krmfn.outcome import Run
    from krmfn.plan.tag_source import TagSource

_KINDS = {
    "all": "Flux image", "repository": "ImageRepository", "policy": "ImagePolicy", "update": "ImageUpdateAutomation",
}  # fmt: skip
_BOOLEANS = ("suspend", "insecure")
_NUMBERS = ("generation", "observedGeneration", "tagCount")
_PLURALS = {"repositories": "repository", "policies": "policy", "updates": "update"}


class _Kind(click.Choice):  # type: ignore[type-arg]  # generic only in newer versions of click
    """One of the kinds; flux's plurals are accepted."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take `policies` for `policy`; a misspelt kind gets the nearest."""
        kind = _PLURALS.get(value, value)
        if kind not in _KINDS:
            hint = nearest(value, _KINDS) or f"; known: {', '.join(_KINDS)}"
            self.fail(f"no such kind: {value}{hint}", param, ctx)
        return kind

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Show the kinds in the usage."""
        del param, ctx
        return f"[{'|'.join(_KINDS)}]"


@click.group(short_help="Print image repositories, policies and automations as flux get does.")
def command() -> None:
    """Print image repositories, policies and automations as `flux get` does, from manifests."""


@options.verb(
    "krmfn get image all .",
    "krmfn get image policy clusters/prod -n flux-system",
    "krmfn get image policy . web -o yaml",
    "kustomize build clusters/prod | krmfn get image policy -",
    exits="0 done, 1 a registry could not be asked, or the named object is not there, 2 usage",
)
@click.argument("kind", type=_Kind(list(_KINDS)))
@options.looking(
    click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATHS... [NAME]")
)
@ruling.RULES
@click.option("--name", help="Only the object of this name; the same as a last argument that is no path.")
@options.SOURCE
@click.option("--namespace", "-n", help="Only objects of this namespace.")
@click.option("--all-namespaces", "-A", is_flag=True, help="All namespaces, with a column for them.")
@click.option("--no-header", is_flag=True, help="Leave out the header.")
@click.option("--status-selector", metavar="Ready=true|Ready!=true", help="Only objects whose condition is so.")
@click.option("--label-selector", "-l", metavar="KEY=VALUE,...", help="Only objects with these labels.")
@options.output("text", "yaml", "json")
def image(
    kind: str, paths: tuple[Path, ...], name: str | None, source: str | None, namespace: str | None, all_namespaces: bool,
    no_header: bool, status_selector: str | None, label_selector: str | None, form: str,
) -> int:  # fmt: skip
    """Print the tables of `flux get image KIND` for the Flux objects below PATHS.

    KIND is all, repository, policy or update. The columns and messages are Flux's. Without -n the objects of every
    namespace are shown, with a NAMESPACE column when there is more than one. With -o yaml come the objects themselves,
    with the status that the controllers would write.
    """
    paths, name = _with_name(paths, name)
    if kind == "all" and name:
        raise click.UsageError("a NAME needs one KIND: repository, policy or update")
    tree = options.read(paths)
    ruling.given()
    options.tell_skipped(tree.skipped)
    fleet, is_cut = _survey(tree, options.finishing(source), kind, paths)
    for problem in fleet.problems:
        terminal.say(str(problem), "warning")
    chosen = [one for one in fleet.standings if _matches(one, namespace, name, status_selector, label_selector)]
    wide = all_namespaces or (namespace is None and len({one.namespace for one in chosen}) > 1)
    if not chosen:
        terminal.say(_nothing(kind, name, namespace), "warning")
        return 1 if name else 0
    alike = output.alike([one.cause for one in chosen if one.cause], lambda error: error).values()
    shared = [errors for errors in alike if len({error.repository for error in errors}) > 1]
    if form == "text":
        if terminal.width(sys.stdout):
            told_together = {id(error) for errors in shared for error in errors}
            chosen = [_in_brief(one) if id(one.cause) in told_together else one for one in chosen]
        _print_tables(chosen, wide=wide, is_all=kind == "all", has_header=not no_header)
    else:
        _print_objects(chosen, form, _now())
    for errors in shared:
        terminal.say(output.in_one_line(errors), "warning")
    return interrupting.EXIT if is_cut else int(any(one.is_unknown for one in chosen))


command.add_command(image)
command.add_command(image, "images")


def _with_name(paths: tuple[Path, ...], name: str | None) -> tuple[tuple[Path, ...], str | None]:
    """Take the last argument for the NAME when it is no path and not the only one."""
    last = paths[-1]
    if name is not None or len(paths) == 1 or last == options.STDIN or last.exists() or len(last.parts) != 1:
        return paths, name
    return paths[:-1], str(last)


def _in_brief(one: Standing) -> Standing:
    """Return it with a message that fits a line: what repositories that fail have in common is told once, below the tables."""
    what = "the source" if one.cause is None or one.cause.common else one.cause.host
    return replace(one, ready=one.ready._replace(message=f"{what} could not be asked: see the warning"))


def _survey(tree: files.Tree, finish: Finish, kind: str, paths: Sequence[Path]) -> tuple[flux_objects.Fleet, bool]:
    """Judge the Flux objects of a tree; automations are counted only when they are asked for. True if Ctrl-C cut it short."""
    objects = flux_objects.gather(tree.blocks)
    rules = flux_objects.config_of(objects, settings_among(tree.blocks, finish))
    time = _now()

    def judge(source: TagSource) -> flux_objects.Fleet:
        pending = dict(_waiting(tree, objects, finish, paths, source)) if kind in ("all", "update") else {}
        fleet = flux_objects.judge(objects, source, time, pending, rules.settings.realm_hosts)
        shown = tuple(one for one in fleet.standings if kind == "all" or one.object.id.kind == _KINDS[kind])
        is_told = any(one.object.id.kind == "ImagePolicy" and one.ready.status == "True" for one in shown)
        return flux_objects.Fleet(tuple(_judged(shown, tree, finish, source)) if is_told else shown, fleet.problems)

    fleet, memory = interrupting.ask(rules, judge)
    return fleet, memory.is_cut


def _judged(standings: Iterable[Standing], tree: files.Tree, finish: Finish, source: TagSource) -> Iterable[Standing]:
    """Add to the policies with requirements or holds, which Flux does not know, what may not run yet."""
    run: Run | None = None
    try:
        rules = ruling.load(tree.blocks, finish)
        if any(policy.is_judged for policy in rules.policies.values()):
            run = pipeline.examine(tree.blocks, rules, lambda _: source, every=True, graph=tree.graph)
    except KrmfnError:  # Flux judges object by object, and wrong ones are told already
        run = None
    for one in standings:
        judged = run.judgement(key_of(one.object.id), "") if run and one.object.id.kind == "ImagePolicy" else None
        yield flux_status.passed(one, judged) if judged and judged.passed_over else one


def _now() -> str:
    """Return the time of the scan, RFC 3339: `KRMFN_NOW`, else `SOURCE_DATE_EPOCH`, else the clock. Raises ConfigError."""
    from datetime import UTC, datetime

    time = dated(overridden(Settings(), os.environ), os.environ).now
    when = datetime.now(UTC) if time is None else datetime.fromtimestamp(time, UTC)
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def _waiting(
    tree: files.Tree, objects: flux_objects.Objects, finish: Finish, paths: Sequence[Path], source: TagSource
) -> Iterable[tuple[PolicyKey, int | str]]:
    """Yield each automation with how many fields wait for an update; text says why they cannot be counted."""
    for resource in objects.of("ImageUpdateAutomation"):
        try:
            automation = Automation.read(resource, objects.all)
            rules = automation.narrow(ruling.load(tree.blocks, finish), objects.all)
            top = next((one for path in paths for one in _roots(path) if (one / automation.path).exists()), paths[0])
            run = pipeline.examine(automation.scope(tree.blocks, top), rules, lambda _: source, graph=tree.graph)
            wrong = next((result.message for result in run.results if result.severity == "error"), None)
            if wrong:
                raise InputError(wrong, name=str(paths[0]))
            yield key_of(resource.id), len(run.changes)
        except KrmfnError as error:
            yield key_of(resource.id), str(error).splitlines()[0]


def _roots(path: Path) -> Iterable[Path]:
    """Yield where `update.path` may start: the git repository that holds the path, then the path itself."""
    here = path.resolve()
    yield from (folder for folder in (here, *here.parents) if (folder / ".git").exists())
    yield here


def _nothing(kind: str, name: str | None, namespace: str | None) -> str:
    where = f' in "{namespace}" namespace' if namespace else ""
    return f"{_KINDS[kind]} object '{name}' not found{where}" if name else f"no {_KINDS[kind]} objects found{where}"


def _matches(
    one: Standing, namespace: str | None, name: str | None, status_selector: str | None, label_selector: str | None
) -> bool:
    if namespace is not None and one.namespace != namespace:
        return False
    if name is not None and one.object.id.name != name:
        return False
    if status_selector and not _has_status(one, status_selector):
        return False
    labels = mapping(mapping(one.object.data.get("metadata")).get("labels"))
    return all(
        text(labels.get(key.strip())) == value.strip()
        for key, _, value in (part.partition("=") for part in (label_selector or "").split(",") if part)
    )


def _has_status(one: Standing, selector: str) -> bool:
    kind, operator, wanted = selector.partition("!=") if "!=" in selector else selector.partition("=")
    if not operator:
        message = f"expected type=status or type!=status, found {selector!r}"
        raise click.BadParameter(message, param_hint="--status-selector")
    holds = kind.lower() == "ready" and one.ready.status.lower() == wanted.lower()
    return holds != (operator == "!=")


def _print_tables(standings: Sequence[Standing], *, wide: bool, is_all: bool, has_header: bool) -> None:
    """Print flux's tables with flux's bytes, or at a terminal as they fit; with `is_all` names carry their kind."""
    for kind in flux_objects.KINDS:
        rows = [_row(one, wide=wide, is_all=is_all) for one in standings if one.object.id.kind == kind]
        if not rows:
            continue
        columns = flux_status.COLUMNS[kind] if has_header else ()
        header = ("NAMESPACE", *columns) if wide and has_header else columns
        _print_table(header, rows)
        if is_all:
            terminal.echo()


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if terminal.width(sys.stdout):
        terminal.table(header, rows)
    else:
        terminal.echo(flux_status.table(header, rows), nl=False)


def _row(one: Standing, *, wide: bool, is_all: bool) -> tuple[str, ...]:
    name = f"{one.object.id.kind.lower()}/{one.object.id.name}" if is_all else one.object.id.name
    cells = flux_status.cells(one, name)
    return tuple(printable(cell, 2000) for cell in ((one.namespace, *cells) if wide else cells))


def _print_objects(standings: Sequence[Standing], form: str, time: str) -> None:
    """Print the objects as YAML or JSON, with their status at a time."""
    objects = [_with_status(one, time) for one in standings]
    if form == "json":
        terminal.echo(output.to_json({"apiVersion": "v1", "kind": "List", "items": objects}))
        return
    from krmfn.yamledit.authored import document

    for data in objects:
        terminal.echo("---\n" + document(data), nl=False)


def _with_status(one: Standing, time: str) -> Any:
    """Return the object as plain data, with the status that a controller would write behind the rest."""
    data = {key: value for key, value in one.object.data.items() if key != "status"}
    return _typed({**data, "status": one.status(time)})


def _typed(data: Any, name: str = "") -> Any:
    """Give booleans and numbers of Flux objects their type back; what was read is all text."""
    if isinstance(data, Mapping):
        return {key: _typed(value, str(key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_typed(value) for value in data]
    if name in _BOOLEANS and data in ("true", "false"):
        return data == "true"
    return int(data) if name in _NUMBERS and isinstance(data, str) and data.isdigit() else data
