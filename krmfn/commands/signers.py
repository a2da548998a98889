"""Options of `krmfn verify` that say who has to have signed, named as cosign names its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from krmfn.commands import options
from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import InputError, RuleError
from krmfn.signatures.keys import LIMIT, read_keys
from krmfn.signatures.wanted import Identity, TrustedRoot, Wanted

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


def named(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    return options.adding(verb, *_OPTIONS)


def wanted(
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
    root = _of_file(trusted_root, partial(TrustedRoot, trusted_root.name)) if trusted_root else TrustedRoot()
    identities = (Identity(issuer, subject, root=root),) if subject else ()
    for one in identities:
        try:
            one.check()
        except RuleError as error:
            raise click.UsageError(str(error)) from None
    return Wanted(tuple(dict.fromkeys(read)), builder_id, source_uri, identities)


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
