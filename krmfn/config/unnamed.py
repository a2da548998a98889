"""What images follow that no policy names: `update --within`, and `check` in its place."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple


class Unnamed(NamedTuple):
    """What images that no policy names follow: `version` inside a bound, or, without one, the tag that they have.

    `pin` pins what is not; `on_error` says what becomes of an image that cannot be asked about.
    """

    within: Literal["patch", "minor", "major"] | None = None
    pin: bool = False
    on_error: Literal["fail", "keep"] = "keep"

    @property
    def described(self) -> str:
        """The bound for people: `within minor`."""
        return f"within {self.within}" if self.within else "pin"

    @property
    def policy(self) -> dict[str, Any]:
        """The policy as configuration spells it."""
        return {"version": {"within": self.within}} if self.within else {"digest": {}}
