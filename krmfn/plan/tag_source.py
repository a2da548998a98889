"""What a source of tags can do. For types alone: no run imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from krmfn.access import Listing, Repository
    from krmfn.plan.inspection import Inspection, Needs
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted


class TagSource(Protocol):
    """Where tags come from. Every method raises RegistryError and nothing else; all may be called from threads."""

    def tags(self, repository: Repository) -> Listing:
        """List every tag of the repository, valid by the OCI grammar, sorted and without repeats."""
        ...

    def digest(self, repository: Repository, tag: str) -> str:
        """Return the digest that the tag points to; for a multi-platform image that of the index.

        A digest in the place of a tag is returned if the repository holds it, else it is `not-found`.
        """
        ...

    def created(self, repository: Repository, tag: str) -> str:
        """Return when the image was built, as RFC 3339 text in UTC."""
        ...

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """Return what the image lacks of what it has to be."""
        ...

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """Return whether a digest is signed as it must be; a registry that cannot answer is a verdict, too."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Return what deserves a warning although the answers came: a credential helper that broke, a bad docker config."""
        ...
