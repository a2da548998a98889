"""What a policy is: the context that it is given, and the decision that it returns. `policy` lists the policies themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Protocol, TypeAlias

Within: TypeAlias = 'Literal["patch", "minor", "major"]'
KEPT: dict[Within, int] = {"patch": 2, "minor": 1, "major": 0}
"""How many of the leading numbers of a tag stay, by the bound of policy `version`."""


class Context(NamedTuple):
    """What a policy may know besides the texts: creation times by tag, and the tag that is deployed.

    `current_text` is what the policy would read of the deployed tag; None when filterTags does not match it.
    """

    created: Callable[[str], str] | None = None
    current: str | None = None
    current_text: str | None = None


class Decision(NamedTuple):
    """One reason per text, and the place of the winner.

    Without a winner either `stays` says why the deployed tag is kept, or `error` is Flux's text and `why` what it means.
    """

    reasons: bytearray
    winner: int | None = None
    error: str = ""
    why: str = ""
    stays: str = ""


if TYPE_CHECKING:

    class Policy(Protocol):
        """Chooses one of several texts. Pure; equal for every order of the texts.

        `kind` is the member of `policy` in YAML; it also keeps records apart that hold the same otherwise.
        """

        @property
        def kind(self) -> str:
            """One of `policy.POLICIES`."""
            ...

        @property
        def described(self) -> str:
            """The policy for people, such as `semver >=1.2.0 <2.0.0`."""
            ...

        def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
            """Give every text a reason and choose; `tags` are the tags that the texts come from, one to one."""
            ...

        def accepts(self, text: str) -> bool:
            """True if the text alone would be taken."""
            ...

        def outranks(self, text: str, other: str) -> bool:
            """True if the text is strictly before the other in this policy's order; False when that is unknown."""
            ...

        def overlooks(self, text: str, numbers: Sequence[int] = ()) -> bool:
            """True if the policy cannot read a text (semver `8.4`), so that it cannot have left it out on purpose.

            The guard asks before it calls a deployed tag newer than the chosen one (`selection.goes_back`). With `numbers`, those
            that the text begins with, a version of these numbers must also be one that would be taken, the higher the better.
            A policy that reads every text, or takes nothing below what is deployed, returns False.
            """
            ...

        def canonical(self) -> dict[str, Any]:
            """Return the policy as plain data, equal for policies that mean the same; `policyHash` of a lock is made of it."""
            ...
