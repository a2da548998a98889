"""`krmfn verify`: by whom images are signed, and what they were built from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from krmfn import terminal
from krmfn.commands import options, output, ruling
from krmfn.diagnostics import VERIFY_CODES
from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import InputError, RuleError
from krmfn.image import ImageRef
from krmfn.inventory.signed import Subject, judged, subjects, wants_signatures
from krmfn.kubernetes import finder
from krmfn.policies.number import moment
from krmfn.signatures.keyless import Signature
from krmfn.signatures.keys import LIMIT, PublicKey, read_keys
from krmfn.signatures.wanted import Wanted
from krmfn.sources.sources import Sources


@click.command(
    epilog=options.examples(
        "krmfn verify ghcr.io/acme/web:1.2.0 --key cosign.pub",
        "krmfn verify ghcr.io/acme/web:1.2.0 --key cosign.pub --source-uri 'https://github.com/acme/*'",
        "krmfn verify clusters/prod                      # by the require entries below it",
        "krmfn verify . --rules git:origin/main -o sarif",
        exits="0 everything that is required is met, 1 something is not, or could not be judged, 2 usage",
    )
)
@options.looking(click.argument("targets", nargs=-1, required=True, metavar="IMAGE|PATH..."))
@ruling.RULES
@click.option("--key", "keys", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="A public key (PEM) that may sign every image; repeatable, any suffices.")  # fmt: skip
@click.option("--builder-id", metavar="GLOB", default="", help="Who must have built it, as its provenance says.")
@click.option("--source-uri", metavar="GLOB", default="", help="From what it must have been built.")
@click.option("--source", metavar="registry|layout:DIR", help="Where images are.")
@click.option("--output", "-o", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True)
def command(
    targets: tuple[str, ...], keys: tuple[Path, ...], builder_id: str, source_uri: str, source: str | None, form: str
) -> int:
    """Report by whom images are signed, and what they were built from.

    Of a PATH every image is judged that a field surely runs, by the `require` entries that match it (docs/requirements.md)
    and by --key. Nothing is written.
    """
    wanted = _wanted(keys, builder_id, source_uri)
    paths = [Path(one) for one in targets if one == "-" or Path(one).exists()]
    images = [_image(one) for one in targets if one != "-" and not Path(one).exists()]
    tree = options.read(paths) if paths else None
    config = ruling.load(tree.blocks if tree else (), options.finishing(source, None, None, None))
    places = finder.find(tree.blocks, tree.graph()) if tree else ()
    if wanted is None and not wants_signatures(config):
        raise click.UsageError("nothing is required: name --key FILE, or write verify under require (docs/requirements.md)")
    with terminal.watching() as progress:
        judgements = judged(subjects(places, images), config, wanted, Sources(config, os.environ, progress))
    _print(judgements, form)
    return int(any(one.findings() for one in judgements))


def _wanted(keys: Sequence[Path], builder: str, source: str) -> Wanted | None:
    if not keys:
        if builder or source:
            raise click.UsageError("--builder-id and --source-uri need --key: provenance counts when it is signed")
        return None
    read: list[PublicKey] = []
    for path in keys:
        try:
            read += read_keys(path.name, read_file(path, LIMIT))
        except (NotReadError, FileNotFoundError, NotADirectoryError) as error:
            why = str(error) if isinstance(error, NotReadError) else "is not there"
            raise InputError(f"the key {why}", name=str(path)) from None
        except RuleError as error:
            raise InputError(f"{error}{f'; {error.help}' if error.help else ''}", name=str(path)) from None
    return Wanted(tuple(dict.fromkeys(read)), builder, source)


def _image(text: str) -> ImageRef:
    try:
        return ImageRef.parse(text)
    except RuleError as error:
        raise click.UsageError(f"{text!r} is neither a file nor an image: {error}") from None


def _print(judgements: Sequence[Subject], form: str) -> None:
    findings = [finding for one in judgements for finding in one.findings()]
    if form == "json":
        terminal.echo(output.to_json([_plain(one) for one in judgements]))
    elif form == "sarif":
        terminal.echo(output.sarif(findings, VERIFY_CODES))
    else:
        rows = [_row(one) for one in judgements if one.state != "not required"]
        if rows:
            terminal.table(("IMAGE", "DIGEST", "STATE", "SIGNED BY", "BUILT BY, FROM", "WHERE"), rows)
        for one in judgements:
            if one.why:
                terminal.say(f"{one.ref}: {one.why}", "error")
    free = sum(one.state == "not required" for one in judgements)
    terminal.say(f"{len(findings)} findings, {len(judgements) - free} images judged, {free} of which nothing is required")


def _row(one: Subject) -> tuple[str, ...]:
    where = f"{one.places[0].file.path}:{one.places[0].file.line}" if one.places else ""
    more = f" +{len(one.places) - 1}" if len(one.places) > 1 else ""
    signers = ", ".join(dict.fromkeys(verdict.signer for verdict in one.verdicts if verdict.signer))
    built = next((verdict.provenance for verdict in one.verdicts if verdict.provenance), None)
    origin = ", ".join([built.builder, *built.sources[-1:]]) if built else ""
    name = f"{one.ref.name}:{one.ref.tag}" if one.ref.tag else one.ref.name
    return (name, one.digest[:19], one.state, signers, origin, where + more)


def _signed(signature: Signature) -> dict[str, str]:
    return {"issuer": signature.issuer, "subject": signature.subject, "signedAt": moment(signature.time)}


def _plain(one: Subject) -> dict[str, object]:
    built = next((verdict.provenance for verdict in one.verdicts if verdict.provenance), None)
    data: dict[str, object] = {
        "image": str(one.ref),
        "digest": one.digest or None,
        "outcome": one.state,
        "why": one.why or None,
        "keys": [{"name": each.key.name, "sha256": each.key.fingerprint} for each in one.verdicts if each.key],
        "identities": [_signed(each.signature) for each in one.verdicts if each.signature],
        "provenance": {"builder": built.builder, "sources": list(built.sources)} if built else None,
        "places": [{"path": place.file.path, "line": place.file.line, "column": place.file.column} for place in one.places],
    }
    return data
