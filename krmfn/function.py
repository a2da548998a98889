"""The KRM function: ResourceList on stdin, ResourceList on stdout, people on stderr. Everything is written at the end.

Protocol: https://github.com/kubernetes-sigs/kustomize/blob/master/cmd/config/docs/api-conventions/functions-spec.md
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import yaml

from krmfn import pipeline
from krmfn.config.loading import load
from krmfn.config.settings import dated, overridden
from krmfn.disk.reading import MAX_MIB, NotReadError, max_bytes, read_file, read_stdin
from krmfn.errors import ConfigError, InputError, KrmfnError
from krmfn.kubernetes.resource import KUSTOMIZE_ID
from krmfn.model import Diagnostic, Location
from krmfn.outcome import Outcome
from krmfn.sanitize import inert, printable
from krmfn.yamledit import resourcelist
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from krmfn.yamledit.verification import rewrite
from krmfn.yamledit.yamltree import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from krmfn.config.floor import Floor
    from krmfn.config.records import Config, Finish
    from krmfn.plan.tag_source import TagSource
    from krmfn.yamledit.nodes import Block

_LEGACY = "KUSTOMIZE_PLUGIN_CONFIG_ROOT"


def is_legacy(arguments: list[str], environment: Mapping[str, str]) -> bool:
    """True if kustomize calls as a legacy exec plugin: its variable is set and argv[1] is the config file."""
    return _LEGACY in environment and len(arguments) >= 1 and os.path.isfile(arguments[0])  # noqa: PTH113 - pathlib takes a tenth of a short run


def main(arguments: list[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run as a function (or legacy plugin); return the exit code: 0 done, 1 any error."""
    import gc

    gc.disable()
    legacy = is_legacy(arguments, environment)
    data = b""
    try:
        data = _stdin()
        max_bytes()
        outcome = _legacy(data, arguments[0], environment) if legacy else _list(data, environment)
    except KrmfnError as error:
        outcome = Outcome((data,), _problems(error)) if legacy else refused(data, error)
    except Exception as error:  # noqa: BLE001 - the list must go back whatever happened
        from krmfn import bug

        outcome = _given_back(data, bug.diagnostic(error), is_legacy=legacy)
    code = max(_write(sys.stdout.buffer, outcome.pieces), int(outcome.is_error))
    with suppress(OSError):  # the list went back although nobody hears of it
        _speak(outcome, is_kustomize=KUSTOMIZE_ID.encode() in data)
    return code


def _stdin() -> bytes:
    """Return stdin. A wrong limit is told later: what cannot be read cannot be given back."""
    try:
        limit = max_bytes()
    except InputError:
        limit = MAX_MIB << 20
    return read_stdin(sys.stdin.buffer, limit)


def refused(data: bytes, error: KrmfnError) -> Outcome:
    """Return what is answered for input that is no ResourceList: one complete list all the same, which holds the error.

    kustomize parses stdout before it looks at the exit code, and empty stdout would mean that nothing is left.
    Documents that are no list go out as its items, and so do the items of a list that cannot be read as one.
    """
    results = _problems(error)
    head = b"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:"
    try:
        blocks = [block for block in documents(Text(data)) if block.root is not None]
    except KrmfnError:
        blocks = []
    items = b"".join(_as_item(text) for block in blocks for text in _members(block))
    shell = head + (b"\n" + items if items else b" []\n")
    try:
        listed = resourcelist.read(Text(shell))
    except KrmfnError:
        listed = resourcelist.read(Text(head + b" []\n"))
    try:
        return Outcome(resourcelist.splice(listed, (), results), results)
    except KrmfnError:  # not even the results can be proven to be written right
        return Outcome((listed.text.data,), results)


def _given_back(data: bytes, problem: Diagnostic, *, is_legacy: bool) -> Outcome:
    """Return the input as it came, with the problem among the results where it is a list."""
    results = (problem,)
    if not is_legacy:
        for give_back in (_annotated, lambda data, _results: refused(data, KrmfnError(problem.message))):
            try:
                return give_back(data, results)
            except Exception:  # noqa: BLE001, S112 - then less of it is understood
                continue
    return Outcome((data,), results)


def _annotated(data: bytes, results: tuple[Diagnostic, ...]) -> Outcome:
    return Outcome(resourcelist.splice(resourcelist.read(Text(data)), (), results), results)


