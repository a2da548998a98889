"""`verify` and `provenance` of a requirement, and `spec.verify` of Flux's OCIRepository: whose signatures count.

Keys and trusted roots come from Secrets among the items. A condition that is not understood is a problem in own kinds;
in Flux's blocks it makes a requirement that cannot be judged, so that everything stays.
https://fluxcd.io/flux/components/source/ocirepositories/#verification
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.config.secrets import by_name, secret_values
from krmfn.errors import RuleError
from krmfn.sanitize import printable
from krmfn.signatures.keys import LIMIT, PublicKey, read_keys
from krmfn.signatures.wanted import Identity, TrustedRoot, Wanted
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.model import ResourceId

_SUFFIX = ".pub"
_ROOT = "trusted_root.json"
_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot"
_EXPECTED = (
    "expected secretRef: {name: ...}, a Secret whose keys ending in .pub hold public keys, "
    "keyFiles: [...] below --rules, or matchOIDCIdentity: [{issuer: ..., subject: ...}]"
)
_BY_KEY, _ROOTS = frozenset({"secretRef", "keyFiles"}), frozenset({"trustedRootSecretRef", "trustedRootFile"})
_FLUX_FIELDS = frozenset({"provider", "secretRef", "matchOIDCIdentity", "trustedRootSecretRef"})


def read_verify(
    where: ResourceId, path: str, entry: Mapping[str, Any], objects: Sequence[Object], problems: Problems, rule_file: Callable[[str], bytes]
) -> Wanted | None:
    """Read what one entry of `require` wants signed; None when a problem was noted. Any entry of `verify` suffices."""
    keys: list[PublicKey] = []
    identities: list[Identity] = []
    wrong = len(problems.found)
    for index, one in enumerate(map(mapping, listing(entry.get("verify")))):
        at = f"{path}.verify[{index}]"
        if "matchOIDCIdentity" in one and _BY_KEY & one.keys():
            problems.add(where, at, "keys and identities in one entry: write an entry for each, any of which suffices")
        elif "matchOIDCIdentity" in one:
            identities += _identities(where, at, one, objects, problems, rule_file)
        elif _ROOTS & one.keys():
            problems.add(where, at, "a trusted root vouches for identities: write matchOIDCIdentity")
        elif not _BY_KEY & one.keys():
            problems.add(where, at, _EXPECTED)
        else:
            keys += _key_files(where, f"{at}.keyFiles", listing(one.get("keyFiles")), rule_file, problems)
            keys += _keys(where, at, one, objects, problems) if "secretRef" in one else ()
    origin = mapping(entry.get("provenance"))
    builder, source = text(origin.get("builder")), text(origin.get("source"))
    if not listing(entry.get("verify")):
        problems.add(where, path, "provenance counts when it is signed: write verify too, with the keys or identities that sign it")
    if "provenance" in entry and not (builder or source):
        problems.add(where, f"{path}.provenance", "nothing is required: write builder, source or both")
    if len(problems.found) > wrong:
        return None
    return Wanted(tuple(dict.fromkeys(keys)), builder, source, tuple(dict.fromkeys(identities)))


def read_flux(one: Object, objects: Sequence[Object]) -> Wanted:
    """Read `spec.verify` of an OCIRepository as Flux does: a secretRef means keys, patterns are searched for anywhere.

    Whatever Flux would refuse, or krmfn does not understand, cannot be judged.
    """
    spec, problems, path = mapping(one.spec.get("verify")), Problems(), "spec.verify"
    provider, unknown = text(spec.get("provider")) or "cosign", sorted(spec.keys() - _FLUX_FIELDS)
    keys: tuple[PublicKey, ...] = ()
    identities: list[Identity] = []
    if not isinstance(one.spec.get("verify"), dict):
        problems.add(one.id, path, "expected a mapping")
    elif provider != "cosign":
        problems.add(one.id, f"{path}.provider", f"{provider} is not understood, cosign alone is")
    elif unknown:
        problems.add(one.id, path, f"{', '.join(unknown)} is not understood")
    elif "secretRef" in spec:
        keys = _keys(one.id, path, spec, objects, problems)
    elif not listing(spec.get("matchOIDCIdentity")):
        identities = [Identity("", "", is_whole=False, root=_root(one.id, path, spec, objects, problems))]
    else:
        identities = _identities(one.id, path, spec, objects, problems)
    if problems.found:
        why = "; ".join(f"{problem.location.field.path if problem.location.field else path}: {problem.message}" for problem in problems.found)
        return Wanted((), refusal=f"{one.id} wants signatures that cannot be judged: {why}")
    return Wanted(keys, identities=tuple(identities))


def _identities(
    where: ResourceId, path: str, one: Mapping[str, Any], objects: Iterable[Object], problems: Problems,
    rule_file: Callable[[str], bytes] | None = None,
) -> list[Identity]:
    """Read who may sign without a key; Flux knows no `rule_file`, and searches its patterns."""
    is_whole = rule_file is not None
    entries = listing(one.get("matchOIDCIdentity"))
    if not entries:
        problems.add(where, f"{path}.matchOIDCIdentity", "nobody is named: expected [{issuer: ..., subject: ...}]")
    root = _root(where, path, one, objects, problems, rule_file)
    identities = []
    for index, entry in enumerate(map(mapping, entries)):
        at = f"{path}.matchOIDCIdentity[{index}]"
        identity = Identity(text(entry.get("issuer")), text(entry.get("subject")), is_whole, root)
        missing = [name for name in ("issuer", "subject") if not text(entry.get(name))]
        if missing and is_whole:
            problems.add(where, at, f"{' and '.join(missing)} has to be named: a pattern that matches from end to end")
            continue
        try:
            identity.check()
        except RuleError as error:
            problems.add(where, at, str(error))
        identities.append(identity)
    return identities


def _root(
    where: ResourceId, path: str, one: Mapping[str, Any], objects: Iterable[Object], problems: Problems,
    rule_file: Callable[[str], bytes] | None = None,
) -> TrustedRoot:
    """Read the trusted root of a Secret, or of a file below the rules; without one it is that of the public sigstore."""
    if "trustedRootFile" in one and rule_file is not None:
        path, file = f"{path}.trustedRootFile", text(one["trustedRootFile"])
        if "trustedRootSecretRef" in one:
            problems.add(where, path, "two trusted roots: name a file or a Secret")
        try:
            return _checked(where, path, TrustedRoot(printable(file), rule_file(file)), problems)
        except RuleError as error:
            _refuse(where, path, error, problems)
        return TrustedRoot()
    if "trustedRootSecretRef" not in one:
        return TrustedRoot()
    path = f"{path}.trustedRootSecretRef"
    name = text(mapping(one["trustedRootSecretRef"]).get("name"))
    values = _secret(where, path, name, "its trusted root", objects, problems)
    if values is None:
        return TrustedRoot()
    if not values.get(_ROOT):
        problems.add(where, path, f"Secret {name} has no member {_ROOT}")
        return TrustedRoot()
    return _checked(where, path, TrustedRoot(f"{_ROOT} of Secret {name}", values[_ROOT].encode()), problems)


def _checked(where: ResourceId, path: str, root: TrustedRoot, problems: Problems) -> TrustedRoot:
    """Note what cannot be a trusted root; the sigstore package reads the rest of it when it judges."""
    try:
        kind = parse(root.data).get("mediaType")
    except ValueError as error:
        problems.add(where, path, f"{root.name} {error}")
    else:
        if len(root.data) > LIMIT or not str(kind).startswith(_ROOT_TYPE):
            expected = f"expected a document of type {_ROOT_TYPE}, at most {LIMIT >> 10} KiB, as `cosign trusted-root create` writes it"
            problems.add(where, path, f"{root.name} is no trusted root: {expected}")
    return root


def _refuse(where: ResourceId, path: str, error: RuleError, problems: Problems) -> None:
    problems.add(where, path, f"{error}: {error.help}" if error.help else str(error))


def _key_files(
    where: ResourceId, path: str, files: Sequence[str], rule_file: Callable[[str], bytes], problems: Problems
) -> list[PublicKey]:
    """Read the keys of files below the rules."""
    keys: list[PublicKey] = []
    for index, file in enumerate(files):
        try:
            keys += read_keys(printable(file), rule_file(file))
        except RuleError as error:
            _refuse(where, f"{path}[{index}]", error, problems)
    return keys


def _keys(
    where: ResourceId, path: str, one: Mapping[str, Any], objects: Iterable[Object], problems: Problems
) -> tuple[PublicKey, ...]:
    """Read the keys of a Secret: every member that ends in `.pub`, as Flux does."""
    path = f"{path}.secretRef"
    name = text(mapping(one.get("secretRef")).get("name"))
    values = _secret(where, path, name, "its keys", objects, problems)
    if values is None:
        return ()
    named = {member: value for member, value in values.items() if member.endswith(_SUFFIX)}
    if not named:
        problems.add(where, path, f"Secret {name} has no member that ends in {_SUFFIX}")
    keys: list[PublicKey] = []
    for member, value in sorted(named.items()):
        try:
            keys += read_keys(f"{member} of Secret {name}", value.encode())
        except RuleError as error:
            _refuse(where, path, error, problems)
    return tuple(keys)


def _secret(
    where: ResourceId, path: str, name: str, what: str, objects: Iterable[Object], problems: Problems
) -> Mapping[str, str] | None:
    """Return what a Secret holds; None, and a problem, when it is not among the items."""
    values = secret_values(name, where, path, by_name(objects), problems)
    if values is None:
        lead = f"{where.namespace}/" if where.namespace else ""
        problems.add(where, path, f"Secret {lead}{name} is not among the items: without {what} nothing is verified")
    return values
