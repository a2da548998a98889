"""What is required of a digest."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from krmfn.policies.pattern import Pattern

if TYPE_CHECKING:
    from krmfn.signatures.keys import PublicKey


class TrustedRoot(NamedTuple):
    """Who may vouch for identities, logs and times: a `trusted_root.json`, whose `name` says where it comes from.

    Without `data` it is the one of the public sigstore, as the sigstore package of this installation carries it.
    """

    name: str = "the public sigstore"
    data: bytes = b""

    @property
    def fingerprint(self) -> str:
        """sha256 of the file in hex digits; empty for the public one, whose content follows the installation."""
        import hashlib

        return hashlib.sha256(self.data).hexdigest() if self.data else ""


class Identity(NamedTuple):
    """Who may sign without a key: patterns of the issuer that vouches (OIDC) and of the subject that it vouches for."""

    issuer: str
    subject: str
    is_whole: bool = True
    """The patterns have to match from end to end, as krmfn's own configuration wants; Flux searches anywhere."""
    root: TrustedRoot = TrustedRoot()

    def __str__(self) -> str:
        """Return `SUBJECT (issuer ISSUER)`."""
        return f"{self.subject or 'anybody'} (issuer {self.issuer or 'any'})"

    @property
    def loose(self) -> str:
        """Which of the patterns that are searched for may match inside of a longer text; empty when none may."""
        loose = [name for name, pattern in (("issuer", self.issuer), ("subject", self.subject)) if not _is_anchored(pattern)]
        return "" if self.is_whole else " and ".join(loose)

    def check(self) -> None:
        """Raise RuleError for a pattern that cannot be read."""
        for pattern in (self.issuer, self.subject):
            Pattern.parse(pattern)
            _compiled(pattern, self.is_whole)

    def accepts(self, issuer: str, subject: str) -> bool:
        """True if both patterns match."""
        pairs = ((self.issuer, issuer), (self.subject, subject))
        return all(_compiled(pattern, self.is_whole).search(value) is not None for pattern, value in pairs)


class Wanted(NamedTuple):
    """What is required of a digest. Globs are those of `require`; without `builder` and `source` a signature suffices.

    Any key and any identity suffices. With `refusal`, which says why, the condition is one that cannot be judged.
    """

    keys: tuple[PublicKey, ...]
    builder: str = ""
    source: str = ""
    identities: tuple[Identity, ...] = ()
    refusal: str = ""

    @property
    def needs_provenance(self) -> bool:
        """True if a signature is not enough."""
        return bool(self.builder or self.source)

    @property
    def signers(self) -> str:
        """Who may sign, for people."""
        return ", ".join(dict.fromkeys([*(key.name for key in self.keys), *map(str, self.identities)]))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What tells these signers from others: the fingerprints of the keys, and the identities with their trusted roots."""
        keys = [key.fingerprint for key in self.keys]
        keyless = ["\n".join(("whole" if one.is_whole else "search", one.issuer, one.subject, one.root.fingerprint)) for one in self.identities]
        return (*keys, *keyless, *([f"refused: {self.refusal}"] if self.refusal else []))


def _is_anchored(pattern: str) -> bool:
    """True if a pattern matches from end to end by itself: `^...$` without an alternative that leads out of it."""
    # Escapes and classes are one part each, so that what stands in them counts as no parenthesis, bar or anchor.
    depth = 0
    parts = re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)
    for part in parts:
        depth += (part == "(") - (part == ")")
        if part == "|" and not depth:
            return False
    return bool(parts) and parts[0] in ("^", "\\A") and parts[-1] in ("$", "\\z")


@lru_cache(100)
def _compiled(pattern: str, is_whole: bool) -> Pattern:
    return Pattern.parse(rf"\A(?:{pattern})\z" if is_whole else pattern)