def _problems(error: KrmfnError) -> tuple[Diagnostic, ...]:
    if isinstance(error, ConfigError):
        return error.problems
    return tuple(Diagnostic("error", "bad-input", line) for line in str(error).splitlines())


def _members(block: Block) -> Iterator[bytes]:
    """Yield the text of a document, or of every item when it is some kind of ResourceList."""
    members = dict(children(block.root)) if isinstance(block.root, yaml.MappingNode) else {}
    if members and getattr(members.get("kind"), "value", "") != "ResourceList":
        yield block.raw
        return
    items = members.get("items")
    for item in items.value if isinstance(items, yaml.SequenceNode) else ():
        if isinstance(item, yaml.MappingNode):
            start, end = block.span(item)
            yield b" " * item.start_mark.column + block.text.data[start:end]


def _as_item(raw: bytes) -> bytes:
    lines = [line for line in raw.replace(b"\r\n", b"\n").split(b"\n") if not line.startswith((b"---", b"...", b"%"))]
    while lines and not lines[-1].strip():
        lines.pop()
    return b"-\n" + b"".join(b"  " + line + b"\n" if line else b"\n" for line in lines)


def _opener(environment: Mapping[str, str]) -> pipeline.OpenSource:
    def open_source(config: Config) -> TagSource:
        from krmfn.sources.sources import Sources

        return Sources(config, environment)

    return open_source


def _list(data: bytes, environment: Mapping[str, str]) -> Outcome:
    return pipeline.run(Text(data), _opener(environment), _finish(environment), _floor(environment))


def _finish(environment: Mapping[str, str]) -> Finish:
    return lambda configured: dated(overridden(configured, environment), environment)


def _floor(environment: Mapping[str, str]) -> Floor | None:
    """Return the rules that the environment names; what travels among the items is the tree, and never the floor."""
    if not environment.get("KRMFN_RULES"):
        return None
    from pathlib import Path

    from krmfn.commands.outside import read

    return read(environment["KRMFN_RULES"], Path())


def _legacy(data: bytes, config_file: str, environment: Mapping[str, str]) -> Outcome:
    """Run on a stream of documents; results can only go to stderr."""
    text = Text(data)
    try:
        configs = documents(Text(read_file(config_file, max_bytes()), config_file))
    except (NotReadError, OSError) as error:
        raise InputError(f"cannot be read: {error}", name=config_file) from None
    blocks = documents(text)
    try:
        rules = load(blocks, configs[0] if configs else None, _finish(environment), _floor(environment))
        examined = pipeline.examine(blocks, rules, _opener(environment))
    except ConfigError as error:
        return Outcome((data,), error.problems)
    return Outcome((rewrite(text, examined.accepted),), examined.results, rules.asides)


def _speak(outcome: Outcome, *, is_kustomize: bool) -> None:
    """Report people: errors always; warnings where nobody shows results (kustomize drops them).

    kpt shows four lines, so a message that many fields share comes once, with the first of them.
    """
    loud = ("error", "warning") if is_kustomize else ("error",)
    shared: dict[tuple[str, str], list[str]] = {}
    for one in outcome.results:
        if one.severity in loud:
            place, message = ("", str(one)) if one.is_about_text else (_place(one.location), one.message)
            shared.setdefault((one.severity, message), []).append(place)
    lines = [f"{severity}: {_placed(places)}{message}" for (severity, message), places in shared.items()]
    for line in [*lines, *(f"note: {aside}" for aside in outcome.asides)]:
        print(inert(f"krmfn: {printable(line, 2000)}"), file=sys.stderr)  # noqa: T201 - this is where people are addressed


def _place(location: Location) -> str:
    where = [str(location.resource)] if location.resource and location.field else []
    if location.field and location.field.path:
        where.append(location.field.path)
    return " ".join(where)


def _placed(places: list[str]) -> str:
    more = f" and {len(places) - 1} more field{'s' * (len(places) > 2)}" if len(places) > 1 else ""
    return f"{places[0]}{more}: " if places[0] else ""


def _write(stdout: BinaryIO, pieces: Iterable[bytes | memoryview]) -> int:
    try:
        stdout.writelines(pieces)
        stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            with suppress(OSError):
                print(f"krmfn: error: stdout cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
