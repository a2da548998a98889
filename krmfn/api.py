"""The Python API: the function on a text, and the choice among tags that are at hand. Reads no file and no variable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from krmfn.policies.selection import Selection, parse_rules, select

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.outcome import Outcome
    from krmfn.plan.tag_source import TagSource


def run(text: str | bytes, source: TagSource | None = None, *, environment: Mapping[str, str] | None = None) -> Outcome:
    """Return what the KRM function makes of a ResourceList: its text, and a diagnostic for everything there is to say.

    Tags come from the TagSnapshots among the items, else from `source`, else from the registries; `environment` holds the
    variables that count (docs/configuration.md), `os.environ` for the logins of this machine. Wrong configuration and
    registries that fail are diagnostics; InputError is raised for a text that is no ResourceList.
    """
    from krmfn import pipeline
    from krmfn.config.settings import overridden
    from krmfn.sources.sources import Sources
    from krmfn.yamledit.text import Text

    variables = environment or {}

    def open_source(config: Config) -> TagSource:
        return Sources(config, variables) if source is None else source

    data = text.encode() if isinstance(text, str) else text
    return pipeline.run(Text(data), open_source, lambda configured: overridden(configured, variables))


def choose(
    tags: Iterable[str],
    policy: Mapping[str, Any] | None,
    *,
    filter_tags: Mapping[str, str] | None = None,
    exclusion_list: Sequence[str] | None = None,
    allow_tags: Sequence[str] = (),
    ignore_tags: Sequence[str] = (),
    current: str | None = None,
    created: Callable[[str], str] | None = None,
) -> Selection:
    """Choose one tag by a policy as YAML writes it, `{"semver": {"range": "1.x"}}`, with a reason for every other.

    The other rules are those of an ImagePolicy and its ImageRepository. `current` is the deployed tag (policies version
    and digest); `created` returns the RFC 3339 time of a tag (policy newest, which is also no policy at all). Raises
    RulesError with every problem of the rules.
    """
    rules = parse_rules(
        policy,
        filter_tags=filter_tags,
        exclusion_list=exclusion_list,
        allow_tags=allow_tags,
        ignore_tags=ignore_tags,
    )
    return select(rules, tuple(tags), created=created, current=current)
