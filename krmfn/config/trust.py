"""`verify` and `provenance` of a requirement: whose signatures count. Keys come from Secrets among the items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.config.secrets import secret_values
from krmfn.errors import RuleError
from krmfn.model import ResourceId
from krmfn.sanitize import printable
from krmfn.signatures.keys import PublicKey, read_keys
from krmfn.signatures.wanted import Wanted

_SUFFIX = ".pub"
_KEYLESS = "keyless verification (matchOIDCIdentity) is not built yet: name keys by secretRef"


def read_verify(
    where: ResourceId, path: str, entry: Mapping[str, Any], objects: Sequence[Object], problems: Problems,
    rule_file: Callable[[str], bytes],
) -> Wanted | None:
    """Read what one entry of `require` wants signed; None when a problem was noted. Any entry of `verify` suffices."""
    keys: list[PublicKey] = []
    wrong = len(problems.found)
    for index, one in enumerate(listing(entry.get("verify"))):
        at = f"{path}.verify[{index}]"
        keys += _key_files(where, f"{at}.keyFiles", listing(mapping(one).get("keyFiles")), rule_file, problems)
        keys += _keys(where, at, mapping(one), objects, problems)
    origin = mapping(entry.get("provenance"))
    builder, source = text(origin.get("builder")), text(origin.get("source"))
    if not listing(entry.get("verify")):
        problems.add(where, path, "provenance counts when it is signed: write verify too, with the keys that sign it")
    if "provenance" in entry and not (builder or source):
        problems.add(where, f"{path}.provenance", "nothing is required: write builder, source or both")
    return None if len(problems.found) > wrong else Wanted(tuple(dict.fromkeys(keys)), builder, source)


def _key_files(
    where: ResourceId, path: str, files: Sequence[str], rule_file: Callable[[str], bytes], problems: Problems
) -> list[PublicKey]:
    """Read the keys of files below the rules."""
    keys: list[PublicKey] = []
    for index, file in enumerate(files):
        try:
            keys += read_keys(printable(file), rule_file(file))
        except RuleError as error:
            problems.add(where, f"{path}[{index}]", f"{error}{f': {error.help}' if error.help else ''}")
    return keys


def _keys(
    where: ResourceId, path: str, one: Mapping[str, Any], objects: Iterable[Object], problems: Problems
) -> tuple[PublicKey, ...]:
    """Read the keys of a Secret: every member that ends in `.pub`, as Flux does."""
    if "matchOIDCIdentity" in one:
        problems.add(where, f"{path}.matchOIDCIdentity", _KEYLESS)
        return ()
    name = text(mapping(one.get("secretRef")).get("name"))
    if not name:
        if "keyFiles" in one:
            return ()
        problems.add(where, path, "expected secretRef: {name: ...}, a Secret whose keys ending in .pub hold public keys")
        return ()
    values = secret_values(name, where, f"{path}.secretRef", objects, problems)
    if values is None:
        lead = f"{where.namespace}/" if where.namespace else ""
        problems.add(where, f"{path}.secretRef", f"Secret {lead}{name} is not among the items: without its keys nothing is verified")
        return ()
    named = {member: value for member, value in values.items() if member.endswith(_SUFFIX)}
    if not named:
        problems.add(where, f"{path}.secretRef", f"Secret {name} has no member that ends in {_SUFFIX}")
    keys: list[PublicKey] = []
    for member, value in sorted(named.items()):
        try:
            keys += read_keys(f"{member} of Secret {name}", value.encode())
        except RuleError as error:
            problems.add(where, f"{path}.secretRef", f"{error}{f': {error.help}' if error.help else ''}")
    return tuple(keys)
