"""What is required of a digest."""

from __future__ import annotations

from typing import NamedTuple

from krmfn.signatures.keys import PublicKey


class Wanted(NamedTuple):
    """What is required of a digest. Globs are those of `require`; without `builder` and `source` a signature suffices."""

    keys: tuple[PublicKey, ...]
    builder: str = ""
    source: str = ""

    @property
    def needs_provenance(self) -> bool:
        """True if a signature is not enough."""
        return bool(self.builder or self.source)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the keys."""
        return tuple(key.fingerprint for key in self.keys)
