"""Ctrl-C while registries are asked: what was learned so far is shown, and the rest is unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from krmfn import terminal
from krmfn.commands import options
from krmfn.errors import RegistryError
from krmfn.plan.resolve import Remembered

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.records import Config
    from krmfn.plan.resolve import Answer
    from krmfn.plan.tag_source import TagSource
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted
    from krmfn.sources.sources import Sources

Result = TypeVar("Result")
EXIT = 130


class Memory(Remembered):
    """A source that keeps every answer of another. Once it `is_cut` it knows nothing else, and asks nobody."""

    def __init__(self, source: Sources) -> None:
        super().__init__(source)
        self._labels = source.labels
        self.is_cut = False

    @property
    def knows_anything(self) -> bool:
        """True after the first answer."""
        return bool(self._told)

    def labels(self, repository: Repository, tag: str) -> Mapping[str, str]:
        """See Sources.labels."""
        return self._ask(self._labels, repository, tag)

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify."""
        from krmfn.signatures.verifying import Verdict

        try:
            return super().verify(repository, digest, wanted)
        except RegistryError as error:
            return Verdict("unavailable", str(error))

    def _ask(self, question: Callable[..., Answer], *about: Any) -> Answer:
        if self.is_cut and self._told.known((question.__name__, *about)) is None:
            image = about[0].image
            raise RegistryError("unavailable", image.canonical, f"{image.registry} was not asked any more: interrupted")
        return super()._ask(question, *about)


def ask(config: Config, work: Callable[[TagSource], Result]) -> tuple[Result, Memory]:
    """Do work that asks registries, and return its result; after Ctrl-C that of what was learned until then.

    Raises KeyboardInterrupt when nothing was learned.
    """
    with options.open_source(config) as source:
        memory = Memory(source)
        try:
            return work(memory), memory
        except KeyboardInterrupt:
            if not memory.knows_anything:
                raise
            memory.is_cut = True
    # The same work again, from what is remembered: what was not asked before fails now as `unavailable`, one by one.
    terminal.say("interrupted: what follows is what was learned until now, and nothing is written", "warning")
    return work(memory), memory
