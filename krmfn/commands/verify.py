"""`krmfn verify`: by whom images are signed, and what they were built from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from krmfn import terminal
from krmfn.commands import options, output, ruling
from krmfn.diagnostics import VERIFY_CODES
from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import InputError, RuleError
from krmfn.image import ImageRef
from krmfn.inventory.signed import Subject, described, judged, subjects, wants_signatures
from krmfn.kubernetes import finder
from krmfn.policies.number import moment
from krmfn.sanitize import printable
from krmfn.signatures.keys import LIMIT, read_keys
from krmfn.signatures.wanted import Identity, TrustedRoot, Wanted

if TYPE_CHECKING:
    from krmfn.signatures.keyless import Signature

_SUBJECT, _ISSUER = "certificate_identity", "certificate_oidc_issuer"
_OPTIONS = (
    click.option("--key", "keys", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
                 help="A public key (PEM) that may sign every image; repeatable, any suffices."),
    click.option("--certificate-identity", metavar="TEXT", default="", help="Who may sign without a key."),
    click.option("--certificate-identity-regexp", metavar="RE2", default="", help="The same as a pattern, matched from end to end."),
    click.option("--certificate-oidc-issuer", metavar="URL", default="", help="Who vouches for that identity."),
    click.option("--certificate-oidc-issuer-regexp", metavar="RE2", default="", help="The same as a pattern, matched from end to end."),
    click.option("--trusted-root", type=click.Path(path_type=Path), metavar="FILE", help="A trusted_root.json other than that of the public sigstore."),
    click.option("--builder-id", metavar="GLOB", default="", help="Who must have built it, as its provenance says."),
    click.option("--source-uri", metavar="GLOB", default="", help="From what it must have been built."),
)  # fmt: skip
"""Who has to have signed, named as cosign names its own options."""
_HEADER = ("IMAGE", "STATE", "SIGNED BY", "BUILT FROM", "SINCE", "WHERE")


def _who(verb: Callable[..., Any]) -> Callable[..., Any]:
    return options.adding(verb, *_OPTIONS)


@options.verb(
    "krmfn verify ghcr.io/acme/web:1.2.0 --key cosign.pub",
    "krmfn verify ghcr.io/acme/web:1.2.0 --key cosign.pub --source-uri 'https://github.com/acme/*'",
    "krmfn verify ghcr.io/acme/web:1.2.0 --certificate-identity NAME --certificate-oidc-issuer URL",
    "kubectl get pods -A -o yaml | krmfn verify - --rules git:origin/main",
    "krmfn verify clusters/prod                      # by the require entries below it",
    "krmfn verify . --rules git:origin/main -o sarif",
    exits="0 everything that is required is met, 1 something is not, or could not be judged, 2 usage",
)
@options.looking(click.argument("targets", nargs=-1, required=True, metavar="IMAGE|PATH..."))
@ruling.RULES
@_who
@click.option("--source", metavar="registry|layout:DIR", help="Where images are.")
@options.output("text", "json", "sarif")
def command(targets: tuple[str, ...], source: str | None, form: str, **who: Any) -> int:
    """Report by whom images are signed, what they were built from, for which platforms, and since when they are there.

    Of a PATH, or of - (stdin), every image is judged that a field surely runs, by the `require` entries that match it
    (docs/requirements.md) and by who is named here. Nothing is written.
    """
    wanted = _wanted(**who)
    paths = [Path(one) for one in targets if one == "-" or Path(one).exists()]
    images = [_image(one) for one in targets if one != "-" and not Path(one).exists()]
    tree = options.read(paths) if paths else None
    config = ruling.load(tree.blocks if tree else (), options.finishing(source))
    places = finder.find(tree.blocks, tree.graph) if tree else ()
    if wanted is None and not wants_signatures(config):
        raise click.UsageError("nothing is required: name --key FILE or --certificate-identity, or write verify under require (docs/requirements.md)")
    with options.open_source(config) as sources:
        judgements = described(judged(subjects(places, images), config, wanted, sources), config, sources.describe)
    _print(judgements, form)
    return int(any(one.findings() for one in judgements))


def _wanted(
    keys: Sequence[Path], trusted_root: Path | None, builder_id: str, source_uri: str, **patterns: str
) -> Wanted | None:
    """Return what the options want of every image; None when they name nobody. Raises UsageError, InputError."""
    subject, issuer = (_pattern(patterns, name) for name in (_SUBJECT, _ISSUER))
    if bool(subject) is not bool(issuer):
        raise click.UsageError("--certificate-identity and --certificate-oidc-issuer belong together: another issuer may vouch for the same name")
    if trusted_root and not subject:
        raise click.UsageError("--trusted-root vouches for identities: name --certificate-identity and --certificate-oidc-issuer")
    if not keys and not subject:
        if builder_id or source_uri:
            raise click.UsageError("--builder-id and --source-uri need --key or --certificate-identity: provenance counts when it is signed")
        return None
    read = [key for path in keys for key in _of_file(path, partial(read_keys, path.name))]
    identities = (_identity(issuer, subject, trusted_root),) if subject else ()
    return Wanted(tuple(dict.fromkeys(read)), builder_id, source_uri, identities)


def _identity(issuer: str, subject: str, trusted_root: Path | None) -> Identity:
    root = _of_file(trusted_root, partial(TrustedRoot, trusted_root.name)) if trusted_root else TrustedRoot()
    identity = Identity(issuer, subject, root=root)
    try:
        identity.check()
    except RuleError as error:
        raise click.UsageError(str(error)) from None
    return identity


def _pattern(patterns: dict[str, str], name: str) -> str:
    exact, regexp = patterns[name], patterns[f"{name}_regexp"]
    if exact and regexp:
        option = f"--{name.replace('_', '-')}"
        raise click.UsageError(f"{option} and {option}-regexp exclude each other")
    return regexp or re.escape(exact)


def _of_file(path: Path, reading: Callable[[bytes], Any]) -> Any:
    try:
        return reading(read_file(path, LIMIT))
    except (NotReadError, FileNotFoundError, NotADirectoryError) as error:
        why = str(error) if isinstance(error, NotReadError) else "is not there"
        raise InputError(f"the file {why}", name=str(path)) from None
    except RuleError as error:
        raise InputError(f"{error}{f'; {error.help}' if error.help else ''}", name=str(path)) from None


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
        shown = [one for one in judgements if one.state != "not required"]
        if len(shown) == 1:
            _print_one(shown[0])
        elif shown:
            rows = [_row(one) for one in shown]
            kept = [number for number in range(len(_HEADER)) if any(row[number] for row in rows)]
            terminal.table([_HEADER[number] for number in kept], [[row[number] for number in kept] for row in rows])
        for one in judgements:
            if one.why:
                terminal.say(f"{one.ref}: {one.why}", "error")
    free = sum(one.state == "not required" for one in judgements)
    judged_count = len(judgements) - free
    more = f"; nothing is required of {free} more" if free else ""
    terminal.say(f"{len(findings)} finding{'s' * (len(findings) != 1)}, {judged_count} image{'s' * (judged_count != 1)} judged{more}")


def _row(one: Subject) -> tuple[str, ...]:
    built = one.provenance
    name = f"{one.ref.name}:{one.ref.tag}" if one.ref.tag else one.ref.name
    return (name, one.state, one.signers, built.sources[-1] if built and built.sources else "", one.since[:10], _where(one))


def _where(one: Subject) -> str:
    more = f" +{len(one.places) - 1}" if len(one.places) > 1 else ""
    return f"{one.places[0].file.path}:{one.places[0].file.line}{more}" if one.places else ""


def _print_one(one: Subject) -> None:
    built = one.provenance
    lines = (
        ("digest", one.digest), ("signed by", one.signers), ("built by", built.builder if built else ""),
        ("built from", ", ".join(built.sources) if built else ""), ("platforms", ", ".join(one.platforms)),
        ("since", f"{one.since} ({one.evidence})" if one.since else ""), ("where", _where(one)),
    )  # fmt: skip
    terminal.tell(f"{one.ref}: {one.state}")
    for name, value in lines:
        if value:
            terminal.tell(f"  {name:10} {printable(value, 1000)}")


def _signed(signature: Signature) -> dict[str, str]:
    return {"issuer": signature.issuer, "subject": signature.subject, "signedAt": moment(signature.time)}


def _plain(one: Subject) -> dict[str, object]:
    built = one.provenance
    data: dict[str, object] = {
        "image": str(one.ref),
        "digest": one.digest or None,
        "outcome": one.state,
        "why": one.why or None,
        "keys": [{"name": each.key.name, "sha256": each.key.fingerprint} for each in one.verdicts if each.key],
        "identities": [_signed(each.signature) for each in one.verdicts if each.signature],
        "provenance": {"builder": built.builder, "sources": list(built.sources)} if built else None,
        "platforms": list(one.platforms),
        "since": {"time": one.since, "evidence": one.evidence} if one.since else None,
        "places": [{"path": place.file.path, "line": place.file.line, "column": place.file.column} for place in one.places],
    }
    return data
