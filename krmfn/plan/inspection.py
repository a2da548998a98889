"""What an image has to be so that it may run, and what it lacks: the question and the answer of TagSource.inspect."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Needs(NamedTuple):
    """What an image has to be: for all these platforms (`normal_platform`), and whole, so that a cluster can pull it."""

    platforms: tuple[str, ...] = ()
    pullable: bool = False


class Lack(NamedTuple):
    """What an image lacks: a platform, or a part that its registry does not have (its digest). `image`: an empty index."""

    kind: Literal["platform", "manifest", "config", "layer", "image"]
    name: str

    def __str__(self) -> str:
        """Return `no linux/arm64`, `layer sha256:0123456789ab not there`."""
        if self.kind == "image":
            return "an index without any image"
        return f"no {self.name}" if self.kind == "platform" else f"{self.kind} {self.name[:19]} not there"


class Inspection(NamedTuple):
    """What was found out about an image: the digest that was looked at, None if its tag is not there, and what it lacks."""

    digest: str | None
    lacks: tuple[Lack, ...] = ()
