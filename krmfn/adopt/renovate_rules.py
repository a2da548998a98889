"""Rules of Renovate: which conditions of `packageRules` hold for an image.

Meaning: lib/util/package-rules and lib/util/string-match.ts of Renovate; names are globs in any case, or `/patterns/` of RE2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from krmfn.errors import RuleError
from krmfn.globs import matches
from krmfn.image import ImageRef
from krmfn.policies.pattern import Pattern

if TYPE_CHECKING:
    from krmfn.adopt.census import Document, Steps

Places = Sequence[tuple[str, ImageRef]]
MANAGERS = ("kubernetes", "kustomize", "flux", "helm-values", "argocd")
_OF_PLACES = ("matchFileNames", "matchCurrentValue")


def is_about(document: Document, rule: Steps, places: Places) -> bool:
    """True if a rule speaks of an image; each kind of condition must hold by one of its texts."""
    name = places[0][1].name
    for key in conditions(document, rule):
        texts = document.items(*rule, key)
        if key == "matchFileNames":
            holds = all(is_named(texts, path) for path, _ in places)
        elif key == "matchCurrentValue":
            holds = all(is_named(texts, ref.tag or "") for _, ref in places)
        else:
            condition = _CONDITIONS.get(key)
            holds = condition is not None and condition(texts, name)
        if not holds:
            return False
    return True


def unknown(document: Document, rule: Steps) -> str:
    """Return a condition that cannot be judged here; empty when all can."""
    return next((key for key in conditions(document, rule) if key not in (*_CONDITIONS, *_OF_PLACES)), "")


def may_be_about_images(document: Document, rule: Steps) -> bool:
    """True if no datasource or manager that a rule names keeps it from images."""
    named = [key for key in ("matchDatasources", "matchManagers") if document.below(*rule, key)]
    return all(_CONDITIONS[key](document.items(*rule, key), "") for key in named)


def conditions(document: Document, rule: Steps) -> list[str]:
    """Return the conditions of a rule."""
    return sorted({step[0] for step in document.below(*rule) if step and step[0].startswith(("match", "exclude"))})


def is_named(texts: Sequence[str], name: str) -> bool:
    """True if a name fits the list: any of the positive patterns, and none of those that are refused."""
    wanted, refused = [one for one in texts if not one.startswith("!")], [one[1:] for one in texts if one.startswith("!")]
    return bool(texts) and (not wanted or _any_matches(wanted, name)) and not _any_matches(refused, name)


def _any_matches(texts: Iterable[str], name: str) -> bool:
    for text in texts:
        pattern, is_right, _ = pattern_of(text)
        if any(Pattern.parse(pattern).matches([name])) if is_right else is_glob_of(text, name):
            return True
    return False


def is_glob_of(glob: str, name: str) -> bool:
    """True if a glob of minimatch is a name's, in any case: a star alone is everything, and `**/` may be nothing.

    >>> is_glob_of("ghcr.io/*", "ghcr.io/acme/web"), is_glob_of("**/{charts,test}/**", "charts/a.yaml"), is_glob_of("*", "a/b")
    (False, True, True)
    """
    braces = re.search(r"\{([^{}]*)\}", glob)
    if braces:
        lead, rest = glob[: braces.start()], glob[braces.end() :]
        return any(is_glob_of(lead + one + rest, name) for one in braces[1].split(","))
    return glob == "*" or any(matches(glob.lower(), one) for one in (name.lower(), f"/{name.lower()}"))


def pattern_of(text: str) -> tuple[str, bool, bool]:
    """Return the pattern of `/.../`, `/.../i` or `!/.../`, whether it is one that RE2 takes, and whether it refuses.

    >>> pattern_of("!/^v1/i"), pattern_of("<2")
    (('(?i)^v1', True, True), ('', False, False))
    """
    match = re.fullmatch(r"(!?)/(.*)/(i?)", text)
    if not match:
        return "", False, False
    pattern = ("(?i)" if match[3] else "") + match[2]
    try:
        Pattern.parse(pattern)
    except RuleError:
        return pattern, False, bool(match[1])
    return pattern, True, bool(match[1])


_CONDITIONS: dict[str, Callable[[Sequence[str], str], bool]] = {
    "matchPackageNames": is_named,
    "matchDepNames": is_named,
    "matchPackagePatterns": lambda texts, name: is_named([f"/{one}/" for one in texts], name),
    "matchPackagePrefixes": lambda texts, name: any(name.startswith(one) for one in texts),
    "excludePackageNames": lambda texts, name: name not in texts,
    "excludePackagePatterns": lambda texts, name: not is_named([f"/{one}/" for one in texts], name),
    "excludePackagePrefixes": lambda texts, name: not any(name.startswith(one) for one in texts),
    "matchDatasources": lambda texts, _: is_named(texts, "docker"),
    "matchManagers": lambda texts, _: any(is_named(texts, manager) for manager in MANAGERS),
    "matchUpdateTypes": lambda *_: True,
}
"""Conditions of a rule that can be judged without Renovate, besides those on the places of an image."""
