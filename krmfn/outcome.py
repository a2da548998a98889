"""What a run of the function answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from krmfn.model import Diagnostic


class Outcome(NamedTuple):
    """What a run answers: the text to print, in pieces, and everything there is to say about it."""

    pieces: Sequence[bytes | memoryview]
    results: "tuple[Diagnostic, ...]"
    asides: tuple[str, ...] = ()
    """For stderr only: what is worth a word and no result."""

    @property
    def text(self) -> bytes:
        """The text as a whole."""
        return b"".join(self.pieces)

    @property
    def is_error(self) -> bool:
        """True when any result is an error; then the text holds the items as they came."""
        return any(result.severity == "error" for result in self.results)
